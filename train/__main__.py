"""Train, calibrate, embed, and measure the networks of busmtl."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from busmtl.variants import get_variant

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

DataFolder = Annotated[
    Path, typer.Option("--data", envvar="BUSMTL_DATA", help="Folder that holds both data sets.")
]


@app.command()
def splits(data: DataFolder, groups: Annotated[Path, typer.Option(help="Duplicate groups, CSV.")]):
    """Write the split manifests train/splits/{busi,busi_random,busbra}.csv."""
    from . import splits as module

    busi = module.make_busi(data, groups)
    module.write_manifest("busi", busi)
    module.write_manifest(module.RANDOM, module.make_random(busi))
    module.write_manifest("busbra", module.make_busbra(data))


@app.command()
def check(data: DataFolder) -> None:
    """Compare the data folder with the manifests; fails where a set that is there lacks files."""
    from .check import check as check_set
    from .data import TITLES

    found = {name: check_set(data, name) for name in TITLES}
    for name, result in found.items():
        typer.echo(result.report() if result else f"{TITLES[name]}: not in {data}.")
    if not any(found.values()) or not all(each.complete for each in found.values() if each):
        raise typer.Exit(1)


@app.command()
def examples(data: DataFolder, out: Path = Path("examples")) -> None:
    """Draw the demo's example images from BUS-BRA validation."""
    from .examples import write_examples

    write_examples(data, out)


@app.command()
def known(data: DataFolder) -> None:
    """Hash both data sets' images into busmtl/known.npz and measure the search for them."""
    from .known import write_known

    write_known(data)


@app.command()
def gate_pictures(
    packages: Annotated[Path, typer.Option(help="Folder of the unpacked packages")],
    out: Annotated[Path, typer.Option(help="Where build/ and heldout/ are written")],
) -> None:
    """Collect pictures that are no ultrasound, in two halves that share no source."""
    from .gate_pictures import write_pictures

    for (half, kind), count in sorted(write_pictures(packages, out).items()):
        typer.echo(f"{half}: {count} × {kind}")


@app.command()
def gate(
    data: DataFolder, pictures: Annotated[Path, typer.Option(help="The folder of gate-pictures")]
) -> None:
    """Fit the gate that stops what is no ultrasound image, and measure it into busmtl/gate.json."""
    from .gate import write_gate

    write_gate(data, pictures)


@app.command()
def gate_notes(data: DataFolder) -> None:
    """Measure the notes on burned-in text and callipers into busmtl/gate.json."""
    from .gate import write_notes

    write_notes(data)


