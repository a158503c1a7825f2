"""One training run: a recipe applied to a variant, resumable at any moment.

    python -m train fit --variant lite0-mtl --recipe teacher --init imagenet --out RUNS/teacher
    python -m train fit --variant resnet50-mtl --recipe pretrain --init none \
        --teacher RUNS/teacher --out RUNS/resnet50

A run's folder holds `run.json` (what was asked for), `log.jsonl` (a row an epoch), `state-NNN/`
(all that resuming after NNN epochs needs), `best.safetensors` and, at the end, `weights/`, a
folder that `Predictor` loads.

All randomness of an epoch follows from the seed and the epoch's number, so on a CPU a run that is
killed and resumed ends with the very weights of one that is not (same machine, same threads).
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from rich.progress import Progress
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Sampler

from busmtl.models import Network, build
from busmtl.variants import CLASS_NAMES, Variant

from .augment import augment, mix
from .data import Samples
from .initialise import STARTS, initialise, load_run, weights_file
from .losses import Learner, Target, label_losses, teacher_losses
from .recipe import Recipe
from .validate import infer, scores, to_network_input

log = logging.getLogger(__name__)

CHECK_EVERY = 50  # steps between looks at the losses, each of which waits for the device


class NonFiniteLoss(RuntimeError):
    """A loss became NaN or infinite; the message names it, the epoch, and the step."""


@dataclass(frozen=True)
class Job:
    """What a run was asked to do. init: one of STARTS, or another run's folder."""

    variant: Variant
    recipe: Recipe
    init: str
    out: Path
    teacher: Path | None = None
    seed: int = 0

    def record(self) -> dict:
        """The job as JSON would give it back; other runs appear as name@hash of their weights."""
        starts_anew = self.init in STARTS
        record = {
            "variant": self.variant.id,
            "recipe": asdict(self.recipe),
            "init": self.init if starts_anew else run_name(Path(self.init)),
            "teacher": run_name(self.teacher) if self.teacher else "none",
            "seed": self.seed,
        }
        return json.loads(json.dumps(record))


class EpochSampler(Sampler):
    """Every BUS-BRA image once and every BUSI image `repeats` times, shuffled by seed and epoch."""

    def __init__(self, samples: Samples, repeats: int, seed: int):
        indices = torch.arange(len(samples))
        from_busi = torch.from_numpy(samples.from_busi)
        self.indices = torch.cat([indices[~from_busi], indices[from_busi].repeat(repeats)])
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        order = torch.randperm(len(self.indices), generator=generator)
        return iter(self.indices[order].tolist())


def epoch_seed(seed: int, epoch: int) -> int:
    return 1_000 * (10_007 * seed + epoch)  # accelerate adds the process's number


def mixed_precision() -> str:
    """fp16 on a GPU such as the T4; bf16 on a CPU that computes in it; else none."""
    if torch.cuda.is_available():
        return "fp16"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "no"


