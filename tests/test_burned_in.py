"""Notes on what a scanner has burned into an image."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from busmtl import burned_in

IMAGES = sorted((Path(__file__).parents[1] / "examples/images").glob("*.png"))


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture
def plain():
    return Image.new("RGB", (400, 300), (60, 60, 60))


def draw_cross(picture, x, y, arm=6, turned=False):
    draw = ImageDraw.Draw(picture)
    ends = [((-arm, -arm), (arm, arm)), ((-arm, arm), (arm, -arm))]
    if not turned:
        ends = [((-arm, 0), (arm, 0)), ((0, -arm), (0, arm))]
    for (left, top), (right, bottom) in ends:
        draw.line((x + left, y + top, x + right, y + bottom), "white", 2 if turned else 1)


def test_text_is_found(plain):
    assert "malignant-bus_0818-s" in {
        path.stem for path in IMAGES if burned_in.has_text(pixels(path))
    }
    assert burned_in.notes(np.asarray(plain)) == []
    ImageDraw.Draw(plain).text((40, 40), "L E F T", "white", ImageFont.load_default(16))
    assert burned_in.notes(np.asarray(plain)) == [burned_in.TEXT]


@pytest.mark.parametrize("turned", [False, True])
def test_callipers_are_two_crosses_alike(plain, turned):
    draw_cross(plain, 100, 100, turned=turned)
    assert not burned_in.has_callipers(np.asarray(plain))
    draw_cross(plain, 300, 60, arm=12, turned=turned)
    draw_cross(plain, 300, 200, turned=not turned)
    assert not burned_in.has_callipers(np.asarray(plain))
    draw_cross(plain, 200, 120, turned=turned)
    assert burned_in.notes(np.asarray(plain)) == [burned_in.CALLIPERS]


def test_callipers_of_a_real_image():
    assert burned_in.has_callipers(pixels(next(p for p in IMAGES if "0247" in p.name)))
