"""The network in plain PyTorch on the CPU."""

from pathlib import Path
from threading import Lock

import numpy as np
import torch

from ..weights import load_network
from . import Raw
from .cores import usable_cores


class TorchEngine:
    """A network in evaluation mode, which nothing changes after loading.

    One batch at a time has all cores: several at once would only hinder each other.
    """

    def __init__(self, folder: Path):
        # Of its own accord torch takes the machine's cores, whatever a container may use of them.
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
        self._network = load_network(folder)
        self._lock = Lock()

    def run(self, batch: np.ndarray) -> Raw:
        """batch: float32 (B, 3, 256, 256); see `busmtl.engines.Raw` for what returns."""
        with self._lock, torch.inference_mode():
            images = torch.from_numpy(batch).to(memory_format=torch.channels_last)
            output = self._network(images)
        return Raw(
            class_logits=_to_numpy(output.class_logits),
            mask_logits=_to_numpy(output.mask_logits),
            activation=_to_numpy(output.activation),
        )


def _to_numpy(tensor: torch.Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.contiguous().numpy()
