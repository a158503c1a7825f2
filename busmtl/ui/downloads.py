"""What a visitor can save of a result. It is made at the click and never lies on the disk."""

import base64
import json
import re
import secrets
from dataclasses import asdict, dataclass
from functools import cache
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from .. import __version__, render
from ..rows import mask_png
from ..variants import get_variant
from ..weights import fingerprint
from . import thresholds
from .examine import Examined
from .result import DISCLAIMER, OUTLINE_RGB
from .thresholds import Score, View

MASK, OVERLAY, NUMBERS, REPORT = "mask", "overlay", "numbers", "report"
TITLES = {MASK: "Mask, PNG", OVERLAY: "Overlay, PNG", NUMBERS: "Numbers, JSON", REPORT: "PDF"}
NO_MASK = "This network outlines nothing, so there is no mask to save."
_OVERLAY_ALPHA = 0.4


@dataclass(frozen=True)
class File:
    """name: free of path parts. media_type: such as "image/png"."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class Controls:
    """buttons: by kind. ready_file: where the browser takes a finished file from."""

    buttons: dict[str, gr.Button]
    ready_file: gr.HTML


def controls() -> Controls:
    """In a fold of their own."""
    with gr.Accordion("Save the result", open=False, elem_id="downloads"):
        with gr.Row():
            buttons = {
                kind: gr.Button(title, size="sm", min_width=100, elem_id=f"save-{kind}")
                for kind, title in TITLES.items()
            }
        ready_file = gr.HTML(elem_id="ready-file")
    return Controls(buttons, ready_file)


def handed_over(file: File) -> str:
    """For analyse.js, which saves it: the bytes travel in the page, not by a file's address.

    The id tells it from the same file asked for before.
    """
    data = base64.b64encode(file.data).decode()
    return (
        f'<p role="status" class="hint" data-id="{secrets.token_hex(8)}" data-file="{data}" '
        f'data-type="{file.media_type}" data-name="{escape(file.name)}">'
        f"{escape(file.name)} is ready.</p>"
    )


def not_made(sentence: str) -> str:
    return f'<p role="status" class="hint">{escape(sentence)}</p>'


def make(kind: str, examined: Examined, score: Score, view: View) -> File | None:
    """The file of one kind; None where this network has none."""
    stem = f"{_safe_stem(examined.name)}-{examined.prediction.variant}"
    if kind == MASK:
        if examined.prediction.mask is None:
            return None
        return File(f"{stem}-mask.png", "image/png", mask_png(examined.prediction.mask))
    if kind == OVERLAY:
        return File(f"{stem}-overlay.png", "image/png", render.png(overlay(examined)))
    facts = facts_of(examined, score, view)
    if kind == NUMBERS:
        text = json.dumps(facts, ensure_ascii=False, allow_nan=False)
        return File(f"{stem}.json", "application/json", text.encode())
    from .report_pdf import report  # reportlab is not needed before

    data = report(examined, facts, score.measured)
    return File(f"{stem}.pdf", "application/pdf", data)


def overlay(examined: Examined) -> Image.Image:
    """The image at its own size under its mask and outline, or under the activation map where the
    network outlines nothing by its kind.
    """
    base = Image.fromarray(examined.image.image_rgb_u8)
    prediction = examined.prediction
    if prediction.mask is None:
        return Image.blend(base, Image.fromarray(render.inferno(prediction.activation_map)), 0.4)
    alpha = Image.fromarray((prediction.mask * round(255 * _OVERLAY_ALPHA)).astype(np.uint8))
    base.paste(OUTLINE_RGB, mask=alpha)
    draw, width = ImageDraw.Draw(base), max(2, max(base.size) // 300)
    for outline in render.contours(prediction.mask):
        draw.line([tuple(xy) for xy in outline], fill=OUTLINE_RGB, width=width, joint="curve")
    return base


def facts_of(examined: Examined, score: Score, view: View) -> dict:
    """Everything that the page says, as plain values for JSON; lengths in px of the mask."""
    prediction, crop = examined.prediction, examined.crop
    height, width = examined.image.size_hw
    return {
        "image": examined.name,
        "width_px": width,
        "height_px": height,
        "frame": examined.options.frame,
        "crop": crop and asdict(crop),
        "spacing_mm": prediction.spacing_mm,
        "network": {
            "variant": prediction.variant,
            "title": get_variant(prediction.variant).title,
            "busmtl_version": __version__,
            "weights_sha256": weights_hash(score.folder),
        },
        "malignant_prob": prediction.malignant_prob,
        "reading": _reading(score, view),
        "lesions": [asdict(lesion) for lesion in prediction.lesions],
        "contours_xy": _contours(prediction.mask),
        "warnings": [*prediction.warnings, *examined.notes],
        "disclaimer": DISCLAIMER,
    }


@cache
def weights_hash(folder: Path) -> str:
    """sha256 of the weights, which stay the same while the server runs."""
    return fingerprint(folder)


def _reading(score: Score, view: View) -> dict | None:
    """The verdict at the chosen threshold and what is known of that threshold."""
    if score.malignant_prob is None:
        return None
    point = thresholds.point_of(score, view)
    own = thresholds.at_own_share(score, view)
    return {
        "threshold_name": view.choice,
        "threshold": thresholds.threshold_of(score, view),
        "verdict": thresholds.verdict(score, view),
        "busi_test": point
        and {
            "sensitivity": asdict(point.sensitivity),
            "specificity": asdict(point.specificity),
        },
        "similar_validation_images": thresholds.similar(score),
        "image_and_mirror_image": thresholds.sureness(score),
        "assumed_malignant_share": score.measured and score.measured.assumed_share,
        "own_malignant_share": own and view.share_percent / 100,
        "malignant_prob_at_own_share": own,
    }


def _contours(mask: np.ndarray | None) -> list | None:
    """Closed outlines as lists of [x, y] in px, (0, 0) at the upper left corner."""
    if mask is None:
        return None
    return [np.round(outline, 2).tolist() for outline in render.contours(mask)]


def _safe_stem(name: str) -> str:
    """Letters, digits, "-" and "_" of any language, so that every system takes the name."""
    stem = re.sub(r"[^\w-]+", "-", Path(name).stem).strip("-")
    return stem[:80] or "image"
