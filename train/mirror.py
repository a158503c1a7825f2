"""Whether the error rises with the gap between the answers for an image and its mirror image.

    python -m train mirror --variant resnet50-mtl --data DATA

It is measured on the validation parts and written into the weights folder; the page speaks of the
gap only where the error rises with it in each data set.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from busmtl import Predictor
from busmtl.metrics import dice, overlap_counts
from busmtl.mirror import MASK, PROB, RECORD_FILE
from busmtl.variants import CLASS_NAMES
from busmtl.weights import fingerprint

from .data import image_path, present, read_mask
from .splits import Entry, read_manifest

log = logging.getLogger(__name__)

SETS = ("busi", "busbra")


@dataclass(frozen=True)
class Gap:
    """One image: how far its two answers lie apart, and how wrong their mean is."""

    data_set: str
    gap: float
    error: float


def write_record(variant_id: str, folder: Path, data_folder: Path) -> dict:
    """Write mirror.json into the weights folder. ValueError for a network without flips."""
    predictor = Predictor(variant_id, weights=folder)
    if not predictor.config.flip_average:
        raise ValueError(f"{variant_id} does not look at the mirror image.")
    gaps = measure(predictor, data_folder)
    record = {"weights_sha256": fingerprint(folder)}
    record |= {part: summarise(rows) for part, rows in gaps.items() if rows}
    (folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n")
    return record


def measure(predictor: Predictor, data_folder: Path) -> dict[str, list[Gap]]:
    """PROB and MASK → a row for each validation image; empty for a task that is not there."""
    rows = {PROB: [], MASK: []}
    entries = [
        (name, entry)
        for name in SETS
        if present(data_folder, name)
        for entry in read_manifest(name)
        if entry.part == "validation"
    ]
    for name, entry in track(entries, description=predictor.variant.id, transient=True):
        for part, gap, error in _gaps(predictor, entry, data_folder):
            rows[part].append(Gap(name, gap, error))
    return rows


def _gaps(predictor: Predictor, entry: Entry, data_folder: Path):
    prediction = predictor.predict(image_path(data_folder, entry))
    if prediction.malignant_prob is not None:
        wrong = (prediction.malignant_prob >= 0.5) != (entry.label == CLASS_NAMES[1])
        yield PROB, prediction.mirror.prob_gap, float(wrong)
    if prediction.mask is not None:
        reference = read_mask(data_folder, entry, prediction.mask.shape)
        counts = overlap_counts(prediction.mask[None], reference[None])
        yield MASK, prediction.mirror.mask_gap, float(1 - dice(counts)[0])


def summarise(rows: list[Gap]) -> dict:
    """Thirds by gap of all sets together, and by the same limits in each set."""
    limits = np.quantile([row.gap for row in rows], [1 / 3, 2 / 3])
    sets = {
        name: _thirds([row for row in rows if row.data_set == name], limits)
        for name in SETS
        if any(row.data_set == name for row in rows)
    }
    return {
        "limits": limits.tolist(),
        "thirds": _thirds(rows, limits),
        "sets": sets,
        "error_rises": all(
            thirds[0]["images"] and thirds[2]["images"] and thirds[0]["error"] < thirds[2]["error"]
            for thirds in sets.values()
        ),
    }


def _thirds(rows: list[Gap], limits: np.ndarray) -> list[dict]:
    """error is None where a third of a set is empty."""
    ranks = np.searchsorted(limits, [row.gap for row in rows], side="right")
    errors = np.array([row.error for row in rows])
    return [
        {
            "images": int((ranks == rank).sum()),
            "error": float(errors[ranks == rank].mean()) if (ranks == rank).any() else None,
        }
        for rank in range(3)
    ]
