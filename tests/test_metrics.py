"""Metrics that the page and the evaluation share, against values known from elsewhere."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from busmtl.metrics import at_threshold, auc, confusion_counts, wilson_interval


@pytest.mark.parametrize("digits", [1, 6], ids=["many ties", "hardly any"])
def test_auc_is_that_of_scikit_learn(digits):
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 300)
    prob = np.round(np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1), digits)
    assert auc(labels, prob) == pytest.approx(roc_auc_score(labels, prob), abs=1e-12)


def test_auc_by_hand():
    labels = np.array([0, 0, 1, 1])
    assert auc(labels, np.array([0.1, 0.2, 0.3, 0.4])) == 1
    assert auc(labels, np.full(4, 0.7)) == 0.5
    assert math.isnan(auc(labels[:2], np.array([0.1, 0.2])))


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_intervals_as_published(part, whole, low, high):
    assert wilson_interval(part, whole) == pytest.approx((low, high), abs=5e-5)


def test_a_probability_at_the_threshold_counts_as_malignant():
    labels, prob = np.array([1, 1, 0, 0]), np.array([0.5, 0.4, 0.5, 0.1])
    assert confusion_counts(labels, prob, 0.5) == [1, 1, 1, 1]
    figures = at_threshold(labels[2:], prob[2:], 0.6)
    assert math.isnan(figures["tpr"]) and math.isnan(figures["pre"]) and figures["acc"] == 1
