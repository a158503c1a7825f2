"""The report's tables, each from the saved predictions of the networks that are there."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from busmtl import reported
from busmtl.variants import Variant, marked_title

from . import metrics, paper
from .card import lookup, with_interval
from .evaluate import Row

TABLE_1_TITLES = {"tpr": "TPR", "fpr": "FPR", "acc": "ACC", "pre": "PRE", "f1": "F1"}
METRIC_TITLES = {"auc": "AUC", "acc": "ACC", "iou": "tumour IoU", "dice": "Dice"}
SIZE_EDGES = (0, 0.03, 0.1, 1)  # lesion's share of the image
NOT_COMPUTED = "–"


@dataclass(frozen=True)
class Network:
    """An embedded network with what `train evaluate` saved of it."""

    variant: Variant
    metrics: dict
    rows: list[Row]
    parameters: int
    file_bytes: int
    temperature: float | None

    @property
    def id(self) -> str:
        return self.variant.id

    @property
    def title(self) -> str:
        return marked_title(self.id)

    @property
    def classifies(self) -> bool:
        return self.variant.classifies

    @property
    def segments(self) -> bool:
        return self.variant.segments

    def part(self, data_set: str, part: str) -> list[Row]:
        return [row for row in self.rows if (row.data_set, row.part) == (data_set, part)]


@dataclass(frozen=True)
class Table:
    """name: its files' stem. notes: sentences below it."""

    name: str
    title: str
    header: list[str]
    rows: list[list[str]]
    notes: str = ""

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return f"### {self.title}\n\n{body}\n" + (f"\n{self.notes}\n" if self.notes else "")

    def csv(self) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([self.header, *self.rows])
        return buffer.getvalue()


def all_tables(networks: list[Network]) -> list[Table]:
    """In the report's order; one that no network has figures for is left out."""
    makers = (
        classification, segmentation, against_paper, goals, pairs, ranking, calibration,
        by_lesion_size, without_objections, by_device, normals, cost,
    )  # fmt: skip
    return [table for make in makers if (table := make(networks)).rows]


def classification(networks: list[Network]) -> Table:
    rows = []
    for network in networks:
        ours = lookup(network.metrics, ("busi_test", "at_threshold", "default"))
        if ours is None:
            continue
        theirs = paper.TABLE_1.get(network.id, {})
        cells = [_beside(ours[key], theirs.get(key)) for key in TABLE_1_TITLES]
        rows.append([network.title, *cells])
    header = ["network", *TABLE_1_TITLES.values()]
    title = "Table I: classification on BUSI test at 0.5 (in brackets the paper's)"
    return Table("table1", title, header, rows, f"{paper.CORRECTION_1}\n\n{paper.PROTOCOL}")


def segmentation(networks: list[Network]) -> Table:
    keys = {
        "Tumour IoU, per-image mean": "tumour_iou_per_image_mean",
        "Tumour IoU, pooled": "tumour_iou_pooled",
        "Dice, per-image mean": "dice_per_image_mean",
        "Background IoU, pooled": "background_iou_pooled",
        "Missed (IoU < 0.1)": "missed_share",
    }
    papers = {"tumour_iou_per_image_mean": "tumour", "background_iou_pooled": "background"}
    rows = []
    for network in networks:
        ours = lookup(network.metrics, ("busi_test", "segmentation"))
        if ours is None:
            continue
        theirs = paper.TABLE_2.get(network.id, {})
        cells = [_beside(ours[key], theirs.get(papers.get(key))) for key in keys.values()]
        rows.append([network.title, *cells])
    title = "Table II: segmentation on BUSI test (in brackets the paper's)"
    return Table("table2", title, ["network", *keys], rows, paper.CORRECTION_2)


def against_paper(networks: list[Network]) -> Table:
    """Every figure of Tables I and II that a network has: ours minus the paper's."""
    rows = []
    for network in networks:
        for title, ours, theirs, sign in _beside_paper(network):
            difference = ours - theirs
            verdict = "met" if round(sign * difference, 3) >= 0 else "missed"
            cells = [title, f"{ours:.3f}", f"{theirs:.3f}", f"{difference:+.3f}", verdict]
            rows.append([network.title, *cells])
    header = ["network", "metric", "ours", "the paper's", "difference", "row"]
    return Table("against_paper", "Against the paper", header, rows, paper.WHY_MISSED)


