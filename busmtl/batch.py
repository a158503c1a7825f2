"""One network over a collection of images, and how well it does where their owner knows better."""

import io
import logging
import math
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from . import known
from .ahead import one_ahead
from .collection import Item, Member
from .gate import warned
from .images import DecodedImage, ImageError, decode
from .metrics import (
    at_threshold,
    auc,
    confusion_counts,
    dice,
    iou,
    overlap_counts,
    proportions,
    wilson_interval,
)
from .predictor import Prediction, Predictor
from .rows import error_row, mask_path, mask_png, prediction_row
from .variants import CLASS_NAMES

FEW = 30  # images; with fewer of a class, or with fewer masks, figures say little
SEEN = ("train", "validation", "test")  # parts of the data behind the networks and their figures
THRESHOLD = 0.5  # of the column `predicted`
BROKEN = "Something went wrong here with this image. Try it alone."


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one image.

    row: of predictions.csv; `error` in it says why an image was not usable.
    mask_png: the outlined lesions, None from a network that does not segment.
    counts: int (4,) TP, FP, FN, TN pixels against the reference, where there is one.
    note: why its reference masks could not be used, or "".
    match: the image of the networks' own data that this one is or nearly is.
    """

    item: Item
    row: dict
    malignant_prob: float | None = None
    mask_png: bytes | None = None
    counts: np.ndarray | None = None
    note: str = ""
    match: known.Match | None = None

    @property
    def failed(self) -> bool:
        return "error" in self.row


def run(
    predictor: Predictor, items: Iterable[Item], mm_per_px: float | None = None
) -> Iterator[Outcome]:
    """Each image in turn, in memory only from the turn before its own; a bad one costs its own row.

    items: their bytes are read in another thread. mm_per_px: as of `Predictor.predict`, for all.
    """
    for item, decoded in one_ahead(_decode, items):
        try:
            yield _predict(predictor, item, mm_per_px, *decoded.result())
        except ImageError as error:
            yield Outcome(item, error_row(item.name, predictor.variant.id, str(error)))
        except Exception:
            logging.exception("An image of a batch failed")
            yield Outcome(item, error_row(item.name, predictor.variant.id, BROKEN))


def _decode(item: Item) -> tuple[DecodedImage, known.Match | None]:
    return known.told(warned(decode(item.image.read())))


def _predict(
    predictor: Predictor,
    item: Item,
    mm_per_px: float | None,
    decoded: DecodedImage,
    match: known.Match | None,
) -> Outcome:
    prediction = predictor.predict(decoded, mm_per_px)
    counts, note = _compare(prediction, item.masks)
    png = None if prediction.mask is None else mask_png(prediction.mask)
    row = prediction_row(item.name, prediction)
    return Outcome(item, row, prediction.malignant_prob, png, counts, note, match)


def _compare(prediction: Prediction, masks: tuple[Member, ...]) -> tuple[np.ndarray | None, str]:
    if prediction.mask is None or not masks:
        return None, ""
    try:
        reference = read_reference(masks, prediction.mask.shape)
    except ImageError as error:
        return None, f"Its reference mask was not used. {error}"
    return overlap_counts(prediction.mask[None], reference[None])[0], ""


def read_reference(masks: tuple[Member, ...], size_hw: tuple[int, int]) -> np.ndarray:
    """bool (H, W): what any of the masks outlines. White, or 1 where nothing is higher, is lesion.

    Raises ImageError.
    """
    reference = np.zeros(size_hw, bool)
    for mask in masks:
        grey = decode(mask.read()).image_rgb_u8.max(axis=2)
        if grey.shape != size_hw:
            raise ImageError("The mask and the image differ in size. Make them the same size.")
        reference |= grey > (127 if grey.max() > 1 else 0)
    return reference


def masks_zip(outcomes: Iterable[Outcome]) -> bytes:
    """The masks in the folders in which the command line writes them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # PNG is packed already
        for outcome in outcomes:
            if outcome.mask_png is not None:
                name = mask_path(outcome.row["variant"], outcome.item.stem)
                archive.writestr(name, outcome.mask_png)
    return file.getvalue()


