"""Whether a picture looks like an ultrasound image at all, and if not, what it looks like.

A few hundred fixed features (`features`) go through a network of one hidden layer (`gate.npz`,
plain arrays) that `python -m train gate` fits and measures (`gate.json`). An image takes some
20 ms. It cannot tell breast ultrasound from other ultrasound.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from .images import DecodedImage

MODEL = Path(__file__).parent / "gate.npz"
MEASURED = Path(__file__).parent / "gate.json"

SIDE = 256  # px of the square on which everything is measured
ULTRASOUND = "ultrasound"
# class → what the picture looks like, for the visitor
LOOKS = {
    "photograph": "a photograph",
    "drawing": "a drawing or an icon",
    "slice": "a CT or MR image",
    "radiograph": "an X-ray image",
    "chart": "a chart or a page of text",
    "blank": "a blank frame or mere noise",
}
CLASSES = (ULTRASOUND, *LOOKS)
MEANS_NOTHING = (
    "The networks know nothing but breast ultrasound: what they say of other pictures means "
    "nothing."
)

_COLOURED = 40  # of 255: difference between channels that no grey image has
_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_GRID = 8  # by 8 fields of the layout
_BLOCK = 8  # px
_LAGS = (1, 2, 4, 8, 16, 32)  # px
_RINGS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 90, 128)  # cycles per side


@dataclass(frozen=True)
class Model:
    """N features, H hidden units, C classes (CLASSES).

    mean, scale: (N,). hidden: (N, H). hidden_bias: (H,). out: (H, C). out_bias: (C,).
    min_ultrasound: the probability of ultrasound below which a picture is stopped.
    """

    mean: np.ndarray
    scale: np.ndarray
    hidden: np.ndarray
    hidden_bias: np.ndarray
    out: np.ndarray
    out_bias: np.ndarray
    min_ultrasound: float

    def probs(self, features: np.ndarray) -> np.ndarray:
        """(..., N) features → (..., C), which sum to 1."""
        standard = np.clip((features - self.mean) / self.scale, -6, 6)
        units = np.maximum(standard @ self.hidden + self.hidden_bias, 0)
        logits = units @ self.out + self.out_bias
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return shares / shares.sum(axis=-1, keepdims=True)


def objection(image_rgb_u8: np.ndarray) -> str | None:
    """Why a uint8 (H, W, 3) picture is no ultrasound image, as a sentence; None if it may be one.

    The sentence says what the picture looks most like.
    """
    model = load_model()
    probs = model.probs(features(image_rgb_u8))
    if probs[0] >= model.min_ultrasound:
        return None
    looks = LOOKS[CLASSES[1 + int(probs[1:].argmax())]]
    return f"This looks like {looks}, not like a breast-ultrasound image. {MEANS_NOTHING}"


def warned(image: DecodedImage) -> DecodedImage:
    """The same with the objection, if there is one, among its warnings."""
    sentence = objection(image.image_rgb_u8)
    return replace(image, warnings=(*image.warnings, sentence)) if sentence else image


@cache
def load_model() -> Model:
    with np.load(MODEL, allow_pickle=False) as arrays:
        return Model(**{name: arrays[name] for name in arrays.files})


# ---- features


def features(image_rgb_u8: np.ndarray) -> np.ndarray:
    """float32 (N,) of uint8 (H, W, 3): the picture stretched to a square, in numbers."""
    square = _square(image_rgb_u8)
    grey_u8 = np.asarray(Image.fromarray(square).convert("L"))
    grey = grey_u8.astype(np.float32)
    half, quarter = _halved(grey), _halved(_halved(grey))
    groups = [
        _colour(square),
        _tones(grey_u8),
        _layout(grey),
        _profiles(grey),
        _spectrum(grey),
        *(measure(each) for each in (grey, half, quarter) for measure in _AT_EACH_SCALE),
    ]
    return np.nan_to_num(np.concatenate(groups)).astype(np.float32)


def _square(image_rgb_u8: np.ndarray) -> np.ndarray:
    """uint8 (SIDE, SIDE, 3). A large image is thinned out first, since averaging all of it would
    take long.
    """
    step = max(1, min(image_rgb_u8.shape[:2]) // (4 * SIDE))
    image = Image.fromarray(np.ascontiguousarray(image_rgb_u8[::step, ::step]))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _halved(grey: np.ndarray) -> np.ndarray:
    side = len(grey) // 2
    return grey.reshape(side, 2, side, 2).mean(axis=(1, 3))


def _colour(square_rgb_u8: np.ndarray) -> np.ndarray:
    """(5,) How far apart the channels are, and how many hues there are."""
    red, green, blue = np.moveaxis(square_rgb_u8.astype(np.float32), 2, 0)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    warmth, greenness = red - blue, green - (red + blue) / 2
    return np.array(
        [
            spread.mean(),
            np.percentile(spread, 90),
            100 * (spread > _COLOURED).mean(),
            warmth.std(),
            greenness.std(),
        ]
    )


def _tones(grey_u8: np.ndarray) -> np.ndarray:
    """(33,) The histogram: percentiles, 16 bins, moments, and how much of it is one level."""
    counts = np.bincount(grey_u8.ravel(), minlength=256) / grey_u8.size
    levels = np.arange(256)
    mean = counts @ levels
    deviation = np.sqrt(counts @ (levels - mean) ** 2) + 1e-3
    skew = counts @ ((levels - mean) / deviation) ** 3
    percentiles = np.searchsorted(counts.cumsum(), np.array(_PERCENTILES) / 100)
    filled = counts[counts > 0]
    extra = [
        deviation,
        np.clip(skew, -10, 10),
        counts.max(),
        np.sort(counts)[-4:].sum(),
        counts[:4].sum(),
        counts[252:].sum(),
        (counts > 0).mean(),
        -(filled * np.log2(filled)).sum(),
    ]
    return np.concatenate([percentiles, np.sqrt(counts.reshape(16, 16).sum(axis=1)), extra])


def _layout(grey: np.ndarray) -> np.ndarray:
    """(110,) Where it is bright and where busy; its borders; how like its mirror images it is."""
    fields = grey.reshape(_GRID, SIDE // _GRID, _GRID, SIDE // _GRID)
    means = fields.mean(axis=(1, 3))
    busy = fields.std(axis=(1, 3))
    border = np.concatenate([grey[:6].ravel(), grey[-6:].ravel(), grey[:, :6].ravel()])
    small = _halved(_halved(grey))
    extra = [
        (border < 8).mean(),
        border.std(),
        *(grey[edge].mean() for edge in (np.s_[:6], np.s_[-6:], np.s_[:, :6], np.s_[:, -6:])),
        _correlation(small, small[:, ::-1]),
        _correlation(small, small[::-1]),
    ]
    half_of_busy = busy.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    return np.concatenate([means.ravel(), half_of_busy.ravel(), busy.mean(1), busy.mean(0), extra])


def _profiles(grey: np.ndarray) -> np.ndarray:
    """(17,) Layers: how rows and columns differ, fade with depth, and resemble their neighbours."""
    rows, columns = grey.mean(axis=1), grey.mean(axis=0)
    depth = np.arange(SIDE)
    deviation = grey.std() + 1
    extra = [
        _correlation(rows, depth),
        _correlation(columns, depth),
        rows.std() / deviation,
        columns.std() / deviation,
        np.log((rows.std() + 1) / (columns.std() + 1)),
    ]
    along = [_correlation(grey[:, lag:], grey[:, :-lag]) for lag in _LAGS]
    across = [_correlation(grey[lag:], grey[:-lag]) for lag in _LAGS]
    return np.array([*extra, *along, *across])


def _spectrum(grey: np.ndarray) -> np.ndarray:
    """(20,) log power by frequency, and how much of it lies across the rows."""
    power = np.abs(np.fft.rfft2(grey - grey.mean())) ** 2
    ring, across = _rings()
    total = np.bincount(ring.ravel(), power.ravel(), len(_RINGS) + 1)[1:-1]
    upright = np.bincount(ring[across], power[across], len(_RINGS) + 1)[1:-1]
    return np.concatenate([np.log10(total + 1), upright / (total + 1)])


@cache
def _rings() -> tuple[np.ndarray, np.ndarray]:
    """int (SIDE, SIDE // 2 + 1) number of each frequency's ring; bool, nearer to the vertical."""
    vertical = np.abs(np.fft.fftfreq(SIDE, 1 / SIDE))[:, None]
    horizontal = np.arange(SIDE // 2 + 1)[None]
    return np.digitize(np.hypot(vertical, horizontal), _RINGS), vertical > horizontal


def _edges(grey: np.ndarray) -> np.ndarray:
    """(16,) Steps between neighbours: none, faint, sharp; and in which directions they go."""
    right, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    steps = np.hypot(right, down)
    angle = np.arctan2(np.abs(down), right)  # 0 to π
    octant = np.minimum((angle * (8 / np.pi)).astype(int), 7)
    strength = np.bincount(octant.ravel(), steps.ravel(), 8) / (steps.sum() + 1)
    mean = steps.mean() + 1e-3
    extra = [
        (right == 0).mean(),
        (down == 0).mean(),
        (steps <= 2).mean(),
        (steps > 40).mean(),
        np.log(mean),
        np.log(steps.std() + 0.1),
        np.log((steps**2).mean() / mean**2 + 1e-3),
        np.abs(down).mean() / (np.abs(right).mean() + mean),
    ]
    return np.concatenate([strength, extra])


def _speckle(grey: np.ndarray) -> np.ndarray:
    """(9,) In blocks: how the deviation goes with the mean, as it does where noise multiplies."""
    side = len(grey) // _BLOCK
    blocks = grey.reshape(side, _BLOCK, side, _BLOCK)
    means, deviations = blocks.mean(axis=(1, 3)).ravel(), blocks.std(axis=(1, 3)).ravel()
    log_means, log_deviations = np.log(means + 2), np.log(deviations + 0.5)
    ratio = deviations / (means + 2)
    return np.array(
        [
            _correlation(log_means, log_deviations),
            _correlation(means, deviations),
            *np.percentile(log_deviations, (10, 50, 90)),
            *np.percentile(ratio, (10, 50, 90)),
            (deviations < 1).mean(),
        ]
    )


def _patterns(grey: np.ndarray) -> np.ndarray:
    """(10,) Rotation-invariant local binary patterns: shares of flat, edge, corner, and spot."""
    centre = grey[1:-1, 1:-1]
    size = len(grey)
    around = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    brighter = [grey[y : y + size - 2, x : x + size - 2] > centre for y, x in around]
    total = sum(each.astype(np.uint8) for each in brighter)
    changes = sum((brighter[i] != brighter[i - 1]).astype(np.uint8) for i in range(len(brighter)))
    pattern = np.where(changes <= 2, total, 9)
    return np.bincount(pattern.ravel(), minlength=10) / pattern.size


_AT_EACH_SCALE = (_edges, _speckle, _patterns)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's, 0 where one of them is constant."""
    first, second = first - first.mean(), second - second.mean()
    size = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / size) if size > 1e-3 else 0.0
