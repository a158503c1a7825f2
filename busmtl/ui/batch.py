"""The tab "Batch": many images through one network."""

import logging
import secrets
import shutil
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event

import gradio as gr
from gradio.utils import get_upload_folder
from gradio_client.utils import python_type_to_json_schema

from ..batch import Outcome, figures, masks_zip, run
from ..collection import (
    MAX_FILES,
    MAX_UNPACKED_BYTES,
    MAX_ZIP_BYTES,
    CollectionError,
    open_collection,
)
from ..engines import EngineError
from ..images import MAX_FILE_BYTES, ImageError
from ..rows import COLUMNS, csv_text
from ..weights import WeightsError
from . import batch_api, input_options, sweep
from . import batch_view as view
from .analyse import PRIVATE
from .chosen import Upload, remove_upload, upload_area
from .examine import check_scale
from .networks import Networks

# A batch waits for other batches only: between two of its images it is others' turn.
LINE = {"concurrency_id": "batch", "concurrency_limit": 2, "trigger_mode": "multiple"}
# Cancelling and clearing do not wait for the networks.
AT_ONCE = {"concurrency_limit": None, "show_progress": "hidden", **PRIVATE}
REDRAWN_S = 1.0  # the table while it grows
STOPPED_S = 60  # what an image may take at most, once the visitor has cancelled
BROKEN = "Something went wrong here, not with your files. Try again, or try another network."
MB = 1024**2
HINT = """<p class="hint">PNG, JPEG, BMP, TIFF, WebP, or DICOM, up to {file_mb} MB
each, or a zip of up to {zip_mb} MB. At most {files} files and {unpacked_mb} MB at once. Your files
leave this server when the batch ends or when you clear them, the results when you clear or start
anew; otherwise both within {minutes} minutes.</p>"""
OWN_DATA = """<div class="hint"><p>Add what you know, and the page measures the network on your own
data.</p>
<p><strong>Labels:</strong> a file named <code>labels.csv</code>, among the files or in the zip:</p>
<pre>image,label
scan 1.png,benign
scan 2.png,malignant</pre>
<p><strong>Reference masks:</strong> white on black, of the image's size; in the zip in a folder
<code>masks</code> under the image's name, or beside the image as <code>scan 1_mask.png</code>
(more lesions: <code>scan 1_mask_1.png</code> and so on).</p></div>"""
API = """Analyse one image or a zip of images with one network. The zip may hold labels.csv (columns
image,label with benign or malignant) and reference masks (in a folder masks/ under the image's
name, or beside it as NAME_mask.png). Returns the text of predictions.csv, and an object: rows (as
the CSV has them, numbers as numbers), figures (classification and segmentation on your own data,
null where there is nothing to compare, and warnings), notes (what was passed over)."""


@dataclass(eq=False)
class Run:
    """One run of one visitor, from Start until the next.

    folder: of his downloads; nobody can guess its name.
    stopped: set when he cancels or clears. Gradio's `cancels` alone would not do: the browser
        asks for it only after the handler of the same click has answered.
    ended: set when the files that he gave are no longer read.
    """

    folder: Path
    total: int = 0
    notes: tuple[str, ...] = ()
    problem: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    downloads: tuple[Path, Path | None] | None = None
    cleared: bool = False
    stopped: Event = field(default_factory=Event)
    ended: Event = field(default_factory=Event)

    def stop(self) -> None:
        """Returns when the image at hand is done."""
        self.stopped.set()
        self.ended.wait(STOPPED_S)


@dataclass(frozen=True)
class Page:
    """The components that a run changes."""

    status: gr.HTML
    table: gr.HTML
    figures: gr.HTML
    csv: gr.DownloadButton
    masks: gr.DownloadButton
    start: gr.Button
    cancel: gr.Button
    run: gr.State

    def all(self) -> list:
        return list(vars(self).values())


