"""`train fit` as a process on a tiny synthetic data set: it learns, resumes exactly, and stops."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from killed_fit import IN_A_CHECKPOINT, IN_AN_EPOCH
from safetensors.torch import load_file
from synthetic import ROOT, make_with_splits

from busmtl import Predictor
from busmtl.models import build
from busmtl.variants import get_variant
from train import fit as fit_module
from train.data import load
from train.finish import embed, finish
from train.fit import Job, NonFiniteLoss, Trainer
from train.initialise import InitError, initialise
from train.recipe import PAPER, PRETRAIN

EPOCHS = 3
PATIENCE_S = 300  # for a process; a busy machine is slow


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    return make_with_splits(tmp_path_factory.mktemp("data"))


def run_fit(env: dict[str, str], out: Path, how=("-m", "train"), status: int = 0) -> None:
    """how: Python's arguments before "fit". status: what the process must end with."""
    command = f"--variant lite0-mtl --recipe pretrain --init none --size 32 --epochs {EPOCHS}"
    done = subprocess.run(
        [sys.executable, *how, "fit", "--out", out, *command.split()],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == status, done.stderr


@pytest.fixture(scope="module")
def whole_run(env, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    run_fit(env, out)
    return out


def rows_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_a_run_learns_and_leaves_everything_behind(whole_run):
    rows = rows_of(whole_run)
    assert [row["epoch"] for row in rows] == list(range(EPOCHS))
    assert {"loss_cls", "loss_seg", "loss_dice"} <= rows[0].keys()
    total = [sum(row[name] for name in row if name.startswith("loss_")) for row in rows]
    assert total[-1] < total[0] - 0.1
    assert {"busi_auc", "busbra_auc", "busi_dice", "busbra_dice", "steer"} <= rows[0].keys()
    assert [path.name for path in fit_module.checkpoints(whole_run)] == [f"state-{EPOCHS:03d}"]
    validation = json.loads((whole_run / "validation.json").read_text())
    changes = validation["fp16_largest_change"]
    assert 0 < changes["malignant_prob"] < 0.05 and 0 < changes["lesion_prob"] < 0.05
    assert (whole_run / "curve.png").stat().st_size > 5_000
    config = json.loads((whole_run / "weights" / "config.json").read_text())
    assert config["temperature"] > 0 and config["training"]["recipe"]["epochs"] == EPOCHS
    assert str(whole_run.parent) not in json.dumps(config)


@pytest.mark.parametrize("moment", [IN_AN_EPOCH, IN_A_CHECKPOINT])
def test_a_killed_run_resumes_to_the_same_weights(env, whole_run, tmp_path, moment):
    out = tmp_path / "run"
    how = ("-m", "tests.killed_fit", moment)
    run_fit(env, out, how, -signal.SIGKILL)
    assert fit_module.checkpoints(out) == [out / "state-001"]
    assert len(rows_of(out)) == (1 if moment == IN_AN_EPOCH else 2)
    left = [path.name for path in out.glob("state.partial/*")]
    assert left == ([] if moment == IN_AN_EPOCH else ["model.safetensors"])
    run_fit(env, out)
    for name in ("best.safetensors", f"state-{EPOCHS:03d}/model.safetensors"):
        expected, found = load_file(whole_run / name), load_file(out / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)

    def without_time(rows):
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    assert without_time(rows_of(out)) == without_time(rows_of(whole_run))


def test_another_job_in_the_same_folder_is_refused(env, whole_run):
    command = f"fit --variant lite0-mtl --recipe pretrain --init none --out {whole_run}"
    result = subprocess.run(
        [sys.executable, "-m", "train", *command.split()],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert result.returncode != 0
    assert "holds another run" in result.stderr + result.stdout


@pytest.fixture
def data(env, monkeypatch):
    """The data folder, its manifests in place of the committed ones."""
    monkeypatch.setattr("train.splits.SPLITS_FOLDER", Path(env["BUSMTL_SPLITS"]))
    return Path(env["BUSMTL_DATA"])


@pytest.fixture
def samples(data):
    return load(data, {"busi": "validation", "busbra": "validation"}, size=32)


def tiny_job(out: Path, variant: str = "lite0-mtl", **changes) -> Job:
    recipe = replace(PRETRAIN, size=32, epochs=1, batch=4)
    return Job(get_variant(variant), recipe, **({"init": "none", "out": out} | changes))


def test_a_loss_that_is_not_finite_stops_the_run(samples, tmp_path, monkeypatch):
    original = fit_module.label_losses

    def broken(*arguments):
        losses = original(*arguments)
        return losses | {"seg": losses["seg"] * float("nan")}

    monkeypatch.setattr(fit_module, "label_losses", broken)
    with pytest.raises(NonFiniteLoss, match=r"of epoch 0: .*seg"):
        Trainer(tiny_job(tmp_path / "run"), samples, samples).run()
    assert not fit_module.checkpoints(tmp_path / "run")


@pytest.mark.parametrize("variant_id, task", [("resnet50-cls", "cls"), ("swin-seg", "seg")])
def test_a_single_task_network_learns_from_the_teacher(
    samples, whole_run, tmp_path, variant_id, task
):
    job = tiny_job(tmp_path / "run", variant_id, teacher=whole_run)
    trainer = Trainer(job, samples, samples)
    trainer.run()
    (row,) = rows_of(tmp_path / "run")
    losses = {name for name in row if name.startswith("loss_")}
    expected = {f"loss_{task}", f"loss_taught_{task}", "loss_taught_features"}
    assert losses == expected | ({"loss_dice"} if task == "seg" else set())
    finish(job, samples, trainer.accelerator.device)
    config = json.loads((tmp_path / "run" / "weights" / "config.json").read_text())
    assert config["training"]["teacher"].startswith("run@")
    assert (config["thresholds"]["mask"] is None) == (task == "cls")
    with pytest.raises(ValueError, match="was trained at 32 px"):
        embed(tmp_path / "run")


def test_the_teacher_may_look_at_smaller_images(data, whole_run, tmp_path):
    job = tiny_job(tmp_path / "run", teacher=whole_run)  # a run at 32 px
    job = replace(job, recipe=replace(job.recipe, size=64))
    larger = load(data, {"busi": "validation", "busbra": "validation"}, size=64)
    trainer = Trainer(job, larger, larger)
    seen = []
    trainer.teacher.register_forward_pre_hook(lambda _, images: seen.append(images[0].shape))
    trainer.run()
    assert set(seen) == {(4, 3, 32, 32)}
    (row,) = rows_of(tmp_path / "run")
    assert {"loss_taught_cls", "loss_taught_seg", "loss_taught_features"} <= row.keys()


def test_checkpoints_may_be_rarer(samples, tmp_path, monkeypatch):
    job = tiny_job(tmp_path)
    job = replace(job, recipe=replace(job.recipe, epochs=3))
    written = []
    monkeypatch.setattr(Trainer, "_checkpoint", lambda trainer: written.append(trainer.epoch))
    Trainer(job, samples, samples, checkpoint_every=2).run()
    assert written == [2, 3]
    assert [row["epoch"] for row in rows_of(tmp_path)] == [0, 1, 2]


def test_the_paper_recipe_runs(samples, tmp_path):
    """Adam, steps, raw weights, no flips: none of which the release recipe uses."""
    job = replace(tiny_job(tmp_path), recipe=replace(PAPER, size=32, epochs=1, batch=4))
    trainer = Trainer(job, samples, samples)
    trainer.run()
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    kept, trained = load_file(tmp_path / "best.safetensors"), trainer.network.state_dict()
    assert all(torch.equal(kept[name], trained[name]) for name in trained)
    finish(job, samples, trainer.accelerator.device)
    assert json.loads((tmp_path / "weights" / "config.json").read_text())["flip_average"] is False


def test_variants_of_a_backbone_start_from_one_multi_task_run(whole_run):
    variant = get_variant("lite0-mtl")
    network = build(variant)
    initialise(network, variant, str(whole_run))
    expected = load_file(whole_run / "best.safetensors")
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
    initialise(network, variant, str(whole_run / "weights"))  # the same, stored in fp16
    stored = network.state_dict()["classifier.weight"]
    assert torch.equal(stored, expected["classifier.weight"].half().float())
    with pytest.raises(InitError, match="is of another network"):
        initialise(build(get_variant("resnet50-cls")), get_variant("resnet50-cls"), str(whole_run))
    with pytest.raises(InitError, match="neither a finished epoch nor"):
        initialise(network, variant, str(whole_run.parent))


def test_the_trained_network_serves(whole_run, scan_rgb_u8):
    """The weights folder of a run is what Predictor loads, once the input size is the product's."""
    config_path = whole_run / "weights" / "config.json"
    config = json.loads(config_path.read_text())
    config["input"]["size"] = 256
    config_path.write_text(json.dumps(config))
    prediction = Predictor("lite0-mtl", weights=whole_run / "weights").predict(scan_rgb_u8)
    assert prediction.mask.shape == (120, 160) and 0 <= prediction.malignant_prob <= 1
