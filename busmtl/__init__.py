"""Segmentation and classification of breast-ultrasound images. Research use only.

    from busmtl import Predictor, VARIANTS
    result = Predictor("resnet50-mtl").predict("image.png")

Importing this package does not import torch; an engine does so when it loads a network.
"""

from .predictor import Prediction, Predictor
from .variants import VARIANTS

__version__ = "0.1.0"
__all__ = ["VARIANTS", "Prediction", "Predictor"]
