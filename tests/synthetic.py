"""A tiny data set in the layout of BUSI and BUS-BRA: grey speckle with one dark ellipse each.

    python tests/synthetic.py FOLDER

Malignant lesions are larger and ragged. Everything follows from the seed.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
HEIGHT, WIDTH = 72, 96
PER_CLASS = 30


def picture(random: np.random.Generator, malignant: bool) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W) image and bool (H, W) mask."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centre = random.uniform(0.35, 0.65, 2) * (HEIGHT, WIDTH)
    radius = 20 if malignant else 11
    angle = np.arctan2(y - centre[0], x - centre[1])
    edge = radius * (1 + (0.25 * np.sin(7 * angle) if malignant else 0))
    mask = np.hypot((y - centre[0]) * 1.3, x - centre[1]) < edge
    grey = np.where(mask, 40, 140) * random.gamma(8, 1 / 8, (HEIGHT, WIDTH))
    return grey.clip(0, 255).astype(np.uint8), mask


def make(folder: Path, per_class: int = PER_CLASS, seed: int = 0) -> Path:
    """Write both sets and groups.csv (every fifth image a twin of the one before)."""
    random = np.random.default_rng(seed)
    _make_busi(folder, per_class, random)
    _make_busbra(folder / "BUSBRA", per_class, random)
    return folder


def make_with_splits(folder: Path) -> dict[str, str]:
    """Both sets and their manifests; returns the environment in which `train` reads them.

    One thread: the order of sums, and so the last bit, does not depend on the machine's load.
    """
    make(folder)
    (folder / "splits").mkdir()
    own = {"BUSMTL_DATA": str(folder), "BUSMTL_SPLITS": str(folder / "splits")}
    env = os.environ | own | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "train", "splits", "--groups", folder / "groups.csv"]
    subprocess.run(command, cwd=ROOT, env=env, check=True)
    return env


def _make_busi(folder: Path, per_class: int, random: np.random.Generator) -> None:
    rows = []
    for label in ("benign", "malignant", "normal"):
        target = folder / "Dataset_BUSI_with_GT" / label
        target.mkdir(parents=True)
        for number in range(1, per_class + 1):
            grey, mask = picture(random, label == "malignant")
            mask = mask & (label != "normal")
            name = f"{label} ({number})"
            Image.fromarray(grey).save(target / f"{name}.png")
            half = mask.copy()
            half[:, : WIDTH // 2] = False
            Image.fromarray(mask & ~half).save(target / f"{name}_mask.png")
            if half.any():
                Image.fromarray(half).save(target / f"{name}_mask_1.png")
            twin = f"{label} ({number - 1})" if number % 5 == 0 else name
            rows.append((name, twin, "multiclass" if number == 1 else ""))
    with (folder / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "group", "objection"), *rows])


def _make_busbra(folder: Path, per_class: int, random: np.random.Generator) -> None:
    for name in ("Images", "Masks"):
        (folder / name).mkdir(parents=True)
    (folder / "LICENSE.txt").write_text("Synthetic.\n")
    rows = [("ID", "Case", "Pathology", "Device", "kFold")]
    for number in range(2 * per_class):
        label = ("benign", "malignant")[number % 2]
        grey, mask = picture(random, label == "malignant")
        Image.fromarray(grey).save(folder / "Images" / f"bus_{number:04d}-l.png")
        Image.fromarray(mask).save(folder / "Masks" / f"mask_{number:04d}-l.png")
        device = f"Scanner {number // 2 % 2}"
        rows.append((f"bus_{number:04d}-l", number, label, device, number // 2 % 4 + 1))
    with (folder / "bus_data.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
