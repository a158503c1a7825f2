"""The named API endpoint `predict`: numbers and a mask for programs, no HTML."""

import base64
from dataclasses import asdict

import gradio as gr

from ..engines import EngineError
from ..images import ImageError
from ..rows import mask_png
from ..weights import WeightsError
from .chosen import Upload, remove_upload, upload_area
from .examine import Examined, Options, examine
from .networks import Networks


def _or_null(schema: dict) -> dict:
    return {"anyOf": [schema, {"type": "null"}]}


NUMBER = {"type": "number"}
LESION = {
    "type": "object",
    "properties": {
        "area_px": {"type": "integer"},
        "major_axis_px": NUMBER,
        "minor_axis_px": NUMBER,
        "area_mm2": _or_null(NUMBER),
        "major_axis_mm": _or_null(NUMBER),
        "minor_axis_mm": _or_null(NUMBER),
    },
}
ANSWER = {
    "type": "object",
    "properties": {
        "variant": {"type": "string"},
        "malignant_prob": _or_null(NUMBER),
        "size_hw": {"type": "array", "items": {"type": "integer"}},
        "spacing_mm": _or_null({"type": "array", "items": NUMBER}),
        "lesions": {"type": "array", "items": LESION},
        "mask_png_base64": _or_null({"type": "string"}),
        "warnings": {"type": "array", "items": {"type": "string"}},
        "latency_ms": NUMBER,
    },
    "description": "malignant_prob and the mask are null for a task that the network lacks; the "
    "mask has one channel, 0 and 255, and the image's own size.",
}
DESCRIPTION = (
    "One image (PNG, JPEG, BMP, TIFF, WebP, or DICOM) through one network. mm_per_px is the "
    "side of a pixel, 0 where unknown; frame is that of a DICOM file, from 1. The file is deleted "
    "when it has been read. Research use only, not a diagnosis."
)


def build(networks: Networks, **line) -> None:
    """line: the queue settings shared with the page."""
    with gr.Column(visible=False):
        file = upload_area(label="image")
        variant = gr.Dropdown(networks.choices(), value=networks.default, label="variant")
        scale = gr.Number(0, label="mm_per_px")  # a number, so that it may be left out
        frame = gr.Number(1, label="frame", precision=0)
        answer = gr.JSON(label="prediction")
    answer.api_info = lambda: ANSWER

    def predict(image: Upload | None, variant_id: str, mm_per_px: float, frame: int):
        return answer_to(networks, image, variant_id, Options(int(frame or 1), mm_per_px or None))

    gr.on(
        [],
        predict,
        [file, variant, scale, frame],
        answer,
        api_name="predict",
        api_description=DESCRIPTION,
        **line,
    )


def answer_to(networks: Networks, image: Upload | None, variant_id: str, options: Options) -> dict:
    """Whatever is wrong becomes a gr.Error with the sentence that the page would show."""
    if image is None:
        raise gr.Error("There is no image. Give a file.")
    try:
        return as_dict(examine(networks, image, variant_id, options))
    except (ImageError, WeightsError, EngineError) as error:
        raise gr.Error(str(error)) from None
    finally:
        remove_upload(image)


def as_dict(examined: Examined) -> dict:
    prediction = examined.prediction
    mask = prediction.mask
    return {
        "variant": prediction.variant,
        "malignant_prob": prediction.malignant_prob,
        "size_hw": list(examined.image.size_hw),
        "spacing_mm": prediction.spacing_mm,
        "lesions": [asdict(lesion) for lesion in prediction.lesions],
        "mask_png_base64": None if mask is None else base64.b64encode(mask_png(mask)).decode(),
        "warnings": [*prediction.warnings, *examined.notes],
        "latency_ms": prediction.latency_ms,
    }
