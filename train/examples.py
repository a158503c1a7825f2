"""The example pictures of the demo: drawn from BUS-BRA validation, never picked by result."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from .data import image_path, read_image, read_mask
from .splits import BUSBRA_FOLDER, Entry, read_manifest

SEED = 0
README = """# Example images

Eight images of BUS-BRA's fold 4, on which none of the networks was trained. They were drawn by
`python -m train examples` with a fixed seed, one from each quarter of lesion size for benign and
for malignant; none was left out for what a network makes of it. `masks/` holds the reference
outlines.

Gómez-Flores W., Gregorio-Calas M. J., Coelho de Albuquerque Pereira W. *BUS-BRA: A breast
ultrasound dataset for assessing computer-aided diagnosis systems.* Medical Physics 51(4), 2024,
3110–3123. doi:[10.1002/mp.16812](https://doi.org/10.1002/mp.16812). Redistributed under the terms
in `LICENSE-BUSBRA.txt`.

| image | class | lesion, share of the image |
|---|---|---|
"""


def write_examples(data_folder: Path, out: Path) -> None:
    """Write images/, masks/, README.md, and BUS-BRA's licence into `out`."""
    entries = [entry for entry in read_manifest("busbra") if entry.part == "validation"]
    masks = {entry.image: _mask(data_folder, entry) for entry in entries}
    random = np.random.default_rng(SEED)
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    table = ""
    for label in ("benign", "malignant"):
        ranked = sorted(
            (entry for entry in entries if entry.label == label),
            key=lambda entry: masks[entry.image].mean(),
        )
        for quarter in np.array_split(np.arange(len(ranked)), 4):
            entry = ranked[random.choice(quarter)]
            name = f"{label}-{entry.image}.png"
            shutil.copyfile(image_path(data_folder, entry), out / "images" / name)
            Image.fromarray(masks[entry.image]).save(out / "masks" / name, optimize=True)
            table += f"| {name} | {label} | {masks[entry.image].mean():.1%} |\n"
    (out / "README.md").write_text(README + table)
    shutil.copyfile(data_folder / BUSBRA_FOLDER / "LICENSE.txt", out / "LICENSE-BUSBRA.txt")


def _mask(data_folder: Path, entry: Entry) -> np.ndarray:
    return read_mask(data_folder, entry, read_image(data_folder, entry).shape[:2])
