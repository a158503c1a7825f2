"""The networks as plain data: six from the paper, and one beyond it.

Standard library only, so that listing them costs nothing at start-up.
"""

from dataclasses import dataclass

CLASS_NAMES = ("benign", "malignant")
INPUT_SIZE = 256  # px, both sides (paper, section II)


@dataclass(frozen=True)
class Variant:
    """One network configuration.

    id: the fixed name used by the API, the command line, and the folders.
    title: the name in the paper's tables.
    encoder: the name that segmentation-models-pytorch knows the backbone by.
    feature_channels: channels of the last feature map, which is 1/32 of the input's size.
    classifies, segments: the tasks it was trained for.
    """

    id: str
    title: str
    encoder: str
    feature_channels: int
    classifies: bool
    segments: bool


_RESNET = dict(encoder="resnet50", feature_channels=2048)
_SWIN = dict(encoder="tu-swin_tiny_patch4_window7_224", feature_channels=768)
_LITE0 = dict(encoder="tu-tf_efficientnet_lite0", feature_channels=320)

# In the order of the paper's tables.
VARIANTS = {
    variant.id: variant
    for variant in (
        Variant("resnet50-cls", "ResNet-50", **_RESNET, classifies=True, segments=False),
        Variant("resnet50-seg", "U-Net with ResNet-50", **_RESNET, classifies=False, segments=True),
        Variant("resnet50-mtl", "ResNet-50 Multi-Task", **_RESNET, classifies=True, segments=True),
        Variant("swin-cls", "ST-Classification", **_SWIN, classifies=True, segments=False),
        Variant("swin-seg", "U-Net with ST", **_SWIN, classifies=False, segments=True),
        Variant("swin-mtl", "ST Multi-Task", **_SWIN, classifies=True, segments=True),
    )
}

# Not in the paper: a small network whose ImageNet weights come from a Python package.
BEYOND_PAPER = {
    "lite0-mtl": Variant(
        "lite0-mtl", "EfficientNet-Lite0 Multi-Task", **_LITE0, classifies=True, segments=True
    )
}

DEFAULT_VARIANT = "resnet50-mtl"


def marked_title(variant_id: str) -> str:
    """The title, with a remark where the network is not the paper's."""
    title = get_variant(variant_id).title
    return f"{title} (beyond the paper)" if variant_id in BEYOND_PAPER else title


def get_variant(variant_id: str) -> Variant:
    """The variant of that id, from the paper or beyond it; ValueError names the known ids."""
    known = VARIANTS | BEYOND_PAPER
    if variant_id not in known:
        raise ValueError(f"Unknown variant {variant_id!r}. Choose one of: {', '.join(known)}.")
    return known[variant_id]
