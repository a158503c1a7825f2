"""Every variant through the same checks."""

import pytest
import torch
from conftest import random_network

from busmtl import weights
from busmtl.models import build
from busmtl.variants import BEYOND_PAPER, VARIANTS, get_variant
from train.initialise import resized

ALL = list(VARIANTS | BEYOND_PAPER)
SMALL = 64  # px
ANSWERS = ("class_logits", "mask_logits", "activation")

every_variant = pytest.mark.parametrize("variant_id", ALL)
every_classifying_variant = pytest.mark.parametrize(
    "variant_id", [variant_id for variant_id in ALL if get_variant(variant_id).classifies]
)


def images(count, side=SMALL):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, side, side, generator=generator)


def build_small(variant_id):
    torch.manual_seed(0)
    return build(get_variant(variant_id), SMALL)


@every_variant
def test_shapes_and_tasks(variant_id):
    variant = get_variant(variant_id)
    network = build_small(variant_id).eval()
    with torch.inference_mode():
        output = network(images(2))
    assert [each.shape[2] for each in output.features] == [16, 8, 4, 2]
    assert output.features[-1].shape == (2, variant.feature_channels, 2, 2)
    if variant.classifies:
        assert output.class_logits.shape == (2, 2)
        assert output.activation.shape == (2, SMALL // 32, SMALL // 32)
    else:
        assert output.class_logits is None and output.activation is None
        assert network.classifier is None
    if variant.segments:
        assert output.mask_logits.shape == (2, 2, SMALL, SMALL)
    else:
        assert output.mask_logits is None
        assert network.decoder is None and not hasattr(network, "mask_head")


@every_classifying_variant
def test_mean_activation_is_the_difference_of_the_logits(variant_id):
    with torch.inference_mode():
        output = build_small(variant_id).eval()(images(2))
    difference = output.class_logits[:, 1] - output.class_logits[:, 0]
    torch.testing.assert_close(output.activation.mean(dim=(1, 2)), difference, rtol=1e-3, atol=1e-4)


@every_variant
def test_every_parameter_gets_a_gradient(variant_id):
    network = build_small(variant_id).train()
    output = network(images(8))  # of two, Swin's stochastic depth may pass a branch by with both
    answers = [answer for answer in output[:2] if answer is not None]
    sum((answer * torch.randn_like(answer)).sum() for answer in answers).backward()
    without = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


@every_variant
def test_batch_equals_single(variant_id):
    network = build_small(variant_id).train()
    with torch.inference_mode():
        network(images(2))  # batch statistics, so that the answers stay of ordinary size
        network.eval()
        batch = network(images(2))
        singles = [network(image[None]) for image in images(2)]
    for name in ANSWERS:
        together = getattr(batch, name)
        if together is not None:
            apart = torch.cat([getattr(single, name) for single in singles])
            tolerance = 1e-4 * float(together.abs().max())
            torch.testing.assert_close(together, apart, rtol=1e-4, atol=tolerance)


@every_variant
def test_weights_move_between_sizes(variant_id):
    small, full = build_small(variant_id), build(get_variant(variant_id))
    full.load_state_dict(resized(small.state_dict(), full))
    moved = full.state_dict()
    assert moved.keys() == small.state_dict().keys()
    for name, tensor in small.state_dict().items():
        if not name.endswith("relative_position_bias_table"):  # see test_initialise.py
            assert torch.equal(moved[name], tensor), name


@every_variant
def test_save_and_load_differ_by_fp16_only(variant_id, weights_folder):
    rounded = random_network(variant_id)
    for tensor in rounded.parameters():
        tensor.data.copy_(tensor.half())
    loaded = weights.load_network(weights_folder(variant_id))
    assert not loaded.training
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())
    with torch.inference_mode():
        expected, found = rounded(images(1, 256)), loaded(images(1, 256))
    for own, again in zip(expected.features, found.features, strict=True):
        assert torch.equal(own, again)
    for name in ANSWERS:
        answer = getattr(expected, name)
        if answer is not None:
            assert torch.equal(answer, getattr(found, name)), name
            assert answer.shape[-1] in (2, 8, 256)
