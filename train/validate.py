"""What a network says about samples in memory, and how good that is while it trains."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from busmtl.models import Network
from busmtl.preprocess import normalise

from .data import Samples
from .metrics import dice, iou, overlap_counts


@dataclass(frozen=True)
class Outputs:
    """float32 logits (N, 2) for the classes and lesion probabilities (N, S, S); None where absent.

    Decoded as the predictor does it: with flips, class logits and lesion probabilities are the
    mean over the image and its mirror image.
    """

    class_logits: np.ndarray | None
    lesion_prob: np.ndarray | None


def to_network_input(images: Tensor) -> Tensor:
    """Grey float (B, 1, S, S) in [0, 255] → normalised (B, 3, S, S), channels last."""
    images = normalise(images).expand(-1, 3, -1, -1)
    return images.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def infer(network: Network, samples: Samples, device: torch.device, flip: bool) -> Outputs:
    """Run the network in eval mode over all samples, 32 at a time."""
    network.eval()
    logits, probs = [], []
    for start in range(0, len(samples), 32):
        images = torch.from_numpy(samples.images_u8[start : start + 32]).to(device)
        images = to_network_input(images.float())
        passes = [network(images)]
        if flip:
            passes.append(network(images.flip(3)))
        if passes[0].class_logits is not None:
            logits.append(torch.stack([each.class_logits.float() for each in passes]).mean(0).cpu())
        if passes[0].mask_logits is not None:
            both = [each.mask_logits.float().softmax(1)[:, 1] for each in passes]
            if flip:
                both[1] = both[1].flip(2)
            probs.append(torch.stack(both).mean(0).cpu())
    return Outputs(
        torch.cat(logits).numpy() if logits else None, torch.cat(probs).numpy() if probs else None
    )


def scores(outputs: Outputs, samples: Samples) -> dict[str, float]:
    """AUC, per-image mean IoU and Dice at 0.5, and cross-entropy, for each set among the samples.

    The key "steer" is what epochs are chosen by: the mean of AUC and Dice over both sets.
    """
    from sklearn.metrics import log_loss, roc_auc_score

    result = {}
    for name, chosen in (("busi", samples.from_busi), ("busbra", ~samples.from_busi)):
        if not chosen.any():
            continue
        labels = samples.labels[chosen]
        if outputs.class_logits is not None:
            logits = outputs.class_logits[chosen]
            margin = logits[:, 1] - logits[:, 0]
            result[f"{name}_auc"] = float(roc_auc_score(labels, margin))
            result[f"{name}_log_loss"] = float(log_loss(labels, 1 / (1 + np.exp(-margin))))
        if outputs.lesion_prob is not None:
            reference = samples.masks_u8[chosen, 0] > 127
            counts = overlap_counts(outputs.lesion_prob[chosen] > 0.5, reference)
            result[f"{name}_iou"] = float(iou(counts).mean())
            result[f"{name}_dice"] = float(dice(counts).mean())
    steering = [value for key, value in result.items() if key.endswith(("_auc", "_dice"))]
    return result | {"steer": float(np.mean(steering))}
