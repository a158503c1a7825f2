"""Whether an image is one that the networks were trained, tuned, or tested on.

`known.npz` holds hashes of BUSI and BUS-BRA, never pixels; `python -m train known` makes it and
measures the search (`known.json`). NumPy and Pillow only; a search takes a few milliseconds.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from .images import DecodedImage

TABLE = Path(__file__).parent / "known.npz"
MEASURED = Path(__file__).parent / "known.json"

SIDE = 64  # px of the square that is hashed
FREQUENCIES = 16  # by 16 of them, so 256 bits
CROPS = (0.0, 0.02, 0.04, 0.06)  # share of each side that the stored hashes leave out
MAX_DISTANCE = 64  # bits; unrelated images differ in about 128

# part → where the image is, and what that means for its result
_MEANINGS = {
    "train": (
        "in the training data",
        "the networks have seen {it}, so the result says nothing about new images.",
    ),
    "validation": (
        "in the validation data",
        "settings of the networks were chosen with {it}, so the result may look too good.",
    ),
    "test": (
        "in the test data",
        "the networks have not seen {it}, and {it} is part of their published figures.",
    ),
    "normal": (
        "among the normal images of the data",
        "the networks were not trained on {it}, and it shows no lesion.",
    ),
    "excluded": (
        "among the images that were left out",
        "the networks were not trained on {it}, since copies of it are labelled differently.",
    ),
}


@dataclass(frozen=True)
class Match:
    """The known image that another one is, or nearly is.

    data_set: "BUSI" or "BUS-BRA". image: its name there, such as "benign (12)".
    part: train, validation, test, normal (without a lesion), or excluded.
    same: pixel for pixel; otherwise a copy that was resized, compressed, cropped, or marked, or
    another picture of the same view.
    """

    data_set: str
    image: str
    part: str
    same: bool

    @property
    def sentence(self) -> str:
        """What the user should know, as a sentence."""
        place, meaning = _MEANINGS[self.part]
        start, it = ("is", "it") if self.same else ("is nearly the same as one", "that one")
        return (
            f"This image {start} {place} ({self.data_set}, {self.image}): {meaning.format(it=it)}"
        )


@dataclass(frozen=True)
class Table:
    """N known images.

    data_sets, images, parts: str (N,). pixel_hashes: uint8 (N, 8). hashes: uint64 (N, C, 4), one
    of 256 bits for each of CROPS.
    """

    data_sets: np.ndarray
    images: np.ndarray
    parts: np.ndarray
    pixel_hashes: np.ndarray
    hashes: np.ndarray

    def distances(self, hash_u64: np.ndarray) -> np.ndarray:
        """int (N,): in how many bits a hash of (4,) differs from the nearest of each image."""
        return np.bitwise_count(self.hashes ^ hash_u64).sum(axis=2, dtype=int).min(axis=1)


def find(image_rgb_u8: np.ndarray) -> Match | None:
    """The known image that a uint8 (H, W, 3) image is or nearly is; None for all others."""
    table = load_table()
    same = (table.pixel_hashes == pixel_hash(image_rgb_u8)).all(axis=1)
    distances = np.where(same, -1, table.distances(perceptual_hash(image_rgb_u8)))
    nearest = distances.argmin()
    if distances[nearest] > MAX_DISTANCE:
        return None
    found = (table.data_sets[nearest], table.images[nearest], table.parts[nearest])
    return Match(*map(str, found), same=bool(same[nearest]))


def told(image: DecodedImage) -> tuple[DecodedImage, Match | None]:
    """The image with a warning where it is known, and as which. Ask before any crop hides it."""
    match = find(image.image_rgb_u8)
    if match is None:
        return image, None
    return replace(image, warnings=(*image.warnings, match.sentence)), match


@cache
def load_table() -> Table:
    with np.load(TABLE, allow_pickle=False) as arrays:
        return Table(**arrays)


def pixel_hash(image_rgb_u8: np.ndarray) -> np.ndarray:
    """uint8 (8,): the start of the sha256 of the size and the pixels of uint8 (H, W, 3)."""
    height, width = image_rgb_u8.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}".encode() + image_rgb_u8.tobytes()).digest()
    return np.frombuffer(digest[:8], np.uint8)


def perceptual_hash(image_rgb_u8: np.ndarray, crop: float = 0.0) -> np.ndarray:
    """uint64 (4,): the signs of the low frequencies of uint8 (H, W, 3), stretched to a square.

    crop: share of the height and the width that is left out at each side.
    """
    grey = Image.fromarray(image_rgb_u8).convert("L")
    width, height = grey.size
    box = (crop * width, crop * height, (1 - crop) * width, (1 - crop) * height)
    square = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX, box), dtype=np.float64)
    waves = _cosines()
    signs = waves @ square @ waves.T > 0  # (16, 16)
    return np.packbits(signs).view(np.uint64)


@cache
def _cosines() -> np.ndarray:
    """float64 (FREQUENCIES, SIDE): the rows of the discrete cosine transform but the constant."""
    frequency = np.arange(1, FREQUENCIES + 1)[:, None]
    return np.cos(np.pi * frequency * (2 * np.arange(SIDE) + 1) / (2 * SIDE))
