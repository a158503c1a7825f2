"""The recipes as plain data: the paper's to the letter, and the stages of the embedded weights."""

import math
from dataclasses import dataclass, replace

from . import augment
from .augment import Augmentation


@dataclass(frozen=True)
class Recipe:
    """One training run. lr: peak learning rate. size: image side in px.

    busi_repeats: how often each BUSI image comes up in an epoch for one of BUS-BRA; 0 of BUS-BRA
    where `sets` does not name it. smoothing: label smoothing. dice: weight of the Dice loss
    beside the cross-entropy. mixup: alpha of its Beta distribution; 0 for none. ema: decay of the
    weight average per step; 0 keeps the raw weights.
    """

    name: str
    sets: tuple[str, ...]
    size: int
    epochs: int
    batch: int
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    schedule: str
    augmentation: Augmentation
    busi_repeats: int = 1
    smoothing: float = 0.0
    dice: float = 0.0
    mixup: float = 0.0
    ema: float = 0.0
    flip_average: bool = False

    @property
    def source_size(self) -> int:
        """Side in px that the training images are held at, for `augment` to take `size` from."""
        return round(self.size * self.augmentation.closer)

    def lr_factor(self, progress: float) -> float:
        """Share of the peak learning rate after a share `progress` of all steps."""
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "step":  # "reduced by 0.1 after every 20 epochs" (section IV-A)
            return 0.1 ** (min(progress, 1) * self.epochs // 20)
        warm_up = 0.1
        if progress < warm_up:
            return 0.04 + 0.96 * progress / warm_up
        return 0.5 * (1 + math.cos(math.pi * min(1, (progress - warm_up) / (1 - warm_up))))


# Section IV-A: Adam, initial rate 1e-4, betas 0.9 and 0.99, weight decay 1e-4, batch 16, 70
# epochs, horizontal flipping, rotation, shifting; on BUSI alone (section II).
PAPER = Recipe(
    name="paper",
    sets=("busi",),
    size=256,
    epochs=70,
    batch=16,
    lr=1e-4,
    betas=(0.9, 0.99),
    weight_decay=1e-4,
    schedule="step",
    augmentation=augment.PAPER,
)

# The same without the three measures against overfitting, for Fig. 4 (a).
PAPER_PLAIN = replace(
    PAPER, name="paper-plain", schedule="constant", weight_decay=0, augmentation=augment.NONE
)
# The same on the paper's random split, which parts twins, to show what that does.
PAPER_RANDOM = replace(PAPER, name="paper-random", sets=("busi_random",))

_BOTH = dict(
    sets=("busi", "busbra"),
    betas=(0.9, 0.999),
    weight_decay=0.05,
    schedule="cosine",
    augmentation=augment.RELEASE,
    busi_repeats=2,
    smoothing=0.05,
    dice=1.0,
    mixup=0.4,
    flip_average=True,
)

# Low-resolution multi-task pretraining, one for each backbone.
PRETRAIN = Recipe(name="pretrain", size=128, epochs=40, batch=32, lr=2e-3, ema=0.998, **_BOTH)
# Swin-T wants a lower rate and more steps than ResNet-50, and must have seen the texture of 256 px.
PRETRAIN_SWIN = replace(
    PRETRAIN,
    name="pretrain-swin",
    epochs=24,
    batch=16,
    lr=5e-4,
    augmentation=replace(augment.RELEASE, closer=2),
)
TEACHER = replace(PRETRAIN, name="teacher", epochs=12, lr=4e-3, mixup=0)
# What every embedded network gets after that.
RELEASE = Recipe(name="release", size=256, epochs=5, batch=16, lr=5e-4, ema=0.998, **_BOTH)
RELEASE_SWIN = replace(RELEASE, name="release-swin", epochs=3, lr=3e-4)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        PAPER, PAPER_PLAIN, PAPER_RANDOM, TEACHER, PRETRAIN, PRETRAIN_SWIN, RELEASE, RELEASE_SWIN,
    )
}  # fmt: skip
