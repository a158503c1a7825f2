"""What a scanner has burned into an ultrasound image: text, and the callipers of a measurement.

Neither is a reason to stop the image. How often each is told rightly is in `gate.json`.
"""

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
_ALIKE = 3  # px by which the sides of one cross may differ
_CROSSES = 2  # of one shape and size: callipers
_FIELDS = 5  # a side of the grid in which a cross is looked at


def notes(image_rgb_u8: np.ndarray) -> list[str]:
    """Sentences for the visitor on what is burned into a uint8 (H, W, 3) picture."""
    found = {TEXT: has_text, CALLIPERS: has_callipers}
    return [sentence for sentence, has in found.items() if has(image_rgb_u8)]


def has_text(image_rgb_u8: np.ndarray) -> bool:
    """Whether bright letters stand in a row somewhere in a uint8 (H, W, 3) picture."""
    letters = _letters(image_rgb_u8)
    return any(_row_length(letters[start:]) >= _LETTERS for start in range(len(letters)))


def has_callipers(image_rgb_u8: np.ndarray) -> bool:
    """Whether bright crosses of one shape and size are somewhere in a uint8 (H, W, 3) picture."""
    crosses = [
        (shape, region.image.shape)
        for region in _strokes(image_rgb_u8, *_CROSS_STROKES)
        if (shape := _cross(region.image))
    ]
    return any(
        sum(shape == other and _alike(size, other_size, 2) for other, other_size in crosses)
        >= _CROSSES
        for shape, size in crosses
    )


def _alike(size: tuple[int, int], other: tuple[int, int], difference: int) -> bool:
    return all(abs(a - b) <= difference for a, b in zip(size, other, strict=True))


def _cross(pixels: np.ndarray) -> str:
    """ "+" or "×" where a bool (h, w) region, cut to its own bounds, is one, else ""."""
    height, width = pixels.shape
    fits = _CROSS_SIDES[0] <= min(height, width) and max(height, width) <= _CROSS_SIDES[1]
    if not fits or abs(height - width) > _ALIKE:
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


def _letters(image_rgb_u8: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(left, right, top, bottom) in px of whatever may be a letter, from left to right."""
    found = []
    for region in _strokes(image_rgb_u8, *_LETTER_STROKES):
        top, left, bottom, right = region.bbox
        height, width = bottom - top, right - left
        fits = _LETTER_HEIGHTS[0] <= height <= _LETTER_HEIGHTS[1] >= width
        if fits and 0.9 * height <= region.area <= 0.75 * height * max(width, 3):
            found.append((left, right, top, bottom))
    return sorted(found)


def _strokes(image_rgb_u8: np.ndarray, level: int, contrast: int) -> list:
    """skimage's regions of thin bright lines, at least so bright and so far above their ground."""
    from skimage.measure import label, regionprops  # slow to import, and seldom needed first

    brightest = Image.fromarray(np.maximum.reduce(np.moveaxis(image_rgb_u8, 2, 0)))
    brightest.thumbnail((_SIDE, _SIDE))
    levels = np.asarray(brightest)
    around = _in_window(_in_window(levels, np.minimum), np.maximum)  # never above levels
    return regionprops(label((levels >= level) & (levels - around >= contrast)))


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
