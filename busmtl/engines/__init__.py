"""What runs a network: one small interface, so that the rest never sees a tensor."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

ENGINES = ("auto", "openvino", "torch")


class EngineError(ValueError):
    """An engine that cannot be had; the text says so to the user."""


class Raw(NamedTuple):
    """A network's answer to a batch of B images as float32 arrays; None for a task it lacks.

    class_logits (B, 2): benign and malignant, before softmax.
    mask_logits (B, 2, 256, 256): background and lesion, before softmax.
    activation (B, 8, 8): how far each place pushes towards malignant.
    """

    class_logits: np.ndarray | None
    mask_logits: np.ndarray | None
    activation: np.ndarray | None


class Engine(Protocol):
    """A loaded network. Its `run` may be called from many threads at once."""

    def run(self, batch: np.ndarray) -> Raw:
        """batch: float32 (B, 3, 256, 256) from `busmtl.preprocess.to_batch`."""


def load_engine(name: str, folder: Path) -> Engine:
    """The engine of that name ("auto" chooses) with the network in a weights folder.

    Raises EngineError for an engine that is unknown or not available, WeightsError for a folder
    without good weights.
    """
    if name not in ENGINES:
        raise EngineError(f"Unknown engine {name!r}. Choose one of: {', '.join(ENGINES)}.")
    if name == "openvino":
        raise EngineError("The OpenVINO engine is not available yet. Choose auto or torch.")
    from .torch_engine import TorchEngine  # torch takes seconds to import

    return TorchEngine(folder)
