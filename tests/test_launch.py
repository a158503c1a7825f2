"""`accelerate launch -m train fit` with two processes on the CPU: one run, and it resumes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from killed_fit import IN_AN_EPOCH
from safetensors.torch import load_file
from synthetic import ROOT, make_with_splits

from train import splits
from train.data import load
from train.fit import EpochSampler, checkpoints
from train.recipe import PRETRAIN

EPOCHS = 2
LAUNCH = "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1"
PORT = "--main_process_port 0 --mixed_precision no --dynamo_backend no"
FIT = f"fit --variant lite0-mtl --recipe pretrain --init none --size 32 --epochs {EPOCHS}"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    return make_with_splits(tmp_path_factory.mktemp("data"))


def launch(env: dict[str, str], out: Path, *module: str) -> subprocess.CompletedProcess:
    """module: what is launched, and its arguments before "fit"."""
    command = [sys.executable, "-m", *LAUNCH.split(), *PORT.split(), "-m", *module, *FIT.split()]
    return subprocess.run(
        [*command, "--out", out],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
    )


def launch_to_the_end(env: dict[str, str], out: Path) -> None:
    done = launch(env, out, "train")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def whole_run(env, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    launch_to_the_end(env, out)
    return out


def rows_of(run: Path) -> list[dict]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if key != "seconds"} for row in rows]


def test_two_processes_make_one_run(whole_run):
    rows = rows_of(whole_run)
    assert [(row["epoch"], row["processes"]) for row in rows] == [(0, 2), (1, 2)]
    (state,) = checkpoints(whole_run)
    assert len(list(state.glob("random_states_*.pkl"))) == 2
    assert not list(whole_run.glob("*.partial"))
    config = json.loads((whole_run / "weights" / "config.json").read_text())
    assert config["training"]["recipe"]["batch"] == PRETRAIN.batch


def test_the_batch_is_shared_out_and_not_multiplied(whole_run, env):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "SPLITS_FOLDER", Path(env["BUSMTL_SPLITS"]))
        train = load(Path(env["BUSMTL_DATA"]), dict.fromkeys(PRETRAIN.sets, "train"), size=32)
    steps = EPOCHS * (len(EpochSampler(train, PRETRAIN.busi_repeats, 0)) // PRETRAIN.batch)
    (state,) = checkpoints(whole_run)
    schedule = torch.load(state / "scheduler.bin", weights_only=True)
    assert schedule["last_epoch"] == steps


def test_a_run_of_two_processes_resumes_to_the_same_weights(whole_run, env, tmp_path):
    out = tmp_path / "run"
    killed = launch(env, out, "tests.killed_fit", IN_AN_EPOCH)
    assert killed.returncode != 0 and "SIGKILL" in killed.stderr
    assert [path.name for path in checkpoints(out)] == ["state-001"]
    launch_to_the_end(env, out)
    for name in ("best.safetensors", f"state-{EPOCHS:03d}/model.safetensors"):
        expected, found = load_file(whole_run / name), load_file(out / name)
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert rows_of(out) == rows_of(whole_run)
