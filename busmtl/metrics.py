"""Metrics of masks and of yes-or-no answers, counts first: TP, FP, FN, TN, in that order.

The page measures a visitor's own data with them, and evaluation the networks. NumPy only.
"""

import math

import numpy as np

# ---- segmentation: int (..., 4) pixels of the lesion


def overlap_counts(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """bool (N, H, W) twice → int (N, 4), a row an image."""
    axes = (1, 2)
    tp = (predicted & reference).sum(axes)
    fp = (predicted & ~reference).sum(axes)
    fn = (~predicted & reference).sum(axes)
    return np.stack([tp, fp, fn, predicted[0].size - tp - fp - fn], axis=1)


def iou(counts: np.ndarray) -> np.ndarray:
    """(..., 4) counts → (...) intersection over union; 1 where both masks are empty."""
    tp, fp, fn, _ = np.moveaxis(counts, -1, 0)
    return _ratio(tp, tp + fp + fn)


def dice(counts: np.ndarray) -> np.ndarray:
    """(..., 4) counts → (...) Dice coefficient; 1 where both masks are empty."""
    tp, fp, fn, _ = np.moveaxis(counts, -1, 0)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole == 0, 1.0, part / np.maximum(whole, 1))


# ---- classification: labels int (N,) with 1 for malignant, prob (N,) of malignant


def confusion_counts(labels: np.ndarray, prob: np.ndarray, threshold: float) -> list[int]:
    """[TP, FP, FN, TN] images; malignant from prob ≥ threshold."""
    predicted, actual = prob >= threshold, labels == 1
    pairs = (predicted & actual, predicted & ~actual, ~predicted & actual, ~predicted & ~actual)
    return [int(np.count_nonzero(pair)) for pair in pairs]


def at_threshold(labels: np.ndarray, prob: np.ndarray, threshold: float) -> dict[str, float]:
    """TPR, FPR, ACC, PRE, F1 (paper, section IV-A); NaN where there is nothing to divide by."""
    tp, fp, fn, tn = confusion_counts(labels, prob, threshold)
    figures = {name: _share(*parts) for name, parts in proportions(tp, fp, fn, tn).items()}
    return figures | {"f1": _share(2 * tp, 2 * tp + fp + fn)}


def proportions(tp: int, fp: int, fn: int, tn: int) -> dict[str, tuple[int, int]]:
    """(part, whole) in images, of the figures that are proportions of images."""
    return {
        "tpr": (tp, tp + fn),
        "fpr": (fp, fp + tn),
        "acc": (tp + tn, tp + fp + fn + tn),
        "pre": (tp, tp + fp),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def auc(labels: np.ndarray, prob: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs of a malignant and a benign image in which the
    malignant one has the higher probability, ties counting half (Mann-Whitney). NaN where a class
    is absent.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    _, which, count = np.unique(prob, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[which]  # from 1; ties share their mean rank
    wins = ranks[labels == 1].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def wilson_interval(part: int, whole: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson, 1927); (0, 1) where the whole is 0."""
    if not whole:
        return 0.0, 1.0
    z = 1.959964  # of the normal distribution, 95 % within ± z
    share = part / whole
    centre = share + z**2 / (2 * whole)
    reach = z * math.sqrt(share * (1 - share) / whole + z**2 / (4 * whole**2))
    scale = 1 + z**2 / whole
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)
