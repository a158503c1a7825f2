"""A prediction as HTML. Every text that is not ours passes through `escape`."""

import base64
from dataclasses import dataclass
from html import escape

import numpy as np

from .. import render
from ..images import DecodedImage
from ..measure import Lesion
from ..predictor import NO_LESION, Prediction
from ..variants import get_variant

DISCLAIMER = "Research use only, not a diagnosis."
OUTLINE_RGB = (34, 211, 238)
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


def message(name: str, text: str) -> str:
    """In the place of a result: why there is none and what to do."""
    return (
        '<div class="message" role="alert">'
        f"<strong>{escape(name)} could not be analysed</strong><p>{escape(text)}</p></div>"
    )


def picture(
    name: str, image: DecodedImage, prediction: Prediction, reference: Reference | None
) -> str:
    """The image under its layers. The page's controls show, fade, and hide them by their class."""
    height, width = image.size_hw
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
    if prediction.lesions:
        layers.append(_outline("contour", prediction.mask))
        keys.insert(0, '<li><i class="line"></i>Outlined by the network</li>')
    if reference is not None:
        layers.append(_outline("reference", reference.mask))
        keys.append('<li class="reference"><i class="line"></i>Reference outline</li>')
    return (
        f'<figure class="picture"><figcaption><span class="name">{escape(name)}</span>'
        f'<span class="size">{width} × {height} px</span></figcaption>'
        f'<div class="screen"><div class="frame" style="--width:{width};--height:{height}">'
        f'{"".join(layers)}</div></div><ul class="keys">{"".join(keys)}</ul></figure>'
    )


def findings(prediction: Prediction, reference: Reference | None) -> str:
    """Numbers and words beside the picture."""
    sections = [_probability(prediction), _size(prediction)]
    if reference is not None:
        sections.append(_comparison(prediction, reference))
    notes = [warning for warning in prediction.warnings if warning != NO_LESION]
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


def dice(mask: np.ndarray, reference: np.ndarray) -> float:
    """Dice coefficient of two bool (H, W) masks, of which the reference is not empty."""
    return 2 * np.count_nonzero(mask & reference) / (mask.sum() + reference.sum())


def _probability(prediction: Prediction) -> str:
    malignant = prediction.malignant_prob
    if malignant is None:
        body = "<p>This network gives no probability: it only outlines lesions.</p>"
    else:
        body = _bar("malignant", malignant) + _bar("benign", 1 - malignant)
    return f'<section class="probability"><h3>Probability</h3>{body}</section>'


def _bar(class_name: str, prob: float) -> str:
    percent = f"{prob * 100:.1f}%"
    return (
        f'<div class="bar {class_name}"><span>{class_name.capitalize()}</span>'
        f'<strong>{percent}</strong><i style="--share:{percent}"></i></div>'
    )


def _size(prediction: Prediction) -> str:
    if prediction.mask is None:
        body = "<p>This network outlines nothing: it only gives a probability.</p>"
    elif not prediction.lesions:
        body = f"<p>{NO_LESION} There is nothing to measure.</p>"
    else:
        body = _measurements(prediction)
    return f'<section class="lesion"><h3>Lesion size</h3>{body}</section>'


def _measurements(prediction: Prediction) -> str:
    lesions = prediction.lesions
    largest = lesions[0]
    rows = [
        ("Area", _area(lesions)),
        ("Major axis", _length(largest, "major")),
        ("Minor axis", _length(largest, "minor")),
    ]
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    notes = []
    if len(lesions) > 1:
        notes.append(f"{len(lesions)} areas are outlined; the axes are those of the largest.")
    if prediction.spacing_mm is None:
        notes.append("The file does not state the pixel spacing, so there are no millimetres.")
    return f'<dl>{cells}</dl><p class="aside">{" ".join(notes)}</p>'


def _area(lesions: tuple[Lesion, ...]) -> str:
    area_px = f"{sum(lesion.area_px for lesion in lesions):,} px"
    if lesions[0].area_mm2 is None:
        return area_px
    return f"{sum(lesion.area_mm2 for lesion in lesions):.1f} mm² ({area_px})"


def _length(lesion: Lesion, axis: str) -> str:
    length_px = f"{getattr(lesion, f'{axis}_axis_px'):.0f} px"
    length_mm = getattr(lesion, f"{axis}_axis_mm")
    return length_px if length_mm is None else f"{length_mm:.1f} mm ({length_px})"


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
    path = "".join(
        "M" + " ".join(f"{x:g},{y:g}" for x, y in outline) + "Z"
        for outline in render.contours(mask)
    )
    return (
        f'<svg class="{layer}" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<path class="halo" d="{path}"/><path d="{path}"/></svg>'
    )
