"""The split manifests: which image belongs to which part, committed as train/splits/*.csv.

BUSI is split by duplicate group (Pawłowska et al. 2023), never by image: 70 % train, 10 %
validation, 20 % test, stratified by label. BUS-BRA keeps its official patient-wise folds.
"""

import csv
import hashlib
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from PIL import Image

# The committed manifests; the variable serves other data in the same layout.
SPLITS_FOLDER = Path(os.environ.get("BUSMTL_SPLITS", Path(__file__).parent / "splits"))
RANDOM = "busi_random"  # the manifest of the paper's protocol, see `make_random`
BUSI_FOLDER = "Dataset_BUSI_with_GT"
BUSBRA_FOLDER = "BUSBRA"
BUSBRA_PARTS = {"1": "train", "2": "train", "3": "train", "4": "validation", "5": "heldout"}


@dataclass(frozen=True)
class Entry:
    """One row of a manifest.

    sha256: `pixel_hash` of the picture. group: images that must stay in one part (the duplicate
    group for BUSI, the patient for BUS-BRA). objection: BUSI only (axilla, needle, multiclass).
    device: BUS-BRA only.
    """

    image: str
    sha256: str
    label: str
    group: str
    objection: str
    device: str
    part: str


def pixel_hash(path: Path) -> str:
    """sha256 over "WIDTHxHEIGHT" and the bytes of the picture as RGB: grey and colour agree."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    return hashlib.sha256(f"{rgb.width}x{rgb.height}".encode() + rgb.tobytes()).hexdigest()


def manifest_path(name: str) -> Path:
    """Where the manifest of "busi", "busi_random", or "busbra" is kept."""
    return SPLITS_FOLDER / f"{name}.csv"


def read_manifest(name: str) -> list[Entry]:
    """The committed manifest of that name, in file order."""
    with manifest_path(name).open(newline="") as file:
        return [Entry(**row) for row in csv.DictReader(file)]


def manifest_hashes() -> dict[str, str]:
    """sha256 of each manifest file, which ties weights and results to the split."""
    return {
        name: hashlib.sha256(manifest_path(name).read_bytes()).hexdigest()
        for name in ("busi", "busbra")
    }


def write_manifest(name: str, entries: list[Entry]) -> None:
    with manifest_path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Entry)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(entry) for entry in entries)


def make_busi(data_folder: Path, groups_csv: Path, seed: int = 0) -> list[Entry]:
    """Split BUSI by duplicate group; contradictory groups are excluded, normal images set apart.

    groups_csv: columns image, group, objection, made from the supplement of Pawłowska et al.
    """
    with groups_csv.open(newline="") as file:
        rows = [row for row in csv.DictReader(file)]
    labels = [row["image"].split()[0] for row in rows]
    usable = np.array(
        [
            label != "normal" and row["objection"] != "multiclass"
            for row, label in zip(rows, labels, strict=True)
        ]
    )
    parts = np.where(np.array(labels) == "normal", "normal", "excluded").astype(object)
    parts[[row["objection"] == "multiclass" for row in rows]] = "excluded"
    parts[usable] = _grouped_parts(
        np.array(labels)[usable], np.array([row["group"] for row in rows])[usable], seed
    )
    folder = data_folder / BUSI_FOLDER
    return [
        Entry(
            image=row["image"],
            sha256=pixel_hash(folder / label / f"{row['image']}.png"),
            label=label,
            group=row["group"],
            objection=row["objection"],
            device="",
            part=part,
        )
        for row, label, part in zip(rows, labels, parts, strict=True)
    ]


def _grouped_parts(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Ten stratified folds of whole groups: two for test, one for validation, seven for train."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(n_splits=10, shuffle=True, random_state=seed)
    parts = np.full(len(labels), "train", dtype=object)
    for fold, (_, chosen) in enumerate(folds.split(labels, labels, groups)):
        if fold < 3:
            parts[chosen] = "test" if fold < 2 else "validation"
    return parts


def make_random(grouped: list[Entry], seed: int = 0) -> list[Entry]:
    """The same images in parts of the same sizes, drawn image by image as in the paper (section
    II), so that twins part: what it measures looks better than it is.
    """
    from sklearn.model_selection import train_test_split

    used = [entry for entry in grouped if entry.part in ("train", "validation", "test")]
    rest = used
    parts = {}
    for part in ("test", "validation"):
        count = sum(entry.part == part for entry in used)
        labels = [entry.label for entry in rest]
        rest, chosen = train_test_split(rest, test_size=count, stratify=labels, random_state=seed)
        parts |= {entry.image: part for entry in chosen}
    parts |= {entry.image: "train" for entry in rest}
    return [replace(entry, part=parts.get(entry.image, entry.part)) for entry in grouped]


def make_busbra(data_folder: Path) -> list[Entry]:
    """BUS-BRA by its official folds 1–3, 4 and 5; a folder without some folds gives fewer rows."""
    folder = data_folder / BUSBRA_FOLDER
    with (folder / "bus_data.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Entry(
            image=row["ID"],
            sha256=pixel_hash(folder / "Images" / f"{row['ID']}.png"),
            label=row["Pathology"],
            group=row["Case"],
            objection="",
            device=row["Device"],
            part=BUSBRA_PARTS[row["kFold"]],
        )
        for row in rows
    ]
