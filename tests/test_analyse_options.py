"""What the tab Analyse offers beyond a prediction: thresholds, options, files to save, the API."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from browser import type_into
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from typer.testing import CliRunner

from busmtl import Predictor, weights
from busmtl.__main__ import app as command_line
from busmtl.images import ImageError, decode
from busmtl.ui import downloads, thresholds
from busmtl.ui.chosen import Example, Upload
from busmtl.ui.examine import BENIGN_NOTHING, MALIGNANT_NOTHING, OWN_SCALE, Options, examine
from busmtl.ui.thresholds import Score, View
from busmtl.variants import DEFAULT_VARIANT

pytest_plugins = ["browser"]

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "examples" / "images").glob("*.png"))
RECORDS = weights.EMBEDDED / DEFAULT_VARIANT
POINTS = {"default": 0.5, "balanced": 0.4, "high_sensitivity": 0.2}


class OneNetwork:
    """Stands for the page's networks."""

    def __init__(self, predictor):
        self.predictor = predictor

    def get(self, variant_id):
        return self.predictor


@pytest.fixture
def networks(predictor_for):
    return OneNetwork(predictor_for("lite0-mtl"))


@pytest.fixture
def scan(tmp_path, scan_rgb_u8):
    Image.fromarray(scan_rgb_u8).save(tmp_path / "scan.png")
    return Upload(tmp_path / "scan.png", "scan.png")