# ---- figures on the owner's data


def figures(outcomes: list[Outcome]) -> dict:
    """{"classification": ..., "segmentation": ..., "warnings": [sentences]}, ready for JSON.

    The first two are None where there is nothing to compare. What is not defined is None.
    """
    labelled = [o for o in outcomes if o.item.label and o.malignant_prob is not None]
    masked = np.array([o.counts for o in outcomes if o.counts is not None])
    classification = _classification(labelled) if labelled else None
    segmentation = _segmentation(masked) if len(masked) else None
    return {
        "classification": classification,
        "segmentation": segmentation,
        "warnings": [*_known_images(outcomes), *_warnings(classification, segmentation)],
    }


def _classification(labelled: list[Outcome]) -> dict:
    labels = np.array([CLASS_NAMES.index(outcome.item.label) for outcome in labelled])
    prob = np.array([outcome.malignant_prob for outcome in labelled])
    counts = confusion_counts(labels, prob, THRESHOLD)
    values = at_threshold(labels, prob, THRESHOLD) | {"auc": auc(labels, prob)}
    summary = {
        "benign": int((labels == 0).sum()),
        "malignant": int((labels == 1).sum()),
        "threshold": THRESHOLD,
        **dict(zip(("tp", "fp", "fn", "tn"), counts, strict=True)),
    }
    for name, value in values.items():
        summary[name] = {"value": None if math.isnan(value) else value}
    for name, (part, whole) in proportions(*counts).items():
        low, high = wilson_interval(part, whole)
        summary[name] |= {"low": low, "high": high, "part": part, "whole": whole}
    return summary


def _segmentation(counts: np.ndarray) -> dict:
    """(N, 4) counts. Where the reference outlines nothing, overlap has no meaning: those images
    are counted apart.
    """
    tp, fp, fn, _ = counts.T
    with_lesion = counts[tp + fn > 0]
    empty = tp + fn == 0
    pooled = with_lesion.sum(axis=0)
    summary = {
        "images": len(with_lesion),
        "images_without_lesion": int(empty.sum()),
        "outlined_without_lesion": int((fp[empty] > 0).sum()),
        "iou_per_image_mean": None,
        "dice_per_image_mean": None,
        "iou_pooled": None,
        "dice_pooled": None,
    }
    if len(with_lesion):
        summary["iou_per_image_mean"] = float(iou(with_lesion).mean())
        summary["dice_per_image_mean"] = float(dice(with_lesion).mean())
        summary["iou_pooled"] = float(iou(pooled))
        summary["dice_pooled"] = float(dice(pooled))
    return summary


def _known_images(outcomes: list[Outcome]) -> list[str]:
    """A warning where figures would come from images that the networks, or we, have seen."""
    measured = [o for o in outcomes if o.item.label or o.counts is not None]
    parts = [o.match.part for o in measured if o.match and o.match.part in SEEN]
    if not parts:
        return []
    counts = ", ".join(f"{parts.count(part)} {part}" for part in SEEN if part in parts)
    return [
        f"Known images: {len(parts)} of {len(measured)} are in the networks' own data ({counts}), "
        "so these figures say little about new images. Leave those out; the warnings in "
        "predictions.csv name them."
    ]


def _warnings(classification: dict | None, segmentation: dict | None) -> list[str]:
    warnings = []
    if classification and min(classification["benign"], classification["malignant"]) < FEW:
        warnings.append(
            f"Few images: {classification['benign']} benign and {classification['malignant']} "
            "malignant with a label and a result. With fewer than "
            f"{FEW} of either class the figures may be far off; look at the intervals."
        )
    if segmentation and segmentation["images"] < FEW:
        warnings.append(
            f"Few masks: {segmentation['images']} with a lesion. With fewer than {FEW} the means "
            "may be far off."
        )
    return warnings
