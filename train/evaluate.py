"""All metrics of a finished network, from predictions that are saved beside its weights.

    python -m train evaluate --variant resnet50-mtl --data DATA
    python -m train evaluate --weights RUN/weights --data DATA

The BUSI test part is read here and nowhere else; each look at it is appended to
`train/evaluations.jsonl`, or to a file of that name beside weights that are not embedded, with its
date, weights, and figures. BUS-BRA is measured where the data folder holds it.

PyTorch's answers are the network's own figures. Where there are OpenVINO files, their answers are
saved beside them and measured too.
"""

import csv
import datetime
import json
import logging
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import track

from busmtl import Predictor
from busmtl.exported import FOLDER, is_exported, read_stamp
from busmtl.metrics import at_threshold, overlap_counts
from busmtl.predictor import malignant_prob
from busmtl.variants import CLASS_NAMES, get_variant
from busmtl.weights import Config, fingerprint, load_config

from . import metrics
from .data import image_path, present, read_mask
from .splits import RANDOM, Entry, manifest_hashes, pixel_hash, read_manifest

log = logging.getLogger(__name__)

LOG = Path(__file__).parent / "evaluations.jsonl"
PREDICTIONS = "predictions.csv"
# (data set, part) of what is evaluated. The validation parts served the choices, so their figures
# are optimistic: BUS-BRA's is here for the scanners that BUSI lacks, BUSI's for the page, which
# says what became of the validation images that scored like the visitor's.
PARTS = (
    ("busi", "test"),
    ("busi", "normal"),
    ("busi", "validation"),
    ("busbra", "validation"),
)


@dataclass(frozen=True)
class Row:
    """A network's answer to one image, enough for every metric.

    margin: malignant logit minus benign logit before temperature; NaN without classification.
    tp, fp, fn, tn: pixels at the image's own size; -1 without segmentation.
    """

    data_set: str
    part: str
    image: str
    label: str
    group: str
    objection: str
    device: str
    margin: float
    tp: int
    fp: int
    fn: int
    tn: int


def predict(folder: Path, variant_id: str, data_folder: Path, engine: str = "torch") -> list[Row]:
    """Run the network over all parts, exactly as the product does with this engine.

    Without BUS-BRA in the data folder its part is skipped; without BUSI, FileNotFoundError.
    """
    if not present(data_folder, "busi"):
        raise FileNotFoundError(f"{data_folder} does not hold BUSI, whose test part is measured.")
    parts = [(name, part) for name, part in PARTS if present(data_folder, name)]
    if len(parts) < len(PARTS):
        log.warning("BUS-BRA is not in the data folder and is skipped.")
    predictor = Predictor(variant_id, folder, engine)
    # A network is tested on the split that it was trained on.
    random_split = RANDOM in predictor.config.data.get("sets", ())
    manifests = {"busi": RANDOM} if random_split else {}
    entries = [
        (name, entry)
        for name, part in parts
        for entry in read_manifest(manifests.get(name, name))
        if entry.part == part
    ]
    return [
        _predict_one(predictor, name, entry, data_folder)
        for name, entry in track(entries, description=f"{variant_id}, {engine}", transient=True)
    ]


def _predict_one(predictor: Predictor, name: str, entry: Entry, data_folder: Path) -> Row:
    path = image_path(data_folder, entry)
    prediction = predictor.predict(path)
    margin, counts = float("nan"), [-1] * 4
    if prediction.malignant_prob is not None:
        margin = _logit(prediction.malignant_prob) * predictor.config.temperature
    if prediction.mask is not None:
        reference = read_mask(data_folder, entry, prediction.mask.shape)
        counts = overlap_counts(prediction.mask[None], reference[None])[0].tolist()
    if pixel_hash(path) != entry.sha256:
        log.warning("%s differs from the manifest; the figures are not those of its picture", path)
    about = (entry.part, entry.image, entry.label, entry.group, entry.objection, entry.device)
    return Row(name, *about, margin, *counts)


def _logit(prob: float) -> float:
    prob = np.clip(prob, 1e-12, 1 - 1e-12)
    return float(np.log(prob) - np.log1p(-prob))


def write_rows(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(row), "margin": f"{row.margin:.6f}"} for row in rows)


def read_rows(path: Path) -> list[Row]:
    """The predictions that `evaluate` saved."""
    kinds = {each.name: each.type for each in fields(Row)}
    with path.open(newline="") as file:
        return [
            Row(**{key: kinds[key](value) for key, value in row.items()})
            for row in csv.DictReader(file)
        ]


