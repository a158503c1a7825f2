"""Metrics from counts and probabilities; the reduction is always in the name."""

from collections.abc import Callable

import numpy as np

from busmtl.metrics import dice, iou

Metric = Callable[[np.ndarray], dict[str, float]]

# ---- segmentation, from counts as `busmtl.metrics.overlap_counts` gives them


def background_iou(counts: np.ndarray) -> np.ndarray:
    """(..., 4) counts → (...) IoU of the background class."""
    return iou(counts[..., [3, 2, 1, 0]])


MISSED_IOU = 0.1  # below it, a lesion counts as missed


def segmentation(counts: np.ndarray) -> dict[str, float]:
    """All segmentation metrics of N images with a lesion each, from (N, 4) counts."""
    pooled = counts.sum(axis=0)
    return {
        "tumour_iou_per_image_mean": float(iou(counts).mean()),
        "tumour_iou_pooled": float(iou(pooled)),
        "dice_per_image_mean": float(dice(counts).mean()),
        "dice_pooled": float(dice(pooled)),
        "background_iou_per_image_mean": float(background_iou(counts).mean()),
        "background_iou_pooled": float(background_iou(pooled)),
        "missed_share": float((iou(counts) < MISSED_IOU).mean()),
    }


# ---- classification: labels int (N,) with 1 for malignant, prob (N,) of malignant


def ranking(labels: np.ndarray, prob: np.ndarray) -> dict[str, float]:
    """AUC and AUPRC (average precision), which no threshold and no temperature changes.

    NaN where a class is absent.
    """
    from sklearn import config_context
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not 0 < labels.sum() < len(labels):
        return {"auc": float("nan"), "auprc": float("nan")}
    with config_context(assume_finite=True, skip_parameter_validation=True):
        return {
            "auc": float(roc_auc_score(labels, prob)),
            "auprc": float(average_precision_score(labels, prob)),
        }


def calibration(labels: np.ndarray, prob: np.ndarray) -> dict[str, float]:
    """Brier score and expected calibration error."""
    return {
        "brier": float(np.mean((prob - labels) ** 2)),
        "ece": expected_calibration_error(labels, prob),
    }


def expected_calibration_error(labels: np.ndarray, prob: np.ndarray, bins: int = 10) -> float:
    """Mean gap between the malignant share and the mean probability over equal-width bins.

    Weighted by the bins' sizes (Naeini et al., AAAI 2015, for the probability of malignant).
    """
    which = np.minimum((prob * bins).astype(int), bins - 1)
    gaps = np.bincount(which, weights=labels - prob, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


# ---- intervals

DRAWS = 2000


def bootstrap_groups(groups: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """Index arrays of DRAWS resamples of whole groups with replacement."""
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    return [
        np.concatenate([members[each] for each in random.integers(len(members), size=len(members))])
        for _ in range(DRAWS)
    ]


def with_intervals(metric: Metric, resamples: list[np.ndarray], count: int) -> dict[str, dict]:
    """Each entry of metric(indices) as {"value", "low", "high"}: a 95 % percentile interval.

    metric: takes int indices into the `count` images, returns a dict of floats. What is not
    defined for these images (an AUC with one class) is None.
    """
    values = metric(np.arange(count))
    draws = [metric(indices) for indices in resamples]
    result = {}
    for name, value in values.items():
        defined = [draw[name] for draw in draws if not np.isnan(draw[name])]
        low, high = np.percentile(defined, [2.5, 97.5]).tolist() if defined else (None, None)
        result[name] = {"value": None if np.isnan(value) else value, "low": low, "high": high}
    return result