class Trainer:
    """Network, optimizer, and data of one run, from where its folder left off."""

    def __init__(self, job: Job, train: Samples, validation: Samples, checkpoint_every: int = 1):
        self.job, self.recipe, self.validation = job, job.recipe, validation
        self.checkpoint_every = checkpoint_every
        self.accelerator = Accelerator(
            # Without this, processes that are launched where there is no GPU would not find each
            # other, and each would write the whole run.
            cpu=not torch.accelerator.is_available(),
            mixed_precision=mixed_precision(),
            # The recipe's batch is that of all processes together.
            dataloader_config=DataLoaderConfiguration(split_batches=True),
        )
        device = self.accelerator.device
        set_seed(job.seed)
        network = build(job.variant, self.recipe.size)
        initialise(network, job.variant, job.init)
        self.teacher = load_run(job.teacher, device) if job.teacher else None
        learner = Learner(network, self.teacher).to(device)
        self.average = AveragedModel(
            learner.network, multi_avg_fn=moving_average(self.recipe.ema), use_buffers=True
        )
        self.sampler = EpochSampler(train, self.recipe.busi_repeats, job.seed)
        loader = DataLoader(
            range(len(train)), sampler=self.sampler, batch_size=self.recipe.batch, drop_last=True
        )
        steps = self.recipe.epochs * len(loader)
        optimizer = make_optimizer(learner, self.recipe)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.recipe.lr_factor(step / steps)
        )
        self.learner, self.optimizer, self.loader, self.schedule = self.accelerator.prepare(
            learner, optimizer, loader, schedule
        )
        self.accelerator.register_for_checkpointing(self.average)
        self.images = torch.from_numpy(train.images_u8).to(device)
        self.masks = torch.from_numpy(train.masks_u8).to(device)
        self.labels = torch.from_numpy(train.labels).to(device)
        self.epoch, self.best = 0, {"epoch": -1, "steer": -1.0}
        self._resume()

    def run(self) -> None:
        """Train to the end of the schedule, with a checkpoint every `checkpoint_every` epochs.

        Where several processes take part, their group is dissolved at the end.
        """
        while self.epoch < self.recipe.epochs:
            started = time.monotonic()
            row = {"epoch": self.epoch, "lr": self.schedule.get_last_lr()[0]}
            row["precision"] = self.accelerator.mixed_precision
            row["processes"] = self.accelerator.num_processes
            row |= self._train_one_epoch()
            if self.accelerator.is_main_process:
                with self.accelerator.autocast():
                    outputs = infer(
                        self.network, self.validation, self.accelerator.device, flip=False
                    )
                row |= scores(outputs, self.validation)
                row["seconds"] = round(time.monotonic() - started, 1)
                self._keep_if_best(row)
                self._log(row)
                log.info("epoch %d/%d: %s", self.epoch + 1, self.recipe.epochs, in_short(row))
            self.epoch += 1
            if self.epoch % self.checkpoint_every == 0 or self.epoch == self.recipe.epochs:
                self._checkpoint()
        self.accelerator.end_training()

    @property
    def network(self) -> Network:
        """What is validated and kept: the weight average where the recipe asks for one."""
        if self.recipe.ema:
            return self.average.module
        return self.accelerator.unwrap_model(self.learner).network

    def _train_one_epoch(self) -> dict[str, float]:
        """Returns the mean of each loss over the epoch."""
        self.sampler.epoch = self.epoch
        set_seed(epoch_seed(self.job.seed, self.epoch), device_specific=True)
        self.learner.train()
        sums: dict[str, Tensor] = {}
        with Progress(disable=not self.accelerator.is_main_process, transient=True) as progress:
            title = f"epoch {self.epoch + 1}/{self.recipe.epochs}"
            for step, chosen in enumerate(progress.track(self.loader, description=title), start=1):
                losses = self._step(chosen)
                sums = {name: sums.get(name, 0) + loss.detach() for name, loss in losses.items()}
                if step % CHECK_EVERY == 0 or step == len(self.loader):
                    self._check_finite(sums, step)
        means = self.accelerator.reduce(sums, reduction="mean")
        return {f"loss_{name}": float(total) / step for name, total in means.items()}

    def _step(self, chosen: Tensor) -> dict[str, Tensor]:
        images, masks = augment(
            self.images[chosen], self.masks[chosen], self.recipe.augmentation, self.recipe.size
        )
        labels = F.one_hot(self.labels[chosen], len(CLASS_NAMES)).float()  # (B, 2)
        images, masks, labels = mix(self.recipe.mixup, images, masks, labels)
        images = to_network_input(images)  # (B, 3, S, S)
        target = Target(labels, masks)
        output, projected = self.learner(images)
        losses = label_losses(output, target, self.recipe)
        if self.teacher is not None:
            with torch.no_grad(), self.accelerator.autocast():
                taught = self.teacher(at_side(images, self.teacher.input_size))
            losses |= teacher_losses(output, projected, taught)
        self.optimizer.zero_grad()
        self.accelerator.backward(sum(losses.values()))
        self.optimizer.step()
        self.schedule.step()
        if self.recipe.ema:
            self.average.update_parameters(self.accelerator.unwrap_model(self.learner).network)
        return losses

    def _check_finite(self, sums: dict[str, Tensor], step: int) -> None:
        bad = [name for name, total in sums.items() if not torch.isfinite(total)]
        if bad:
            raise NonFiniteLoss(
                f"Not finite by step {step} of epoch {self.epoch}: {', '.join(bad)}. The last "
                "checkpoint is from before. Start anew in another folder, at a lower rate."
            )

    def _keep_if_best(self, row: dict) -> None:
        if row["steer"] > self.best["steer"]:
            self.best = {"epoch": row["epoch"], "steer": row["steer"]}
            state = {key: value.contiguous() for key, value in self.network.state_dict().items()}
            partial = self.job.out / "best.partial"
            save_file(state, partial)
            os.replace(partial, self.job.out / "best.safetensors")

    def _log(self, row: dict) -> None:
        path = self.job.out / "log.jsonl"
        rows = path.read_text().splitlines() if path.exists() else []
        rows = rows[: self.epoch]  # a run killed before its checkpoint logs this epoch again
        write_whole(path, "\n".join([*rows, json.dumps(row)]) + "\n")

    def _checkpoint(self) -> None:
        """Write state-NNN whole or not at all, then drop the one before it."""
        partial = self.job.out / "state.partial"
        self.accelerator.save_state(str(partial))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            (partial / "progress.json").write_text(json.dumps(self.best))
            os.replace(partial, self.job.out / f"state-{self.epoch:03d}")
            for old in checkpoints(self.job.out)[:-1]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        """Go on from the newest checkpoint; a folder that another job wrote is refused."""
        out = self.job.out
        asked = self.job.record()
        if self.accelerator.is_main_process:
            out.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(out / "state.partial", ignore_errors=True)
            if not (out / "run.json").exists():
                write_whole(out / "run.json", json.dumps(asked, indent=2) + "\n")
        self.accelerator.wait_for_everyone()
        if json.loads((out / "run.json").read_text()) != asked:
            raise ValueError(f"{out} holds another run: choose another --out, or remove it.")
        if done := checkpoints(out):
            self.accelerator.load_state(str(done[-1]))
            self.epoch = int(done[-1].name.removeprefix("state-"))
            self.best = json.loads((done[-1] / "progress.json").read_text())


