"""The gap between the answers for an image and its mirror image, and what it is worth."""

import json

import numpy as np
import pytest

from busmtl import mirror, weights
from busmtl.mirror import MASK, PROB, Mirror, Third
from busmtl.ui import thresholds
from busmtl.ui.thresholds import Score, View
from train.mirror import Gap, summarise


def test_a_prediction_keeps_both_answers(predictor_for, scan_rgb_u8):
    predictor = predictor_for("lite0-mtl")
    prediction, turned = predictor.predict(scan_rgb_u8), predictor.predict(scan_rgb_u8[:, ::-1])
    own, mirrored = prediction.mirror.malignant_probs
    assert min(own, mirrored) <= prediction.malignant_prob <= max(own, mirrored)
    assert turned.mirror.malignant_probs == pytest.approx((mirrored, own), abs=1e-4)
    agree = turned.mirror.masks[::-1, :, ::-1] == prediction.mirror.masks
    assert agree.mean() > 0.999


@pytest.mark.parametrize("variant_id", ["resnet50-cls", "resnet50-seg"])
def test_a_task_that_is_not_there_has_no_gap(predictor_for, scan_rgb_u8, variant_id):
    prediction = predictor_for(variant_id).predict(scan_rgb_u8)
    assert (prediction.mirror.prob_gap is None) == (prediction.malignant_prob is None)
    assert (prediction.mirror.mask_gap is None) == (prediction.mask is None)


def test_gaps():
    masks = np.zeros((2, 4, 4), bool)
    assert Mirror((0.3, 0.3), masks).mask_gap == 0
    masks[0, :2], masks[1, 1:3] = True, True
    apart = Mirror((0.3, 0.1), masks)
    assert apart.prob_gap == pytest.approx(0.2) and apart.mask_gap == pytest.approx(0.5)
    assert np.array_equal(np.nonzero(apart.mask_differs.any(axis=1))[0], [0, 2])


def rows(data_set, errors):
    """Six images whose gaps rise, with these errors in their thirds."""
    return [Gap(data_set, gap / 10, errors[gap // 2]) for gap in range(6)]


def test_the_error_must_rise_in_each_set():
    both = summarise(rows("busi", (0.1, 0.2, 0.4)) + rows("busbra", (0.3, 0.1, 0.5)))
    assert both["error_rises"]
    assert [each["images"] for each in both["thirds"]] == [4, 4, 4]
    assert [each["error"] for each in both["thirds"]] == pytest.approx([0.2, 0.15, 0.45])
    assert both["sets"]["busi"][2] == {"images": 2, "error": pytest.approx(0.4)}
    assert not summarise(rows("busi", (0.1, 0.2, 0.4)) + rows("busbra", (0.3, 0.1, 0.3)))[
        "error_rises"
    ]


def test_the_page_speaks_of_a_gap_where_the_record_bears_it_out(tmp_path, weights_folder):
    for name in weights.FILES:
        (tmp_path / name).symlink_to(weights_folder("lite0-mtl") / name)
    record = {
        "weights_sha256": weights.fingerprint(tmp_path),
        PROB: summarise(rows("busi", (0.0, 0.25, 0.5))),
        MASK: summarise(rows("busi", (0.5, 0.25, 0.0))),
    }
    (tmp_path / mirror.RECORD_FILE).write_text(json.dumps(record))
    assert mirror.load_record(tmp_path, PROB).third(0.45) == Third(2, 0.5)
    assert mirror.load_record(tmp_path, PROB).third(0.0) == Third(2, 0.0)
    assert mirror.load_record(tmp_path, MASK) is None
    score = Score(0.6, tmp_path, {"default": 0.5}, Mirror((0.8, 0.35), None))
    said = "Image and mirror image alone: 35% and 80%. Of the 2 validation images most like this"
    assert said in thresholds.card(score, View())
    assert "mirror" not in thresholds.card(Score(0.6, weights_folder("lite0-mtl"), {}), View())