def _beside_paper(network: Network) -> Iterator[tuple[str, float, float, int]]:
    """(metric, ours, the paper's, -1 where lower is better)."""
    test = network.metrics["busi_test"]
    for key, theirs in paper.TABLE_1.get(network.id, {}).items():
        ours = test["at_threshold"]["default"][key]["value"]
        yield TABLE_1_TITLES[key], ours, theirs, -1 if key == "fpr" else 1
    if theirs := paper.TABLE_2.get(network.id):
        ours = {key: each["value"] for key, each in test["segmentation"].items()}
        yield "Tumour IoU", ours["tumour_iou_per_image_mean"], theirs["tumour"], 1
        yield "Background IoU", ours["background_iou_pooled"], 1 - theirs["background"], 1


def goals(networks: list[Network]) -> Table:
    """What this project set out to reach."""
    by_id = {network.id: network for network in networks}
    rows = []
    for metric, keys, least, ids in paper.GOALS:
        for network in (by_id[each] for each in ids if each in by_id):
            figure = lookup(network.metrics["busi_test"], keys)
            missed = least - figure["value"]
            verdict = "reached" if missed <= 0 else f"missed by {missed:.3f}"
            rows.append([network.title, f"{metric} ≥ {least}", with_interval(figure), verdict])
    header = ["network", "goal", "on BUSI test", ""]
    return Table("goals", "Goals of this project", header, rows)


def pairs(networks: list[Network]) -> Table:
    """Multi-task minus single-task on the same test images."""
    by_id = {network.id: network for network in networks}
    rows = []
    for backbone in ("resnet50", "swin"):
        multi = by_id.get(f"{backbone}-mtl")
        for task, names in (("cls", ("auc", "acc")), ("seg", ("iou", "dice"))):
            single = by_id.get(f"{backbone}-{task}")
            if multi and single:
                found = paired_difference(multi.part("busi", "test"), single.part("busi", "test"))
                cells = [with_interval(found[name]) for name in names]
                rows += [
                    [f"{multi.title} − {single.title}", METRIC_TITLES[name], cell]
                    for name, cell in zip(names, cells, strict=True)
                ]
    notes = (
        "Paired bootstrap over duplicate groups: an interval that holds 0 shows neither a "
        "difference nor that there is none. The single-task networks start from the multi-task one "
        "of their backbone, so this compares the last stages of training, not multi-task training "
        "from the start."
    )
    return Table("pairs", "Multi-task against single-task", PAIR_HEADER, rows, notes)


PAIR_HEADER = ["difference", "metric", "value"]


def paired_difference(first: list[Row], second: list[Row]) -> dict[str, dict]:
    """Each metric of `first` minus that of `second`, both on the same images, with intervals."""
    if [row.image for row in first] != [row.image for row in second]:
        raise ValueError("The two networks were not measured on the same images.")
    resamples = metrics.bootstrap_groups(np.array([row.group for row in first]))

    def difference(chosen: np.ndarray) -> dict[str, float]:
        one, other = (pair_metrics(rows, chosen) for rows in (first, second))
        return {name: one[name] - other[name] for name in one.keys() & other.keys()}

    return metrics.with_intervals(difference, resamples, len(first))


def pair_metrics(rows: list[Row], chosen: np.ndarray) -> dict[str, float]:
    """AUC and ACC at 0.5, per-image mean IoU and Dice of the chosen images, as far as there."""
    picked = [rows[index] for index in chosen]
    result = {}
    if not np.isnan(picked[0].margin):
        labels = np.array([row.label == "malignant" for row in picked])
        margins = np.array([row.margin for row in picked])
        result["auc"] = metrics.ranking(labels, margins)["auc"]
        result["acc"] = float(np.mean((margins >= 0) == labels))  # probability ≥ 0.5
    if picked[0].tp >= 0:
        counts = np.array([(row.tp, row.fp, row.fn, row.tn) for row in picked])
        result["iou"] = float(metrics.iou(counts).mean())
        result["dice"] = float(metrics.dice(counts).mean())
    return result


def ranking(networks: list[Network]) -> Table:
    rows = _figure_rows(networks, "busi_test", ("ranking", "auc"), ("ranking", "auprc"))
    notes = "AUPRC is the average precision; 32 % of the test images are malignant."
    return Table("auc", "Fig. 5: area under the curve", ["network", "AUC", "AUPRC"], rows, notes)


