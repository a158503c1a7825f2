"""Both data sets, decoded once into memory as uint8 (647 grey images of 256² take 42 MB)."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from busmtl.images import decode
from busmtl.preprocess import to_input
from busmtl.variants import CLASS_NAMES

from .splits import BUSBRA_FOLDER, BUSI_FOLDER, Entry, pixel_hash, read_manifest

log = logging.getLogger(__name__)

FOLDERS = {"busi": BUSI_FOLDER, "busbra": BUSBRA_FOLDER}
TITLES = {"busi": "BUSI", "busbra": "BUS-BRA"}


@dataclass(frozen=True)
class Samples:
    """N images of one or both data sets, resized to S×S.

    images_u8, masks_u8: (N, 1, S, S); masks in [0, 255], soft at the border from resizing.
    labels: int64 (N,), index into CLASS_NAMES. entries: their manifest rows.
    from_busi: bool (N,).
    """

    images_u8: np.ndarray
    masks_u8: np.ndarray
    labels: np.ndarray
    from_busi: np.ndarray
    entries: list[Entry]

    def __len__(self) -> int:
        return len(self.entries)


def present(data_folder: Path, name: str) -> bool:
    """Whether the data folder holds "busi" or "busbra" at all."""
    return (data_folder / FOLDERS[name]).is_dir()


def image_path(data_folder: Path, entry: Entry) -> Path:
    """The picture of a manifest row; BUS-BRA's rows are those that name a device."""
    if entry.device:
        return data_folder / BUSBRA_FOLDER / "Images" / f"{entry.image}.png"
    return data_folder / BUSI_FOLDER / entry.label / f"{entry.image}.png"


def mask_paths(data_folder: Path, entry: Entry) -> list[Path]:
    """All mask files of a row: BUSI has up to three an image, and some copies none for normals."""
    if entry.device:
        name = entry.image.replace("bus_", "mask_")
        return [data_folder / BUSBRA_FOLDER / "Masks" / f"{name}.png"]
    folder = data_folder / BUSI_FOLDER / entry.label
    return sorted(folder.glob(f"{entry.image}_mask*.png"))


def read_image(data_folder: Path, entry: Entry) -> np.ndarray:
    """uint8 (H, W, 3)."""
    return decode(image_path(data_folder, entry)).image_rgb_u8


def read_mask(data_folder: Path, entry: Entry, size_hw: tuple[int, int]) -> np.ndarray:
    """bool (H, W): the union of the row's masks; all False where there is none."""
    union = np.zeros(size_hw, dtype=bool)
    for path in mask_paths(data_folder, entry):
        union |= decode(path).image_rgb_u8[..., 0] > 127
    return union


def load(data_folder: Path, parts: dict[str, str], size: int) -> Samples:
    """The named part of each named set, e.g. {"busi": "train", "busbra": "train"}.

    A picture that differs from the manifest's hash is used all the same, with a warning; a
    missing one is an error that names it.
    """
    entries = [
        (name, entry)
        for name, part in parts.items()
        for entry in read_manifest(name)
        if entry.part == part
    ]
    images, masks, differing = [], [], []
    for _, entry in entries:
        path = image_path(data_folder, entry)
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: does --data hold both data sets?")
        if pixel_hash(path) != entry.sha256:
            differing.append(entry.image)
        image = read_image(data_folder, entry)
        images.append(to_input(image, size))
        masks.append(to_input(read_mask(data_folder, entry, image.shape[:2]) * np.uint8(255), size))
    if differing:
        log.warning("%d pictures differ from the manifest: %s", len(differing), differing[:10])
    return Samples(
        images_u8=np.stack(images)[:, None],
        masks_u8=np.stack(masks)[:, None],
        labels=np.array([CLASS_NAMES.index(entry.label) for _, entry in entries]),
        from_busi=np.array([name != "busbra" for name, _ in entries]),
        entries=[entry for _, entry in entries],
    )
