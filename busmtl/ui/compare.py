"""The tab "Compare": one image through all networks, each answer shown as it comes."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import gradio as gr
from gradio_client.utils import python_type_to_json_schema

from .. import agreement, gate, known
from ..comparison import Networks, answers, places
from ..images import ImageError, decode
from . import board, compare_api, result, sweep
from .analyse import HINT, PRIVATE, READING, HandOver, anyway_button, example_choice
from .chosen import Example, Upload, copy_upload, remove_upload, upload_area
from .examine import AS_IT_IS, Options, Stopped, read
from .visit import Visit

# A line of its own: a visitor's boards come one after the other, and between two networks it is
# others' turn.
LINE = {"concurrency_id": "compare", "concurrency_limit": 1, "trigger_mode": "multiple"}
# On a phone the board lies below what was touched.
SHOW_JS = """() => matchMedia("(max-width: 640px)").matches
    && document.querySelector("#board").scrollIntoView({behavior: "smooth"})"""
_SAME = gr.skip(), gr.skip(), gr.skip()  # what `compare` yields, where nothing changes
BROKEN = "Something went wrong here, not with your image. Try again."


ELSEWHERE = """<p class="hint">To crop, to set the scale, or for another frame: begin under Analyse
and choose “Compare all networks on it” there.</p>"""


class _State(NamedTuple):
    """The image, this tab's own, and how it is read."""

    image: gr.State
    options: gr.State


def build(
    networks: Networks, examples: dict[str, Example], tabs: gr.Tabs, hand_over: HandOver
) -> None:
    """Lay out the tab and wire it, with the endpoint for programs. tabs: those of the page, of
    which this one has the id "compare".
    """
    with gr.Row(elem_id="compare-input"):
        with gr.Column(scale=4, min_width=300):
            upload = upload_area(label="Your image", height=130, elem_id="compare-upload")
            gr.HTML(HINT.format(minutes=sweep.longest_stay_minutes()) + ELSEWHERE)
        with gr.Column(scale=9, min_width=300):
            example = example_choice(examples, None, "compare-examples")
            clear = gr.Button("Clear", elem_id="compare-clear")
    source = gr.HTML()
    shown = gr.HTML(board.empty(), elem_id="board")
    anyway = anyway_button("compare-anyway")
    state, visit = _State(gr.State(None), gr.State(AS_IT_IS)), gr.State(Visit())

    answer = [source, shown, anyway]
    line = LINE | {"show_progress_on": shown} | PRIVATE
    uploaded = upload.upload(
        partial(_take_upload, networks),
        [visit, upload, state.image],
        [*answer, upload, example, *state],
        **line,
    )
    picked = example.input(
        partial(_take_example, networks, examples),
        [visit, example, state.image],
        [*answer, *state],
        **line,
    )
    hand_over.button.click(lambda: gr.Tabs(selected="compare"), None, tabs, queue=False, **PRIVATE)
    taken = hand_over.button.click(
        partial(_take_over, networks),
        [visit, hand_over.image, hand_over.options, state.image],
        [*answer, example, *state],
        **line,
    )
    went_on = anyway.click(partial(_go_on, networks), [visit, *state], answer, **line)
    clear.click(
        _clear,
        [visit, state.image, upload],
        [*answer, upload, example, *state],
        cancels=[uploaded, picked, taken, went_on],
        **READING,
        **PRIVATE,
    )
    for event in (upload.upload, example.input):
        event(None, js=SHOW_JS, **PRIVATE)
    _build_endpoint(networks)


def compare(
    networks: Networks, image: Upload | Example | None, options: Options = AS_IT_IS
) -> Iterator[tuple]:
    """(source, board) as HTML and whether one may go on all the same, anew with each answer. What
    fails as a whole becomes a sentence.
    """
    if image is None:
        yield _blank()
        return
    try:
        yield from _boards(networks, image, options)
    except Stopped as stop:
        yield "", result.stopped(image.name, str(stop), stop.image, stop.crop), _seen(True)
    except ImageError as error:
        yield "", result.message(image.name, str(error)), _seen(False)
    except Exception:  # the visitor must not keep looking at half a board
        logging.exception("Comparison failed")
        yield "", result.message(image.name, BROKEN), _seen(False)