def summarise(rows: list[Row], config: Config) -> dict:
    """All metrics of `rows` with 95 % intervals over resampled groups."""
    variant = get_variant(config.variant)
    labels = np.array([CLASS_NAMES.index(row.label) for row in rows])
    groups = np.array([row.group for row in rows])
    interval = partial(
        metrics.with_intervals, resamples=metrics.bootstrap_groups(groups), count=len(rows)
    )
    summary = {"images": len(rows), "malignant": int(labels.sum()), "groups": len(set(groups))}
    if variant.classifies:
        margins = np.array([row.margin for row in rows])
        summary |= _classification(labels, margins, config, interval)
    if variant.segments:
        counts = np.array([(row.tp, row.fp, row.fn, row.tn) for row in rows])
        summary["segmentation"] = interval(lambda chosen: metrics.segmentation(counts[chosen]))
    return summary


def _classification(labels: np.ndarray, margins: np.ndarray, config: Config, interval) -> dict:
    prob, raw = (calibrated(margins, each) for each in (config.temperature, 1.0))

    def at(threshold: float) -> dict:
        figures = interval(lambda chosen: at_threshold(labels[chosen], prob[chosen], threshold))
        return {"threshold": threshold, **figures}

    points = {"default": 0.5, **config.thresholds.malignant}
    return {
        "ranking": interval(lambda chosen: metrics.ranking(labels[chosen], margins[chosen])),
        "calibration": interval(lambda chosen: metrics.calibration(labels[chosen], prob[chosen])),
        "before_temperature": interval(
            lambda chosen: metrics.calibration(labels[chosen], raw[chosen])
        ),
        "at_threshold": {name: at(threshold) for name, threshold in points.items()},
    }


def calibrated(margins: np.ndarray, temperature: float) -> np.ndarray:
    """(N,) margins of `Row` → (N,) probabilities of malignant."""
    return malignant_prob(np.stack([np.zeros_like(margins), margins], axis=1), temperature)


def evaluate(variant_id: str, folder: Path, data_folder: Path, looks: Path | None = None) -> dict:
    """Write predictions.csv and metrics.json into the weights folder; log the look at the test.

    looks: the file that the look is appended to, `LOG` without it.
    """
    write_rows(folder / PREDICTIONS, predict(folder, variant_id, data_folder))
    if is_exported(folder):
        rows = predict(folder, variant_id, data_folder, "openvino")
        write_rows(folder / FOLDER / PREDICTIONS, rows)
    result = metrics_of(folder)
    (folder / "metrics.json").write_text(json.dumps(result, indent=2) + "\n")
    look = {
        "date": datetime.date.today().isoformat(),
        "variant": variant_id,
        "weights_sha256": result["weights_sha256"],
        **_headline(result["busi_test"]),
    }
    if "openvino" in result:
        look["openvino"] = _headline(result["openvino"]["busi_test"])
    with (looks or LOG).open("a") as file:
        file.write(json.dumps(look) + "\n")
    return result


def metrics_of(folder: Path) -> dict:
    """metrics.json, worked out from the folder's saved predictions alone.

    It has nothing on BUS-BRA where the predictions have nothing.
    """
    config = load_config(folder)
    result = {
        "variant": config.variant,
        "weights_sha256": fingerprint(folder),
        "manifest_sha256": manifest_hashes(),
        **_figures(read_rows(folder / PREDICTIONS), config),
    }
    by_openvino = folder / FOLDER / PREDICTIONS
    if by_openvino.exists():
        figures = _figures(read_rows(by_openvino), config)
        result["openvino"] = {"files_sha256": read_stamp(folder)["files_sha256"], **figures}
    return result


def _figures(rows: list[Row], config: Config) -> dict:
    def part(name: str, part: str) -> list[Row]:
        return [row for row in rows if (row.data_set, row.part) == (name, part)]

    test, normal, _, busbra = (part(*each) for each in PARTS)
    result = {
        "busi_test": summarise(test, config),
        "busi_test_without_objections": summarise([r for r in test if not r.objection], config),
    }
    if busbra:
        result["busbra_validation"] = summarise(busbra, config)
        result["busbra_validation_by_device"] = {
            device: summarise([row for row in busbra if row.device == device], config)
            for device in sorted({row.device for row in busbra})
        }
    if get_variant(config.variant).segments:
        given = [row.tp + row.fp > 0 for row in normal]
        result["busi_normal"] = {"images": len(normal), "given_a_mask_share": float(np.mean(given))}
    return result


def _headline(summary: dict) -> dict[str, float]:
    wanted = {
        "auc": ("ranking", "auc"),
        "acc": ("at_threshold", "default", "acc"),
        "iou": ("segmentation", "tumour_iou_per_image_mean"),
        "dice": ("segmentation", "dice_per_image_mean"),
    }
    headline = {}
    for name, keys in wanted.items():
        value = summary
        for key in keys:
            value = value.get(key, {})
        if value:
            headline[name] = round(value["value"], 4)
    return headline
