"""From a decoded image to the networks' input, and from their maps back to the image's size.

Training, evaluation, app, and command line all pass through here. NumPy and Pillow only.
"""

import numpy as np
from PIL import Image

from .variants import INPUT_SIZE

# Grey mean and deviation of ImageNet, the statistics behind published backbone weights.
GREY_MEAN = 0.449
GREY_STD = 0.226


def to_input(image_rgb_u8: np.ndarray, size: int = INPUT_SIZE) -> np.ndarray:
    """uint8 (H, W, 3) or (H, W) in [0, 255] → grey uint8 (size, size).

    Luminance (ITU-R 601), then bilinear with antialiasing; the aspect ratio is not kept (paper,
    section II).
    """
    grey = Image.fromarray(image_rgb_u8).convert("L")
    return np.asarray(grey.resize((size, size), Image.Resampling.BILINEAR))


def normalise(images_u8):
    """Grey uint8 (B, 1, S, S) → normalised float32 (B, 1, S, S); NumPy array or torch tensor."""
    scale = 1 / (255 * GREY_STD)
    return images_u8 * np.float32(scale).item() - GREY_MEAN / GREY_STD


def to_batch(inputs_u8: list[np.ndarray]) -> np.ndarray:
    """Grey uint8 (S, S) images → float32 (B, 3, S, S), the grey repeated to three channels."""
    grey = normalise(np.stack(inputs_u8)[:, None].astype(np.float32))
    return np.repeat(grey, 3, axis=1)


def to_image_size(map_f32: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """float32 (S, S) map → float32 (H, W), bilinear; threshold only after this."""
    height, width = size_hw
    resized = Image.fromarray(map_f32).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)
