"""A part of an image in the place of the whole."""

import numpy as np
import pytest

from busmtl.crop import Crop, crop_of, cut
from busmtl.images import DecodedImage, ImageError


def test_sides_left_out_are_the_image_s_own():
    assert crop_of((100, 200), left=10, bottom=90) == Crop(10, 0, 200, 90, 200, 100)
    assert crop_of((100, 200)) is None
    assert crop_of((100, 200), 0, 0, 200, 100) is None


@pytest.mark.parametrize(
    "sides", [(-1, None, None, None), (None, None, 201, None), (50, 0, 81, 100), (150, 0, 50, 100)]
)
def test_a_crop_that_does_not_fit_is_a_sentence(sides):
    with pytest.raises(ImageError, match=r"inside the image of 200 × 100 px, and keep at least 32"):
        crop_of((100, 200), *sides)


def test_the_part_has_its_pixels_and_the_image_s_scale():
    pixels = np.arange(100 * 200 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 200, 3)
    image = DecodedImage(pixels, (0.1, 0.2), ("A note.",), 7)
    part = cut(image, crop_of((100, 200), 10, 20, 60, 90))
    assert part.size_hw == (70, 50)
    assert np.array_equal(part.image_rgb_u8, pixels[20:90, 10:60])
    assert (part.spacing_mm, part.warnings, part.frame_count) == ((0.1, 0.2), ("A note.",), 7)
