"""How the file is to be read: frame, scale, and crop, in a fold below the choice of image."""

from dataclasses import dataclass

import gradio as gr

from .examine import Options

MEASURE_JS = "() => pointer.measure()"
CROP_JS = "() => pointer.crop()"


@dataclass(frozen=True)
class Controls:
    """The components; `sides` and `scale` take effect with `apply`, `frame` at once."""

    frame: gr.Slider
    scale: gr.Number
    sides: tuple[gr.Number, ...]
    apply: gr.Button
    undo: gr.Button

    @property
    def typed(self) -> list[gr.Number]:
        return [self.scale, *self.sides]

    @property
    def all(self) -> list[gr.Component]:
        return [self.frame, *self.typed]


def controls() -> Controls:
    frame = gr.Slider(
        1, 2, 1, step=1, label="Frame", elem_id="frame", visible=False, interactive=True
    )
    with gr.Accordion("Scale and crop", open=False, elem_id="input-options"):
        # Without a placeholder an empty gr.Number says 0.
        scale = gr.Number(
            None,
            label="Millimetres per pixel",
            info="A DICOM file's own scale goes before it.",
            placeholder="unknown",
            elem_id="scale",
        )
        gr.Number(
            10,
            label="Or a known length in the image, in mm",
            interactive=True,
            elem_id="known-length",
        )
        measure = gr.Button("Click its two ends on the image", size="sm", elem_id="measure")
        gr.HTML('<p class="hint">Crop, in pixels of the whole image:</p>')
        with gr.Row():
            sides = tuple(
                gr.Number(
                    None,
                    label=side.capitalize(),
                    precision=0,
                    placeholder="its edge",
                    min_width=110,
                    elem_id=f"crop-{side}",
                )
                for side in ("left", "top", "right", "bottom")
            )
        drag = gr.Button("Click two corners on the image", size="sm", elem_id="draw-crop")
        with gr.Row():
            apply = gr.Button("Apply", min_width=110, elem_id="apply")
            undo = gr.Button("Undo all", min_width=110, elem_id="undo")
    measure.click(None, js=MEASURE_JS, api_visibility="private")
    drag.click(None, js=CROP_JS, api_visibility="private")
    return Controls(frame, scale, sides, apply, undo)


def start_empty(page: gr.Blocks, numbers: list[gr.Number]) -> None:
    """A gr.Number without a value shows, and sends, 0 until it is told that it has none."""
    nothing = f"() => Array({len(numbers)}).fill(null)"
    page.load(None, None, numbers, js=nothing, queue=False, api_visibility="private")


def options_of(frame: int, scale: float | None, *sides: float | None) -> Options:
    """What stands in `Controls.all`, in that order."""
    return Options(int(frame), scale, sides)


def for_new_image(frame_count: int) -> list:
    """Updates of `Controls.all`: another image has another scale and other edges."""
    frame = gr.update(visible=frame_count > 1, maximum=max(2, frame_count), value=1)
    return [frame, None, None, None, None, None]
