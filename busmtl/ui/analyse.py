"""The tab "Analyse": one image through one network."""

import base64
import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import gradio as gr

from .. import render
from ..ahead import in_background
from ..engines import EngineError
from ..images import ImageError, decode
from ..weights import WeightsError
from . import downloads, endpoint, input_options, result, sweep, thresholds
from .chosen import Example, Upload, remove_upload, upload_area
from .examine import AS_IT_IS, Options, Stopped, examine
from .networks import Networks
from .thresholds import Score, View
from .visit import Visit, unless_cleared

# The networks take turns by themselves, see `Networks`. All events of this tab that need one share
# a line all the same, so that a visitor's answers come in the order of the clicks.
LINE = {"concurrency_id": "analyse", "concurrency_limit": 1, "trigger_mode": "multiple"}
LATEST = LINE | {"trigger_mode": "always_last"}  # for what a visitor drags or types
# All visitors are shown one and the same answer at first, so nobody waits in a line for it.
OPENING = {"concurrency_limit": None, "show_progress": "hidden"}
# What needs no network waits for none, but keeps its own order.
READING = {"concurrency_id": "reading", "concurrency_limit": 1, "show_progress": "hidden"}
PROGRAMS = {"concurrency_id": "predict", "concurrency_limit": 2}
PRIVATE = {"api_visibility": "private"}
# On a phone the result lies below what was touched.
SHOW_JS = """() => matchMedia("(max-width: 640px)").matches
    && document.querySelector("#picture").scrollIntoView({behavior: "smooth"})"""
OPACITY_JS = "value => document.documentElement.style.setProperty('--overlay', value / 100)"
HINT = """<p class="hint">PNG, JPEG, BMP, TIFF, WebP, or DICOM, up to 20 MB; pasting works too. Your
image leaves this server when you clear or replace it, otherwise within {minutes} minutes.</p>"""
BROKEN = "Something went wrong here, not with your image. Try again, or try another network."
NO_IMAGE = "There is no result to save. Choose an image first."


class Shown(NamedTuple):
    """What stands on the page: two pieces of HTML, the score, and the file's number of frames.

    stopped: by the gate, so that the page offers to go on.
    """

    picture: str
    findings: str
    score: Score | None = None
    frame_count: int = 1
    stopped: bool = False


@dataclass(frozen=True)
class _Page:
    """The components that events read and write."""

    upload: gr.File
    example: gr.Radio
    variant: gr.Dropdown
    compare: gr.Button
    options: input_options.Controls
    clear: gr.Button
    picture: gr.HTML
    anyway: gr.Button
    save: downloads.Controls
    card: gr.HTML
    reading: thresholds.Controls
    findings: gr.HTML


@dataclass(frozen=True)
class _State:
    """What the page keeps of a visitor: where the image lies, and numbers, but no pixels."""

    image: gr.State
    options: gr.State
    score: gr.State
    visit: gr.State


class HandOver(NamedTuple):
    """The button that takes the image, as it is read here, to the other networks."""

    button: gr.Button
    image: gr.State
    options: gr.State


def build(page: gr.Blocks, networks: Networks, examples: dict[str, Example]) -> HandOver:
    """Lay out the tab and wire it. The first malignant example comes with its result, which is made
    in the background, so that the page is up before the network is.
    """
    first = next((e for e in examples.values() if e.pathology == "malignant"), None)
    parts = _layout(networks, examples, first)
    state = _State(gr.State(first), gr.State(AS_IT_IS), gr.State(None), gr.State(Visit()))
    opened = _wire_opening(page, networks, first, parts, state)
    events = _wire_choices(networks, examples, parts, state, opened)
    events += _wire_adjustments(networks, parts, state)
    _wire_reading(parts, state, events)
    endpoint.build(networks, **PROGRAMS)
    return HandOver(parts.compare, state.image, state.options)


def _layout(networks: Networks, examples: dict[str, Example], first: Example | None) -> _Page:
    with gr.Row(elem_id="analyse"):
        with gr.Column(scale=4, min_width=300):
            upload = upload_area(label="Your image", height=150, elem_id="upload")
            gr.HTML(HINT.format(minutes=sweep.longest_stay_minutes()))
            example = example_choice(examples, first, "examples")
            variant = _network_choice(networks)
            compare = gr.Button("Compare all networks on it", size="sm", elem_id="to-compare")
            options = input_options.controls()
            clear = gr.Button("Clear", elem_id="clear")
        with gr.Column(scale=6, min_width=320, elem_id="view"):
            nothing_yet = result.coming() if first else result.empty()
            picture = gr.HTML(nothing_yet, elem_id="picture")
            anyway = anyway_button("anyway")
            _layer_controls()
            save = downloads.controls()
        with gr.Column(scale=4, min_width=280, elem_id="findings"):
            card = gr.HTML(thresholds.card(None, View()))
            reading = thresholds.controls()
            findings = gr.HTML()
    return _Page(
        upload, example, variant, compare, options, clear, picture, anyway, save, card, reading,
        findings,
    )  # fmt: skip


