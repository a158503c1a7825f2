"""`accelerate launch -m train fit` with two processes on the CPU: one run, and it resumes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from synthetic import ROOT, make_with_splits

from train import splits
from train.data import load
from train.fit import EpochSampler, checkpoints
from train.recipe import PRETRAIN

EPOCHS = 2
LAUNCH = "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1"
PORT = "--main_process_port 0 --mixed_precision no --dynamo_backend no"
FIT = f"-m train fit --variant lite0-mtl --recipe pretrain --init none --size 32 --epochs {EPOCHS}"


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    return make_with_splits(tmp_path_factory.mktemp("data"))


def launch(env: dict[str, str], out: Path) -> subprocess.Popen:
    command = f"-m {LAUNCH} {PORT} {FIT} --out".split()
    return subprocess.Popen(
        [sys.executable, *command, out],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def launch_to_the_end(env: dict[str, str], out: Path) -> None:
    process = launch(env, out)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def stop_after_an_epoch(env: dict[str, str], out: Path) -> None:
    process = launch(env, out)
    while not checkpoints(out):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.terminate()  # the launcher ends its processes
    process.communicate(timeout=60)
    assert process.returncode != 0


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
    stop_after_an_epoch(env, out)
    assert [path.name for path in checkpoints(out)] == ["state-001"]
    launch_to_the_end(env, out)
    for name in ("best.safetensors", f"state-{EPOCHS:03d}/model.safetensors"):
        expected, found = load_file(whole_run / name), load_file(out / name)
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert rows_of(out) == rows_of(whole_run)
