"""The report's figures: the paper's Figs. 5 and 6, calibration, and overlap, as PNG and SVG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from busmtl import Predictor, render
from busmtl.variants import VARIANTS

from . import metrics
from .data import read_image, read_mask
from .evaluate import Row, calibrated
from .splits import Entry, read_manifest
from .study import FIG4_RUNS, Study
from .tables import Network

# Colour-blind safe (Okabe and Ito), with a line style of its own for each, in the paper's order.
STYLES = {
    "resnet50-cls": ("#0072B2", "--"),
    "resnet50-seg": ("#0072B2", ":"),
    "resnet50-mtl": ("#0072B2", "-"),
    "swin-cls": ("#D55E00", "--"),
    "swin-seg": ("#D55E00", ":"),
    "swin-mtl": ("#D55E00", "-"),
}
REFERENCE_RGB = (250, 204, 21)
THUMBNAIL_SIDE = 200  # px


@contextmanager
def saved(folder: Path, name: str, **layout) -> Iterator:
    """A figure that is written as name.png and name.svg, the same bytes for the same content."""
    options = {"svg.hashsalt": "busmtl", "svg.fonttype": "none", "font.size": 9}
    with matplotlib.rc_context(options):
        figure, axes = plt.subplots(layout="constrained", **layout)
        yield axes
        figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def classifier_answers(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """bool (N,) malignant, float (N,) margin of BUSI test."""
    test = network.part("busi", "test")
    labels = np.array([row.label == "malignant" for row in test])
    return labels, np.array([row.margin for row in test])


def overfitting(studies: dict[str, Study], folder: Path) -> None:
    """Fig. 4: losses of ST-Classification by epoch, (a) without and (b) with the measures against
    overfitting, where both runs are kept.
    """
    if not FIG4_RUNS.keys() <= studies.keys():
        return
    with saved(folder, "fig4_overfitting", ncols=2, figsize=(8, 3), sharey=True) as both:
        for axes, (name, title) in zip(both, FIG4_RUNS.items(), strict=True):
            log = studies[name].log
            epochs = [row["epoch"] + 1 for row in log]
            axes.plot(epochs, [row["loss_cls"] for row in log], "C0-", label="train")
            axes.plot(epochs, [row["busi_log_loss"] for row in log], "C1--", label="validation")
            axes.set(title=f"{title} avoiding overfitting", xlabel="epoch")
            axes.legend(frameon=False)
        both[0].set(ylabel="cross-entropy", ylim=(0, None))


def overlap(rows: list[Row]) -> np.ndarray:
    """int (N, 4) of TP, FP, FN, TN pixels."""
    return np.array([(row.tp, row.fp, row.fn, row.tn) for row in rows])


def classifiers(networks: list[Network]) -> list[Network]:
    """The paper's; those beyond it are in the tables alone."""
    return [each for each in networks if each.classifies and each.id in VARIANTS]


def segmenters(networks: list[Network]) -> list[Network]:
    """The paper's; those beyond it are in the tables alone."""
    return [each for each in networks if each.segments and each.id in VARIANTS]


def roc(networks: list[Network], folder: Path) -> None:
    """Fig. 5."""
    from sklearn.metrics import roc_curve

    with saved(folder, "fig5_roc", figsize=(5, 4.6)) as axes:
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for network in classifiers(networks):
            fpr, tpr, _ = roc_curve(*classifier_answers(network), drop_intermediate=False)
            auc = network.metrics["busi_test"]["ranking"]["auc"]["value"]
            colour, line = STYLES[network.id]
            axes.plot(fpr, tpr, line, color=colour, label=f"{network.title}, AUC {auc:.3f}")
        axes.set(xlabel="False positive rate", ylabel="True positive rate", aspect="equal")
        axes.set_title("ROC on BUSI test")
        axes.legend(loc="lower right", frameon=False)
        axes.grid(alpha=0.25)


def reliability(networks: list[Network], folder: Path, bins: int = 5) -> None:
    """Malignant share against mean probability in bins of equal counts, before and after."""
    shown = classifiers(networks)
    size = (3.2 * len(shown), 3.4)
    with saved(folder, "calibration", ncols=len(shown), figsize=size, squeeze=False) as axes:
        for panel, network in zip(axes[0], shown, strict=True):
            labels, margins = classifier_answers(network)
            panel.plot([0, 1], [0, 1], color="0.7", linewidth=1)
            for title, temperature, line in (
                ("before", 1.0, "o:"),
                ("after", network.temperature, "o-"),
            ):
                prob = calibrated(margins, temperature)
                groups = np.array_split(np.argsort(prob), bins)
                panel.plot(
                    [prob[each].mean() for each in groups],
                    [labels[each].mean() for each in groups],
                    line,
                    color="#0072B2" if title == "after" else "0.5",
                    label=f"{title} temperature scaling",
                )
            panel.set(title=network.title, xlabel="mean probability", aspect="equal")
            panel.grid(alpha=0.25)
        axes[0][0].set_ylabel("malignant share")
        axes[0][0].legend(frameon=False, loc="upper left")