def _wire_opening(
    page: gr.Blocks, networks: Networks, first: Example | None, parts: _Page, state: _State
) -> list:
    """What a visitor is shown at first. Returns the event, if there is one."""
    input_options.start_empty(page, [*parts.options.typed, parts.reading.share])
    if first is None:
        return []
    coming = in_background(analyse, networks, first, networks.default)
    shown = _outputs(parts, state)
    return [page.load(lambda: _shown(coming.result(), View()), None, shown, **OPENING, **PRIVATE)]


def _wire_choices(
    networks: Networks, examples: dict[str, Example], page: _Page, state: _State, opened: list
) -> list:
    """Another image, which resets how files are read, or another network. Returns the events."""
    shown, view = _outputs(page, state), page.reading.view
    fresh = [*shown, state.image, state.options, *page.options.all, page.save.ready_file]
    uploaded = page.upload.upload(
        unless_cleared(partial(_take_upload, networks)),
        [state.visit, page.upload, page.variant, state.image, *view],
        [*fresh, page.upload, page.example],
        **LINE,
        **PRIVATE,
    )
    picked = page.example.input(
        unless_cleared(partial(_take_example, networks, examples)),
        [state.visit, page.example, page.variant, state.image, *view],
        fresh,
        **LINE,
        **PRIVATE,
    )
    looked = page.variant.input(
        unless_cleared(partial(_look_again, networks)),
        [state.visit, state.image, page.variant, state.options, *view],
        shown,
        **LINE,
        **PRIVATE,
    )
    page.clear.click(
        _clear,
        [state.visit, state.image, page.upload],
        [*fresh, page.upload, page.example],
        cancels=[*opened, uploaded, picked, looked],
        **READING,
        **PRIVATE,
    )
    for event in (uploaded, picked):
        event.then(None, js=SHOW_JS, **PRIVATE)
    return [uploaded, picked, looked]


def _wire_adjustments(networks: Networks, page: _Page, state: _State) -> list:
    """How the file is read, and saving. Returns the events that change what is shown."""
    shown, view, options = _outputs(page, state), page.reading.view, page.options
    read = unless_cleared(partial(_read_anew, networks))
    inputs = [state.visit, state.image, page.variant, state.options, *view, *options.all]
    went_on = page.anyway.click(
        unless_cleared(partial(_go_on, networks)),
        [state.visit, state.image, page.variant, state.options, *view],
        [*shown, state.options],
        **LINE,
        **PRIVATE,
    )
    applied = options.apply.click(read, inputs, [*shown, state.options], **LINE, **PRIVATE)
    framed = options.frame.input(read, inputs, [*shown, state.options], **LATEST, **PRIVATE)
    undone = options.undo.click(
        unless_cleared(partial(_undo, networks)),
        [state.visit, state.image, page.variant, state.options, *view, options.frame],
        [*shown, state.options, *options.typed],
        **LINE,
        **PRIVATE,
    )
    for kind, button in page.save.buttons.items():
        button.click(
            partial(_save, networks, kind),
            [state.image, page.variant, state.options, *view],
            page.save.ready_file,
            **LINE,
            **PRIVATE,
        )
    return [went_on, applied, framed, undone]


def _wire_reading(page: _Page, state: _State, events: list) -> None:
    """How the probability is read. After each of the events it is read once more, since it may have
    been meant otherwise by the time of the answer.
    """
    view = page.reading.view
    inputs, outputs = [state.score, *view], [page.card, page.reading.points]
    for component in view:
        component.input(
            _read_score, inputs, outputs, trigger_mode="always_last", **READING, **PRIVATE
        )
    for event in events:
        event.then(_read_score, inputs, outputs, **READING, **PRIVATE)


def _outputs(page: _Page, state: _State) -> list[gr.Component]:
    """Where `_shown` goes."""
    return [
        page.picture,
        page.anyway,
        page.card,
        page.reading.points,
        page.findings,
        state.score,
    ]


def _shown(shown: Shown, view: View) -> list:
    return [
        shown.picture,
        gr.update(visible=shown.stopped),
        *_reading(shown.score, view),
        shown.findings,
        shown.score,
    ]


def anyway_button(elem_id: str) -> gr.Button:
    """Seen only while the gate stops the picture."""
    return gr.Button("Analyse it anyway", visible=False, elem_id=elem_id)


