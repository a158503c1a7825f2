"""Pictures of a prediction: layers to lay over the image, all lossless PNG.

NumPy and Pillow; scikit-image only where outlines are traced.
"""

import io

import numpy as np
from PIL import Image

# The perceptually uniform colour map "inferno" at ten equal steps.
_INFERNO = np.array(
    [
        (0, 0, 4),
        (27, 12, 66),
        (75, 12, 107),
        (120, 28, 109),
        (165, 44, 96),
        (207, 68, 70),
        (237, 105, 37),
        (251, 154, 6),
        (247, 208, 60),
        (252, 255, 164),
    ]
)
_TRACED_SIDE = 1600  # px; outlines of larger masks are traced on a thinned copy


def image_png(image_rgb_u8: np.ndarray, max_side: int) -> bytes:
    """uint8 (H, W, 3) → PNG, made smaller where a side has more than max_side px."""
    red, green, blue = np.moveaxis(image_rgb_u8, 2, 0)
    is_grey = np.array_equal(red, green) and np.array_equal(red, blue)
    picture = Image.fromarray(np.ascontiguousarray(red) if is_grey else image_rgb_u8)
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return png(picture)


def mask_png(mask: np.ndarray, colour_rgb: tuple[int, int, int]) -> bytes:
    """bool (H, W) → PNG of the same size: the colour, opaque, where True; else transparent."""
    picture = Image.fromarray(mask.astype(np.uint8), mode="P")
    picture.putpalette((0, 0, 0, *colour_rgb))
    return png(picture, bits=1, transparency=bytes([0, 255]))


def heat_png(activation_map: np.ndarray, max_side: int) -> bytes:
    """float32 (H, W) in [0, 1] → PNG, at most max_side px: bright where high, clear where low."""
    picture = Image.fromarray(activation_map)  # thumbnail() below keeps float values
    picture.thumbnail((max_side, max_side), Image.Resampling.BILINEAR)
    values = np.asarray(picture)
    rgba = np.concatenate([inferno(values), np.rint(values * 255)[..., None]], axis=-1)
    return png(Image.fromarray(rgba.astype(np.uint8)))


def inferno(values: np.ndarray) -> np.ndarray:
    """float (...) in [0, 1] → uint8 (..., 3)."""
    steps = np.linspace(0, 1, len(_INFERNO))
    channels = [np.interp(values, steps, _INFERNO[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def contours(mask: np.ndarray) -> list[np.ndarray]:
    """The closed outlines of a bool (H, W) mask, each float (N, 2) of x and y in px.

    (0, 0) is the upper left corner of the image, so that the centre of the first pixel lies at
    (0.5, 0.5); a mask that touches the border is closed along it. Holes have outlines too.
    """
    from skimage.measure import find_contours  # slow to import

    step = -(-max(mask.shape) // _TRACED_SIDE)
    padded = np.pad(mask[::step, ::step], 1).astype(np.float32)
    height, width = mask.shape
    outlines = []
    for rows_columns in find_contours(padded, 0.5):
        xy = (rows_columns[:, ::-1] - 0.5) * step
        outlines.append(np.clip(xy, 0, (width, height)))
    return outlines


def svg_path(mask: np.ndarray) -> str:
    """The outlines of a bool (H, W) mask as the `d` of an SVG path, in px."""
    closed = (
        "M" + " ".join(f"{x:g},{y:g}" for x, y in outline) + "Z" for outline in contours(mask)
    )
    return "".join(closed)


def png(picture: Image.Image, **options) -> bytes:
    """The file's bytes. options: those of Pillow's PNG writer."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", **options)
    return buffer.getvalue()
