"""The tab "Analyse": one image through one network."""

import base64
import logging
from functools import partial

import gradio as gr

from .. import render
from ..engines import EngineError
from ..images import ImageError, decode
from ..weights import WeightsError
from . import result
from .chosen import Example, Upload, remove_upload, upload_area
from .networks import Networks

# One prediction at a time has the two cores of a small server to itself. All events of this tab
# share the line, so that a visitor's answers come in the order of the clicks.
LINE = {"concurrency_id": "network", "concurrency_limit": 1, "trigger_mode": "multiple"}
PRIVATE = {"api_visibility": "private"}
# On a phone the result lies below what was touched.
SHOW_JS = """() => matchMedia("(max-width: 640px)").matches
    && document.querySelector("#picture").scrollIntoView({behavior: "smooth"})"""
OPACITY_JS = "value => document.documentElement.style.setProperty('--overlay', value / 100)"
HINT = """<p class="hint">PNG, JPEG, BMP, TIFF, WebP, or DICOM, up to 20 MB; pasting works too. Your
image leaves this server when you clear or replace it, otherwise within 40 minutes.</p>"""
GONE = "The image is no longer on the server, which keeps none for long. Choose it again."
BROKEN = "Something went wrong here, not with your image. Try again, or try another network."


def build(networks: Networks, examples: dict[str, Example]) -> None:
    """Lay out the tab and wire it. The first malignant example stands there with its result."""
    first = next((e for e in examples.values() if e.pathology == "malignant"), None)
    first_picture, first_findings = analyse(networks, first, networks.default)
    current = gr.State(first)
    with gr.Row(elem_id="analyse"):
        with gr.Column(scale=4, min_width=300):
            upload = upload_area(label="Your image", height=150, elem_id="upload")
            gr.HTML(HINT)
            example = _example_choice(examples, first)
            variant = _network_choice(networks)
            clear = gr.Button("Clear", elem_id="clear")
        with gr.Column(scale=6, min_width=320, elem_id="view"):
            picture = gr.HTML(first_picture, elem_id="picture")
            _layer_controls()
        with gr.Column(scale=4, min_width=280):
            findings = gr.HTML(first_findings, elem_id="findings")

    answer = [picture, findings]
    uploaded = upload.upload(
        partial(_take_upload, networks),
        [upload, variant, current],
        [*answer, upload, example, current],
        api_name="predict",
        **LINE,
    )
    picked = example.input(
        partial(_take_example, networks, examples),
        [example, variant, current],
        [*answer, current],
        **LINE,
        **PRIVATE,
    )
    variant.input(partial(analyse, networks), [current, variant], answer, **LINE, **PRIVATE)
    clear.click(_clear, current, [*answer, upload, example, current], **LINE, **PRIVATE)
    for event in (uploaded, picked):
        event.then(None, js=SHOW_JS, **PRIVATE)


def _example_choice(examples: dict[str, Example], first: Example | None) -> gr.Radio:
    return gr.Radio(
        list(examples),
        value=first and first.label,
        label="Or an example",
        info="From BUS-BRA (see examples/README.md). No network was trained on these.",
        elem_id="examples",
        visible=bool(examples),
    )


def _network_choice(networks: Networks) -> gr.Dropdown:
    return gr.Dropdown(
        networks.choices(),
        value=networks.default,
        label="Network",
        filterable=False,
        elem_id="variant",
    )


def _layer_controls() -> None:
    """They act in the browser alone, the checkboxes through theme.css: instant, and they stay as
    they are when the next result comes.
    """
    opacity = gr.Slider(0, 100, 40, step=1, label="Overlay opacity", elem_id="opacity")
    opacity.change(None, opacity, None, js=OPACITY_JS, **PRIVATE)
    gr.Checkbox(label="What the network looked at", elem_id="show-heat")
    gr.Checkbox(label="Reference outline", elem_id="show-reference")


def analyse(networks: Networks, image: Upload | Example | None, variant_id: str) -> tuple[str, str]:
    """(picture, findings) as HTML. Whatever fails becomes a sentence in the picture's place."""
    if image is None:
        return result.empty(), ""
    try:
        if not image.path.exists():
            raise ImageError(GONE)
        decoded = decode(image.path)
        prediction = networks.get(variant_id).predict(decoded)
        reference = _reference(image)
        return (
            result.picture(image.name, decoded, prediction, reference),
            result.findings(prediction, reference),
        )
    except (ImageError, WeightsError, EngineError) as error:
        return result.message(image.name, str(error)), ""
    except Exception:  # the visitor must not keep looking at the previous image's result
        logging.exception("Analysis failed")
        return result.message(image.name, BROKEN), ""


def thumbnails_css(examples: dict[str, Example]) -> str:
    """The examples' choices as small pictures."""
    rules = []
    for number, example in enumerate(examples.values(), start=1):
        png = render.image_png(decode(example.path).image_rgb_u8, max_side=160)
        data = base64.b64encode(png).decode()
        rules.append(
            f"#examples label:nth-of-type({number})::before"
            f"{{background-image:url(data:image/png;base64,{data})}}"
        )
    return "\n".join(rules)


def _take_upload(networks: Networks, upload: Upload | None, variant_id: str, before):
    """The file in the upload area becomes the current image; the area is ready for the next."""
    if upload is None or not isinstance(before, Upload) or before.path != upload.path:
        remove_upload(before)
    return *analyse(networks, upload, variant_id), None, None, upload


def _take_example(networks: Networks, examples: dict[str, Example], label, variant_id, before):
    remove_upload(before)
    example = examples[label]
    return *analyse(networks, example, variant_id), example


def _clear(before: Upload | Example | None):
    remove_upload(before)
    return result.empty(), "", None, None, None


def _reference(image: Upload | Example) -> result.Reference | None:
    if isinstance(image, Upload):
        return None
    return result.Reference(image.pathology, image.reference_mask())
