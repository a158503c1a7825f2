"""What the records beside the weights say of a score."""

import csv
import json

import numpy as np
import pytest

from busmtl import exported, measured, weights
from busmtl.measured import Measured, Scored, at_other_share, wilson
from busmtl.variants import DEFAULT_VARIANT

EMBEDDED = weights.EMBEDDED / DEFAULT_VARIANT
COLUMNS = ("data_set", "part", "label", "margin")


@pytest.fixture(scope="module")
def records():
    return measured.load(EMBEDDED)


def scored(count, malignant_from):
    """Probabilities evenly from 0 to 1, malignant from one of them on."""
    prob = np.linspace(0, 1, count)
    return Scored(prob, prob >= malignant_from)


def write_records(folder, weights_folder, rows, **changes):
    """A weights folder with records of a random network's own making."""
    folder.mkdir()
    for name in weights.FILES:
        (folder / name).symlink_to(weights_folder("lite0-mtl") / name)
    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    point = {"threshold": 0.5, "tpr": figure, "fpr": {"value": 0.2, "low": 0.1, "high": 0.4}}
    metrics = {
        "weights_sha256": weights.fingerprint(folder),
        "busi_test": {"at_threshold": {"default": point}},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics | changes))
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([COLUMNS, *rows])
    return folder


TEST_ROWS = [("busi", "test", "benign", -1.5), ("busi", "test", "malignant", 3.0)]


def test_wilson_is_the_textbook_interval():
    share = wilson(81, 263)  # Newcombe, Statistics in Medicine 17:857, 1998, table I
    assert (share.value, share.low, share.high) == pytest.approx((0.308, 0.2553, 0.3662), abs=5e-4)
    nothing = wilson(0, 20)
    assert nothing.low == 0 and nothing.high == pytest.approx(0.1611, abs=1e-4)


def test_the_rows_give_the_figures_of_metrics_json_at_each_fixed_threshold(records):
    assert list(records.points) == ["default", "balanced", "high_sensitivity"]
    for point in records.points.values():
        own = records.at(point.threshold)
        assert own.sensitivity.value == pytest.approx(point.sensitivity.value)
        assert own.specificity.value == pytest.approx(point.specificity.value)
        for share in (point.specificity, own.specificity):
            assert share.low < share.value < share.high


def test_the_temperature_divides_the_margin(tmp_path, weights_folder):
    folder = write_records(tmp_path / "w", weights_folder, TEST_ROWS)
    prob = measured.load(folder).test.malignant_prob  # the network's temperature is 1.5
    assert prob == pytest.approx([1 / (1 + np.e), 1 / (1 + np.exp(-2))])


def test_specificity_turns_the_false_positive_interval_round(tmp_path, weights_folder):
    folder = write_records(tmp_path / "w", weights_folder, TEST_ROWS)
    specificity = measured.load(folder).points["default"].specificity
    assert (specificity.value, specificity.low, specificity.high) == pytest.approx((0.8, 0.6, 0.9))


def test_neighbours_are_the_closest_of_both_sets():
    found = Measured({}, scored(2, 1), {"busi": scored(101, 0.5), "busbra": scored(101, 0.6)})
    alike = found.neighbours(0.9)
    assert alike.count == measured.NEIGHBOURS
    assert (alike.low, alike.high) == pytest.approx((0.76, 1.0))  # all from 0.8, then 8 more
    assert alike.malignant == alike.count
    assert found.neighbours(0.1).malignant == 0


def test_few_validation_images_are_compared_with_nothing():
    assert Measured({}, scored(2, 1), {}).neighbours(0.5) is None
    assert Measured({}, scored(2, 1), {"busi": scored(99, 0.5)}).neighbours(0.5) is None


def test_the_assumed_share_weighs_both_sets_alike(tmp_path, weights_folder):
    rows = [
        *TEST_ROWS,
        ("busi", "validation", "malignant", 0),
        ("busi", "validation", "benign", 0),
        *[("busbra", "validation", "benign", 0)] * 9,
        ("busbra", "validation", "malignant", 0),
    ]
    folder = write_records(tmp_path / "both", weights_folder, rows)
    assert measured.load(folder).assumed_share == pytest.approx((0.5 + 0.1) / 2)
    folder = write_records(tmp_path / "none", weights_folder, TEST_ROWS)
    assert measured.load(folder).assumed_share is None


def test_another_share_changes_the_odds_by_the_ratio_of_the_shares_odds():
    assert at_other_share(0.5, 0.5, 0.1) == pytest.approx(0.1)
    assert at_other_share(0.7, 0.3, 0.3) == pytest.approx(0.7)
    odds = lambda prob: prob / (1 - prob)  # noqa: E731
    moved = at_other_share(0.6, 0.32, 0.05)
    assert odds(moved) / odds(0.6) == pytest.approx(odds(0.05) / odds(0.32))
    assert at_other_share(0.0, 0.32, 0.9) == 0 and at_other_share(1.0, 0.32, 0.01) == 1


def test_the_records_are_those_of_the_engine_that_serves(tmp_path, weights_folder):
    folder = write_records(tmp_path / "w", weights_folder, TEST_ROWS)
    (folder / "openvino").mkdir()
    for name in exported.MODEL_FILES:
        (folder / "openvino" / name).write_bytes(b"a network")
    exported.write_stamp(folder, {})
    metrics = json.loads((folder / "metrics.json").read_text())
    files = exported.read_stamp(folder)["files_sha256"]
    other = {"files_sha256": files, "busi_test": metrics["busi_test"]}
    write_metrics = (folder / "metrics.json").write_text
    write_metrics(json.dumps(metrics | {"openvino": other}))
    rows = (folder / "predictions.csv").read_text().replace("3.0", "0.0")
    (folder / "openvino" / "predictions.csv").write_text(rows)
    assert measured.load(folder).test.malignant_prob[1] == 0.5

    measured.load.cache_clear()
    write_metrics(json.dumps(metrics | {"openvino": other | {"files_sha256": {}}}))
    assert measured.load(folder).test.malignant_prob[1] > 0.8


@pytest.mark.parametrize("fault", ["other weights", "no predictions", "damaged", "one class"])
def test_records_that_cannot_be_used_are_none(tmp_path, weights_folder, fault):
    changes = {"weights_sha256": "0" * 64} if fault == "other weights" else {}
    rows = TEST_ROWS[:1] if fault == "one class" else TEST_ROWS
    folder = write_records(tmp_path / "w", weights_folder, rows, **changes)
    if fault == "no predictions":
        (folder / "predictions.csv").unlink()
    if fault == "damaged":
        (folder / "metrics.json").write_text("{")
    assert measured.load(folder) is None
