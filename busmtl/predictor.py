"""From an image to a probability, a mask, and measurements: the one way to a prediction.

The functions at the end are the arithmetic between a network's answer and a prediction. They take
whole batches, and training and evaluation use the same ones.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from .engines import Raw, load_engine
from .images import (
    MAX_SPACING_MM,
    DecodedImage,
    ImageError,
    decode,
    is_plausible_spacing,
)
from .measure import Lesion, clean_mask, measure
from .mirror import Mirror
from .preprocess import to_batch, to_image_size
from .variants import CLASS_NAMES, DEFAULT_VARIANT, get_variant
from .weights import CONFIG_FILE, INPUT, Config, WeightsError, load_config, locate

# Images that `predict_many` works on: two in the network, where one fills the other's gaps, and one
# before or after it.
AT_ONCE = 3
NO_LESION = "The network outlined no lesion."


@dataclass(frozen=True, eq=False)
class Prediction:
    """What every variant returns for an image of H × W px; None for a task it does not have.

    malignant_prob: calibrated, in [0, 1].
    mask: bool (H, W), the outlined lesions.
    mask_prob: float32 (H, W) in [0, 1], before the threshold.
    activation_map: float32 (H, W) in [0, 1], how strongly each place speaks for malignant
        compared with the rest of this image; see `relative_map`.
    lesions: the mask's components, largest first; empty without a mask.
    spacing_mm: mm per px (between rows, between columns), where the file or the caller states it.
    warnings: sentences for the user.
    latency_ms: from the start of decoding (where `predict` decodes) to the result, without the time
        in which it was another's turn.
    mirror: the answers for the image and its mirror image apart, where their mean is the answer.
    """

    variant: str
    malignant_prob: float | None
    mask: np.ndarray | None
    mask_prob: np.ndarray | None
    activation_map: np.ndarray | None
    lesions: tuple[Lesion, ...]
    spacing_mm: tuple[float, float] | None
    warnings: tuple[str, ...]
    latency_ms: float
    mirror: Mirror | None = None


class Predictor:
    """One loaded network. It keeps nothing of an image and may be called from many threads."""

    def __init__(
        self,
        variant: str = DEFAULT_VARIANT,
        weights: str | Path | None = None,
        engine: str = "auto",
        turn: AbstractContextManager | None = None,
    ):
        """variant: an id, such as "resnet50-mtl".
        weights: a folder or "hub:org/name"; None searches, see `busmtl.weights.locate`.
        engine: "auto", "openvino", or "torch".
        turn: entered for as long as the network itself works: networks that share a lock take
            turns, one image each.

        Raises ValueError for an unknown variant or engine, and WeightsError where good weights of
        this variant cannot be had.
        """
        self.variant = get_variant(variant)
        self.folder = locate(variant, weights)
        self.config = load_config(self.folder)
        _check_contract(self.config, variant)
        self._engine = load_engine(engine, self.folder)
        self._turn = turn or nullcontext()

    def predict(
        self,
        image: str | Path | bytes | Image.Image | np.ndarray | DecodedImage,
        mm_per_px: float | None = None,
    ) -> Prediction:
        """image: a path, a file's bytes, a PIL image, uint8 (H, W) or (H, W, 3), or an image that
        `busmtl.images.decode` has read. Raises ImageError for one that cannot be used.
        mm_per_px: side of a square pixel of the image, for one that does not state its own, as
        only DICOM files do. Raises ValueError where it is not above 0 and at most 5.
        """
        start = time.perf_counter()
        if mm_per_px is not None and not is_plausible_spacing(mm_per_px):
            raise ValueError(f"A pixel has more than 0 and at most {MAX_SPACING_MM:g} mm a side.")
        decoded = image if isinstance(image, DecodedImage) else decode(image)
        spacing_mm = decoded.spacing_mm or (mm_per_px and (mm_per_px, mm_per_px))
        batch = self._batch(decoded)
        waiting_since = time.perf_counter()
        with self._turn:
            start += time.perf_counter() - waiting_since
            raw = self._engine.run(batch)
        lesion = None if raw.mask_logits is None else lesion_prob(raw.mask_logits)
        mask_prob = self._mask_prob(lesion, decoded.size_hw)
        mask = None if mask_prob is None else self._mask(mask_prob)
        outlined_nothing = mask is not None and not mask.any()
        return Prediction(
            variant=self.variant.id,
            malignant_prob=self._malignant_prob(raw),
            mask=mask,
            mask_prob=mask_prob,
            activation_map=self._activation_map(raw, decoded.size_hw),
            lesions=() if mask is None else measure(mask, spacing_mm),
            spacing_mm=spacing_mm,
            warnings=decoded.warnings + ((NO_LESION,) if outlined_nothing else ()),
            mirror=self._mirror(raw, lesion) if self.config.flip_average else None,
            latency_ms=(time.perf_counter() - start) * 1000,
        )

    def predict_many(
        self, images: Iterable, mm_per_px: float | None = None
    ) -> Iterator[Prediction | ImageError]:
        """One answer per image, in order: the Prediction, or the ImageError (handed over, not
        raised) that says why this image has none. mm_per_px is that of `predict`, for all of them.

        Images are taken when answers are asked for, at most AT_ONCE ahead: while the network
        looks at one, the next is decoded.
        """
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            under_way = deque()
            for image in images:
                under_way.append(pool.submit(self._answer, image, mm_per_px))
                if len(under_way) > AT_ONCE:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:  # also where the caller stops early
            pool.shutdown(cancel_futures=True)

    def _answer(self, image, mm_per_px: float | None) -> Prediction | ImageError:
        try:
            return self.predict(image, mm_per_px)
        except ImageError as error:
            return error

    def _batch(self, decoded: DecodedImage) -> np.ndarray:
        batch = to_batch([decoded.input_u8(self.config.input.size)])  # (1, 3, S, S)
        if self.config.flip_average:
            batch = np.concatenate([batch, batch[..., ::-1]])  # (2, 3, S, S)
        return batch

    def _malignant_prob(self, raw: Raw) -> float | None:
        if raw.class_logits is None:
            return None
        class_logits = raw.class_logits.mean(axis=0, keepdims=True)  # over the mirror image
        return float(malignant_prob(class_logits, self.config.temperature)[0])

    def _mask_prob(self, lesion: np.ndarray | None, size_hw: tuple[int, int]) -> np.ndarray | None:
        return None if lesion is None else to_image_size(self._unmirrored(lesion), size_hw)

    def _activation_map(self, raw: Raw, size_hw: tuple[int, int]) -> np.ndarray | None:
        if raw.activation is None:
            return None
        return relative_map(self._unmirrored(raw.activation), size_hw)

    def _mirror(self, raw: Raw, lesion: np.ndarray | None) -> Mirror:
        probs = masks = None
        if raw.class_logits is not None:
            probs = tuple(malignant_prob(raw.class_logits, self.config.temperature).tolist())
        if lesion is not None:
            own, mirrored = lesion
            masks = np.stack([self._mask(own), self._mask(mirrored[:, ::-1])])
        return Mirror(probs, masks)

    def _unmirrored(self, maps: np.ndarray) -> np.ndarray:
        """(1 or 2, S, S) → (S, S)."""
        return average_mirrored(maps[0], maps[1]) if self.config.flip_average else maps[0]

    def _mask(self, mask_prob: np.ndarray) -> np.ndarray:
        thresholds = self.config.thresholds
        return lesion_mask(mask_prob, thresholds.mask, thresholds.min_lesion_fraction)


def _check_contract(config: Config, variant_id: str) -> None:
    if config.variant != variant_id:
        raise WeightsError(
            f"These weights are those of {config.variant}, not of {variant_id}. Choose that "
            "variant or other weights."
        )
    same_input = replace(config.input, size=INPUT.size) == INPUT  # any side will do
    if not same_input or config.class_names != CLASS_NAMES:
        raise WeightsError(
            f"The file {CONFIG_FILE} of {variant_id} asks for another input or other classes than "
            "this version gives. Use weights that were made for this version."
        )


def malignant_prob(class_logits: np.ndarray, temperature: float) -> np.ndarray:
    """(B, 2) logits → (B,) softmax(logits / temperature) of malignant.

    Where the mirror image counts too, average the two answers' logits first.
    """
    return _sigmoid((class_logits[:, 1] - class_logits[:, 0]) / temperature)


def lesion_prob(mask_logits: np.ndarray) -> np.ndarray:
    """(B, 2, S, S) logits → float32 (B, S, S) softmax of lesion."""
    return _sigmoid(mask_logits[:, 1] - mask_logits[:, 0])


def average_mirrored(maps: np.ndarray, maps_of_mirrored: np.ndarray) -> np.ndarray:
    """Mean of maps (..., S, S) of images and of the same images mirrored left to right."""
    return (maps + maps_of_mirrored[..., ::-1]) / 2


def lesion_mask(mask_prob: np.ndarray, threshold: float, min_lesion_fraction: float) -> np.ndarray:
    """float32 (H, W) at the image's own size → bool (H, W) without specks.

    min_lesion_fraction: smallest component kept, as a fraction of the image's area.
    """
    return clean_mask(mask_prob >= threshold, min_lesion_fraction * mask_prob.size)


def relative_map(activation: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(S, S) class activation → float32 (H, W) from 0 (least) to 1 (most malignant) in this image.

    It compares places within one image and says nothing about how malignant the image is; where
    all places are alike it is zero.
    """
    low, high = activation.min(), activation.max()
    if high == low:
        return np.zeros(size_hw, np.float32)
    scaled = ((activation - low) / (high - low)).astype(np.float32)
    return np.clip(to_image_size(scaled, size_hw), 0, 1)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """Softmax of two classes; what float32 cannot hold is 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))