def overlap_distribution(networks: list[Network], folder: Path) -> None:
    """Share of test lesions whose IoU is at most x."""
    with saved(folder, "iou_distribution", figsize=(5, 3.6)) as axes:
        for network in segmenters(networks):
            iou = np.sort(metrics.iou(overlap(network.part("busi", "test"))))
            share = np.arange(1, len(iou) + 1) / len(iou)
            colour, line = STYLES[network.id]
            axes.step(iou, share, line, color=colour, where="post", label=network.title)
        axes.axvline(metrics.MISSED_IOU, color="0.7", linewidth=1)
        axes.annotate("missed", (metrics.MISSED_IOU, 0.95), xytext=(3, 0), color="0.4",
                      textcoords="offset points")  # fmt: skip
        axes.set(xlabel="tumour IoU", ylabel="share of lesions with at most this", xlim=(0, 1))
        axes.set_title("Overlap on BUSI test")
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.2, 1))
        axes.grid(alpha=0.25)


def grid_choice(networks: list[Network]) -> list[Row]:
    """Two benign and two malignant test images by rule: one and two thirds up the mean IoU."""
    tests = [network.part("busi", "test") for network in segmenters(networks)]
    mean_iou = np.mean([metrics.iou(overlap(rows)) for rows in tests], axis=0)
    chosen = []
    for label in ("benign", "malignant"):
        those = [index for index in np.argsort(mean_iou) if tests[0][index].label == label]
        chosen += [tests[0][those[len(those) * third // 3]] for third in (1, 2)]
    return chosen


def masks_grid(networks: list[Network], folder: Path, data: Path) -> None:
    """Fig. 6: image, reference, and the outlines of all segmenters."""
    shown, rows = segmenters(networks), grid_choice(networks)
    predictors = [Predictor(network.id, engine="torch") for network in shown]
    titles = ["image", "reference", *(network.title for network in shown)]
    size = (1.7 * len(titles), 1.5 * len(rows))
    with saved(folder, "fig6_masks", nrows=len(rows), ncols=len(titles), figsize=size) as axes:
        for line, row in zip(axes, rows, strict=True):
            entry = entry_of(row)
            image = read_image(data, entry)
            masks = [read_mask(data, entry, image.shape[:2])]
            masks += [predictor.predict(image).mask for predictor in predictors]
            line[0].imshow(thumbnail(image))
            line[0].set_ylabel(f"{row.image}")
            for panel, mask in zip(line[1:], masks, strict=True):
                panel.imshow(thumbnail(mask), cmap="gray", vmin=0, vmax=1)
            for panel in line:
                panel.set(xticks=[], yticks=[])
        for panel, title in zip(axes[0], titles, strict=True):
            panel.set_title(title, fontsize=8)


def failures(networks: list[Network], folder: Path, data: Path, each: int = 6) -> list[dict]:
    """The test lesions worst outlined and worst classified, by the mean over the networks.

    Each becomes a small picture with the reference's outline; returned are its file's name, the
    image's name and label, and what went wrong, with the mean figure.
    """
    worst = []
    if shown := segmenters(networks):
        tests = [network.part("busi", "test") for network in shown]
        mean = np.mean([metrics.iou(overlap(rows)) for rows in tests], axis=0)
        worst += [("iou", tests[0][index], mean[index]) for index in np.argsort(mean)[:each]]
    if shown := classifiers(networks):
        tests = [network.part("busi", "test") for network in shown]
        mean = np.mean([right_prob(network) for network in shown], axis=0)
        worst += [("right_prob", tests[0][index], mean[index]) for index in np.argsort(mean)[:each]]
    records = []
    for number, (kind, row, figure) in enumerate(worst, start=1):
        name = f"failure-{number:02d}.png"
        write_outlined(data, entry_of(row), folder / name)
        records.append(
            {"file": name, "image": row.image, "label": row.label, "kind": kind,
             "figure": round(float(figure), 4)}
        )  # fmt: skip
    return records


def right_prob(network: Network) -> np.ndarray:
    """float (N,): the probability that the network gave the right class of each test image."""
    malignant, margins = classifier_answers(network)
    prob = calibrated(margins, network.temperature)
    return np.where(malignant, prob, 1 - prob)


def entry_of(row: Row) -> Entry:
    """The manifest's row of an evaluated image."""
    return next(each for each in read_manifest(row.data_set) if each.image == row.image)


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) or bool (H, W), made small enough to be shown and no more."""
    scaled = Image.fromarray(picture)
    scaled.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(scaled)


def write_outlined(data: Path, entry: Entry, path: Path) -> None:
    """The image, small, with its reference outlined."""
    image = read_image(data, entry)
    mask = read_mask(data, entry, image.shape[:2])
    small = Image.fromarray(thumbnail(image))
    scale = small.width / image.shape[1]
    draw = ImageDraw.Draw(small)
    for outline in render.contours(mask):
        draw.line([(x * scale, y * scale) for x, y in outline], fill=REFERENCE_RGB)
    small.save(path, optimize=True)
