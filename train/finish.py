"""The end of a run: its best epoch, calibrated on validation, as a weights folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from busmtl.models import Network
from busmtl.predictor import malignant_prob
from busmtl.weights import EMBEDDED, INPUT, Config, load_network, save

from .calibrate import fit_thresholds
from .data import Samples
from .fit import Job
from .initialise import load_run
from .splits import manifest_hashes
from .validate import Outputs, infer, scores

# What is embedded beside the two files that `Predictor` needs.
RECORD_FILES = ("log.jsonl", "run.json", "validation.json", "curve.png")
CURVES = {
    "busi_auc": ("BUSI AUC", "C0-"),
    "busbra_auc": ("BUS-BRA AUC", "C1-"),
    "busi_dice": ("BUSI Dice", "C0--"),
    "busbra_dice": ("BUS-BRA Dice", "C1--"),
}


def finish(job: Job, validation: Samples, device: torch.device) -> None:
    """Write `weights/`, `validation.json`, and `curve.png` into the run's folder."""

    def outputs_of(network: Network, flip: bool) -> Outputs:
        return infer(network.to(device), validation, device, flip)

    recipe = job.recipe
    network = load_run(job.out, recipe.size, device)
    outputs = outputs_of(network, recipe.flip_average)
    temperature, thresholds = fit_thresholds(outputs, validation)
    config = Config(
        variant=job.variant.id,
        input=replace(INPUT, size=recipe.size),
        temperature=temperature,
        flip_average=recipe.flip_average,
        thresholds=thresholds,
        training=job.record(),
        data={"sets": recipe.sets, "manifest_sha256": manifest_hashes()},
    )
    save(job.out / "weights", network, config)
    report = {
        "as_served": scores(outputs, validation),
        "without_flips": scores(outputs_of(network, flip=False), validation),
    }
    if temperature:
        stored = outputs_of(load_network(job.out / "weights"), recipe.flip_average)
        before, after = (
            malignant_prob(each.class_logits, temperature) for each in (outputs, stored)
        )
        report["fp16_largest_probability_change"] = float(np.abs(before - after).max())
    (job.out / "validation.json").write_text(json.dumps(report, indent=2) + "\n")
    plot_curve(job.out / "log.jsonl", job.out / "curve.png")


def embed(run: Path) -> Path:
    """Copy a finished run's weights and records into the package; returns the folder there."""
    config = json.loads((run / "weights" / "config.json").read_text())
    folder = EMBEDDED / config["variant"]
    shutil.copytree(run / "weights", folder, dirs_exist_ok=True)
    for name in RECORD_FILES:
        shutil.copyfile(run / name, folder / name)
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