def calibration(networks: list[Network]) -> Table:
    rows = _figure_rows(
        networks,
        "busi_test",
        ("before_temperature", "ece"),
        ("calibration", "ece"),
        ("before_temperature", "brier"),
        ("calibration", "brier"),
    )
    header = ["network", "ECE before", "ECE after", "Brier before", "Brier after"]
    title = "Calibration on BUSI test before and after temperature scaling"
    return Table("calibration", title, header, rows, "The temperature is fitted on validation.")


def by_lesion_size(networks: list[Network]) -> Table:
    bands = list(pairwise(SIZE_EDGES))
    rows, counts = [], [0] * len(bands)
    for network in networks:
        if not network.segments:
            continue
        test = network.part("busi", "test")
        overlap = np.array([(row.tp, row.fp, row.fn, row.tn) for row in test])
        share = overlap[:, [0, 2]].sum(axis=1) / overlap.sum(axis=1)
        iou = metrics.iou(overlap)
        inside = [(share >= low) & (share < high) for low, high in bands]
        counts = [int(each.sum()) for each in inside]
        rows.append([network.title, *(f"{iou[each].mean():.3f}" for each in inside)])
    header = [
        f"{low:.0%} to {high:.0%} of the image ({count})"
        for (low, high), count in zip(bands, counts, strict=True)
    ]
    title = "Tumour IoU (per-image mean) by lesion size"
    return Table("iou_by_size", title, ["network", *header], rows)


def without_objections(networks: list[Network]) -> Table:
    part = "busi_test_without_objections"
    keys = ("ranking", "auc"), ("at_threshold", "default", "acc"), IOU
    count = next((network.metrics[part]["images"] for network in networks), 0)
    title = f"Sensitivity: BUSI test without axilla and needle frames ({count} images)"
    rows = _figure_rows(networks, part, *keys)
    return Table("sensitivity", title, ["network", "AUC", "ACC", "Tumour IoU"], rows)


IOU = ("segmentation", "tumour_iou_per_image_mean")


def by_device(networks: list[Network]) -> Table:
    rows = []
    for network in networks:
        for device, summary in network.metrics.get("busbra_validation_by_device", {}).items():
            figures = [lookup(summary, keys) for keys in (("ranking", "auc"), IOU)]
            cells = [with_interval(each) if each else NOT_COMPUTED for each in figures]
            rows.append([network.title, device, str(summary["images"]), *cells])
    notes = "BUS-BRA validation served the choices, so these figures are somewhat optimistic."
    header = ["network", "device", "images", "AUC", "Tumour IoU"]
    return Table("devices", "BUS-BRA validation by device", header, rows, notes)


def normals(networks: list[Network]) -> Table:
    rows = [
        [network.title, str(found["images"]), f"{found['given_a_mask_share']:.1%}"]
        for network in networks
        if (found := network.metrics.get("busi_normal"))
    ]
    header = ["network", "normal images", "given a mask"]
    notes = "No network saw a normal image in training."
    return Table("normals", "False masks on normal images", header, rows, notes)


def cost(networks: list[Network]) -> Table:
    """The paper asks which network is fastest."""
    rows = [
        [
            network.title,
            f"{network.parameters / 1e6:.1f} M",
            f"{network.file_bytes / 2**20:.0f} MB",
            *_times(network.id),
        ]
        for network in networks
    ]
    header = ["network", "parameters", "weights file", "time per image", "in plain PyTorch"]
    notes = (
        "Time from a file's bytes to the result, image and mirror image, median by `python -m "
        "busmtl bench` (bench.md says on what machine)."
    )
    return Table("cost", "What a network costs", header, rows, notes)


def _times(variant_id: str) -> list[str]:
    """As the product serves the network, and in plain PyTorch."""
    path = reported.FOLDER / "bench.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    measured = results.get(f"file to result, {variant_id}")
    if measured is None:
        return [NOT_COMPUTED] * 2
    return [f"{np.median(measured[kind]):.0f} ms" for kind in ("product", "torch")]


def _figure_rows(networks: list[Network], part: str, *keys: tuple[str, ...]) -> list[list[str]]:
    """A row for each network that has at least one of the figures."""
    rows = []
    for network in networks:
        figures = [lookup(network.metrics[part], each) for each in keys]
        if any(figures):
            cells = [with_interval(each) if each else NOT_COMPUTED for each in figures]
            rows.append([network.title, *cells])
    return rows


def _beside(ours: dict, theirs: float | None) -> str:
    return with_interval(ours) + (f" ({theirs:.4f})" if theirs is not None else "")
