"""A prediction as HTML. Every text that is not ours passes through `escape`."""

import base64
from dataclasses import dataclass
from html import escape

import numpy as np

from .. import render
from ..agreement import dice
from ..crop import Crop
from ..images import DecodedImage
from ..measure import Lesion
from ..predictor import NO_LESION, Prediction
from ..variants import get_variant

DISCLAIMER = "Research use only, not a diagnosis."
OUTLINE_RGB = (34, 211, 238)
UNSURE_RGB = (250, 204, 21)
UNSURE = "Outlined in the image or in its mirror image, not in both"
_SHOWN_SIDE = 1600  # px of the image on the page; the mask keeps its own size
_HEAT_SIDE = 256  # px; the networks' activation map has 8 × 8 places

_HEAT_KEY = (
    '<li class="heat">less<i class="ramp"></i>more. Bright places speak most for malignant, '
    "compared with the rest of this image only: the map does not say how likely it is malignant."
    "</li>"
)


@dataclass(frozen=True, eq=False)
class Reference:
    """What the data set says of an example: "benign" or "malignant", and bool (H, W)."""

    pathology: str
    mask: np.ndarray


def empty() -> str:
    """In the place of the picture while there is none."""
    return '<div class="empty">Choose an image, and the result appears here.</div>'


def coming() -> str:
    """In the place of the picture until the first example's result is there."""
    return '<div class="empty" role="status">The network is loading…</div>'


def message(name: str, text: str) -> str:
    """In the place of a result: why there is none and what to do."""
    return (
        '<div class="message" role="alert">'
        f"<strong>{escape(name)} could not be analysed</strong><p>{escape(text)}</p></div>"
    )


def stopped(name: str, text: str, image: DecodedImage, crop: Crop | None) -> str:
    """In the place of a result: the picture, and why no network has seen it."""
    base = _img("base", render.image_png(image.image_rgb_u8, _SHOWN_SIDE), "The picture")
    return (
        '<div class="stopped" role="alert"><strong>Stopped before the analysis</strong>'
        f"<p>{escape(text)}</p></div>"
        f"{_figure(name, image.size_hw, crop, [base], [])}"
    )


def picture(
    name: str,
    image: DecodedImage,
    prediction: Prediction,
    reference: Reference | None,
    crop: Crop | None = None,
    unsure: np.ndarray | None = None,
) -> str:
    """The image under its layers. The page's controls show, fade, and hide them by their class.

    crop: where the image lies in the whole one; None where it is the whole.
    unsure: bool (S, S), places that belong to the mask or not, stretched over the image.
    """
    base = render.image_png(image.image_rgb_u8, _SHOWN_SIDE)
    layers = [_img("base", base, "The ultrasound image")]
    keys = []
    if prediction.activation_map is not None:
        heat = render.heat_png(prediction.activation_map, _HEAT_SIDE)
        layers.append(_img("heat", heat, "Map of what the network looked at"))
        keys.append(_HEAT_KEY)
    if prediction.mask is not None:
        layers.append(
            _img("mask", render.mask_png(prediction.mask, OUTLINE_RGB), _outlined(prediction))
        )
    if unsure is not None:
        layers.append(_img("unsure", render.mask_png(unsure, UNSURE_RGB), UNSURE))
        keys.append(f'<li class="unsure"><i class="patch"></i>{UNSURE}</li>')
    if prediction.lesions:
        layers.append(_outline("contour", prediction.mask))
        keys.insert(0, '<li><i class="line"></i>Outlined by the network</li>')
    if reference is not None:
        layers.append(_outline("reference", reference.mask))
        keys.append('<li class="reference"><i class="line"></i>Reference outline</li>')
    return _figure(name, image.size_hw, crop, layers, keys)


def _figure(
    name: str, size_hw: tuple[int, int], crop: Crop | None, layers: list[str], keys: list[str]
) -> str:
    height, width = size_hw
    return (
        f'<figure class="picture"><figcaption><span class="name">{escape(name)}</span>'
        f'<span class="size">{size_text(size_hw, crop)}</span></figcaption>'
        f'<div class="screen"><div class="frame" style="--width:{width};--height:{height}"'
        f"{_place(size_hw, crop)}>"
        f'{"".join(layers)}</div></div><ul class="keys">{"".join(keys)}</ul></figure>'
    )


