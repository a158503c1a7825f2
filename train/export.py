"""A network for OpenVINO: converted, quantised to INT8, and held against PyTorch on validation.

    python -m train export --variant resnet50-mtl --data DATA

Precisions are tried from the fastest on; the first that agrees with PyTorch well enough is kept.
"""

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from busmtl import Predictor
from busmtl.exported import FOLDER, GRAPH_FILE, write_stamp
from busmtl.metrics import dice, iou, overlap_counts
from busmtl.models import Network, Output
from busmtl.preprocess import to_batch
from busmtl.variants import INPUT_SIZE, get_variant
from busmtl.weights import FILES, load_config, load_network

from .data import Samples
from .metrics import ranking

# OpenVINO's converter and NNCF report each use to Google Analytics, but not from CI.
os.environ["CI"] = "true"

import nncf
import openvino as ov

log = logging.getLogger(__name__)

CALIBRATION_IMAGES = 300
# What a precision must keep to, on the validation images of both sets together.
MAX_AUC_CHANGE = 0.005
MAX_IOU_CHANGE = 0.01
MIN_MASK_DICE = 0.97

# Precision → the parts of the network that stay fp32 with all that follows them; None for all.
# The heads come first, since nothing behind them evens out their rounding; then the decoder.
HEADS = ("classifier", "decoder.blocks.4")
PRECISIONS = {
    "int8": (),
    "int8, heads fp32": HEADS,
    "int8, heads and decoder fp32": ("classifier", "decoder"),
    "fp32": None,
}


