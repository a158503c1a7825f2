"""What runs a network: one small interface, so that the rest never sees a tensor."""

import logging
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from ..exported import is_exported
from ..weights import WeightsError

log = logging.getLogger(__name__)

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
    """The engine of that name with the network in a weights folder.

    "auto" is OpenVINO where its files are there and good and it can be imported, else PyTorch.
    Raises EngineError for an engine that is unknown or not available, WeightsError for a folder
    without good weights.
    """
    if name not in ENGINES:
        raise EngineError(f"Unknown engine {name!r}. Choose one of: {', '.join(ENGINES)}.")
    if name == "openvino":
        return _load_openvino(folder)
    if name == "auto" and is_exported(folder):
        try:
            return _load_openvino(folder)
        except (EngineError, WeightsError) as error:
            log.warning("PyTorch answers instead of OpenVINO, more slowly. %s", error)
    from .torch_engine import TorchEngine  # torch takes seconds to import

    return TorchEngine(folder)


def _load_openvino(folder: Path) -> Engine:
    if not is_exported(folder):
        raise EngineError(
            "There are no OpenVINO files beside these weights. Make them with "
            "`python -m train export`, or choose auto or torch."
        )
    # OpenVINO reports each import to Google Analytics where it finds this package.
    sys.modules.setdefault("openvino_telemetry", None)
    try:
        from .openvino_engine import OpenVinoEngine
    except ImportError as error:
        raise EngineError(
            "OpenVINO is not installed here. Install it with `pip install openvino`, or choose "
            "auto or torch."
        ) from error
    return OpenVinoEngine(folder)