def at_side(images: Tensor, side: int) -> Tensor:
    """(B, 3, S, S) → (B, 3, side, side), averaged over what falls into a pixel."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def run_name(run: Path) -> str:
    """Name of a run's folder and the beginning of its weights' sha256."""
    with weights_file(run).open("rb") as file:
        return f"{run.name}@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, so that a kill leaves the old one or the new one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    os.replace(partial, path)


def in_short(row: dict) -> str:
    """The figures of an epoch that one watches, in one line."""
    watched = [name for name in row if name.startswith(("busi_", "busbra_", "steer"))]
    return ", ".join(f"{name} {row[name]:.3f}" for name in watched)


def checkpoints(out: Path) -> list[Path]:
    """The whole checkpoints in a run's folder, oldest first."""
    return sorted(out.glob("state-[0-9][0-9][0-9]"))


def moving_average(decay: float) -> Callable:
    """Exponential moving average for AveragedModel, with a smaller decay over the first steps."""

    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        if not averaged[0].is_floating_point():  # counters in batch norm
            torch._foreach_copy_(averaged, current)
            return
        weight = 1 - ((1 + steps) / (10 + steps)).clamp(max=decay)  # stays where the weights are
        change = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(change, weight)
        torch._foreach_add_(averaged, change)

    return update


def make_optimizer(learner: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The paper's Adam, or AdamW that spares norms and biases."""
    # fused: on a GPU, fp16's check for overflow then does not wait for the device.
    options = dict(lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True)
    if recipe.schedule != "cosine":
        return torch.optim.Adam(learner.parameters(), **options)
    decayed = [parameter for parameter in learner.parameters() if parameter.ndim > 1]
    spared = [parameter for parameter in learner.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, **options)
