"""The Colab notebook, its cells run unmodified on BUSI alone, and what it leans on."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image
from synthetic import ROOT, make_with_splits

from train import evaluate

NOTEBOOK = ROOT / "train" / "colab.ipynb"


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """BUSI alone, as on Colab."""
    env = make_with_splits(tmp_path_factory.mktemp("data"))
    shutil.rmtree(os.path.join(env["BUSMTL_DATA"], "BUSBRA"))
    return env


@pytest.fixture(scope="module")
def executed(env, tmp_path_factory):
    """(the runs' folder, what the cells printed)."""
    folder = tmp_path_factory.mktemp("colab")
    script = folder / "cells.py"
    script.write_text("\n\n".join(code_cells()))
    settings = {
        "BUSMTL_COLAB_READY": "1",
        "BUSMTL_VARIANT": "lite0-mtl",
        "BUSMTL_EPOCHS": "1",
        "BUSMTL_REPO": str(ROOT),
        "BUSMTL_RUNS": str(folder / "runs"),
        "MPLBACKEND": "Agg",
    }
    result = subprocess.run(
        [sys.executable, script], env=env | settings, cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "runs", result.stdout


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_notebook_is_one_without_outputs():
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4 and notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_the_cells_train_evaluate_and_print_figures(executed):
    runs, printed = executed
    run = runs / "lite0-mtl-paper"
    (row,) = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert row["epoch"] == 0 and "busi_dice" in row and "busbra_dice" not in row
    config = json.loads((run / "weights" / "config.json").read_text())
    assert config["training"]["recipe"]["name"] == "paper"
    assert config["training"]["init"] == "imagenet"
    result = json.loads((run / "weights" / "metrics.json").read_text())
    assert not [key for key in result if key.startswith("busbra")]
    assert "BUS-BRA is not in the data folder and is skipped" in printed
    auc = result["busi_test"]["ranking"]["auc"]["value"]
    assert f"| AUC | {auc:.3f} [" in printed
    assert "BUS-BRA was not at hand" in printed


def test_a_look_at_the_test_part_stays_with_the_run(executed):
    runs, _ = executed
    weights = runs / "lite0-mtl-paper" / "weights"
    (look,) = [
        json.loads(line) for line in (weights / "evaluations.jsonl").read_text().splitlines()
    ]
    assert look["variant"] == "lite0-mtl"
    assert look["weights_sha256"] not in evaluate.LOG.read_text()


def check(env: dict[str, str]) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "train", "check"]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def test_a_whole_copy_passes_the_check(env):
    result = check(env)
    assert result.returncode == 0, result.stderr
    assert "BUSI: 87 of 87 pictures." in result.stdout and "BUS-BRA: not in" in result.stdout


def test_the_check_names_what_differs_and_what_is_missing(env, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(env["BUSMTL_DATA"], data)
    benign = data / "Dataset_BUSI_with_GT" / "benign"
    Image.new("L", (96, 72), 9).save(benign / "benign (7).png")
    env = env | {"BUSMTL_DATA": str(data)}
    result = check(env)
    assert result.returncode == 0
    assert "1 not those of the manifest" in result.stdout and "benign (7)" in result.stdout
    (benign / "benign (8).png").unlink()
    for path in benign.glob("benign (9)_mask*.png"):
        path.unlink()
    result = check(env)
    assert result.returncode == 1 and "BUSI: 86 of 87 pictures." in result.stdout
    assert "1 missing; get the whole data set again: benign (8)" in result.stdout
    assert "1 without a mask; get the whole data set again: benign (9)" in result.stdout


def test_a_folder_without_data_fails_the_check(env, tmp_path):
    result = check(env | {"BUSMTL_DATA": str(tmp_path)})
    assert result.returncode == 1 and "BUSI: not in" in result.stdout
