"""The networks (paper, section III): one encoder, a U-Net decoder and a classifier where wanted.

image (B, 3, 256, 256)
  → encoder     → features (B, C, 8, 8)
  → classifier  → global average pool → linear → class_logits (B, 2)       Fig. 1
  → decoder     → five blocks with skips → mask_logits (B, 2, 256, 256)    Figs. 2 and 3
"""

from typing import NamedTuple

import torch
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from .variants import CLASS_NAMES, INPUT_SIZE, Variant

DECODER_CHANNELS = (256, 128, 64, 32, 16)


class Output(NamedTuple):
    """What every variant returns for a batch of B images of side S; None for a task it lacks.

    class_logits: (B, 2), benign and malignant, before softmax.
    mask_logits: (B, 2, S, S), background and lesion, before softmax.
    activation: (B, S/32, S/32), how far each place pushes towards malignant: its mean over
        all places is exactly the malignant logit minus the benign one (class activation map,
        Zhou et al., CVPR 2016, for a head of average pooling and one linear layer).
    features: the encoder's maps of S/4, S/8, S/16, and S/32, each (B, C, side, side).
    """

    class_logits: Tensor | None
    mask_logits: Tensor | None
    activation: Tensor | None
    features: tuple[Tensor, ...]


class Network(nn.Module):
    """Encoder with the heads that the variant's tasks ask for, randomly initialised.

    input_size: side of the images in px, a multiple of 32. It is part of the Swin encoder's
    geometry; below 256 px its last position biases are smaller (`encoder_geometry`).
    """

    def __init__(self, variant: Variant, input_size: int = INPUT_SIZE):
        super().__init__()
        self.input_size = input_size
        self.encoder = get_encoder(
            variant.encoder, depth=5, weights=None, **encoder_geometry(variant, input_size)
        )
        self.classifier = None
        if variant.classifies:
            self.dropout = nn.Dropout(0.2)
            self.classifier = nn.Linear(variant.feature_channels, len(CLASS_NAMES))
        self.decoder = None
        if variant.segments:
            self.decoder = UnetDecoder(
                encoder_channels=self.encoder.out_channels, decoder_channels=DECODER_CHANNELS
            )
            self.mask_head = SegmentationHead(DECODER_CHANNELS[-1], 2, kernel_size=3)
            initialize_decoder(self.decoder)
            initialize_head(self.mask_head)

    def forward(self, images: Tensor) -> Output:
        """images: (B, 3, S, S) float, normalised by `busmtl.preprocess.normalise`."""
        pyramid = self.encoder(images)  # S, S/2, S/4, S/8, S/16, S/32
        last = pyramid[-1]  # (B, C, S/32, S/32)
        class_logits = mask_logits = activation = None
        if self.classifier is not None:
            class_logits = self.classifier(self.dropout(last.mean(dim=(2, 3))))  # (B, 2)
            activation = self._activation(last)
        if self.decoder is not None:
            mask_logits = self.mask_head(self.decoder(pyramid))  # (B, 2, S, S)
        return Output(class_logits, mask_logits, activation, tuple(pyramid[2:]))

    def _activation(self, features: Tensor) -> Tensor:
        weight, bias = self.classifier.weight, self.classifier.bias
        towards_malignant = (weight[1] - weight[0])[None, :, None, None]
        return (features * towards_malignant).sum(dim=1) + (bias[1] - bias[0])  # (B, S/32, S/32)


def encoder_geometry(variant: Variant, input_size: int) -> dict:
    """What timm must know to build the encoder for images of side `input_size`; for Swin alone.

    Windows of 8 fit the maps of 256 px (64, 32, 16, 8), which the published windows of 7 would
    pad to 70, 35, 21, 14. Where a map is smaller than that, its window is the whole map.
    """
    if "swin" not in variant.encoder:
        return {}
    return {"img_size": input_size, "window_size": 8}


def build(variant: Variant, input_size: int = INPUT_SIZE) -> Network:
    """A randomly initialised network in channels_last layout, the faster one on CPU and GPU."""
    return Network(variant, input_size).to(memory_format=torch.channels_last)
