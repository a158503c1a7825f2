"""Layers and words of a result, on made-up predictions."""

import io

import numpy as np
import pytest
from PIL import Image

from busmtl import render
from busmtl.images import DecodedImage
from busmtl.measure import measure
from busmtl.predictor import NO_LESION, Prediction
from busmtl.ui import result

HEIGHT, WIDTH = 60, 90
IMAGE = DecodedImage(np.full((HEIGHT, WIDTH, 3), 80, np.uint8), None, ())


def opened(png):
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return picture


def box_mask(top=10, bottom=30, left=20, right=60):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def make_prediction(variant, mask=None, prob=None, warnings=(), spacing_mm=None):
    activation = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    return Prediction(
        variant=variant,
        malignant_prob=prob,
        mask=mask,
        mask_prob=None if mask is None else mask.astype(np.float32),
        activation_map=None if prob is None else activation,
        lesions=() if mask is None else measure(mask, spacing_mm),
        spacing_mm=spacing_mm,
        warnings=warnings,
        latency_ms=312.0,
    )


def test_mask_layer_is_the_mask():
    mask = box_mask()
    rgba = np.asarray(opened(render.mask_png(mask, (1, 2, 3))).convert("RGBA"))
    np.testing.assert_array_equal(rgba[..., 3], mask * 255)
    assert (rgba[mask][:, :3] == (1, 2, 3)).all()


def test_image_layer_keeps_every_pixel_up_to_the_limit():
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    np.testing.assert_array_equal(opened(render.image_png(pixels, WIDTH)), pixels)
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    assert opened(render.image_png(grey, WIDTH)).mode == "L"
    assert opened(render.image_png(pixels, 45)).size == (45, 30)


def test_heat_layer_is_brighter_and_denser_where_the_map_is_higher():
    ramp = np.repeat(np.linspace(0, 1, WIDTH, dtype=np.float32)[None], HEIGHT, axis=0)
    rgba = np.asarray(opened(render.heat_png(ramp, WIDTH)))[0].astype(int)
    luminance = rgba[:, :3] @ (0.299, 0.587, 0.114)
    assert (np.diff(luminance) >= -1).all()  # rounding
    assert luminance[-1] - luminance[0] > 200
    assert (rgba[0, 3], rgba[-1, 3]) == (0, 255)


def test_contour_runs_around_the_mask_in_image_coordinates():
    (outline,) = render.contours(box_mask(top=10, bottom=30, left=20, right=60))
    np.testing.assert_array_equal(outline.min(axis=0), (20, 10))
    np.testing.assert_array_equal(outline.max(axis=0), (60, 30))
    np.testing.assert_array_equal(outline[0], outline[-1])


def test_contour_closes_along_the_border_and_around_holes():
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[20:30, 20:30] = False
    outlines = render.contours(mask)
    assert len(outlines) == 2
    np.testing.assert_array_equal(outlines[0].max(axis=0), (WIDTH, HEIGHT))
    assert render.contours(np.zeros((HEIGHT, WIDTH), bool)) == []


def test_contour_of_a_large_mask_keeps_its_coordinates():
    mask = np.zeros((4000, 3000), bool)
    mask[1000:2000, 500:2500] = True
    (outline,) = render.contours(mask)
    np.testing.assert_allclose(outline.min(axis=0), (500, 1000), atol=3)
    np.testing.assert_allclose(outline.max(axis=0), (2500, 2000), atol=3)


def test_a_network_without_probability_shows_none():
    prediction = make_prediction("resnet50-seg", mask=box_mask())
    words = result.findings(prediction, None)
    assert "%" not in words
    assert 'class="heat"' not in result.picture("a.png", IMAGE, prediction, None)


def test_a_network_without_mask_says_so():
    prediction = make_prediction("resnet50-cls", prob=0.25)
    reference = result.Reference("benign", box_mask())
    words = result.findings(prediction, reference)
    assert "This network outlines nothing" in words
    assert "no outline to compare" in words
    html = result.picture("a.png", IMAGE, prediction, reference)
    assert 'class="mask"' not in html and 'class="contour"' not in html


def test_an_empty_mask_is_said_once_and_drawn_as_nothing():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    prediction = make_prediction("resnet50-mtl", mask=mask, prob=0.25, warnings=(NO_LESION,))
    assert result.findings(prediction, None).count(NO_LESION) == 1
    html = result.picture("a.png", IMAGE, prediction, None)
    assert 'class="mask"' in html and 'class="contour"' not in html


def test_sizes_are_in_mm_only_where_the_spacing_is_known():
    in_px = result.findings(make_prediction("resnet50-seg", mask=box_mask()), None)
    assert "800 px" in in_px and "mm²" not in in_px
    spaced = make_prediction("resnet50-seg", mask=box_mask(), spacing_mm=(0.5, 0.5))
    assert "200.0 mm² (800 px)" in result.findings(spaced, None)


def test_several_lesions_are_counted():
    mask = box_mask(right=40) | box_mask(left=50)
    words = result.findings(make_prediction("resnet50-seg", mask=mask), None)
    assert "2 areas are outlined; the axes are those of the largest." in words


def test_texts_from_outside_are_escaped():
    prediction = make_prediction("resnet50-mtl", box_mask(), 0.5, warnings=("<b>5 < 6</b>",))
    assert "&lt;b&gt;5 &lt; 6&lt;/b&gt;" in result.findings(prediction, None)
    assert "&lt;i&gt;.png" in result.picture("<i>.png", IMAGE, prediction, None)
    assert "<i>" not in result.message("<i>.png", "<i>no</i>")


@pytest.mark.parametrize("shift, expected", [(0, 1.0), (10, 0.5), (30, 0.0)])
def test_dice(shift, expected):
    mask = box_mask(top=10, bottom=30)
    reference = box_mask(top=10 + shift, bottom=30 + shift)
    assert result.dice(mask, reference) == pytest.approx(expected)