def findings(
    prediction: Prediction,
    reference: Reference | None,
    notes: tuple[str, ...] = (),
    about_outline: str = "",
) -> str:
    """Numbers and words beside the picture, below the probability. notes, about_outline: sentences
    of the page.
    """
    sections = [_size(prediction, about_outline)]
    if reference is not None:
        sections.append(_comparison(prediction, reference))
    warnings = [warning for warning in prediction.warnings if warning != NO_LESION]
    notes = (*warnings, *notes)
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes)
        sections.append(f'<section class="notes"><h3>Please note</h3><ul>{items}</ul></section>')
    title = escape(get_variant(prediction.variant).title)
    return (
        f'<div class="findings" data-variant="{prediction.variant}" aria-live="polite">'
        f"{''.join(sections)}"
        f'<p class="disclaimer">{DISCLAIMER}</p>'
        f'<p class="origin">{title}, {prediction.latency_ms / 1000:.2f} s</p></div>'
    )


def size_text(size_hw: tuple[int, int], crop: Crop | None) -> str:
    text = f"{size_hw[1]} × {size_hw[0]} px"
    if crop is None:
        return text
    return f"{text}, cropped from {crop.whole_width} × {crop.whole_height} px"


def _size(prediction: Prediction, about_outline: str) -> str:
    if prediction.mask is None:
        body = "<p>This network outlines nothing: it only gives a probability.</p>"
    elif not prediction.lesions:
        body = f"<p>{NO_LESION} There is nothing to measure.</p>"
    else:
        body = _measurements(prediction)
        if about_outline:
            body += f'<p class="aside outline">{about_outline}</p>'
    return f'<section class="lesion"><h3>Lesion size</h3>{body}</section>'


def _measurements(prediction: Prediction) -> str:
    lesions = prediction.lesions
    largest = lesions[0]
    rows = [
        ("Area", area_text(lesions)),
        ("Major axis", length_text(largest, "major")),
        ("Minor axis", length_text(largest, "minor")),
    ]
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    notes = []
    if len(lesions) > 1:
        notes.append(f"{len(lesions)} areas are outlined; the axes are those of the largest.")
    if prediction.spacing_mm is None:
        notes.append(
            "The file does not state the pixel spacing, so there are no millimetres. "
            "Set it under Scale and crop."
        )
    return f'<dl>{cells}</dl><p class="aside">{" ".join(notes)}</p>'


def area_text(lesions: tuple[Lesion, ...]) -> str:
    area_px = f"{sum(lesion.area_px for lesion in lesions):,} px"
    if lesions[0].area_mm2 is None:
        return area_px
    return f"{sum(lesion.area_mm2 for lesion in lesions):.1f} mm² ({area_px})"


def length_text(lesion: Lesion, axis: str) -> str:
    length_px = f"{getattr(lesion, f'{axis}_axis_px'):.0f} px"
    length_mm = getattr(lesion, f"{axis}_axis_mm")
    return length_px if length_mm is None else f"{length_mm:.1f} mm ({length_px})"


def _place(size_hw: tuple[int, int], crop: Crop | None) -> str:
    """For the pointer: the image's size and where its corner lies in the whole image, in px."""
    left, top = (crop.left, crop.top) if crop else (0, 0)
    return (
        f' data-width="{size_hw[1]}" data-height="{size_hw[0]}" data-left="{left}" data-top="{top}"'
    )


def _comparison(prediction: Prediction, reference: Reference) -> str:
    if prediction.mask is None:
        overlap = "This network has no outline to compare."
    else:
        overlap = (
            f"Dice of the network's outline: <strong>{dice(prediction.mask, reference.mask):.2f}"
            "</strong> (1 is full agreement, 0 none)."
        )
    return (
        '<section class="comparison reference"><h3>Reference</h3>'
        f"<p>The data set says: {reference.pathology}. {overlap}</p></section>"
    )


def _outlined(prediction: Prediction) -> str:
    if not prediction.lesions:
        return NO_LESION
    count = len(prediction.lesions)
    share = prediction.mask.mean()
    return f"Outlined: {count} {'area' if count == 1 else 'areas'}, {share:.1%} of the image"


def _img(layer: str, png: bytes, description: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img class="{layer}" alt="{description}" src="data:image/png;base64,{data}">'


def _outline(layer: str, mask: np.ndarray) -> str:
    height, width = mask.shape
    path = render.svg_path(mask)
    return (
        f'<svg class="{layer}" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<path class="halo" d="{path}"/><path d="{path}"/></svg>'
    )
