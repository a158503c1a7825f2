"""The end of a run: its best epoch, calibrated on validation, as a weights folder."""

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from busmtl.predictor import malignant_prob
from busmtl.weights import EMBEDDED, INPUT, Config, as_stored, load_config, save

from .calibrate import fit_thresholds
from .data import Samples
from .fit import Job
from .initialise import load_run
from .splits import manifest_hashes
from .validate import Outputs, infer, scores

# What is embedded beside the two files that `Predictor` needs.
RECORD_FILES = ("log.jsonl", "validation.json", "curve.png")
CURVES = {
    "busi_auc": ("BUSI AUC", "C0-"),
    "busbra_auc": ("BUS-BRA AUC", "C1-"),
    "busi_dice": ("BUSI Dice", "C0--"),
    "busbra_dice": ("BUS-BRA Dice", "C1--"),
}


def finish(job: Job, validation: Samples, device: torch.device) -> None:
    """Write `weights/`, `validation.json`, and `curve.png` into the run's folder."""
    recipe = job.recipe
    exact = load_run(job.out, device)
    network = deepcopy(exact)
    network.load_state_dict(as_stored(exact.state_dict()))  # rounds to what fp16 holds
    outputs = infer(network, validation, device, recipe.flip_average)
    temperature, thresholds = fit_thresholds(outputs, validation)
    config = Config(
        variant=job.variant.id,
        input=replace(INPUT, size=recipe.size),
        temperature=temperature,
        flip_average=recipe.flip_average,
        thresholds=thresholds,
        training=json.loads((job.out / "run.json").read_text()),
        data={"sets": recipe.sets, "manifest_sha256": manifest_hashes()},
    )
    save(job.out / "weights", network, config)
    other_flips = infer(network, validation, device, flip=not recipe.flip_average)
    with_flips, without = (outputs, other_flips) if recipe.flip_average else (other_flips, outputs)
    report = {
        "with_flips": scores(with_flips, validation),
        "without_flips": scores(without, validation),
        "fp16_largest_change": largest_changes(
            infer(exact, validation, device, flip=False), without, temperature
        ),
    }
    (job.out / "validation.json").write_text(json.dumps(report, indent=2) + "\n")
    plot_curve(job.out / "log.jsonl", job.out / "curve.png")


def largest_changes(before: Outputs, after: Outputs, temperature: float | None) -> dict[str, float]:
    """The largest difference in any image's probability of malignant, in any pixel's of lesion."""
    changes = {}
    if temperature:
        first, second = (malignant_prob(each.class_logits, temperature) for each in (before, after))
        changes["malignant_prob"] = float(np.abs(first - second).max())
    if before.lesion_prob is not None:
        changes["lesion_prob"] = float(np.abs(before.lesion_prob - after.lesion_prob).max())
    return changes


def embed(run: Path) -> Path:
    """Put a finished run's weights and records into the package; returns the folder there.

    Figures of earlier weights are removed. ValueError where `Predictor` would refuse the weights.
    """
    config = load_config(run / "weights")
    if config.input != INPUT:
        raise ValueError(
            f"{run.name} was trained at {config.input.size} px; the product takes {INPUT.size} px."
        )
    folder = EMBEDDED / config.variant
    with TemporaryDirectory(prefix=f"{config.variant}-", dir=EMBEDDED) as temporary:
        made = shutil.copytree(run / "weights", Path(temporary) / config.variant)
        for name in RECORD_FILES:
            shutil.copyfile(run / name, made / name)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return folder


def plot_curve(log_path: Path, path: Path) -> None:
    """Losses on train and scores on validation by epoch, from log.jsonl."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [json.loads(line) for line in log_path.read_text().splitlines()]
    epochs = [row["epoch"] + 1 for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in (key for key in rows[0] if key.startswith("loss_")):
        label = name.removeprefix("loss_").replace("_", " ")
        left.plot(epochs, [row[name] for row in rows], label=label)
    for name, (label, style) in CURVES.items():
        if name in rows[0]:
            right.plot(epochs, [row[name] for row in rows], style, label=label)
    left.set(title="Training losses", xlabel="epoch", yscale="log")
    right.set(title="Validation", xlabel="epoch", ylim=(0, 1))
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110)
    plt.close(figure)