@app.command()
def fit(
    data: DataFolder,
    variant: Annotated[str, typer.Option()],
    out: Annotated[Path, typer.Option(help="The run's folder")],
    recipe: Annotated[str, typer.Option(help="Its name in train/recipe.py")] = "release",
    init: Annotated[str, typer.Option(help="none, local, imagenet, or a folder")] = "imagenet",
    teacher: Annotated[
        Path | None, typer.Option(help="Run folder of a network to learn from")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Image side in px, not the recipe's")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs, not the recipe's")] = None,
    seed: int = 0,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints")] = 1,
) -> None:
    """Train one variant by one recipe, then calibrate it; the same command again resumes."""
    from .data import load
    from .finish import finish
    from .fit import Job, Trainer
    from .recipe import RECIPES

    if recipe not in RECIPES:
        raise typer.BadParameter(f"Choose one of: {', '.join(RECIPES)}.", param_hint="--recipe")
    chosen = RECIPES[recipe]
    chosen = replace(chosen, size=size or chosen.size, epochs=epochs or chosen.epochs)
    job = Job(get_variant(variant), chosen, init, out, teacher, seed)
    train = load(data, dict.fromkeys(chosen.sets, "train"), chosen.source_size)
    validation = load(data, dict.fromkeys(chosen.sets, "validation"), chosen.size)
    trainer = Trainer(job, train, validation, checkpoint_every)
    trainer.run()
    if trainer.accelerator.is_main_process:
        finish(job, validation, trainer.accelerator.device)


@app.command()
def tried(
    run: Annotated[Path, typer.Argument(help="A finished run's folder")],
    note: Annotated[str, typer.Option(help="What the run was to show")] = "",
) -> None:
    """Add a finished run's validation figures to the table in train/README.md."""
    from .tried import add

    add(run, note)


@app.command()
def study(run: Annotated[Path, typer.Argument(help="A finished run's folder")]) -> None:
    """Keep a run's record and predictions in train/studies, for `report`."""
    from .study import keep

    typer.echo(f"Kept {keep(run).name}.")


@app.command()
def embed(run: Annotated[Path, typer.Argument(help="A finished run's folder")]) -> None:
    """Copy a finished run's weights and records into busmtl/weights/."""
    from .finish import embed as embed_run

    typer.echo(f"Embedded {embed_run(run).name}.")


@app.command()
def export(data: DataFolder, variant: Annotated[str, typer.Option()]) -> None:
    """Make the OpenVINO files of an embedded network, and hold them against PyTorch."""
    from busmtl.variants import INPUT_SIZE
    from busmtl.weights import EMBEDDED

    from .card import METRICS_FILE, write_card
    from .data import FOLDERS, load
    from .export import export as export_folder

    folder = EMBEDDED / get_variant(variant).id
    sets = [
        load(data, dict.fromkeys(FOLDERS, part), INPUT_SIZE) for part in ("train", "validation")
    ]
    record = export_folder(folder, *sets)
    typer.echo(f"{variant} in {record['precision']}: {record['validation']['all']}")
    if (folder / METRICS_FILE).exists():
        write_card(folder)


@app.command()
def evaluate(
    data: DataFolder,
    variant: Annotated[str | None, typer.Option(help="An embedded network")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Instead: a weights folder, such as RUN/weights")
    ] = None,
) -> None:
    """Measure a network on the test part; write its metrics and card.

    Both engines are measured where there are OpenVINO files. An embedded network gets its row in
    the README too; for a weights folder nothing outside it is
    written, and the look at the test part is logged in it.
    """
    from busmtl.weights import EMBEDDED, load_config

    from .card import write_card, write_readme_figures
    from .evaluate import LOG
    from .evaluate import evaluate as evaluate_variant

    if (variant is None) == (weights is None):
        raise typer.BadParameter("Give one of --variant and --weights.")
    if weights is not None:
        evaluate_variant(load_config(weights).variant, weights, data, weights / LOG.name)
        write_card(weights)
        return
    folder = EMBEDDED / get_variant(variant).id
    evaluate_variant(variant, folder, data)
    write_card(folder)
    write_readme_figures(Path(__file__).parent.parent / "README.md")


@app.command()
def report(data: DataFolder) -> None:
    """Write the tables and figures of all embedded networks into busmtl/results/."""
    from .report import RESULTS, write_report

    write_report(data)
    typer.echo(f"Wrote {RESULTS}.")


@app.command()
def mirror(data: DataFolder, variant: Annotated[str, typer.Option()]) -> None:
    """Measure on validation what a gap between the answers for image and mirror image means."""
    from busmtl.weights import EMBEDDED

    from .mirror import write_record

    record = write_record(variant, EMBEDDED / get_variant(variant).id, data)
    for part in ("malignant_prob", "mask"):
        if part in record:
            typer.echo(f"{part}: {[round(each['error'], 3) for each in record[part]['thirds']]}")


@app.command()
def publish(
    variant: Annotated[str, typer.Option()],
    repo_id: Annotated[str, typer.Option(metavar="ORG/NAME", help="The model repository")],
    dry_run: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write it there, send nothing")
    ] = None,
    overwrite_card: Annotated[
        bool, typer.Option("--overwrite-card", help="Replace a card that others wrote")
    ] = False,
) -> None:
    """Push an embedded network, its records, and its card to the Hugging Face Hub."""
    from busmtl.weights import WeightsError

    from . import publish as module

    try:
        if dry_run:
            typer.echo(f"Wrote {module.prepare(variant, repo_id, dry_run)}.")
        else:
            typer.echo(f"Published at {module.push(variant, repo_id, overwrite_card)}.")
    except (module.PublishError, WeightsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("accelerate").setLevel(logging.WARNING)  # it tells of every file it writes
    app()
