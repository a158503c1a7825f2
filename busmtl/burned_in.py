"""What a scanner has burned into an ultrasound image: text, and the callipers of a measurement.

Neither is a reason to stop the image. How often each is told rightly is in `gate.json`.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from PIL import Image

TEXT = (
    "Text is burned into the image, and the networks see it too. Crop it off where it lies on "
    "tissue, or where it names a person."
)
CALLIPERS = (
    "Callipers are burned into the image, and the networks see them too: they show where somebody "
    "has measured something."
)

_SIDE = 1200  # px; a larger image is reduced first
_STROKE = 7  # px: what is as wide as this is no stroke
# Of 255: at least so bright, and so far above what lies around.
_LETTER_STROKES = (150, 90)
_CROSS_STROKES = (120, 60)

_LETTER_HEIGHTS = (6, 26)  # px
_LETTERS = 3  # in a row: text
_CROSS_SIDES = (6, 30)  # px
_SQUARE = 3  # px by which the sides of one cross may differ
_CROSS_DIFFERENCE = 2  # px between the sizes of two that belong together
_FIELDS = 5  # a side of the grid in which a cross is looked at


class _Lines(NamedTuple):
    """uint8 (H, W) each: brightness, and how far thin lines stand above what lies around."""

    levels: np.ndarray
    contrast: np.ndarray


def notes(image_rgb_u8: np.ndarray) -> list[str]:
    """Sentences for the visitor on what is burned into a uint8 (H, W, 3) picture."""
    lines = _thin_lines(image_rgb_u8)
    found = {TEXT: _text_in(lines), CALLIPERS: _callipers_in(lines)}
    return [sentence for sentence, is_there in found.items() if is_there]


def has_text(image_rgb_u8: np.ndarray) -> bool:
    """Whether bright letters stand in a row somewhere in a uint8 (H, W, 3) picture."""
    return _text_in(_thin_lines(image_rgb_u8))


def has_callipers(image_rgb_u8: np.ndarray) -> bool:
    """Whether two bright crosses alike are somewhere in a uint8 (H, W, 3) picture."""
    return _callipers_in(_thin_lines(image_rgb_u8))


def _text_in(lines: _Lines) -> bool:
    letters = _letters(lines)
    return any(_row_length(letters[start:]) >= _LETTERS for start in range(len(letters)))


def _callipers_in(lines: _Lines) -> bool:
    regions = [region.image for region in _strokes(lines, *_CROSS_STROKES)]
    crosses = [(shape, image.shape) for image in regions if (shape := _cross(image))]
    return any(
        shape == other and np.abs(np.subtract(size, other_size)).max() <= _CROSS_DIFFERENCE
        for (shape, size), (other, other_size) in combinations(crosses, 2)
    )


def _cross(pixels: np.ndarray) -> str:
    """ "+" or "×" where a bool (h, w) region, cut to its own bounds, is one, else ""."""
    height, width = pixels.shape
    fits = _CROSS_SIDES[0] <= min(height, width) and max(height, width) <= _CROSS_SIDES[1]
    if not fits or abs(height - width) > _SQUARE:
        return ""
    rows, columns = (
        np.linspace(0, side, _FIELDS + 1).round().astype(int) for side in (height, width)
    )
    filled = np.add.reduceat(np.add.reduceat(pixels.astype(float), rows[:-1]), columns[:-1], axis=1)
    filled /= np.outer(np.diff(rows), np.diff(columns))  # (_FIELDS, _FIELDS), in [0, 1]
    middle = _FIELDS // 2
    beside = np.delete(np.delete(filled, middle, 0), middle, 1)
    if min(filled[middle].min(), filled[:, middle].min()) > 0.15 and beside.max() <= 0.15:
        return "+"
    ends = filled[[0, -1, middle, middle], [middle, middle, 0, -1]]
    diagonals = np.concatenate([filled.diagonal(), filled[::-1].diagonal()])
    return "×" if diagonals.min() > 0.25 and not ends.any() else ""


def _letters(lines: _Lines) -> list[tuple[int, int, int, int]]:
    """(left, right, top, bottom) in px of whatever may be a letter, from left to right."""
    found = []
    for region in _strokes(lines, *_LETTER_STROKES):
        top, left, bottom, right = region.bbox
        height, width = bottom - top, right - left
        fits = _LETTER_HEIGHTS[0] <= height <= _LETTER_HEIGHTS[1] >= width
        if fits and 0.9 * height <= region.area <= 0.75 * height * max(width, 3):
            found.append((left, right, top, bottom))
    return sorted(found)


def _strokes(lines: _Lines, level: int, contrast: int) -> list:
    """skimage's regions of lines that are at least so bright and so far above their ground."""
    from skimage.measure import label, regionprops  # slow to import, and seldom needed first

    return regionprops(label((lines.levels >= level) & (lines.contrast >= contrast)))


def _thin_lines(image_rgb_u8: np.ndarray) -> _Lines:
    brightest = Image.fromarray(np.maximum.reduce(np.moveaxis(image_rgb_u8, 2, 0)))
    brightest.thumbnail((_SIDE, _SIDE))
    levels = np.asarray(brightest)
    around = _in_window(_in_window(levels, np.minimum), np.maximum)  # never above levels
    return _Lines(levels, levels - around)


def _in_window(levels: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """(H, W): np.minimum or np.maximum over the square of _STROKE px around each pixel."""
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (_STROKE // 2, _STROKE // 2)
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(levels, padding, "edge"), _STROKE, axis
        )
        levels = extreme.reduce(np.moveaxis(windows, -1, 0))
    return levels


def _row_length(letters: list[tuple[int, int, int, int]]) -> int:
    """How many stand beside the first: as high, on its line, without a wide gap."""
    _, last, top, bottom = letters[0]
    height, count = bottom - top, 1
    for left, right, other_top, other_bottom in letters[1:]:
        on_line = abs(other_bottom - bottom) <= 1 and abs(other_bottom - other_top - height) <= 1
        if on_line and 0 <= left - last <= 0.9 * height:
            last, count = right, count + 1
    return count