def example_choice(examples: dict[str, Example], first: Example | None, elem_id: str) -> gr.Radio:
    """The examples as small pictures, see `thumbnails_css`."""
    return gr.Radio(
        list(examples),
        value=first and first.label,
        label="Or an example",
        info="From BUS-BRA (see examples/README.md). No network was trained on these.",
        elem_id=elem_id,
        elem_classes="example-choice",
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
    gr.Checkbox(label="Where the outline is unsure", elem_id="show-unsure")


def analyse(
    networks: Networks,
    image: Upload | Example | None,
    variant_id: str,
    options: Options = AS_IT_IS,
) -> Shown:
    """Whatever fails becomes a sentence in the picture's place."""
    if image is None:
        return Shown(result.empty(), "")
    try:
        examined = examine(networks, image, variant_id, options)
        prediction = examined.prediction
        return Shown(
            result.picture(
                image.name,
                examined.image,
                prediction,
                examined.reference,
                examined.crop,
                examined.unsure,
            ),
            result.findings(prediction, examined.reference, examined.notes, examined.about_outline),
            thresholds.score_of(examined.predictor, prediction),
            examined.image.frame_count,
        )
    except Stopped as stop:
        picture = result.stopped(image.name, str(stop), stop.image, stop.crop)
        return Shown(picture, "", frame_count=stop.image.frame_count, stopped=True)
    except (ImageError, WeightsError, EngineError) as error:
        return Shown(result.message(image.name, str(error)), "")
    except Exception:  # the visitor must not keep looking at the previous image's result
        logging.exception("Analysis failed")
        return Shown(result.message(image.name, BROKEN), "")


def thumbnails_css(examples: dict[str, Example]) -> str:
    """The examples' choices as small pictures."""
    rules = []
    for number, example in enumerate(examples.values(), start=1):
        png = render.image_png(decode(example.path).image_rgb_u8, max_side=160)
        data = base64.b64encode(png).decode()
        rules.append(
            f".example-choice label:nth-of-type({number})::before"
            f"{{background-image:url(data:image/png;base64,{data})}}"
        )
    return "\n".join(rules)


def _take_upload(networks: Networks, upload: Upload | None, variant_id: str, before, *view):
    """The file in the upload area becomes the current image; the area is ready for the next."""
    if upload is None or not isinstance(before, Upload) or before.path != upload.path:
        remove_upload(before)
    return *_fresh(networks, upload, variant_id, View(*view)), None, None


def _take_example(
    networks: Networks, examples: dict[str, Example], label: str, variant_id: str, before, *view
):
    remove_upload(before)
    return _fresh(networks, examples[label], variant_id, View(*view))


def _clear(visit: Visit, before: Upload | Example | None, awaited: Upload | None):
    """awaited: a file that waits for its answer."""
    visit.clears += 1
    remove_upload(before)
    remove_upload(awaited)
    nothing = Shown(result.empty(), "")
    options = input_options.for_new_image(1)
    return *_shown(nothing, View()), None, AS_IT_IS, *options, "", None, None


def _fresh(networks: Networks, image: Upload | Example | None, variant_id: str, view: View):
    """A new image, read without the options of the former."""
    shown = analyse(networks, image, variant_id)
    options = input_options.for_new_image(shown.frame_count)
    return *_shown(shown, view), image, AS_IT_IS, *options, ""


def _look_again(networks: Networks, image, variant_id: str, options: Options, *view):
    return _shown(analyse(networks, image, variant_id, options), View(*view))


def _go_on(networks: Networks, image, variant_id: str, options: Options, *view):
    """The same image, although the gate objects."""
    options = replace(options, gated=False)
    return *_look_again(networks, image, variant_id, options, *view), options


def _read_anew(
    networks: Networks, image, variant_id: str, before: Options, choice, free, share, *typed
):
    """The same image with the options as they stand in their components."""
    options = replace(input_options.options_of(*typed), gated=before.gated)
    return *_look_again(networks, image, variant_id, options, choice, free, share), options


def _undo(networks: Networks, image, variant_id: str, before: Options, *view_and_frame):
    """The same frame, without the scale and the crop that were typed."""
    empty = [None] * 5
    return *_read_anew(networks, image, variant_id, before, *view_and_frame, *empty), *empty


def _read_score(score: Score | None, *view) -> tuple[str, str]:
    return _reading(score, View(*view))


def _reading(score: Score | None, view: View) -> tuple[str, str]:
    return thresholds.card(score, view), thresholds.table(score, view)


def _save(networks: Networks, kind: str, image, variant_id: str, options: Options, *view) -> str:
    """The file for the browser, or a sentence why there is none."""
    if image is None:
        return downloads.not_made(NO_IMAGE)
    try:
        examined = examine(networks, image, variant_id, options)
        score = thresholds.score_of(examined.predictor, examined.prediction)
        file = downloads.make(kind, examined, score, View(*view))
    except (ImageError, WeightsError, EngineError) as error:
        return downloads.not_made(str(error))
    except Exception:
        logging.exception("Saving failed")
        return downloads.not_made(BROKEN)
    return downloads.handed_over(file) if file else downloads.not_made(downloads.NO_MASK)
