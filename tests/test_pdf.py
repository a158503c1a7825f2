"""The one-page PDF of a result, read back."""

import io

import numpy as np
import pypdf
import pytest

from busmtl.images import DecodedImage
from busmtl.ui import downloads, thresholds
from busmtl.ui.downloads import REPORT
from busmtl.ui.examine import Examined, Options
from busmtl.ui.result import DISCLAIMER
from busmtl.ui.thresholds import View


@pytest.fixture
def report_of(predictor_for, scan_rgb_u8):
    """(variant id, file name, number of warnings) → pypdf's reader of the PDF."""

    def report(variant_id, name="scan.png", warnings=0, image=scan_rgb_u8):
        predictor = predictor_for(variant_id)
        decoded = DecodedImage(
            image, None, ("A long sentence on this file, again. " * 4,) * warnings
        )
        prediction = predictor.predict(decoded)
        examined = Examined(name, decoded, None, None, Options(), predictor, prediction)
        score = thresholds.score_of(predictor, prediction)
        file = downloads.make(REPORT, examined, score, View("balanced"))
        assert (file.media_type, file.name[-4:]) == ("application/pdf", ".pdf")
        return pypdf.PdfReader(io.BytesIO(file.data)), prediction, score

    return report


def text_of(reader):
    assert len(reader.pages) == 1
    return " ".join(reader.pages[0].extract_text().split())


def test_it_says_what_was_found_by_what(report_of):
    reader, prediction, score = report_of("lite0-mtl")
    text = text_of(reader)
    assert text.count(DISCLAIMER) == 2
    assert downloads.weights_hash(score.folder) in text.replace(" ", "")
    assert thresholds.percent(prediction.malignant_prob) in text
    assert f"{thresholds.verdict(score, View('balanced'))} at the threshold 40%" in text
    assert "scan.png" in text and "160 × 120 px" in text and "lite0-mtl" in text


def test_it_shows_the_image_and_the_overlay(report_of, scan_rgb_u8):
    reader, prediction, _ = report_of("lite0-mtl")
    image, overlay = (np.asarray(each.image.convert("RGB")) for each in reader.pages[0].images)
    if np.array_equal(overlay, scan_rgb_u8):
        image, overlay = overlay, image
    assert np.array_equal(image, scan_rgb_u8)
    changed = (overlay != scan_rgb_u8).any(axis=2)
    assert prediction.mask.any() and changed[prediction.mask].mean() > 0.99


@pytest.mark.parametrize("variant_id", ["resnet50-cls", "resnet50-seg"])
def test_a_network_with_one_task_has_a_report_too(report_of, variant_id):
    reader, prediction, _ = report_of(variant_id)
    text = text_of(reader)
    assert ("Probability of malignant" in text) == (prediction.malignant_prob is not None)
    assert ("Outlined area" in text) == (prediction.mask is not None)


def test_much_to_say_stays_on_one_page(report_of):
    tall = np.zeros((4000, 200, 3), np.uint8)
    reader, *_ = report_of("lite0-mtl", warnings=40, image=tall)
    assert text_of(reader).count("A long sentence on this file") == 160


def test_a_name_is_text_whatever_it_holds(report_of):
    reader, *_ = report_of("lite0-mtl", name="<b>a&b</b> größer 超声.png")
    assert "<b>a&b</b> größer ??.png" in text_of(reader)
