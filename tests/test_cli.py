"""The command line: what it writes, what it says, and its exit status."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from PIL import Image
from typer.testing import CliRunner

from busmtl import weights
from busmtl.__main__ import app
from busmtl.rows import _spacing

HEADER = (
    "image,variant,predicted,benign_prob,malignant_prob,lesion_count,lesion_area_px,"
    "lesion_fraction,major_axis_px,minor_axis_px,spacing_mm,latency_ms,warnings,error"
)
SMALLEST = "lite0-mtl"


@pytest.fixture
def embedded(monkeypatch, tmp_path, weights_folder):
    """Embed random networks for these variants only."""
    monkeypatch.setattr(weights, "EMBEDDED", tmp_path / "embedded")
    monkeypatch.delenv(weights.HUB_VARIABLE, raising=False)
    (tmp_path / "embedded").mkdir()

    def embed(*variant_ids):
        for variant_id in variant_ids:
            (tmp_path / "embedded" / variant_id).symlink_to(weights_folder(variant_id))

    return embed


@pytest.fixture
def folder(tmp_path, scan_rgb_u8):
    """Three images, whose natural order is not the alphabetical one, and other things."""
    folder = tmp_path / "scans"
    (folder / "deeper").mkdir(parents=True)
    for name in ("scan 10.png", "scan 2.PNG", "deeper/scan.png"):
        Image.fromarray(scan_rgb_u8).save(folder / name)
    Image.fromarray(scan_rgb_u8[:, :100]).save(folder / "scan 1.jpg")
    (folder / "notes.txt").write_text("Nothing to see.")
    (folder / "._scan 2.png").write_bytes(b"left behind by another system")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def predict(out, *arguments):
    """(result of the command, rows of its CSV)."""
    result = run("predict", *arguments, "--out", out)
    text = (out / "predictions.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == HEADER
    return result, list(csv.DictReader(text.splitlines()))


def test_a_folder_gives_rows_and_masks(embedded, folder, tmp_path, predictor_for):
    embedded(SMALLEST)
    out = tmp_path / "deep" / "out"
    result, rows = predict(out, folder, "--variant", SMALLEST)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""  # no progress bar where nobody watches
    assert [row["image"] for row in rows] == ["scan 1.jpg", "scan 2.PNG", "scan 10.png"]
    for row in rows:
        prediction = predictor_for(SMALLEST).predict(folder / row["image"])
        mask = Image.open(out / "masks" / SMALLEST / f"{Path(row['image']).stem}.png")
        assert mask.mode == "L" and set(np.unique(mask)) <= {0, 255}
        np.testing.assert_array_equal(np.asarray(mask) == 255, prediction.mask)
        assert_row(row, prediction)


def test_dicom_under_a_bare_name_is_found_in_a_folder(embedded, folder, tmp_path):
    embedded(SMALLEST)
    dicom = Path(pydicom.data.get_testdata_file("CT_small.dcm")).read_bytes()
    for name in ("IM1", "DICOMDIR"):
        (folder / name).write_bytes(dicom)
    result, rows = predict(tmp_path / "out", folder, "--variant", SMALLEST)
    assert result.exit_code == 0, result.output
    assert [row["image"] for row in rows] == ["IM1", "scan 1.jpg", "scan 2.PNG", "scan 10.png"]


def assert_row(row, prediction):
    malignant = float(row["malignant_prob"])
    assert malignant == pytest.approx(prediction.malignant_prob, abs=1e-5)
    assert float(row["benign_prob"]) == pytest.approx(1 - malignant, abs=2e-6)
    assert row["predicted"] == ("malignant" if malignant >= 0.5 else "benign")
    assert int(row["lesion_count"]) == len(prediction.lesions)
    assert int(row["lesion_area_px"]) == prediction.mask.sum()
    assert float(row["lesion_fraction"]) == pytest.approx(prediction.mask.mean(), abs=1e-6)
    largest = prediction.lesions[0]
    assert float(row["major_axis_px"]) == pytest.approx(largest.major_axis_px, abs=0.06)
    assert float(row["minor_axis_px"]) == pytest.approx(largest.minor_axis_px, abs=0.06)
    assert float(row["latency_ms"]) > 0
    assert row["spacing_mm"] == row["error"] == ""


def test_a_given_scale_is_written_down(embedded, folder, tmp_path):
    embedded(SMALLEST)
    options = ("--variant", SMALLEST, "--mm-per-px", "0.2")
    result, (row,) = predict(tmp_path / "out", folder / "scan 2.PNG", *options)
    assert result.exit_code == 0
    assert row["spacing_mm"] == "0.2"


def test_dicom_files_of_a_folder_bring_their_own_scale(embedded, folder, tmp_path):
    embedded(SMALLEST)
    examples = Path(pydicom.data.__file__).parent / "test_files"
    shutil.copy(examples / "examples_palette.dcm", folder / "scan 3.DCM")
    _, rows = predict(tmp_path / "out", folder, "--variant", SMALLEST, "--mm-per-px", "0.2")
    spacing = {row["image"]: row["spacing_mm"] for row in rows}
    assert spacing.pop("scan 3.DCM") == "0.262288" and set(spacing.values()) == {"0.2"}
    assert (tmp_path / "out" / "masks" / SMALLEST / "scan 3.png").exists()


def test_pixels_that_are_not_square_have_two_numbers():
    assert _spacing((0.1, 0.25)) == "0.1 0.25"


def test_bad_files_get_their_row_and_the_others_go_on(embedded, folder, tmp_path):
    embedded(SMALLEST)
    bad = folder / "scan 3.png"
    bad.write_bytes(b"not an image")
    (tmp_path / "empty").mkdir()
    too_long = tmp_path / ("x" * 300 + ".png")
    paths = (folder, tmp_path / "nowhere.png", tmp_path / "empty", too_long)
    result, rows = predict(tmp_path / "out", *paths, "--variant", SMALLEST)
    assert result.exit_code == 1
    names = ["scan 1.jpg", "scan 2.PNG", "scan 3.png", "scan 10.png", "nowhere.png", "empty"]
    names.append(too_long.name)
    assert [row["image"] for row in rows] == names
    failed = [row for row in rows if row["error"]]
    assert [row["image"] for row in failed] == ["scan 3.png", *names[-3:]]
    for row in failed:
        assert {key for key, value in row.items() if value} == {"image", "variant", "error"}
        assert row["error"].endswith(".") and str(tmp_path) not in row["error"]
    assert "no images in this folder" in failed[2]["error"]
    masks = sorted(path.stem for path in (tmp_path / "out" / "masks" / SMALLEST).iterdir())
    assert masks == ["scan 1", "scan 10", "scan 2"]


def test_stems_that_collide_get_a_number(embedded, tmp_path, scan_rgb_u8):
    embedded(SMALLEST)
    paths = [tmp_path / name for name in ("a/1.png", "b/1.png", "b/1_2.png", "b/1.jpg", "b/X.png")]
    for width, path in enumerate(paths, start=100):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(scan_rgb_u8[:, :width]).save(path)
    result, rows = predict(tmp_path / "out", *paths, "--variant", SMALLEST)
    assert result.exit_code == 0
    masks = tmp_path / "out" / "masks" / SMALLEST
    widths = {path.stem: Image.open(path).width for path in masks.iterdir()}
    assert widths == {"1": 100, "1_2": 101, "1_2_2": 102, "1_3": 103, "X": 104}
    names = [row["image"] for row in rows]  # the path only where the name alone is not enough
    assert names == [str(paths[0]), str(paths[1]), "1_2.png", "1.jpg", "X.png"]


def test_all_means_those_of_the_six_that_have_weights(embedded, folder, tmp_path):
    embedded("resnet50-cls", "swin-seg", SMALLEST)
    result, rows = predict(tmp_path / "out", folder / "scan 2.PNG", "--variant", "all")
    assert result.exit_code == 0
    for variant_id in ("resnet50-seg", "resnet50-mtl", "swin-cls", "swin-mtl"):
        assert f"Left out {variant_id}: " in result.stderr
    only_classifies, only_segments = rows
    assert only_classifies["variant"] == "resnet50-cls"
    assert only_classifies["predicted"] and not only_classifies["lesion_count"]
    assert only_segments["variant"] == "swin-seg"
    assert only_segments["lesion_count"] and not only_segments["predicted"]
    assert not only_segments["malignant_prob"] and not only_segments["benign_prob"]
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["swin-seg"]


def test_all_without_any_weights(embedded, folder, tmp_path):
    result = run("predict", folder, "--variant", "all", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "None of the six networks has weights here." in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--variant", "vgg-cls"), "Unknown variant 'vgg-cls'. Choose one of: resnet50-cls,"),
        (("--variant", "swin-cls"), "There is no model.safetensors for swin-cls"),
        (("--variant", SMALLEST, "--engine", "tpu"), "Unknown engine 'tpu'"),
        (("--variant", SMALLEST, "--mm-per-px", "nan"), "--mm-per-px must be above 0"),
    ],
    ids=["variant", "weights", "engine", "scale"],
)
def test_what_cannot_be_done_is_said(embedded, folder, tmp_path, options, sentence):
    embedded(SMALLEST)
    result = run("predict", folder, *options, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert sentence in result.stderr and "Traceback" not in result.output


def test_out_that_is_a_file(embedded, folder, tmp_path):
    embedded(SMALLEST)
    (tmp_path / "out").touch()
    result = run("predict", folder, "--variant", SMALLEST, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "could not be written" in result.stderr


def test_variants_lists_the_six_and_the_seventh(embedded):
    embedded("swin-seg")
    result = run("variants")
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if "-" in line]
    for variant_id in ("resnet50-cls", "resnet50-seg", "resnet50-mtl", "swin-cls", "swin-mtl"):
        assert any(variant_id in line and "missing" in line for line in lines)
    assert any("swin-seg" in line and "embedded" in line for line in lines)
    assert any(SMALLEST in line and "beyond the paper" in line for line in lines)


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "busmtl", "variants"]
    root = Path(__file__).parents[1]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "ResNet-50 Multi-Task" in result.stdout and "torch" not in result.stderr