def build(page: gr.Blocks, networks: Networks) -> None:
    """Lay out the tab and wire it."""
    with gr.Row(elem_id="batch"):
        with gr.Column(scale=4, min_width=300):
            files = upload_area(
                label="Images, or a zip of them",
                file_count="multiple",
                height=170,
                elem_id="batch-files",
            )
            gr.HTML(_hint())
            with gr.Accordion("Labels and reference masks (optional)", open=False):
                gr.HTML(OWN_DATA)
            variant = gr.Dropdown(
                networks.choices(),
                value=networks.default,
                label="Network",
                filterable=False,
                elem_id="batch-variant",
            )
            scale = gr.Number(
                None,
                label="Millimetres per pixel",
                info="Of all files that do not state their own, as DICOM files do.",
                placeholder="unknown",
                elem_id="batch-scale",
            )
            with gr.Row():
                start = gr.Button("Start", variant="primary", min_width=80, elem_id="batch-start")
                cancel = gr.Button(
                    "Cancel", min_width=80, elem_id="batch-cancel", interactive=False
                )
                clear = gr.Button("Clear", min_width=80, elem_id="batch-clear")
        with gr.Column(scale=10, min_width=320):
            status = gr.HTML(elem_id="batch-status")
            with gr.Row(elem_id="batch-downloads"):
                csv = gr.DownloadButton(
                    "Download the table (CSV)", visible=False, elem_id="batch-csv"
                )
                masks = gr.DownloadButton(
                    "Download the masks (zip)", visible=False, elem_id="batch-masks"
                )
            own = gr.HTML(elem_id="batch-figures")
            table = gr.HTML(view.empty(), elem_id="batch-table")
    input_options.start_empty(page, [scale])
    changing = Page(status, table, own, csv, masks, start, cancel, gr.State(None))
    _wire(networks, changing, [files, variant, scale], clear)
    _publish(networks, variant)


def _hint() -> str:
    return HINT.format(
        file_mb=MAX_FILE_BYTES // MB,
        zip_mb=MAX_ZIP_BYTES // MB,
        files=MAX_FILES,
        unpacked_mb=MAX_UNPACKED_BYTES // MB,
        minutes=sweep.longest_stay_minutes(),
    )


def _wire(networks: Networks, page: Page, given: list, clear: gr.Button) -> None:
    """given: the components that a run reads: files, network, scale."""
    files, *_ = given
    held = gr.State([])
    files.change(_let_go, [files, held], held, **AT_ONCE)
    begun = page.start.click(partial(_begin, page), page.run, page.all(), **AT_ONCE)
    running = begun.then(
        partial(_run, networks, page),
        given,
        page.all(),
        show_progress="hidden",
        **LINE,
        **PRIVATE,
    )
    stop = {"cancels": running, **AT_ONCE}  # takes a run out of the queue
    cancelled = page.cancel.click(partial(_cancel, page), page.run, page.all(), **stop)
    cleared = clear.click(partial(_clear, page), [files, page.run], page.all(), **stop)
    for event in (running, cancelled, cleared):
        event.then(_still_here, files, files, **AT_ONCE)


def _let_go(files: list[Upload], held: list[Upload]) -> list[Upload]:
    """Files that the visitor has taken out of the list leave the disk."""
    kept = {upload.path for upload in files}
    for upload in held:
        if upload.path not in kept:
            remove_upload(upload)
    return files


def _still_here(files: list[Upload]) -> list[str] | None:
    """What the list of files shows: those not taken off the disk by now.

    A value always: at a mere update of some other property, Gradio builds the component anew for
    this visitor, without what `upload_area` gave it.
    """
    return [str(upload.path) for upload in files if upload.path.exists()] or None


def _begin(page: Page, before: Run | None) -> dict:
    """The former results go; the files wait for their turn."""
    _remove_downloads(before)
    return _blank(page) | {
        page.status: view.progress(0, 0, "Waiting for other batches to end."),
        page.table: "",
        page.start: gr.Button(interactive=False),
        page.cancel: gr.Button(interactive=True),
    }


def _run(networks: Networks, page: Page, files: list[Upload], variant_id: str, scale: float | None):
    """Yields what changes on the page, until the last image or until the visitor stops it.

    Gradio sends what was yielded last once more at the end, perhaps after what the handler of
    Cancel or Clear has sent: so the last word here changes nothing.
    """
    current = Run(Path(get_upload_folder()) / secrets.token_hex(16))
    try:
        yield {page.status: view.progress(0, 0, "Reading the files."), page.run: current}
        yield from _work(networks, page, files, variant_id, scale, current)
        end = _blank(page) if current.cleared else _last(page, current)
    finally:  # also where the visitor leaves
        for upload in files:
            remove_upload(upload)
        current.ended.set()
    yield _blank(page) if current.cleared else end  # cleared while the downloads were written
    yield {page.status: gr.skip()}


def _work(
    networks: Networks,
    page: Page,
    files: list[Upload],
    variant_id: str,
    scale: float | None,
    current: Run,
):
    drawn = 0.0
    try:
        check_scale(scale)
        with open_collection([(upload.path, upload.name) for upload in files]) as collection:
            current.total, current.notes = len(collection.items), collection.notes
            for outcome in run(networks.get(variant_id), collection.items, scale):
                current.outcomes.append(outcome)
                if current.stopped.is_set():
                    return
                if time.monotonic() - drawn >= REDRAWN_S:
                    yield _meanwhile(page, current)
                    drawn = time.monotonic()
    except (ImageError, CollectionError, WeightsError, EngineError) as error:
        current.problem = str(error)
    except Exception:
        logging.exception("A batch failed")
        current.problem = BROKEN


