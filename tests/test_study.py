"""Studies: runs at another side, on the random split, kept and compared without being embedded."""

import json

import numpy as np
import pytest
from conftest import config_for, random_network
from synthetic import make

from busmtl import Predictor, weights
from busmtl.weights import INPUT, InputContract
from train import evaluate, figures, metrics, splits, study
from train.evaluate import Row

LOG = [{"epoch": 0, "loss_cls": 0.7, "busi_log_loss": 0.69}] * 2


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(metrics, "DRAWS", 50)


def row(number, margin=float("nan"), counts=(-1,) * 4):
    label = ("benign", "malignant")[number % 2]
    name = f"{label} ({number})"
    return Row("busi", "test", name, label, name, "", "", margin, *counts)


def make_run(folder, variant_id, rows=()):
    (folder / "weights").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"variant": variant_id}))
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, LOG)) + "\n")
    if rows:
        evaluate.write_rows(folder / "weights" / evaluate.PREDICTIONS, rows)
    return folder


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """The multi-task network ranks all 20 images rightly, the others by half; masks likewise."""
    monkeypatch.setattr(study, "STUDIES", tmp_path / "studies")
    good, poor = (80, 0, 20, 900), (40, 10, 60, 890)
    sure = [1.0 if number % 2 else -1.0 for number in range(20)]
    unsure = [margin if number < 10 else -margin for number, margin in enumerate(sure)]
    runs = {
        "clean-resnet50-mtl": [row(i, sure[i], good) for i in range(20)],
        "clean-resnet50-cls": [row(i, unsure[i]) for i in range(20)],
        "clean-resnet50-seg": [row(i, counts=poor) for i in range(20)],
        "random-resnet50-mtl": [row(i, sure[i], good) for i in range(20)],
    }
    for name, rows in runs.items():
        study.keep(make_run(tmp_path / name, name.partition("-")[2], rows))
    for name in study.FIG4_RUNS:
        study.keep(make_run(tmp_path / name, "swin-cls"))
    return study.kept()


def test_the_clean_comparison_says_by_how_much_multi_task_is_better(studies):
    table = study.clean(studies)
    differences = {line[1]: float(line[4].split(" ")[0]) for line in table.rows}
    assert differences == {
        "AUC": pytest.approx(0.5),
        "ACC": pytest.approx(0.5),
        "tumour IoU": pytest.approx(0.8 - 40 / 110, abs=1e-3),
        "Dice": pytest.approx(160 / 180 - 80 / 150, abs=1e-3),
    }
    assert [line[0] for line in table.rows][::2] == ["ResNet-50", "U-Net with ResNet-50"]


def test_tables_wait_for_all_their_runs(studies):
    assert [table.name for table in study.tables(studies)] == ["clean", "leakage"]
    del studies["clean-resnet50-mtl"]
    assert study.tables(studies) == []


def test_fig4_is_drawn_from_the_kept_logs(studies, tmp_path):
    assert studies["fig4-plain"].log == LOG and studies["fig4-plain"].rows == []
    figures.overfitting(studies, tmp_path)
    assert "validation" in (tmp_path / "fig4_overfitting.svg").read_text()


def test_the_random_split_only_moves_images_between_parts():
    grouped, random = (splits.read_manifest(name) for name in ("busi", splits.RANDOM))
    assert random == splits.make_random(grouped)
    assert [entry.image for entry in random] == [entry.image for entry in grouped]
    for part in ("train", "validation", "test", "normal", "excluded"):
        sizes = [sum(entry.part == part for entry in each) for each in (grouped, random)]
        assert sizes[0] == sizes[1] > 0
    twins, tested = study.twins_in_train()
    assert tested == sum(entry.part == "test" for entry in random)
    assert 0.25 < twins / tested < 0.4  # about a third, as in the paper's split


def test_a_network_of_128_px_from_the_random_split_is_tested_on_it(tmp_path, monkeypatch):
    data = make(tmp_path / "data")
    (data / "splits").mkdir()
    monkeypatch.setattr(splits, "SPLITS_FOLDER", data / "splits")
    busi = splits.make_busi(data, data / "groups.csv")
    splits.write_manifest("busi", busi)
    splits.write_manifest(splits.RANDOM, splits.make_random(busi))
    side = InputContract(128, INPUT.mean, INPUT.std, INPUT.layout)
    config = config_for("lite0-mtl", input=side, data={"sets": [splits.RANDOM]})
    weights.save(tmp_path / "weights", random_network("lite0-mtl"), config)

    prediction = Predictor("lite0-mtl", tmp_path / "weights").predict(
        np.zeros((90, 120, 3), np.uint8)
    )
    assert prediction.mask.shape == (90, 120) and prediction.mirror.masks.shape == (2, 128, 128)

    monkeypatch.setattr(evaluate, "PARTS", evaluate.PARTS[:1])
    rows = evaluate.predict(tmp_path / "weights", "lite0-mtl", data)
    expected = [e.image for e in splits.read_manifest(splits.RANDOM) if e.part == "test"]
    assert [each.image for each in rows] == expected
    assert expected != [entry.image for entry in busi if entry.part == "test"]
