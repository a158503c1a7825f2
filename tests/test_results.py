"""The embedded results belong to the embedded weights and say what the saved predictions say."""

import csv
import json

import numpy as np
import pytest

from busmtl.weights import EMBEDDED, available
from train import report, study, tables
from train.card import METRICS_FILE
from train.splits import manifest_hashes

PICTURES = ("fig5_roc", "fig6_masks", "calibration", "iou_distribution")
MOST_THUMBNAILS = 24


@pytest.fixture(scope="module")
def results():
    return json.loads((report.RESULTS / report.RESULTS_FILE).read_text())


@pytest.fixture(scope="module")
def networks():
    return [report.load(each) for each in available() if (EMBEDDED / each / METRICS_FILE).exists()]


def test_results_belong_to_the_weights_and_manifests(results, networks):
    assert results["made_from"] == {network.id: report.stamp(network.id) for network in networks}
    assert results["manifest_sha256"] == manifest_hashes()


def test_tables_follow_from_the_saved_predictions(results, networks):
    studies = study.kept()
    made = tables.all_tables(networks) + study.tables(studies)
    assert [each["rows"] for each in results["tables"]] == [each.rows for each in made]
    for table in made:
        assert (report.RESULTS / f"{table.name}.csv").read_text() == table.csv()
        assert (report.RESULTS / f"{table.name}.md").read_text() == table.markdown()
    assert (report.RESULTS / "README.md").read_text() == report.page(networks, made, studies)


def test_every_figure_and_failure_is_there(results):
    for name in PICTURES:
        assert (report.RESULTS / f"{name}.png").stat().st_size > 10_000
        assert "</svg>" in (report.RESULTS / f"{name}.svg").read_text()
    pictures = {each["file"] for each in results["failures"]}
    assert pictures == {path.name for path in report.RESULTS.glob("failure-*.png")}
    assert len(pictures) + 4 <= MOST_THUMBNAILS  # four images in Fig. 6


def test_classification_table_agrees_with_a_count_by_hand(results, networks):
    network = next(each for each in networks if each.classifies)
    with (EMBEDDED / network.id / "predictions.csv").open(newline="") as file:
        test = [row for row in csv.DictReader(file) if (row["data_set"], row["part"]) == BUSI_TEST]
    right = [(float(row["margin"]) >= 0) == (row["label"] == "malignant") for row in test]
    table = next(each for each in results["tables"] if each["name"] == "table1")
    row = next(row for row in table["rows"] if row[0] == network.title)
    assert row[table["header"].index("ACC")].startswith(f"{np.mean(right):.3f} [")


BUSI_TEST = ("busi", "test")


def test_a_network_does_not_differ_from_itself(networks):
    test = networks[0].part(*BUSI_TEST)[::6]
    for difference in tables.paired_difference(test, test).values():
        assert difference == {"value": 0, "low": 0, "high": 0}


def test_networks_on_other_images_are_not_compared(networks):
    test = networks[0].part(*BUSI_TEST)
    with pytest.raises(ValueError, match="same images"):
        tables.paired_difference(test[:20], test[1:21])
