"""What `train report` wrote into the package: `results/results.json` and its pictures.

The file's figures are worked out from saved predictions, never here, but for
those at an operating point that the reader chooses.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .metrics import wilson_interval

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Share:
    """count of total, as `value` in [0, 1] with its 95 % Wilson interval; NaN where total is 0."""

    count: int
    total: int

    @property
    def value(self) -> float:
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.count, self.total) if self.total else (math.nan, math.nan)


@dataclass(frozen=True)
class OperatingPoint:
    """A classifier on BUSI test that says malignant from the probability `threshold` on."""

    threshold: float
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def shares(self) -> dict[str, Share]:
        """Names as in the paper's Table I, with their other names."""
        return {
            "TPR (sensitivity)": Share(self.tp, self.tp + self.fn),
            "1 − FPR (specificity)": Share(self.tn, self.tn + self.fp),
            "ACC": Share(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn),
            "PRE (positive predictive value)": Share(self.tp, self.tp + self.fp),
        }


@cache
def load() -> dict | None:
    """results.json; None where no report was written."""
    path = FOLDER / "results.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def classifiers(results: dict) -> dict[str, str]:
    """title → variant id of the networks with probabilities."""
    networks = results["networks"].items()
    return {network["title"]: id_ for id_, network in networks if "malignant_prob" in network}


def operating_point(network: dict, threshold: float) -> OperatingPoint:
    """network: an entry of results.json's "networks" that has probabilities."""
    counts = {(called, truly): 0 for called in (True, False) for truly in (True, False)}
    for prob, truly in zip(network["malignant_prob"], network["malignant"], strict=True):
        counts[prob >= threshold, truly] += 1
    return OperatingPoint(
        threshold,
        tp=counts[True, True],
        fp=counts[True, False],
        fn=counts[False, True],
        tn=counts[False, False],
    )


def roc(network: dict) -> list[tuple[float, float]]:
    """(FPR, TPR) at every threshold that changes them, from (0, 0) to (1, 1)."""
    thresholds = sorted({*network["malignant_prob"], math.inf}, reverse=True)
    points = [operating_point(network, each) for each in thresholds]
    return [(p.fp / (p.fp + p.tn), p.tp / (p.tp + p.fn)) for p in points]
