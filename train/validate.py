"""What a network says about samples in memory, and how good that is while it trains."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from busmtl.metrics import dice, iou, overlap_counts
from busmtl.models import Network
from busmtl.predictor import average_mirrored, lesion_prob
from busmtl.preprocess import normalise

from .data import Samples


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
        answers = [network(images)] + ([network(images.flip(3))] if flip else [])
        if answers[0].class_logits is not None:
            logits.append(np.mean([_to_numpy(each.class_logits) for each in answers], axis=0))
        if answers[0].mask_logits is not None:
            maps = [lesion_prob(_to_numpy(each.mask_logits)) for each in answers]
            probs.append(average_mirrored(*maps) if flip else maps[0])
    return Outputs(
        np.concatenate(logits) if logits else None, np.concatenate(probs) if probs else None
    )


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()


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
