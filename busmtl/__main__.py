"""The command line: `python -m busmtl predict PATH... --variant ID|all --out DIR`."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from . import known, weights
from .ahead import one_ahead
from .engines import ENGINES
from .images import (
    MAX_SPACING_MM,
    START_BYTES,
    DecodedImage,
    ImageError,
    decode,
    has_image_name,
    is_plausible_spacing,
)
from .predictor import Prediction, Predictor
from .rows import (
    csv_writer,
    error_row,
    mask_path,
    mask_png,
    mask_stems,
    natural_order,
    prediction_row,
    row_names,
)
from .variants import BEYOND_PAPER, DEFAULT_VARIANT, VARIANTS

ALL = "all"

app = typer.Typer(
    help="Outline and classify lesions in breast-ultrasound images. Research use only, not a "
    "medical device.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
errors = Console(stderr=True)


@app.command()
def predict(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Images, or folders of images.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the CSV and the masks go.")],
    variant: Annotated[
        str, typer.Option(metavar="ID|all", help="See `variants`.")
    ] = DEFAULT_VARIANT,
    engine: Annotated[str, typer.Option(metavar="|".join(ENGINES), help="What runs it.")] = "auto",
    mm_per_px: Annotated[
        float | None,
        typer.Option(metavar="MM", help="Side of a pixel, for images that do not state their own."),
    ] = None,
    frame: Annotated[
        int, typer.Option(metavar="N", min=1, help="Frame of a DICOM file, counted from 1.")
    ] = 1,
):
    """Write DIR/predictions.csv and, from networks that segment, DIR/masks/<variant>/<stem>.png.

    An image that cannot be used gets a row that says why, the others go on, and the exit status
    is 1. It is 2 where nothing could be done.
    """
    if mm_per_px is not None and not is_plausible_spacing(mm_per_px):
        _fail(f"--mm-per-px must be above 0 and at most {MAX_SPACING_MM:g}.")
    predictors = _load_predictors(variant, engine)
    images = _find_images(paths)
    try:
        all_good = _write_predictions(images, predictors, out, mm_per_px, frame)
    except OSError as error:
        _fail(f"The results could not be written: {error.strerror}. Choose another --out.")
    raise typer.Exit(0 if all_good else 1)


@app.command()
def variants():
    """List the networks and whether their weights are here."""
    table = Table("id", "the paper's name", "tasks", "weights")
    embedded = weights.available()
    for variant in (VARIANTS | BEYOND_PAPER).values():
        tasks = ["classification"] * variant.classifies + ["segmentation"] * variant.segments
        title = variant.title if variant.id in VARIANTS else "(beyond the paper)"
        state = "embedded" if variant.id in embedded else "missing"
        table.add_row(variant.id, title, ", ".join(tasks), state)
    Console().print(table)


@app.command()
def bench(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where bench.md and bench.json go.")],
    rounds: Annotated[int, typer.Option(min=1, help="How often each thing is measured.")] = 10,
):
    """Measure the speed and memory against plain PyTorch. It takes minutes and all cores."""
    from . import bench as module

    print(module.run(out, rounds))


def _load_predictors(variant_id: str, engine: str) -> list[Predictor]:
    try:
        if variant_id != ALL:
            return [Predictor(variant_id, engine=engine)]
        return [Predictor(known, folder, engine) for known, folder in _locate_six().items()]
    except (ValueError, weights.WeightsError) as error:  # both are sentences for the user
        _fail(str(error))


def _locate_six() -> dict[str, Path]:
    """Folders of those of the paper's six that have weights; says which have none."""
    folders = {}
    for variant_id in VARIANTS:
        try:
            folders[variant_id] = weights.locate(variant_id)
        except weights.WeightsError as error:
            _say(f"Left out {variant_id}: {error}")
    if not folders:
        raise weights.WeightsError("None of the six networks has weights here.")
    return folders


def _find_images(paths: list[Path]) -> list[Path]:
    """A folder becomes the images in it, in natural order: 2 before 10."""
    images = []
    for path in paths:
        try:
            images += _images_in(path) if path.is_dir() else [path]
        except OSError:  # a name too long, no permission: `decode` says so
            images.append(path)
    return images


def _images_in(folder: Path) -> list[Path]:
    """The folder itself where it holds none, so that it gets a row that says so."""
    images = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and has_image_name(path, partial(_start, path))
    ]
    return sorted(images, key=natural_order) or [folder]


def _start(path: Path) -> bytes:
    """The first START_BYTES; nothing of what is no file or cannot be read."""
    try:
        if not path.is_file():  # opening a pipe could wait for ever
            return b""
        with path.open("rb") as file:
            return file.read(START_BYTES)
    except OSError:
        return b""


def _write_predictions(
    images: list[Path],
    predictors: list[Predictor],
    out: Path,
    mm_per_px: float | None,
    frame: int,
) -> bool:
    """Row by row, so that what is done stays after an interruption. True where all were usable."""
    out.mkdir(parents=True, exist_ok=True)
    all_usable = True
    items = list(zip(images, row_names(images), mask_stems(images), strict=True))
    with (out / "predictions.csv").open(
        "w", encoding="utf-8", errors="backslashreplace", newline=""
    ) as file:
        writer = csv_writer(file)
        shown = track(
            items, "Predicting", console=errors, transient=True, disable=not errors.is_terminal
        )
        for (_, name, stem), decoding in one_ahead(partial(_decode, frame), shown):
            try:
                decoded = decoding.result()
            except ImageError as error:
                all_usable = False
                for predictor in predictors:
                    writer.writerow(error_row(name, predictor.variant.id, str(error)))
                continue
            for predictor in predictors:
                prediction = predictor.predict(decoded, mm_per_px)
                writer.writerow(prediction_row(name, prediction))
                _write_mask(prediction, out, stem)
            file.flush()
    return all_usable


def _decode(frame: int, item: tuple[Path, str, str]) -> DecodedImage:
    """frame: counted from 1. item: the path comes first."""
    path = item[0]
    if os.path.isdir(path):
        raise ImageError("There are no images in this folder. Choose another.")
    image, _ = known.told(decode(path, frame - 1))
    return image


def _write_mask(prediction: Prediction, out: Path, stem: str) -> None:
    if prediction.mask is None:
        return
    path = out / mask_path(prediction.variant, stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mask_png(prediction.mask))


def _say(sentence: str) -> None:
    errors.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _fail(sentence: str) -> NoReturn:
    _say(sentence)
    raise typer.Exit(2)


if __name__ == "__main__":
    app(prog_name="python -m busmtl")
