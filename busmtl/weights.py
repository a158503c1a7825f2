"""Trained weights on disk and on the Hub: fp16 safetensors with a JSON file beside them.

A folder holds one variant: `model.safetensors` and `config.json` (training adds its metrics and
the model card). Weights are loaded strictly: all of them, or an error that says what is wrong.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .preprocess import GREY_MEAN, GREY_STD
from .variants import BEYOND_PAPER, CLASS_NAMES, INPUT_SIZE, VARIANTS, get_variant

if TYPE_CHECKING:
    from torch import Tensor

    from .models import Network

EMBEDDED = Path(__file__).parent / "weights"
MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
FILES = (MODEL_FILE, CONFIG_FILE)
HUB_PREFIX = "hub:"
HUB_VARIABLE = "BUSMTL_HUB_REPO"
REMEDY = "Get it again from where it came, or train it with `python -m train fit`."


class WeightsError(RuntimeError):
    """Weights that are missing or damaged; the text names the file and the remedy."""


@dataclass(frozen=True)
class InputContract:
    """What a network was trained to see: side in px, grey mean and deviation, channel layout."""

    size: int
    mean: float
    std: float
    layout: str


INPUT = InputContract(INPUT_SIZE, GREY_MEAN, GREY_STD, "grey repeated to three channels")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Operating points fitted on validation; None for a task that the variant lacks.

    malignant: name of the operating point → calibrated probability from which it says malignant.
    mask: lesion probability from which a pixel belongs to the mask.
    min_lesion_fraction: smallest component kept, as a fraction of the image's area.
    """

    malignant: dict[str, float] | None = None
    mask: float | None = None
    min_lesion_fraction: float | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """The content of config.json. ValueError where the variant's tasks lack a number.

    temperature: the class logits are divided by it (None without classification).
    flip_average: whether the answers for the image and its mirror image are averaged.
    training, data: the recipe and the data behind the weights, for the reader.
    """

    variant: str
    input: InputContract = INPUT
    class_names: tuple[str, ...] = CLASS_NAMES
    temperature: float | None = None
    flip_average: bool
    thresholds: Thresholds
    training: dict
    data: dict

    def __post_init__(self):
        variant = get_variant(self.variant)
        if variant.classifies and not (_is_number(self.temperature) and self.temperature > 0):
            raise ValueError("temperature must be a number above 0.")
        if variant.segments and not _is_fraction(self.thresholds.mask):
            raise ValueError("thresholds.mask must lie between 0 and 1.")
        if variant.segments and not _is_fraction(self.thresholds.min_lesion_fraction):
            raise ValueError("thresholds.min_lesion_fraction must lie between 0 and 1.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_fraction(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1


def save(folder: Path, network: "Network", config: Config) -> None:
    """Write both files. ValueError where fp16 cannot hold a weight."""
    from safetensors.torch import save_file

    tensors = as_stored(network.state_dict())
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / MODEL_FILE)
    text = json.dumps(asdict(config), indent=2, allow_nan=False)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def as_stored(state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Weights in fp16; batch norm's running statistics stay fp32, whose range they may need."""
    return {name: _to_fp16(name, tensor) for name, tensor in state.items()}


def _to_fp16(name: str, tensor: "Tensor") -> "Tensor":
    if tensor.is_floating_point() and not name.endswith(("running_mean", "running_var")):
        tensor = tensor.half()
        if not tensor.isfinite().all():
            raise ValueError(f"{name} has values that are not finite in fp16.")
    return tensor.cpu().contiguous()


def load_config(folder: Path) -> Config:
    """The folder's config.json, checked; WeightsError where it is missing or damaged."""
    folder = Path(folder)
    _check_files(folder)
    try:
        values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        values["input"] = InputContract(**values["input"])
        values["class_names"] = tuple(values["class_names"])
        values["thresholds"] = Thresholds(**values["thresholds"])
        return Config(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"The file {CONFIG_FILE} of the weights in {folder.name!r} is damaged or incomplete. "
            + REMEDY
        ) from error


def load_network(folder: Path) -> "Network":
    """The folder's network in fp32 and evaluation mode; WeightsError unless all of it is there."""
    from .models import build

    config = load_config(folder)
    variant_id = config.variant
    tensors = _read_tensors(Path(folder), variant_id)
    network = build(get_variant(variant_id), config.input.size)
    _check_tensors(network.state_dict(), tensors, variant_id)
    network.load_state_dict(tensors)  # copies what is fp16 into the network's fp32
    return network.eval()


def _read_tensors(folder: Path, variant_id: str) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(folder / MODEL_FILE)
    except SafetensorError as error:
        raise WeightsError(
            f"The file {MODEL_FILE} of {variant_id} is damaged or was cut short. {REMEDY}"
        ) from error


def _check_tensors(
    expected: "dict[str, Tensor]", found: "dict[str, Tensor]", variant_id: str
) -> None:
    """Name the first tensor that is missing, unknown, or of another shape."""
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    misshapen = [
        name for name in expected if name in found and expected[name].shape != found[name].shape
    ]
    for names, problem in (
        (missing, "lacks the tensor"),
        (extra, "has a tensor that the network does not know,"),
        (misshapen, "has another shape for the tensor"),
    ):
        if names:
            raise WeightsError(
                f"The file {MODEL_FILE} of {variant_id} {problem} {names[0]}. {REMEDY}"
            )


def available() -> list[str]:
    """Ids of the variants whose weights are embedded in the package, the paper's six first."""
    return [
        variant_id
        for variant_id in VARIANTS | BEYOND_PAPER
        if all((EMBEDDED / variant_id / name).is_file() for name in FILES)
    ]


def locate(variant_id: str, weights: str | Path | None = None) -> Path:
    """The folder with the variant's weights, downloaded if need be.

    weights: a folder or "hub:org/name", and then nothing else is tried. Without it: the embedded
    folder, then the Hub repository that the environment variable BUSMTL_HUB_REPO names (a pattern
    such as `org/busmtl-{variant}`). WeightsError where that gives nothing.
    """
    if weights is not None:
        if str(weights).startswith(HUB_PREFIX):
            return _download(str(weights).removeprefix(HUB_PREFIX))
        return _check_files(Path(weights))
    embedded = EMBEDDED / variant_id
    if any((embedded / name).exists() for name in FILES):
        return _check_files(embedded)
    pattern = os.environ.get(HUB_VARIABLE)
    if pattern:
        return _download(pattern.replace("{variant}", variant_id))
    raise WeightsError(
        f"There is no {MODEL_FILE} for {variant_id} in this installation. Train it with "
        f"`python -m train fit`, give its folder, or name a Hub repository in {HUB_VARIABLE}."
    )


def fingerprint(folder: Path) -> str:
    """sha256 of the folder's model.safetensors, in hexadecimal."""
    with (Path(folder) / MODEL_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_files(folder: Path) -> Path:
    if not folder.is_dir():
        raise WeightsError(f"There is no weights folder {folder.name!r}. Check its name.")
    for name in FILES:
        if not (folder / name).is_file():
            raise WeightsError(f"The file {name} is missing from {folder.name!r}. {REMEDY}")
    return folder


def _download(repo_id: str) -> Path:
    import httpx2  # huggingface_hub lets its client's own errors through
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    wanted = f"The weights {HUB_PREFIX}{repo_id}"
    try:
        folder = Path(snapshot_download(repo_id, allow_patterns=[*FILES, "openvino/*"]))
    except HFValidationError as error:
        raise WeightsError(f"{wanted} need a name such as {HUB_PREFIX}org/name.") from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            f"{wanted} do not exist on the Hub or are private. Check the name, or log in with "
            "`hf auth login`."
        ) from error
    except (LocalEntryNotFoundError, httpx2.HTTPError, OSError) as error:
        if constants.HF_HUB_OFFLINE:
            raise WeightsError(
                f"{wanted} have not been downloaded yet and HF_HUB_OFFLINE is set. Unset it, or "
                "give a local folder."
            ) from error
        raise WeightsError(
            f"{wanted} could not be downloaded. Check the connection and try again, or give a "
            "local folder."
        ) from error
    for name in FILES:
        if not (folder / name).is_file():
            raise WeightsError(
                f"{wanted} lack the file {name}. Ask their owner to upload it again."
            )
    return folder
