"""`train evaluate` on a tiny synthetic data set: predictions, metrics, card, README."""

import datetime
import json
import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from synthetic import make

from busmtl import Predictor, weights
from busmtl.variants import CLASS_NAMES
from train import card, evaluate, metrics, splits, tried
from train.data import image_path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("data"))
    (folder / "splits").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "SPLITS_FOLDER", folder / "splits")
        splits.write_manifest("busi", splits.make_busi(folder, folder / "groups.csv"))
        splits.write_manifest("busbra", splits.make_busbra(folder))
        yield folder


@pytest.fixture(scope="module", params=["lite0-mtl", "resnet50-cls"])
def evaluated(request, data, weights_folder, exported_folder, tmp_path_factory):
    """(variant id, weights folder with its metrics, log of the looks at the test part).

    The first network has OpenVINO files.
    """
    root = tmp_path_factory.mktemp("embedded")
    folder = root / request.param
    made = exported_folder if request.param == "lite0-mtl" else weights_folder
    shutil.copytree(made(request.param), folder)
    config = json.loads((folder / "config.json").read_text())
    config["data"] = {"sets": ["busi", "busbra"], "manifest_sha256": splits.manifest_hashes()}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "validation.json").write_text('{"fp16_largest_change": {"malignant_prob": 0.0012}}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "LOG", root / "evaluations.jsonl")
        patch.setattr(metrics, "DRAWS", 50)
        for _ in range(2):
            evaluate.evaluate(request.param, folder, data)
    return request.param, folder, root / "evaluations.jsonl"


def test_every_look_at_the_test_part_is_logged(evaluated):
    variant_id, folder, log = evaluated
    looks = [json.loads(line) for line in log.read_text().splitlines()]
    for look in looks:
        assert datetime.date.fromisoformat(look.pop("date")) <= datetime.date.today()
    assert len(looks) == 2 and looks[0] == looks[1]
    assert looks[0]["variant"] == variant_id
    assert looks[0]["weights_sha256"] == weights.fingerprint(folder)
    assert 0 <= looks[0]["auc"] <= 1 and ("iou" in looks[0]) == (variant_id == "lite0-mtl")


def test_saved_predictions_are_the_products(evaluated, data):
    variant_id, folder, _ = evaluated
    rows = evaluate.read_rows(folder / "predictions.csv")
    counted = {
        (name, part): sum(entry.part == part for entry in splits.read_manifest(name))
        for name, part in evaluate.PARTS
    }
    assert len(rows) == sum(counted.values()) and min(counted.values()) >= 5
    predictor = Predictor(variant_id, folder, engine="torch")
    entries = {entry.image: entry for entry in splits.read_manifest("busi")}
    row = next(each for each in rows if each.part == "test")
    prediction = predictor.predict(image_path(data, entries[row.image]))
    prob = 1 / (1 + np.exp(-row.margin / predictor.config.temperature))
    assert prob == pytest.approx(prediction.malignant_prob, abs=1e-5)
    if prediction.mask is not None:
        assert row.tp + row.fp == prediction.mask.sum()
        assert row.tp + row.fp + row.fn + row.tn == prediction.mask.size


def test_metrics_follow_from_the_predictions(evaluated):
    variant_id, folder, _ = evaluated
    result = json.loads((folder / "metrics.json").read_text(), parse_constant=pytest.fail)
    rows = [
        row
        for row in evaluate.read_rows(folder / "predictions.csv")
        if (row.data_set, row.part) == ("busi", "test")
    ]
    labels = [CLASS_NAMES.index(row.label) for row in rows]
    figure = result["busi_test"]["ranking"]["auc"]
    assert figure["value"] == pytest.approx(roc_auc_score(labels, [row.margin for row in rows]))
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert {"default", "balanced", "high_sensitivity"} == result["busi_test"]["at_threshold"].keys()
    assert list(result["busbra_validation_by_device"]) == ["Scanner 1"]
    if variant_id == "resnet50-cls":
        assert "segmentation" not in result["busi_test"] and "busi_normal" not in result
        return
    iou = np.mean([row.tp / (row.tp + row.fp + row.fn) for row in rows])
    segmentation = result["busi_test"]["segmentation"]
    assert segmentation["tumour_iou_per_image_mean"]["value"] == pytest.approx(iou)
    assert 0 <= result["busi_normal"]["given_a_mask_share"] <= 1


def test_both_engines_are_measured_where_there_are_openvino_files(evaluated):
    variant_id, folder, log = evaluated
    result = json.loads((folder / "metrics.json").read_text())
    look = json.loads(log.read_text().splitlines()[0])
    card.write_card(folder)
    text = (folder / "README.md").read_text()
    if variant_id == "resnet50-cls":
        assert "openvino" not in result and "openvino" not in look
        assert "There are no OpenVINO files" in text
        return
    by_torch, by_openvino = (
        evaluate.read_rows(path / "predictions.csv") for path in (folder, folder / "openvino")
    )
    assert [row.image for row in by_torch] == [row.image for row in by_openvino]
    margins = [[row.margin for row in rows] for rows in (by_torch, by_openvino)]
    np.testing.assert_allclose(*margins, atol=0.05)
    assert margins[0] != margins[1]  # in fp32 the engines differ by rounding alone
    figures = result["openvino"]["busi_test"]["ranking"]["auc"]
    assert look["openvino"]["auc"] == pytest.approx(figures["value"], abs=1e-4)
    cells = [
        card.with_interval(each["busi_test"]["ranking"]["auc"])
        for each in (result, result["openvino"])
    ]
    assert f"| AUC, BUSI test | {' | '.join(cells)} |" in text
    result["openvino"]["files_sha256"] = {}  # measured with other files than those now there
    (folder / "metrics.json").write_text(json.dumps(result))
    card.write_card(folder)
    assert "AUC, BUSI test" not in (folder / "README.md").read_text()


def test_card_and_readme_show_the_figures(evaluated, tmp_path, monkeypatch):
    variant_id, folder, _ = evaluated
    card.write_card(folder)
    text = (folder / "README.md").read_text()
    test = json.loads((folder / "metrics.json").read_text())["busi_test"]
    auc = card.with_interval(test["ranking"]["auc"])
    assert f"| AUC | {auc} |" in text and "0.0012 in an image's" in text
    assert "Research use only" in text
    assert ("normal images" in text) == (variant_id == "lite0-mtl")

    monkeypatch.setattr(card, "EMBEDDED", folder.parent)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{card.START}old\n{card.END}after\n")
    card.write_readme_figures(readme)
    card.write_readme_figures(readme)  # again, it changes nothing
    lines = readme.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
    (row,) = [line for line in lines if f"`{variant_id}`" in line]
    assert auc in row and (" – " in row) == (variant_id == "resnet50-cls")


def test_without_busi_there_is_nothing_to_evaluate(weights_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not hold BUSI"):
        evaluate.predict(weights_folder("lite0-mtl"), "lite0-mtl", tmp_path)


def test_a_run_is_added_to_what_was_tried_once(tmp_path, monkeypatch):
    run = tmp_path / "first"
    run.mkdir()
    asked = {
        "variant": "swin-cls",
        "init": "none",
        "teacher": "",
        "recipe": {"size": 128, "epochs": 3},
    }
    figures = {"busi_auc": 0.91234, "busbra_auc": 0.85}
    (run / "run.json").write_text(json.dumps(asked))
    log = [{"seconds": 90, "steer": 0.9, **figures}, {"seconds": 60, "steer": 0.8}]
    (run / "log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in log))
    monkeypatch.setattr(tried, "FOLDER", tmp_path)
    monkeypatch.setattr(tried, "TABLE", tmp_path / "tried.csv")
    monkeypatch.setattr(tried, "LOGS", tmp_path / "logs")
    (tmp_path / "README.md").write_text(f"a\n{tried.START}{tried.END}b\n")
    tried.add(run, "one")
    (run / "validation.json").write_text(json.dumps({"with_flips": figures}))
    tried.add(run, "two")
    lines = (tmp_path / "README.md").read_text().splitlines()
    (row,) = [line for line in lines if "swin-cls" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:7] == ["first", "swin-cls", "none", "none", "128", "2 of 3", "2"]
    assert cells[7:] == ["0.912", "–", "0.850", "–", "0.912 / – / 0.850 / –", "two"]
