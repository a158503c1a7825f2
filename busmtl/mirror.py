"""How far a network's answers for an image and for its mirror image lie apart: a hint at how sure
it is, and what that hint was worth on validation (`mirror.json`, by `python -m train mirror`).
"""

import bisect
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from .metrics import dice, overlap_counts
from .weights import fingerprint

RECORD_FILE = "mirror.json"
PROB, MASK = "malignant_prob", "mask"  # the two parts of the record


@dataclass(frozen=True, eq=False)
class Mirror:
    """The two answers, the image's own first; None for a task that the network lacks.

    malignant_probs: calibrated, in [0, 1].
    masks: bool (2, S, S) at the network's input size, both as the image lies.
    """

    malignant_probs: tuple[float, float] | None
    masks: np.ndarray | None

    @property
    def prob_gap(self) -> float | None:
        """Difference of the two probabilities."""
        return self.malignant_probs and max(self.malignant_probs) - min(self.malignant_probs)

    @property
    def mask_gap(self) -> float | None:
        """1 - Dice of the two masks, 0 where both are empty; sides of a pixel do not matter."""
        if self.masks is None:
            return None
        return float(1 - dice(overlap_counts(self.masks[:1], self.masks[1:]))[0])

    @property
    def mask_differs(self) -> np.ndarray | None:
        """bool (S, S): where one mask alone says lesion."""
        return None if self.masks is None else self.masks[0] ^ self.masks[1]


@dataclass(frozen=True)
class Third:
    """The validation images, of all data sets, whose answers lay about as far apart.

    images: how many there are. error: of the probability, the share called wrongly at 0.5; of the
    mask, 1 - the mean Dice with the reference.
    """

    images: int
    error: float


@dataclass(frozen=True)
class Record:
    """limits: the two gaps between the thirds. images, errors: of each third."""

    limits: tuple[float, float]
    images: tuple[int, int, int]
    errors: tuple[float, float, float]

    def third(self, gap: float) -> Third:
        rank = bisect.bisect_right(self.limits, gap)
        return Third(self.images[rank], self.errors[rank])


@cache
def load_record(folder: Path, part: str) -> Record | None:
    """part: PROB or MASK. None where the weights folder has no record of these weights, or where
    the error did not rise with the gap in each data set: then a gap says nothing.
    """
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        if record["weights_sha256"] != fingerprint(folder) or not record[part]["error_rises"]:
            return None
        limits, thirds = record[part]["limits"], record[part]["thirds"]
        images, errors = zip(*((each["images"], each["error"]) for each in thirds), strict=True)
        return Record(tuple(limits), images, errors)
    except (OSError, ValueError, KeyError, TypeError):
        return None
