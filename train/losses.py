"""The losses, each under its own name, so that the log shows every one of them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from busmtl.models import Network, Output

from .recipe import Recipe

TEMPERATURE = 3.0  # softens both sides of the taught class probabilities (Hinton et al. 2015)
FEATURE_WEIGHT = 1.0


@dataclass(frozen=True)
class Target:
    """labels: float (B, 2), each row sums to 1. masks: float (B, 1, S, S) in [0, 1]."""

    labels: Tensor
    masks: Tensor


class Learner(nn.Module):
    """A network and, under a teacher, the projections of its maps onto the teacher's."""

    def __init__(self, network: Network, teacher: Network | None):
        super().__init__()
        self.network = network
        self.projections = nn.ModuleList()
        if teacher is not None:
            channels = zip(network.encoder.out_channels, teacher.encoder.out_channels, strict=True)
            for own, taught in list(channels)[2:]:  # from a quarter of the side on
                self.projections.append(nn.Conv2d(own, taught, kernel_size=1))

    def forward(self, images: Tensor) -> tuple[Output, list[Tensor]]:
        output = self.network(images)
        pairs = zip(self.projections, output.features, strict=False)
        return output, [project(features) for project, features in pairs]


def label_losses(output: Output, target: Target, recipe: Recipe) -> dict[str, Tensor]:
    """L_total = l_cls + l_seg (paper, equation 1), with Dice beside it where the recipe says so."""
    losses = {}
    if output.class_logits is not None:
        losses["cls"] = F.cross_entropy(
            output.class_logits.float(), target.labels, label_smoothing=recipe.smoothing
        )
    if output.mask_logits is not None:
        mask_logits = output.mask_logits.float()
        lesion = target.masks[:, 0]  # (B, S, S)
        losses["seg"] = F.cross_entropy(mask_logits, torch.stack([1 - lesion, lesion], dim=1))
        if recipe.dice:
            losses["dice"] = recipe.dice * dice_loss(mask_logits, lesion)
    return losses


def dice_loss(mask_logits: Tensor, masks: Tensor) -> Tensor:
    """1 − soft Dice of the lesion class, per image, then the mean (Milletari et al. 2016)."""
    prob = mask_logits.softmax(dim=1)[:, 1]  # (B, S, S)
    overlap = (prob * masks).sum(dim=(1, 2))
    total = prob.sum(dim=(1, 2)) + masks.sum(dim=(1, 2))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def teacher_losses(output: Output, projected: list[Tensor], teacher: Output) -> dict[str, Tensor]:
    """Class and mask probabilities and the direction of the features, after the teacher's.

    All four maps are taught: a convolutional teacher's early ones show a transformer what is local
    (Li et al., "Locality guidance for improving vision transformers on tiny datasets", ECCV 2022).
    The teacher's maps are resized to the network's, since it may look at smaller images.
    """
    distances = [
        _cosine_distance(own, _resize(taught.float(), own.shape[2:]))
        for own, taught in zip(projected, teacher.features, strict=True)
    ]
    losses = {"taught_features": FEATURE_WEIGHT * torch.stack(distances).sum()}
    if output.class_logits is not None:
        soft = F.log_softmax(output.class_logits.float() / TEMPERATURE, dim=1)
        taught = F.softmax(teacher.class_logits.float() / TEMPERATURE, dim=1)
        losses["taught_cls"] = TEMPERATURE**2 * F.kl_div(soft, taught, reduction="batchmean")
    if output.mask_logits is not None:
        taught = _resize(teacher.mask_logits.float().softmax(dim=1), output.mask_logits.shape[2:])
        losses["taught_seg"] = F.cross_entropy(output.mask_logits.float(), taught)
    return losses


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _cosine_distance(projected: Tensor, taught: Tensor) -> Tensor:
    return (1 - F.cosine_similarity(projected.float(), taught.float(), dim=1)).mean()