class _Tasks(nn.Module):
    """The network with only those outputs that OpenVINO gets."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(_answers(self.network(images)).values())


def _answers(output: Output) -> dict[str, Tensor]:
    """Name → tensor, of the tasks that the network has."""
    names = ("class_logits", "mask_logits", "activation")
    return {name: getattr(output, name) for name in names if getattr(output, name) is not None}


def convert(folder: Path) -> ov.Model:
    """The folder's network in fp32 for one image at a time, its outputs named as in `Raw`."""
    network = load_network(folder).requires_grad_(False)
    shape = [1, 3, INPUT_SIZE, INPUT_SIZE]
    example = torch.zeros(shape)
    with torch.no_grad():
        names = list(_answers(network(example)))
    model = ov.convert_model(_Tasks(network).eval(), example_input=example, input=shape)
    model.inputs[0].get_tensor().set_names({"images"})
    for output, name in zip(model.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    return model


def quantise(
    model: ov.Model, kept: tuple[str, ...] | None, train: Samples, variant_id: str
) -> ov.Model:
    """The model in INT8 but for the parts `kept`, calibrated on images of the training part.

    With None for `kept` it is the fp32 model itself.
    """
    if kept is None:
        return model
    batches = [to_batch([train.images_u8[index, 0]]) for index in calibration_indices(train)]
    is_transformer = "swin" in get_variant(variant_id).encoder
    return nncf.quantize(
        model,
        nncf.Dataset(batches),
        subset_size=len(batches),
        model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
        ignored_scope=nncf.IgnoredScope(names=operations_of(model, kept)),
    )


def _candidates(model: ov.Model) -> dict[str, tuple[str, ...] | None]:
    """PRECISIONS with only the parts that the network has, and each combination only once."""
    candidates = {}
    for precision, parts in PRECISIONS.items():
        if parts is not None:
            parts = tuple(part for part in parts if operations_of(model, (part,)))
        if parts not in candidates.values():
            candidates[precision] = parts
    return candidates


def operations_of(model: ov.Model, parts: tuple[str, ...]) -> list[str]:
    """Names of the operations of these parts of the network, and of all that follow them.

    Conversion renames a convolution that it has fused with a batch norm; it is found as one that
    follows.
    """
    found = set()
    for node in model.get_ordered_ops():  # each after those that it takes its input from
        name = node.get_friendly_name()
        sources = {
            each.get_source_output().get_node().get_friendly_name() for each in node.inputs()
        }
        if _belongs_to(name, parts) or sources & found:
            found.add(name)
    kinds = {node.get_friendly_name(): node.get_type_name() for node in model.get_ops()}
    return sorted(name for name in found if kinds[name] not in ("Constant", "Result"))


def _belongs_to(name: str, parts: tuple[str, ...]) -> bool:
    """ "__module.network.decoder.blocks.0/aten::…" and "self.network.decoder…" to "decoder"."""
    path = name.partition("/")[0].partition(".network.")[2]
    return any(f"{path}.".startswith(f"{part}.") for part in parts)


def calibration_indices(train: Samples, seed: int = 0) -> np.ndarray:
    """CALIBRATION_IMAGES of the training images, as many of each set as it has."""
    random = np.random.default_rng(seed)
    sets = [np.flatnonzero(chosen) for chosen in (train.from_busi, ~train.from_busi)]
    share = CALIBRATION_IMAGES // sum(len(each) > 0 for each in sets)
    return np.concatenate(
        [random.choice(each, min(share, len(each)), replace=False) for each in sets]
    )


@dataclass(frozen=True)
class Answers:
    """What the product says to N validation images at the network's size; None for no such task.

    prob: (N,) of malignant. masks: bool (N, S, S).
    """

    prob: np.ndarray | None
    masks: np.ndarray | None


def answer(predictor: Predictor, samples: Samples) -> Answers:
    """The predictor's answers to all samples."""
    predictions = predictor.predict_many(samples.images_u8[:, 0])
    title = f"{predictor.variant.id}, {len(samples)} images"
    kept = [
        (each.malignant_prob, each.mask)
        for each in track(predictions, title, len(samples), transient=True)
    ]
    probs, masks = zip(*kept, strict=True)
    return Answers(
        np.array(probs) if predictor.variant.classifies else None,
        np.stack(masks) if predictor.variant.segments else None,
    )


def agreement(torch_: Answers, openvino: Answers, samples: Samples) -> dict[str, dict]:
    """How alike two engines answer: on all images, and on those of each data set that is there."""
    parts = {
        "all": np.ones(len(samples), bool),
        "busi": samples.from_busi,
        "busbra": ~samples.from_busi,
    }
    return {
        name: _agreement_on(chosen, torch_, openvino, samples)
        for name, chosen in parts.items()
        if chosen.any()
    }


def _agreement_on(
    chosen: np.ndarray, torch_: Answers, openvino: Answers, samples: Samples
) -> dict[str, float]:
    """auc_*, iou_*: of each engine. prob_change: the largest of any image. mask_dice: the mean
    Dice of one engine's mask with the other's.
    """
    result = {"images": int(chosen.sum())}
    engines = {"torch": torch_, "openvino": openvino}
    if torch_.prob is not None:
        labels = samples.labels[chosen]
        for name, each in engines.items():
            result[f"auc_{name}"] = ranking(labels, each.prob[chosen])["auc"]
        result["prob_change"] = float(np.abs(torch_.prob - openvino.prob)[chosen].max())
    if torch_.masks is not None:
        reference = samples.masks_u8[chosen, 0] > 127
        for name, each in engines.items():
            result[f"iou_{name}"] = float(iou(overlap_counts(each.masks[chosen], reference)).mean())
        counts = overlap_counts(torch_.masks[chosen], openvino.masks[chosen])
        result["mask_dice"] = float(dice(counts).mean())
    return result


def is_close(figures: dict[str, float]) -> bool:
    """Whether these figures of `agreement` keep to the limits; a missing task does."""

    def change(name: str) -> float:
        return abs(figures.get(f"{name}_torch", 0) - figures.get(f"{name}_openvino", 0))

    return (
        change("auc") <= MAX_AUC_CHANGE
        and change("iou") <= MAX_IOU_CHANGE
        and figures.get("mask_dice", 1) >= MIN_MASK_DICE
    )


def export(folder: Path, train: Samples, validation: Samples) -> dict:
    """Write the weights folder's OpenVINO files; returns what export.json says.

    Where no precision is close enough, the last one, fp32, is kept all the same.
    """
    variant_id = load_config(folder).variant
    reference = answer(Predictor(variant_id, folder, "torch"), validation)
    model, tried = convert(folder), {}
    with tempfile.TemporaryDirectory() as scratch:
        for precision, kept in _candidates(model).items():
            draft = Path(scratch) / str(len(tried))
            _write_draft(draft, folder, quantise(model, kept, train, variant_id), precision)
            found = answer(Predictor(variant_id, draft, "openvino"), validation)
            tried[precision] = agreement(reference, found, validation)
            log.info("%s: %s", precision, tried[precision]["all"])
            if is_close(tried[precision]["all"]):
                break
        record = {
            "precision": precision,
            "kept_fp32": kept,
            "calibration_images": 0 if kept is None else len(calibration_indices(train)),
            "validation": tried.pop(precision),
            "not_close_enough": {name: figures["all"] for name, figures in tried.items()},
            "made_with": {name: version(name) for name in ("openvino", "nncf", "torch")},
        }
        write_stamp(draft, record)
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
        shutil.copytree(draft / FOLDER, folder / FOLDER)
    return record


def _write_draft(draft: Path, folder: Path, model: ov.Model, precision: str) -> None:
    """A copy of the weights folder with these OpenVINO files, which `Predictor` takes."""
    draft.mkdir()
    for name in FILES:
        shutil.copyfile(folder / name, draft / name)
    (draft / FOLDER).mkdir()
    ov.save_model(model, draft / FOLDER / GRAPH_FILE)
    write_stamp(draft, {"precision": precision})
