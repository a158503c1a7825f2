"""What a probability meant on images whose answer is known: figures from the records beside the
weights, `metrics.json` and `predictions.csv`, which `python -m train evaluate` writes.
"""

import csv
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from .exported import FOLDER as OPENVINO
from .exported import is_exported, read_stamp
from .metrics import wilson_interval
from .variants import CLASS_NAMES
from .weights import WeightsError, fingerprint, load_config

DEFAULT_POINT = "default"  # the threshold 0.5, by its name in metrics.json
NEIGHBOURS = 50  # validation images that count as having scored alike
_FEWEST_VALIDATION = 2 * NEIGHBOURS  # with fewer, the neighbours would be half of all images


@dataclass(frozen=True)
class Share:
    """A share in [0, 1] with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on the calibrated probability of malignant, and what it gave on BUSI test.

    sensitivity: share of the malignant lesions with a probability at or above it.
    specificity: share of the benign ones below it.
    """

    threshold: float
    sensitivity: Share
    specificity: Share


@dataclass(frozen=True)
class Neighbours:
    """The validation images whose probabilities lie closest to a given one.

    low, high: the least and the greatest probability among them.
    """

    count: int
    malignant: int
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Scored:
    """Images with a known answer: probabilities float (N,) of malignant, and bool (N,)."""

    malignant_prob: np.ndarray
    is_malignant: np.ndarray


@dataclass(frozen=True, eq=False)
class Measured:
    """The records of one network that classifies.

    points: the named thresholds on BUSI test, in the order of metrics.json; their intervals are
        those of resampled duplicate groups.
    test: BUSI test. validation: data set ("busi", "busbra") → its validation part, where saved.
    """

    points: dict[str, OperatingPoint]
    test: Scored
    validation: dict[str, Scored]

    def at(self, threshold: float) -> OperatingPoint:
        """Any threshold on BUSI test, with Wilson intervals: each image counts as one draw."""
        found = self.test.malignant_prob >= threshold
        malignant = self.test.is_malignant
        return OperatingPoint(
            threshold,
            sensitivity=wilson(int(found[malignant].sum()), int(malignant.sum())),
            specificity=wilson(int((~found[~malignant]).sum()), int((~malignant).sum())),
        )

    def neighbours(self, malignant_prob: float) -> Neighbours | None:
        """Of all validation images together; None where there are too few to compare with."""
        if sum(len(part.malignant_prob) for part in self.validation.values()) < _FEWEST_VALIDATION:
            return None
        prob = np.concatenate([part.malignant_prob for part in self.validation.values()])
        is_malignant = np.concatenate([part.is_malignant for part in self.validation.values()])
        closest = np.argsort(np.abs(prob - malignant_prob), kind="stable")[:NEIGHBOURS]
        low, high = float(prob[closest].min()), float(prob[closest].max())
        return Neighbours(len(closest), int(is_malignant[closest].sum()), low, high)

    @property
    def assumed_share(self) -> float | None:
        """Share of malignant lesions under which the probability is calibrated, in (0, 1).

        The temperature was fitted on the validation parts with equal weight for each data set, so
        it is the mean of their shares; the training parts have the same. None without them.
        """
        shares = [float(part.is_malignant.mean()) for part in self.validation.values()]
        share = sum(shares) / max(len(shares), 1)
        return share if 0 < share < 1 else None


def wilson(count: int, total: int) -> Share:
    """count of total (> 0) with the score interval of Wilson (JASA 22:209, 1927)."""
    return Share(count / total, *wilson_interval(count, total))


def at_other_share(malignant_prob: float, assumed_share: float, share: float) -> float:
    """The probability where another share of the lesions is malignant; all in [0, 1].

    The odds change by the ratio of the shares' odds (Saerens, Latinne, and Decaestecker,
    Adjusting the outputs of a classifier to new a priori probabilities, Neural Computation
    14:21, 2002, equation 2.4). It holds where lesions of each class look alike in both places.
    """
    malignant = malignant_prob * share / assumed_share
    benign = (1 - malignant_prob) * (1 - share) / (1 - assumed_share)
    return malignant / (malignant + benign)


@cache
def load(folder: Path) -> Measured | None:
    """The records in a weights folder, of the engine that serves it by default; None for a network
    that does not classify, and where the records are missing, unreadable, or those of other
    weights.
    """
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        if metrics["weights_sha256"] != fingerprint(folder):
            return None
        if _are_of_openvino(metrics, folder):
            metrics, source = metrics["openvino"], folder / OPENVINO
        else:
            source = folder
        rows = _read_rows(source / "predictions.csv")
        points = metrics["busi_test"].get("at_threshold")
        if points is None:
            return None
        return _measured(points, rows, load_config(folder).temperature)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _are_of_openvino(metrics: dict, folder: Path) -> bool:
    """Whether the folder's OpenVINO files are good and these very files were measured."""
    if "openvino" not in metrics or not is_exported(folder):
        return False
    try:
        return metrics["openvino"]["files_sha256"] == read_stamp(folder)["files_sha256"]
    except WeightsError:
        return False


def _measured(points: dict, rows: list[dict], temperature: float) -> Measured:
    parts = {
        name: _scored(rows, name, "validation", temperature)
        for name in ("busi", "busbra")
        if any((row["data_set"], row["part"]) == (name, "validation") for row in rows)
    }
    test = _scored(rows, "busi", "test", temperature)
    if not 0 < test.is_malignant.sum() < len(test.is_malignant):
        raise ValueError("The test rows lack a class.")
    return Measured({name: _point(entry) for name, entry in points.items()}, test, parts)


def _read_rows(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _scored(rows: list[dict], data_set: str, part: str, temperature: float) -> Scored:
    chosen = [row for row in rows if (row["data_set"], row["part"]) == (data_set, part)]
    margins = np.array([float(row["margin"]) for row in chosen])
    is_malignant = np.array([row["label"] == CLASS_NAMES[1] for row in chosen], dtype=bool)
    return Scored(np.exp(-np.logaddexp(0, -margins / temperature)), is_malignant)


def _point(entry: dict) -> OperatingPoint:
    tpr, fpr = entry["tpr"], entry["fpr"]
    return OperatingPoint(
        entry["threshold"],
        sensitivity=Share(tpr["value"], tpr["low"], tpr["high"]),
        specificity=Share(1 - fpr["value"], 1 - fpr["high"], 1 - fpr["low"]),
    )
