"""predictions.csv: its columns, its rows, and the names beside them, on the page as elsewhere."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

import numpy as np
from PIL import Image

from .predictor import Prediction
from .variants import CLASS_NAMES

COLUMNS = (
    "image",
    "variant",
    "predicted",
    "benign_prob",
    "malignant_prob",
    "lesion_count",
    "lesion_area_px",
    "lesion_fraction",
    "major_axis_px",
    "minor_axis_px",
    "spacing_mm",
    "latency_ms",
    "warnings",
    "error",
)


def prediction_row(name: str, prediction: Prediction) -> dict:
    """The row of an image that was usable; columns of a task the network lacks are left out."""
    row = {
        "image": name,
        "variant": prediction.variant,
        "spacing_mm": _spacing(prediction.spacing_mm),
        "latency_ms": f"{prediction.latency_ms:.1f}",
        "warnings": " ".join(prediction.warnings),
    }
    if prediction.malignant_prob is not None:
        row["predicted"] = CLASS_NAMES[prediction.malignant_prob >= 0.5]
        row["benign_prob"] = f"{1 - prediction.malignant_prob:.6f}"
        row["malignant_prob"] = f"{prediction.malignant_prob:.6f}"
    if prediction.mask is not None:
        area_px = sum(lesion.area_px for lesion in prediction.lesions)
        row["lesion_count"] = len(prediction.lesions)
        row["lesion_area_px"] = area_px
        row["lesion_fraction"] = f"{area_px / prediction.mask.size:.6f}"
    if prediction.lesions:
        largest = prediction.lesions[0]
        row["major_axis_px"] = f"{largest.major_axis_px:.1f}"
        row["minor_axis_px"] = f"{largest.minor_axis_px:.1f}"
    return row


def error_row(name: str, variant_id: str, sentence: str) -> dict:
    """The row of an image that could not be used."""
    return {"image": name, "variant": variant_id, "error": sentence}


def csv_writer(file: io.TextIOBase) -> csv.DictWriter:
    """A writer of such rows, the header already written."""
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    return writer


def csv_text(rows: Iterable[dict]) -> str:
    """The whole of predictions.csv."""
    file = io.StringIO()
    csv_writer(file).writerows(rows)
    return file.getvalue()


def natural_order(path: PurePath) -> list[tuple[bool, int, str]]:
    """Sorting key of the files in one folder: 2 before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(False, int(p), "") if p.isdecimal() else (True, 0, p.casefold()) for p in parts]


def row_names(paths: Sequence[PurePath]) -> list[str]:
    """What the column `image` says: the file's name, or the path as given where names repeat."""
    count = Counter(path.name for path in paths)
    return [path.name if count[path.name] == 1 else str(path) for path in paths]


def mask_stems(paths: Sequence[PurePath]) -> list[str]:
    """Stems of the mask files; those that would overwrite each other get a number."""
    taken, stems = set(), []
    for path in paths:
        stem, number = path.stem, 1
        while stem.casefold() in taken:  # some file systems take A.png and a.png for the same
            number += 1
            stem = f"{path.stem}_{number}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def mask_path(variant_id: str, stem: str) -> str:
    """Where a mask lies, from the folder of predictions.csv or in the zip that stands for it."""
    return f"masks/{variant_id}/{stem}.png"


def mask_png(mask: np.ndarray) -> bytes:
    """bool (H, W) → PNG of one channel, 0 and 255."""
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, format="PNG")
    return file.getvalue()


def _spacing(spacing_mm: tuple[float, float] | None) -> str:
    """One number for square pixels, else two: between rows, between columns."""
    return " ".join(f"{side:g}" for side in dict.fromkeys(spacing_mm or ()))
