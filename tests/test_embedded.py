"""The embedded networks on the example images: real weights, real pictures, their records."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from busmtl import Predictor, weights
from busmtl.exported import is_exported, read_stamp
from busmtl.variants import DEFAULT_VARIANT, get_variant
from train.card import figures_table, write_card
from train.evaluate import read_rows
from train.export import is_close
from train.splits import manifest_hashes

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted((EXAMPLES / "images").glob("*.png"))
EMBEDDED = weights.available()


@pytest.fixture(scope="module", params=EMBEDDED)
def embedded(request):
    """(variant, folder, name of the image → prediction) of each embedded network."""
    predictor = Predictor(request.param)
    predictions = dict(
        zip((path.name for path in FILES), predictor.predict_many(FILES), strict=True)
    )
    return get_variant(request.param), weights.EMBEDDED / request.param, predictions


def reference(name):
    return np.asarray(Image.open(EXAMPLES / "masks" / name).convert("L")) > 127


def test_the_default_network_is_embedded():
    assert DEFAULT_VARIANT in EMBEDDED


def test_masks_overlap_their_references(embedded):
    variant, _, predictions = embedded
    if not variant.segments:
        assert all(each.mask is None for each in predictions.values())
        return
    dice = []
    for name, prediction in predictions.items():
        mask, expected = prediction.mask, reference(name)
        assert mask.shape == expected.shape
        dice.append(2 * (mask & expected).sum() / (mask.sum() + expected.sum()))
    assert np.mean(dice) > 0.7


def test_malignant_examples_score_above_benign_ones(embedded):
    variant, _, predictions = embedded
    if not variant.classifies:
        assert all(each.malignant_prob is None for each in predictions.values())
        return
    means = {
        label: np.mean([p.malignant_prob for name, p in predictions.items() if label in name])
        for label in ("benign", "malignant")
    }
    assert means["malignant"] > means["benign"]


def test_the_example_script_runs():
    done = subprocess.run(
        [sys.executable, "-m", "examples.predict"],
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [path.name for path in FILES]
    assert all("malignant with probability" in line and "lesion area" in line for line in lines)


def test_figures_belong_to_the_weights_and_the_predictions(embedded):
    """metrics.json follows from predictions.csv, these weights, and these splits."""
    variant, folder, _ = embedded
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["weights_sha256"] == weights.fingerprint(folder)
    assert stored["manifest_sha256"] == manifest_hashes()
    assert stored["manifest_sha256"] == weights.load_config(folder).data["manifest_sha256"]
    test = [row for row in read_rows(folder / "predictions.csv") if row.part == "test"]
    assert len(test) == stored["busi_test"]["images"] > 100
    if variant.classifies:
        malignant = [row.label == "malignant" for row in test]
        auc = roc_auc_score(malignant, [row.margin for row in test])
        assert stored["busi_test"]["ranking"]["auc"]["value"] == pytest.approx(auc)
    if variant.segments:
        iou = np.mean([row.tp / (row.tp + row.fp + row.fn) for row in test])
        figure = stored["busi_test"]["segmentation"]["tumour_iou_per_image_mean"]
        assert figure["value"] == pytest.approx(iou)
        assert figure["low"] < iou < figure["high"]


def test_openvino_files_belong_to_the_weights_and_agree_with_them(embedded):
    variant, folder, predictions = embedded
    if not is_exported(folder):
        pytest.skip("no OpenVINO files")
    stamp = read_stamp(folder)
    assert is_close(stamp["validation"]["all"])
    plain = Predictor(variant.id, engine="torch")
    for name, found in list(predictions.items())[:2]:
        expected = plain.predict(EXAMPLES / "images" / name)
        if variant.classifies:
            change = abs(found.malignant_prob - expected.malignant_prob)
            assert change <= stamp["validation"]["all"]["prob_change"] + 0.05
        if variant.segments:
            overlap = 2 * (found.mask & expected.mask).sum()
            assert overlap / (found.mask.sum() + expected.mask.sum()) > 0.9


def test_the_card_is_written_from_the_metrics(embedded, tmp_path):
    _, folder, _ = embedded
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "README.md").unlink()
    write_card(tmp_path)
    assert (tmp_path / "README.md").read_text() == (folder / "README.md").read_text()
    table = figures_table(json.loads((folder / "metrics.json").read_text()))
    assert table in (folder / "README.md").read_text()
