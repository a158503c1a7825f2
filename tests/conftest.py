"""Shared by the tests: no network, and weights of random networks, each made once."""

import os

# Both are read when the libraries are imported, so they come first.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from busmtl import Predictor, weights
from busmtl.variants import get_variant

pytest.register_assert_rewrite("browser")  # before a test module imports from it


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


@pytest.fixture(scope="session")
def exported_folder(weights_folder):
    """variant id → folder with a random network and its OpenVINO files in fp32."""
    from train import export

    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:

        @cache
        def folder(variant_id):
            target = shutil.copytree(weights_folder(variant_id), Path(root) / variant_id)
            patch.setattr(export, "PRECISIONS", {"fp32": None})
            export.export(target, samples(4), samples(4))
            patch.undo()
            return target

        yield folder


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


def samples(count):
    """As many images and masks in memory as asked for, in turn benign and malignant, BUS-BRA's
    before BUSI's."""
    from synthetic import picture

    from busmtl.preprocess import to_input
    from train.data import Samples

    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    pictures = [picture(random, label == 1) for label in labels]
    return Samples(
        np.stack([to_input(grey) for grey, _ in pictures])[:, None],
        np.stack([to_input(mask * np.uint8(255)) for _, mask in pictures])[:, None],
        labels,
        np.arange(count) >= count // 2,
        entries=[None] * count,
    )


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
        "training": {"recipe": "none", "init": "none", "teacher": "none"},
        "data": {},
    }
    return weights.Config(**(values | changes))