@pytest.fixture
def clip(tmp_path):
    """A DICOM file of three frames, ever brighter, with a scale."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    header.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    header.Rows, header.Columns, header.NumberOfFrames = 64, 80, 3
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    header.PixelRepresentation, header.PixelSpacing = 0, ["0.2", "0.2"]
    frames = np.full((3, 64, 80), 50, np.uint8) * np.array([1, 2, 3], np.uint8)[:, None, None]
    header.PixelData = frames.tobytes()
    header.save_as(tmp_path / "clip.dcm", enforce_file_format=True)
    return tmp_path / "clip.dcm"


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


# ---- thresholds


@pytest.mark.parametrize(
    "prob, view, said",
    [
        (0.45, View(), "At the threshold 50%: benign"),
        (0.45, View("balanced"), "At the threshold 40%: malignant"),
        (0.2, View("high_sensitivity"), "At the threshold 20%: malignant"),
        (0.45, View("free", 46), "At the threshold 46%: benign"),
    ],
)
def test_the_verdict_follows_the_threshold(prob, view, said):
    assert said in text_of(thresholds.card(Score(prob, RECORDS, POINTS), view))


def test_each_threshold_has_its_record_from_the_test_part():
    served_by = json.loads((RECORDS / "metrics.json").read_text())["openvino"]
    record = served_by["busi_test"]["at_threshold"]
    score = Score(0.45, RECORDS, weights.load_config(RECORDS).thresholds.malignant)
    table = text_of(thresholds.table(score, View()))
    for label, name in (("Default", "default"), ("High sensitivity", "high_sensitivity")):
        tpr = record[name]["tpr"]
        interval = f"{tpr['value']:.0%} ({tpr['low'] * 100:.0f} to {tpr['high']:.0%})"
        short = rf"{tpr['value']:.0%} \({tpr['low'] * 100:.0f}–{tpr['high'] * 100:.0f}\)"
        card = text_of(thresholds.card(score, View(name)))
        assert f"sensitivity {interval}, specificity" in card
        assert re.search(rf"{label}, [\d.]+% {short}", table)
    assert "My own, 33%" in text_of(thresholds.table(score, View("free", 33)))


def test_a_free_threshold_at_the_end_finds_all_or_nothing():
    score = Score(0.45, RECORDS, POINTS)
    lowest = thresholds.point_of(score, View("free", 0))
    assert (lowest.sensitivity.value, lowest.specificity.value) == (1, 0)


def test_the_share_of_malignant_lesions_moves_the_probability():
    score = Score(0.5, RECORDS, POINTS)
    assumed = score.measured.assumed_share
    same = text_of(thresholds.card(score, View(share_percent=assumed * 100)))
    assert "50.0% malignant" in same
    few = text_of(thresholds.card(score, View(share_percent=1)))
    assert "Where 1% of the lesions are malignant: 2." in few
    assert "lesions are malignant" not in text_of(thresholds.card(score, View()))
    for bad in (0, 100, -3):
        assert thresholds.BAD_SHARE in thresholds.card(score, View(share_percent=bad))


def test_without_records_there_is_a_verdict_and_a_sentence(tmp_path):
    score = Score(0.45, tmp_path, POINTS)
    assert "At the threshold 40%: malignant" in text_of(thresholds.card(score, View("balanced")))
    assert "sensitivity" not in thresholds.card(score, View())
    assert thresholds.NO_RECORDS in thresholds.table(score, View("free", 20))


def test_a_network_that_only_segments_has_no_verdict(tmp_path):
    score = Score(None, tmp_path, {})
    assert "gives no probability" in thresholds.card(score, View())
    assert thresholds.table(score, View()) == ""


# ---- how the file is read


def test_a_crop_is_what_the_network_sees(networks, scan):
    sides = (10, None, 130, 100)
    examined = examine(networks, scan, "lite0-mtl", Options(sides=sides))
    alone = networks.predictor.predict(decode(scan.path).image_rgb_u8[:100, 10:130])
    assert examined.prediction.mask.shape == (100, 120)
    assert np.array_equal(examined.prediction.mask, alone.mask)
    assert examined.prediction.malignant_prob == alone.malignant_prob
    assert any("columns 10 to 130, rows 0 to 100" in note for note in examined.prediction.warnings)


def test_an_example_s_reference_is_cropped_with_it(predictor_for):
    example = Example(FILES[0], "Benign 1")
    networks = OneNetwork(predictor_for("lite0-mtl"))
    examined = examine(networks, example, "lite0-mtl", Options(sides=(20, 30, 220, 230)))
    whole = example.reference_mask()
    assert np.array_equal(examined.reference.mask, whole[30:230, 20:220])


def test_a_scale_gives_millimetres_unless_the_file_has_its_own(networks, scan, clip):
    by_hand = examine(networks, scan, "lite0-mtl", Options(mm_per_px=0.5)).prediction
    assert by_hand.spacing_mm == (0.5, 0.5)
    own = examine(networks, Upload(clip, "clip.dcm"), "lite0-mtl", Options(mm_per_px=0.5))
    assert own.prediction.spacing_mm == (0.2, 0.2) and OWN_SCALE in own.prediction.warnings
    for bad in (0, -1, 9):
        with pytest.raises(ImageError, match="The scale must be above 0"):
            examine(networks, scan, "lite0-mtl", Options(mm_per_px=bad))


def test_a_frame_can_be_chosen(networks, clip):
    examined = examine(networks, Upload(clip, "clip.dcm"), "lite0-mtl", Options(frame=3))
    assert examined.image.frame_count == 3 and examined.image.image_rgb_u8.max() == 150
    with pytest.raises(ImageError, match="no frame 4"):
        examine(networks, Upload(clip, "clip.dcm"), "lite0-mtl", Options(frame=4))


def test_the_command_line_takes_a_frame(clip, tmp_path):
    out = tmp_path / "out"
    arguments = ["predict", str(clip), "--out", str(out), "--frame"]
    assert CliRunner().invoke(command_line, [*arguments, "2"]).exit_code == 0
    assert "only frame 2 is used" in (out / "predictions.csv").read_text()
    assert CliRunner().invoke(command_line, [*arguments, "4"]).exit_code == 1
    assert "The file has no frame 4." in (out / "predictions.csv").read_text()


@pytest.mark.parametrize("prob, note", [(0.9, MALIGNANT_NOTHING), (0.1, BENIGN_NOTHING)])
def test_a_probability_without_an_outline_gets_a_note(networks, scan, monkeypatch, prob, note):
    monkeypatch.setattr(Predictor, "_malignant_prob", lambda self, raw: prob)
    outlined = examine(networks, scan, "lite0-mtl", Options())
    assert outlined.prediction.lesions and note not in outlined.notes
    monkeypatch.setattr(Predictor, "_mask", lambda self, mask_prob: np.zeros((120, 160), bool))
    assert note in examine(networks, scan, "lite0-mtl", Options()).notes


# ---- files to save


def saved(kind, networks, scan, options=Options(), view=View()):  # noqa: B008
    examined = examine(networks, scan, "lite0-mtl", options)
    score = thresholds.score_of(examined.predictor, examined.prediction)
    return downloads.make(kind, examined, score, view), examined


def test_the_mask_has_the_image_s_own_size(networks, scan):
    file, examined = saved(downloads.MASK, networks, scan)
    mask = Image.open(io.BytesIO(file.data))
    assert (file.name, mask.mode, mask.size) == ("scan-lite0-mtl-mask.png", "L", (160, 120))
    assert set(np.unique(mask)) == {0, 255}
    assert np.array_equal(np.asarray(mask) == 255, examined.prediction.mask)


def test_the_numbers_are_those_of_the_prediction(networks, scan):
    options = Options(mm_per_px=0.5, sides=(10, None, 130, 100))
    file, examined = saved(downloads.NUMBERS, networks, scan, options, View("balanced"))
    facts, prediction = json.loads(file.data), examined.prediction
    assert facts["malignant_prob"] == prediction.malignant_prob
    assert (facts["width_px"], facts["height_px"]) == (120, 100)
    assert facts["crop"]["left"] == 10 and facts["crop"]["whole_width"] == 160
    assert facts["lesions"][0]["area_px"] == prediction.lesions[0].area_px
    assert facts["lesions"][0]["area_mm2"] == pytest.approx(prediction.lesions[0].area_px / 4)
    assert facts["reading"]["threshold"] == 0.4
    folder = examined.predictor.folder
    assert facts["network"]["weights_sha256"] == weights.fingerprint(folder)
    x, y = np.concatenate([np.array(each) for each in facts["contours_xy"]]).T
    rows, columns = np.nonzero(prediction.mask)
    assert (x.min(), y.min()) == (columns.min(), rows.min())
    assert (x.max(), y.max()) == (columns.max() + 1, rows.max() + 1)


def test_a_network_that_outlines_nothing_has_no_mask_but_an_overlay(predictor_for, scan):
    networks = OneNetwork(predictor_for("resnet50-cls"))
    assert saved(downloads.MASK, networks, scan)[0] is None
    overlay = Image.open(io.BytesIO(saved(downloads.OVERLAY, networks, scan)[0].data))
    assert overlay.size == (160, 120)


@pytest.mark.parametrize(
    "name, stem",
    [("../../a b<i>.png", "a-b-i"), ("größe 1.2.dcm", "größe-1-2"), ("...", "image")],
)
def test_a_saved_file_s_name_is_free_of_paths_and_marks(name, stem):
    assert downloads._safe_stem(name) == stem


# ---- in the browser, with the embedded network


def test_threshold_and_share_change_the_words_beside_the_score(open_page):
    page = open_page()
    verdict = page.locator("#findings .verdict")
    expect(verdict).to_contain_text("At the threshold 50%")
    page.get_by_role("button", name="Threshold and assumptions").click()
    expect(page.locator("#free-threshold")).to_be_hidden()
    page.get_by_label("My own", exact=True).check()
    type_into(page.locator("#free-threshold input[type=number]"), "99")
    expect(verdict).to_have_text("At the threshold 99%: benign")
    expect(page.locator(".points [aria-current]")).to_contain_text("My own, 99%")
    type_into(page.locator("#share input"), "5")
    expect(page.locator("#findings .own-share")).to_contain_text("Where 5% of the lesions")


def test_a_scale_alone_can_be_given_for_the_first_example(open_page):
    page = open_page()
    page.get_by_role("button", name="Scale and crop").click()
    for side in ("left", "top", "right", "bottom"):
        expect(page.locator(f"#crop-{side} input")).to_have_value("")
    type_into(page.locator("#scale input"), "0.1")
    page.locator("#apply").click()
    expect(page.locator("#findings .lesion")).to_contain_text("mm²")
    page.get_by_role("button", name="Threshold and assumptions").click()
    expect(page.locator("#share input")).to_have_value("")


def test_frame_crop_and_scale_of_an_upload(open_page, clip):
    page = open_page()
    page.get_by_role("button", name="Scale and crop").click()
    frame = page.locator("#frame input[type=range]")
    expect(frame).to_have_count(0)
    page.set_input_files("#upload input[type=file]", clip)
    expect(page.locator("#picture .name")).to_have_text("clip.dcm")
    page.locator("#anyway").click()  # it is mere noise
    expect(page.locator("#picture .stopped")).to_have_count(0)
    frame.focus()
    frame.press("End")
    expect(page.locator("#findings .notes")).to_contain_text("only frame 3 is used")
    type_into(page.locator("#crop-left input"), "20")
    type_into(page.locator("#scale input"), "0.1")
    page.locator("#apply").click()
    expect(page.locator("#picture .size")).to_have_text("60 × 64 px, cropped from 80 × 64 px")
    expect(page.locator("#findings .notes")).to_contain_text(OWN_SCALE)
    page.locator("#undo").click()
    expect(page.locator("#picture .size")).to_have_text("80 × 64 px")
    expect(page.locator("#findings .notes")).to_contain_text("only frame 3 is used")
    page.locator("#examples label").first.click()
    expect(page.locator("#picture .name")).to_have_text("Example: benign 1")
    expect(frame).to_have_count(0)


def test_two_clicks_give_the_scale_and_two_corners_the_crop(open_page):
    page = open_page()
    page.get_by_role("button", name="Scale and crop").click()
    frame = page.locator("#picture .frame")
    type_into(page.locator("#known-length input"), "20")
    page.locator("#measure").click()
    expect(frame).to_contain_class("pointing")
    box = frame.bounding_box()
    size = int(frame.get_attribute("data-width")), int(frame.get_attribute("data-height"))
    middle = {"x": box["width"] / 2, "y": box["height"] / 2}
    frame.click(position={"x": 2, "y": box["height"] / 2})
    frame.click(position=middle)
    expect(page.locator("#picture svg.pointer")).to_be_visible()
    expect(frame).not_to_contain_class("pointing")
    expected = 20 / ((box["width"] / 2 - 2) / box["width"] * size[0])
    assert float(page.locator("#scale input").input_value()) == pytest.approx(expected, rel=0.02)
    page.locator("#draw-crop").click()
    expect(frame).to_contain_class("pointing")
    frame.click(position=middle)
    frame.click(position={"x": box["width"] - 2, "y": box["height"] - 2})
    expect(frame).not_to_contain_class("pointing")
    page.locator("#apply").click()
    expect(page.locator("#picture .size")).to_contain_text("cropped from")
    cropped = [int(number) for number in re.findall(r"\d+", frame.get_attribute("style"))]
    assert cropped == pytest.approx([size[0] / 2, size[1] / 2], rel=0.05)
    expect(page.locator("#findings .lesion dd").first).to_contain_text("mm²")


def test_files_are_saved_without_touching_the_disk(open_page, app):
    page = open_page()
    page.get_by_role("button", name="Save the result").click()
    for kind, end in (("mask", "-mask.png"), ("numbers", ".json"), ("report", ".pdf")):
        with page.expect_download() as download:
            page.locator(f"#save-{kind}").click()
        data = download.value.path().read_bytes()
        assert download.value.suggested_filename.endswith(f"{DEFAULT_VARIANT}{end}")
        assert len(data) > 100 and not app.keeps(data)


def test_the_same_file_is_saved_each_time_it_is_asked_for(open_page):
    page = open_page()
    page.get_by_role("button", name="Save the result").click()
    for _ in range(3):
        with page.expect_download() as download:
            page.locator("#save-mask").click()
        assert download.value.suggested_filename.endswith("-mask.png")


def test_a_program_gets_numbers_and_a_mask(app):
    client = Client(app.url, verbose=False)
    (described,) = client.view_api(return_format="dict")["named_endpoints"]["/predict"]["returns"]
    assert "malignant_prob" in described["type"]["properties"]
    answer = client.predict(handle_file(FILES[1]), DEFAULT_VARIANT, 0.1, 1, api_name="/predict")
    prediction = Predictor(DEFAULT_VARIANT).predict(FILES[1], mm_per_px=0.1)
    assert answer["malignant_prob"] == pytest.approx(prediction.malignant_prob)
    assert answer["lesions"][0]["area_px"] == prediction.lesions[0].area_px
    mask = Image.open(io.BytesIO(downloads.base64.b64decode(answer["mask_png_base64"])))
    assert np.array_equal(np.asarray(mask) == 255, prediction.mask)


def test_a_program_is_told_what_is_wrong_with_its_file(app, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    client = Client(app.url, verbose=False)
    with pytest.raises(Exception, match="cannot be read as a PNG"):
        client.predict(handle_file(tmp_path / "bad.png"), DEFAULT_VARIANT, api_name="/predict")