def _meanwhile(page: Page, current: Run) -> dict:
    done = len(current.outcomes)
    return {
        page.status: view.progress(done, current.total, f"{done} of {current.total} images."),
        page.table: view.table(current.outcomes, sortable=False),
    }


def _last(page: Page, current: Run) -> dict:
    """All that the page shows of a run that has ended, and its downloads."""
    if not current.outcomes:
        table = view.message(current.problem) if current.problem else view.empty()
        return _blank(page) | {page.table: table}
    if current.downloads is None:
        current.downloads = _write_downloads(current)
        # The page keeps a run for longer than the disk keeps files: what is left are numbers.
        current.outcomes = [replace(outcome, mask_png=None) for outcome in current.outcomes]
    outcomes = current.outcomes
    csv, masks = current.downloads
    notes = [*current.notes, current.problem] if current.problem else current.notes
    status = view.progress(0, 0, view.summary(outcomes, current.total)) + view.notes(notes)
    return _blank(page) | {
        page.status: status,
        page.table: view.table(outcomes, sortable=True),
        page.figures: view.figures(figures(outcomes)),
        page.csv: gr.DownloadButton(value=csv, visible=True),
        page.masks: gr.DownloadButton(value=masks, visible=masks is not None),
        page.run: current,
    }


def _blank(page: Page) -> dict:
    return {
        page.status: "",
        page.table: view.empty(),
        page.figures: "",
        page.csv: gr.DownloadButton(value=None, visible=False),
        page.masks: gr.DownloadButton(value=None, visible=False),
        page.start: gr.Button(interactive=True),
        page.cancel: gr.Button(interactive=False),
        page.run: None,
    }


def _cancel(page: Page, current: Run | None) -> dict:
    """What was done so far stays, with its downloads."""
    if current is None:  # it has not begun: the files may stay
        return _blank(page)
    current.stop()
    return _last(page, current)


def _clear(page: Page, files: list[Upload], current: Run | None) -> dict:
    if current is not None:
        current.cleared = True
        current.stop()
    for upload in files:
        remove_upload(upload)
    _remove_downloads(current)
    return _blank(page)


def _write_downloads(current: Run) -> tuple[Path, Path | None]:
    """predictions.csv and masks.zip, the latter where the network segments.

    They lie in Gradio's folder, which alone it serves, and are swept with the uploads.
    """
    current.folder.mkdir(mode=0o700, parents=True)
    table = current.folder / "predictions.csv"
    rows = csv_text(outcome.row for outcome in current.outcomes)
    table.write_text(rows, "utf-8", newline="")
    if not any(outcome.mask_png for outcome in current.outcomes):
        return table, None
    masks = current.folder / "masks.zip"
    masks.write_bytes(masks_zip(current.outcomes))
    return table, masks


def _remove_downloads(before: Run | None) -> None:
    if before is not None:
        shutil.rmtree(before.folder, ignore_errors=True)


# ---- for programs


def _publish(networks: Networks, variant: gr.Dropdown) -> None:
    """The endpoint /batch. Its components are on no page: they give it its types."""
    file = upload_area(label="An image or a zip", visible=False)
    csv = gr.Textbox(label="predictions.csv", visible=False)
    answer = gr.JSON(label="rows, figures, notes", visible=False)
    answer.api_info = partial(python_type_to_json_schema, batch_api.Answer)

    def batch(file, variant):
        return _answer(networks, file, variant)

    gr.Button(visible=False).click(
        batch, [file, variant], [csv, answer], api_name="batch", api_description=API, **LINE
    )


def _answer(
    networks: Networks, file: Upload | None, variant_id: str
) -> tuple[str, batch_api.Answer]:
    """(the text of predictions.csv, the answer as JSON)."""
    files = [] if file is None else [file]
    try:
        with open_collection([(upload.path, upload.name) for upload in files]) as collection:
            outcomes = list(run(networks.get(variant_id), collection.items))
    except (CollectionError, WeightsError, EngineError) as error:
        raise gr.Error(str(error), print_exception=False) from None
    finally:
        for upload in files:
            remove_upload(upload)
    rows = [outcome.row for outcome in outcomes]
    answer = {
        "rows": [_typed(row) for row in rows],
        "figures": figures(outcomes),
        "notes": collection.notes,
    }
    return csv_text(rows), answer


_TEXTS = ("image", "variant", "predicted", "spacing_mm", "warnings", "error")


def _typed(row: dict) -> dict:
    """All columns, numbers as numbers; None where the CSV is empty."""
    return {column: _number(row.get(column), column) for column in COLUMNS}


def _number(value: str | int | None, column: str) -> str | int | float | None:
    if value in (None, ""):
        return None
    return float(value) if isinstance(value, str) and column not in _TEXTS else value