def _boards(networks: Networks, image: Upload | Example, options: Options) -> Iterator[tuple]:
    seen = read(image, options)
    shown = board.Board(image.name, seen.image, seen.reference, places(networks))
    yield board.source(seen.image), shown.html(), _seen(False)
    for place in answers(networks, seen.image):
        shown.add(place)
        yield gr.skip(), shown.html(), gr.skip()
    shown.finish()
    yield gr.skip(), shown.html(), gr.skip()


def compare_for_programs(networks: Networks, file: Upload | None) -> compare_api.Comparison:
    """The endpoint "compare". A file that cannot be used is a gr.Error, which the caller sees."""
    if file is None:
        raise gr.Error("Give an image file.")
    try:
        decoded, _ = known.told(gate.warned(decode(file.path)))
    except ImageError as error:
        raise gr.Error(str(error)) from None
    finally:
        remove_upload(file)
    all_places = places(networks)
    all_places |= {place.variant.id: place for place in answers(networks, decoded)}
    predictions = [place.prediction for place in all_places.values() if place.prediction]
    return compare_api.comparison_json(decoded, all_places, agreement.compare(predictions))


def _build_endpoint(networks: Networks) -> None:
    """Components that no visitor sees, for a file and JSON with documented types."""
    file, answer = upload_area(label="Image file", visible=False), gr.JSON(visible=False)
    answer.api_info = partial(python_type_to_json_schema, compare_api.Comparison)
    file.upload(
        partial(compare_for_programs, networks),
        file,
        answer,
        api_name="compare",
        api_description=compare_api.DESCRIPTION,
        **LINE,
    )


def _take_upload(networks: Networks, visit: Visit, upload: Upload | None, before):
    """The file in the upload area becomes the current image; the area is ready for the next."""
    if upload is None or not isinstance(before, Upload) or before.path != upload.path:
        remove_upload(before)
    yield from _until_cleared(visit, compare(networks, upload), None, None, upload, AS_IT_IS)


def _take_example(
    networks: Networks, examples: dict[str, Example], visit: Visit, label: str, before
):
    remove_upload(before)
    example = examples[label]
    yield from _until_cleared(visit, compare(networks, example), example, AS_IT_IS)


def _take_over(
    networks: Networks, visit: Visit, image: Upload | Example | None, options: Options, before
):
    """The image of the tab Analyse, as it is read there."""
    remove_upload(before)
    own = copy_upload(image)
    label = own.label if isinstance(own, Example) else None
    yield from _until_cleared(visit, compare(networks, own, options), label, own, options)


def _go_on(networks: Networks, visit: Visit, image: Upload | Example | None, options: Options):
    """The same image, although the gate objects."""
    yield from _until_cleared(visit, compare(networks, image, replace(options, gated=False)))


def _until_cleared(visit: Visit, answers: Iterator[tuple], *others) -> Iterator[tuple]:
    """The answers of `compare`. others: for the further outputs, sent at once.

    Gradio sends what was yielded last once more at the end, perhaps after what `_clear` has sent:
    so the last word here changes nothing.
    """
    clears = visit.clears
    unchanged = [gr.skip() for _ in others]
    yield *_SAME, *others
    for answer in answers:
        if visit.clears != clears:
            break
        yield *answer, *unchanged
    if visit.clears != clears:  # perhaps while the last one was sent
        yield *_blank(), *unchanged
    yield *_SAME, *unchanged


def _seen(visible: bool) -> dict:
    """The update of the button by which one goes on."""
    return gr.update(visible=visible)


def _blank() -> tuple:
    """What `compare` yields, of no image."""
    return "", board.empty(), _seen(False)


def _clear(visit: Visit, before: Upload | Example | None, awaited: Upload | None) -> tuple:
    """awaited: a file that waits for its answer."""
    visit.clears += 1
    remove_upload(before)
    remove_upload(awaited)
    return *_blank(), None, None, None, AS_IT_IS
