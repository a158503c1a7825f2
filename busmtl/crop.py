"""A part of an image in the place of the whole."""

from dataclasses import dataclass, replace

from .images import MIN_SIDE, DecodedImage, ImageError


@dataclass(frozen=True)
class Crop:
    """Columns from left to before right, rows from top to before bottom, counted from 0, in px of
    the whole image, whose size comes last.
    """

    left: int
    top: int
    right: int
    bottom: int
    whole_width: int
    whole_height: int


def crop_of(
    size_hw: tuple[int, int],
    left: float | None = None,
    top: float | None = None,
    right: float | None = None,
    bottom: float | None = None,
) -> Crop | None:
    """The crop with these sides of an image of (H, W) px, each None where it is the image's own.

    None where it is the whole image; ImageError where it does not fit or is too small.
    """
    height, width = size_hw
    sides = (left, 0), (top, 0), (right, width), (bottom, height)
    part = Crop(*(whole if side is None else round(side) for side, whole in sides), width, height)
    if part == Crop(0, 0, width, height, width, height):
        return None
    fits = min(part.left, part.top) >= 0 and part.right <= width and part.bottom <= height
    if not fits or min(part.right - part.left, part.bottom - part.top) < MIN_SIDE:
        raise ImageError(
            f"The crop must lie inside the image of {width} × {height} px, and keep at least "
            f"{MIN_SIDE} px from left to right and from top to bottom. Change its numbers."
        )
    return part


def cut(image: DecodedImage, crop: Crop) -> DecodedImage:
    """The part of the image; its scale and all else stay."""
    pixels = image.image_rgb_u8[crop.top : crop.bottom, crop.left : crop.right]
    return replace(image, image_rgb_u8=pixels.copy())
