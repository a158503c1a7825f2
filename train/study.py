"""Studies: networks that are reported, not embedded. Their records are kept in train/studies/.

    python -m train fit --variant resnet50-mtl --recipe paper --size 128 --init none --out RUN
    python -m train evaluate --weights RUN/weights
    python -m train study RUN

`train report` makes tables and figures of them. All are at 128 px, from random weights, without a
teacher, by the paper's recipe on BUSI train alone:

| kept as | what it is for |
| --- | --- |
| `clean-resnet50-cls`, `…-seg`, `…-mtl` | does multi-task training help? |
| `random-resnet50-mtl` (recipe `paper-random`) | what the paper's random split does |
| `fig4-plain` (recipe `paper-plain`), `fig4-measures` | Fig. 4: `swin-cls` and overfitting |
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from busmtl.variants import Variant, get_variant

from . import metrics
from .card import with_interval
from .evaluate import PREDICTIONS, Row, read_rows
from .splits import RANDOM, read_manifest
from .tables import METRIC_TITLES, Table, pair_metrics, paired_difference

STUDIES = Path(__file__).parent / "studies"
RUN_FILES = ("run.json", "log.jsonl")
FIG4_RUNS = {"fig4-plain": "(a) without", "fig4-measures": "(b) with"}


@dataclass(frozen=True)
class Study:
    """A kept run. log: a dict an epoch. rows: empty where it was not evaluated."""

    name: str
    variant: Variant
    log: list[dict]
    rows: list[Row]

    @property
    def test(self) -> list[Row]:
        """Its answers to the test part of its split."""
        return [row for row in self.rows if (row.data_set, row.part) == ("busi", "test")]


def keep(run: Path) -> Path:
    """Copy a finished run's record, and its predictions if it was evaluated; returns the folder."""
    folder = STUDIES / run.name
    folder.mkdir(parents=True, exist_ok=True)
    for name in RUN_FILES:
        shutil.copyfile(run / name, folder / name)
    predictions = run / "weights" / PREDICTIONS
    if predictions.exists():
        shutil.copyfile(predictions, folder / PREDICTIONS)
    return folder


def kept(folder: Path | None = None) -> dict[str, Study]:
    """name → study, of all that are kept."""
    return {each.name: _read(each) for each in sorted((folder or STUDIES).glob("*/"))}


def _read(folder: Path) -> Study:
    asked = json.loads((folder / "run.json").read_text())
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    predictions = folder / PREDICTIONS
    rows = read_rows(predictions) if predictions.exists() else []
    return Study(folder.name, get_variant(asked["variant"]), log, rows)


def tables(studies: dict[str, Study]) -> list[Table]:
    """Those whose runs are all kept and evaluated."""
    return [table for make in (clean, leakage) if (table := make(studies)).rows]


CLEAN_METRICS = {"cls": ("auc", "acc"), "seg": ("iou", "dice")}


def clean(studies: dict[str, Study]) -> Table:
    """The paper's central claim, without the shared pretraining of the embedded networks."""
    multi = studies.get("clean-resnet50-mtl")
    rows = []
    for task, names in CLEAN_METRICS.items():
        single = studies.get(f"clean-resnet50-{task}")
        if multi is None or single is None:
            continue
        difference = paired_difference(multi.test, single.test)
        ours, theirs = (with_intervals(study.test) for study in (multi, single))
        for name in names:
            cells = [with_interval(each[name]) for each in (theirs, ours, difference)]
            rows.append([single.variant.title, METRIC_TITLES[name], *cells])
    header = ["single-task network", "metric", "single-task", "multi-task", "difference"]
    notes = (
        "At 128 px, from random weights, no teacher, the paper's recipe on BUSI train alone; the "
        "same test images, paired bootstrap over duplicate groups; the difference is multi-task "
        "minus single-task. An interval of it that holds 0 shows neither a difference nor that "
        "there is none. Each network is at the epoch that did best on validation, by the mean of "
        "AUC and Dice, or by the one that it has."
    )
    return Table(
        "clean", "Does multi-task training help? ResNet-50 from scratch", header, rows, notes
    )


def leakage(studies: dict[str, Study]) -> Table:
    """The same network and recipe on both splits."""
    names = {
        "clean-resnet50-mtl": "by duplicate group",
        "random-resnet50-mtl": "at random (the paper's)",
    }
    rows = []
    if all(name in studies for name in names):
        for name, split in names.items():
            found = with_intervals(studies[name].test)
            rows.append([split, *(with_interval(found[key]) for key in LEAKAGE_METRICS)])
    header = ["split", *(METRIC_TITLES[key] for key in LEAKAGE_METRICS)]
    twins, tested = twins_in_train()
    notes = (
        "ResNet-50 Multi-Task at 128 px, from random weights, the paper's recipe, parts of the "
        f"same sizes. In the random split {twins} of the {tested} test images have a twin in train."
    )
    return Table("leakage", "What a random split does", header, rows, notes)


def twins_in_train() -> tuple[int, int]:
    """(how many test images of the random split have a twin in train, of how many)."""
    entries = read_manifest(RANDOM)
    learned_from = {entry.group for entry in entries if entry.part == "train"}
    tested = [entry for entry in entries if entry.part == "test"]
    return sum(entry.group in learned_from for entry in tested), len(tested)


LEAKAGE_METRICS = ("auc", "acc", "iou", "dice")


def with_intervals(rows: list[Row]) -> dict[str, dict]:
    """AUC, ACC at 0.5, per-image mean IoU and Dice, as far as the network has them."""
    resamples = metrics.bootstrap_groups(np.array([row.group for row in rows]))
    return metrics.with_intervals(lambda chosen: pair_metrics(rows, chosen), resamples, len(rows))
