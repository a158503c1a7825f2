"""Shared by the tests: no network, and weights of random networks, each made once."""

import os

# Both are read when the libraries are imported, so they come first.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from busmtl import Predictor, weights
from busmtl.variants import get_variant


@pytest.fixture(scope="session")
def weights_folder():
    """variant id → folder with the weights of a random network, made at the first call."""
    with tempfile.TemporaryDirectory() as root:  # hundreds of MB, which tmp_path would keep

        @cache
        def folder(variant_id):
            target = Path(root) / variant_id
            weights.save(target, random_network(variant_id), config_for(variant_id))
            return target

        yield folder


@pytest.fixture(scope="session")
def predictor_for(weights_folder):
    """variant id → Predictor with a random network."""
    return cache(lambda variant_id: Predictor(variant_id, weights_folder(variant_id)))


@pytest.fixture
def scan_rgb_u8():
    """uint8 (120, 160, 3): grey noise with a dark blob left of the middle."""
    rows, columns = np.mgrid[:120, :160]
    noise = np.random.default_rng(0).integers(90, 160, (120, 160))
    blob = (rows - 50) ** 2 / 30**2 + (columns - 50) ** 2 / 40**2 < 1
    return np.repeat(np.where(blob, noise // 4, noise)[:, :, None], 3, axis=2).astype(np.uint8)


def random_network(variant_id):
    """In evaluation mode, batch statistics measured, so that its answers stay of ordinary size."""
    import torch

    from busmtl.models import build

    torch.manual_seed(0)
    network = build(get_variant(variant_id)).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(1, 3, 256, 256))
    return network.eval()


def config_for(variant_id, **changes):
    variant = get_variant(variant_id)
    thresholds = weights.Thresholds(
        malignant={"balanced": 0.4, "high_sensitivity": 0.2} if variant.classifies else None,
        mask=0.5 if variant.segments else None,
        min_lesion_fraction=0.001 if variant.segments else None,
    )
    values = {
        "variant": variant_id,
        "temperature": 1.5 if variant.classifies else None,
        "flip_average": True,
        "thresholds": thresholds,
        "training": {"recipe": "none, random weights"},
        "data": {},
    }
    return weights.Config(**(values | changes))
