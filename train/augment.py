"""Augmentation of a whole batch as tensors, on the device the batch is on."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How far each image may be changed; every quantity is drawn per image.

    rotation: degrees either way. shift: fraction of the side either way. zoom, stretch: standard
    deviation of the log scale, of both axes together and against each other. closer: how many
    times larger at most the image is shown, some part of it then (log-uniform from 1 on). gamma,
    contrast, brightness: standard deviations.
    """

    flip: bool = True
    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    stretch: float = 0.0
    closer: float = 1.0
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0


NONE = Augmentation(flip=False)
# Paper, section IV-A: "horizontal flipping, rotation, and shifting"; it gives no amounts.
PAPER = Augmentation(rotation=15, shift=0.1)
RELEASE = Augmentation(
    rotation=15, shift=0.1, zoom=0.12, stretch=0.04, gamma=0.15, contrast=0.15, brightness=0.05
)


def augment(
    images_u8: Tensor, masks_u8: Tensor, how: Augmentation, side: int
) -> tuple[Tensor, Tensor]:
    """uint8 (B, 1, S, S) images and masks → (B, 1, side, side): float in [0, 255]; 0.0 and 1.0.

    S is `closer` times `side`, so that an image shown that much larger is as sharp as the others.
    Random numbers come from torch's global generator of the CPU, so a seed fixes them on every
    device.
    """
    images = images_u8.float()
    masks = masks_u8.float()
    if how != NONE:
        matrices = _affine(len(images), how).to(images.device)
        grid = F.affine_grid(matrices, [len(images), 1, side, side], align_corners=False)
        images = F.grid_sample(images, grid, align_corners=False)
        masks = F.grid_sample(masks, grid, align_corners=False)
        images = _intensity(images, how)
    return images, (masks > 127.5).float()


def mix(alpha: float, *batches: Tensor) -> list[Tensor]:
    """Mixup (Zhang et al., ICLR 2018): each of the tensors' B entries blended with another one.

    The shares are drawn per entry from Beta(alpha, alpha), the larger one for the entry itself,
    and are the same for all tensors. alpha 0 leaves everything as it is.
    """
    if not alpha:
        return list(batches)
    count = len(batches[0])
    share = torch.distributions.Beta(alpha, alpha).sample((count,))
    share, order = torch.maximum(share, 1 - share), torch.randperm(count)

    def blend(batch: Tensor) -> Tensor:
        own = share.to(batch.device).view(-1, *[1] * (batch.ndim - 1))
        return own * batch + (1 - own) * batch[order.to(batch.device)]

    return [blend(batch) for batch in batches]


def _affine(batch: int, how: Augmentation) -> Tensor:
    """(B, 2, 3) matrices from output to input coordinates in [-1, 1]."""
    angle = _uniform(batch, math.radians(how.rotation))
    zoom = torch.randn(batch) * how.zoom
    stretch = torch.randn(batch) * how.stretch
    sx, sy = torch.exp(zoom + stretch), torch.exp(zoom - stretch)
    mirror = 1 - 2 * (torch.rand(batch) < 0.5 * how.flip).float()
    tx, ty = _uniform(batch, 2 * how.shift), _uniform(batch, 2 * how.shift)
    if how.closer > 1:
        view = torch.exp(-torch.rand(batch) * math.log(how.closer))  # share of the side seen
        room = (1 - view) / 2  # half of what there is, since lesions lie towards the middle
        tx, ty = tx + room * _uniform(batch, 1), ty + room * _uniform(batch, 1)
        sx, sy = sx * view, sy * view
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = torch.stack([mirror * sx * cos, -mirror * sy * sin, tx, sx * sin, sy * cos, ty], dim=1)
    return rows.view(batch, 2, 3)


def _intensity(images: Tensor, how: Augmentation) -> Tensor:
    batch, device = len(images), images.device

    def normal(deviation: float) -> Tensor:
        return (torch.randn(batch, 1, 1, 1) * deviation).to(device)

    x = images / 255
    if how.gamma:
        x = x.clamp_min(1e-4) ** torch.exp(normal(how.gamma))
    if how.contrast or how.brightness:
        mean = x.mean(dim=(2, 3), keepdim=True)
        x = (x - mean) * torch.exp(normal(how.contrast)) + mean + normal(how.brightness)
    return x.clamp(0, 1) * 255


def _uniform(batch: int, limit: float) -> Tensor:
    return (torch.rand(batch) * 2 - 1) * limit
