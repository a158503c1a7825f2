"""What is fitted on validation once training is over: temperature, thresholds, speck size.

Both data sets count the same, however many images each has.
"""

import numpy as np

from busmtl.metrics import dice, overlap_counts
from busmtl.predictor import lesion_mask, malignant_prob
from busmtl.weights import Thresholds

from .data import Samples
from .validate import Outputs

SENSITIVITY = 0.95  # what the high-sensitivity operating point reaches on validation
MASK_THRESHOLDS = np.arange(0.3, 0.71, 0.05)
SPECK_FRACTIONS = (0.0, 0.0005, 0.001, 0.002)  # the smallest lesion of BUSI has 0.0028


def set_weights(samples: Samples) -> np.ndarray:
    """(N,) weights under which each data set sums to the same."""
    share = samples.from_busi.mean()
    if share in (0, 1):
        return np.ones(len(samples))
    return np.where(samples.from_busi, 0.5 / share, 0.5 / (1 - share))


def fit_temperature(class_logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """The T > 0 with the least log loss of softmax(logits / T) (Guo et al., ICML 2017)."""
    from scipy.optimize import minimize_scalar
    from sklearn.metrics import log_loss

    def loss(log_temperature: float) -> float:
        prob = malignant_prob(class_logits, np.exp(log_temperature))
        return log_loss(labels, prob, sample_weight=weights, labels=[0, 1])

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def fit_operating_points(
    prob: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
    """balanced: largest Youden index. high_sensitivity: the highest threshold with TPR ≥ 0.95."""
    from sklearn.metrics import roc_curve

    curve = roc_curve(labels, prob, sample_weight=weights, drop_intermediate=False)
    fpr, tpr, thresholds = (each[1:] for each in curve)  # the first point's threshold is infinite
    return {
        "balanced": float(thresholds[np.argmax(tpr - fpr)]),
        "high_sensitivity": float(thresholds[np.argmax(tpr >= SENSITIVITY)]),
    }


def fit_mask(prob: np.ndarray, samples: Samples) -> tuple[float, float]:
    """Mask threshold and speck fraction with the best per-image mean Dice, in that order."""
    reference = samples.masks_u8[:, 0] > 127
    weights = set_weights(samples)

    def mean_dice(threshold: float, speck: float) -> float:
        masks = np.stack([lesion_mask(each, threshold, speck) for each in prob])
        return float(np.average(dice(overlap_counts(masks, reference)), weights=weights))

    threshold = max(MASK_THRESHOLDS, key=lambda each: mean_dice(each, 0.0))
    speck = max(SPECK_FRACTIONS, key=lambda each: mean_dice(threshold, each))
    return round(float(threshold), 2), speck


def fit_thresholds(outputs: Outputs, samples: Samples) -> tuple[float | None, Thresholds]:
    """Temperature and thresholds from the outputs on validation; None for tasks not there."""
    temperature = points = mask = speck = None
    if outputs.class_logits is not None:
        weights = set_weights(samples)
        temperature = fit_temperature(outputs.class_logits, samples.labels, weights)
        prob = malignant_prob(outputs.class_logits, temperature)
        points = fit_operating_points(prob, samples.labels, weights)
    if outputs.lesion_prob is not None:
        mask, speck = fit_mask(outputs.lesion_prob, samples)
    return temperature, Thresholds(malignant=points, mask=mask, min_lesion_fraction=speck)
