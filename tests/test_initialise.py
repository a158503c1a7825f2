"""Where weights start: ImageNet's, from a package or from a Hub on loopback."""

import subprocess
import sys

import pytest
import timm
import torch
from fake_hub import FakeHub, hub_environment
from safetensors.torch import load_file, save_file
from synthetic import ROOT

from busmtl.models import build
from busmtl.variants import get_variant
from train.initialise import InitError, initialise, resized

FETCH = """
import sys
from safetensors.torch import save_file
from busmtl.models import build
from busmtl.variants import get_variant
from train.initialise import initialise

variant = get_variant(sys.argv[1])
network = build(variant, 128)
initialise(network, variant, "imagenet")
state = network.encoder.state_dict()
save_file({key: value.contiguous() for key, value in state.items()}, sys.argv[2])
"""


def test_imagenet_weights_of_the_teacher_are_real():
    variant = get_variant("lite0-mtl")
    network = build(variant)
    before = network.encoder.state_dict()["model.conv_stem.weight"].clone()
    initialise(network, variant, "imagenet")
    stem = network.encoder.state_dict()["model.conv_stem.weight"]
    assert not torch.equal(stem, before)
    assert network.encoder.state_dict()["model.bn1.running_var"].std() > 0.1
    per_colour = stem.mean(dim=(2, 3)).abs().mean()  # edge filters: nearly no mean
    assert per_colour < stem.abs().mean() / 2


def test_imagenet_weights_that_cannot_be_fetched_are_a_sentence():
    variant = get_variant("resnet50-cls")
    with pytest.raises(InitError, match=r"could not be fetched .* start from --init none"):
        initialise(build(variant), variant, "imagenet")


@pytest.mark.parametrize(
    ("variant_id", "name", "kept"),
    [
        ("resnet50-cls", "resnet50.a1_in1k", "conv1.weight"),
        ("swin-mtl", "swin_tiny_patch4_window7_224.ms_in1k", "patch_embed.proj.weight"),
    ],
)
def test_imagenet_weights_come_from_the_hub(variant_id, name, kept, tmp_path):
    torch.manual_seed(1)
    published = timm.create_model(name).state_dict()
    repository = tmp_path / "hub" / "timm" / name
    repository.mkdir(parents=True)
    save_file(published, repository / "model.safetensors")

    with FakeHub(tmp_path / "hub") as hub:
        done = subprocess.run(
            [sys.executable, "-c", FETCH, variant_id, tmp_path / "encoder.safetensors"],
            cwd=ROOT,
            env=hub_environment(hub.url, tmp_path / "cache"),
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    encoder = load_file(tmp_path / "encoder.safetensors")
    assert torch.equal(encoder["model." * ("swin" in name) + kept], published[kept])
    if "swin" in name:  # published for windows of 7, whose 13 x 13 biases become 15 x 15
        bias = "layers{}0.blocks.0.attn.relative_position_bias_table"
        ours = encoder["model." + bias.format("_")].reshape(15, 15, -1)
        theirs = published[bias.format(".")].reshape(13, 13, -1)
        assert torch.allclose(ours[7, 7], theirs[6, 6], atol=0.02)


def test_swin_moves_to_a_larger_image_side_with_its_position_biases_interpolated():
    """At 128 px the last map is 4 x 4, one window; at 256 px 8 x 8, one window again."""
    variant = get_variant("swin-mtl")
    small, large = build(variant, 128), build(variant, 256)
    table = "encoder.model.layers_3.blocks.0.attn.relative_position_bias_table"
    state = small.state_dict()
    across = torch.linspace(-1, 1, 7)  # grows with the distance along a row
    state[table] = across.repeat(7)[:, None].expand(49, 24)

    large.load_state_dict(resized(state, large))

    moved = large.state_dict()[table].reshape(15, 15, 24)
    assert (moved[:, :, 0].diff(dim=1) > -1e-6).all() and moved[7, 6, 0] < -0.3
    assert torch.allclose(moved[:, 7], torch.zeros(15, 24), atol=1e-3)
    assert moved[:, 0].max() < -0.9 and moved[:, 14].min() > 0.9


def test_local_attention_starts_at_the_neighbours():
    variant = get_variant("swin-mtl")
    network = build(variant, 128)
    initialise(network, variant, "local")

    images = torch.rand(1, 3, 128, 128)
    for block in network.encoder.model.layers_0.blocks:
        attention = block.attn
        bias = attention._get_rel_pos_bias()[0]  # (heads, 64, 64), query by key
        middle = 3 * 8 + 4  # third row, fourth column of the window
        for most in bias[:, middle].argmax(dim=1).tolist():
            assert abs(most // 8 - 3) <= 1 and abs(most % 8 - 4) <= 1
    assert torch.isfinite(network.eval()(images).mask_logits).all()


def test_local_attention_needs_attention():
    variant = get_variant("resnet50-mtl")
    with pytest.raises(InitError, match="Swin-T alone"):
        initialise(build(variant, 64), variant, "local")
