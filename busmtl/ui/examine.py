"""One image, as the visitor wants it read, through one network: what the page shows and saves."""

from dataclasses import dataclass, replace

import numpy as np

from .. import burned_in, gate, known
from ..crop import Crop, crop_of, cut
from ..images import MAX_SPACING_MM, DecodedImage, ImageError, decode, is_plausible_spacing
from ..mirror import MASK, load_record
from ..predictor import Prediction, Predictor
from .chosen import Example, Upload
from .networks import Networks
from .result import Reference

GONE = "The image is no longer on the server, which keeps none for long. Choose it again."
OWN_SCALE = "The file states its own scale, which is used instead of yours."
MALIGNANT_NOTHING = (
    "The network says malignant but outlines no lesion. Its two answers do not agree: trust "
    "neither of them."
)
BENIGN_NOTHING = (
    "The probability supposes that the image shows a lesion, but the network outlined none."
)


@dataclass(frozen=True)
class Options:
    """How the visitor wants the file read.

    frame: of a DICOM file, counted from 1. mm_per_px: for files without a scale of their own.
    sides: left, top, right, bottom of the crop in px of the whole image, None for its own edge.
    gated: whether a picture that does not look like ultrasound is stopped, not only remarked on.
    """

    frame: int = 1
    mm_per_px: float | None = None
    sides: tuple[float | None, ...] = (None, None, None, None)
    gated: bool = False


AS_IT_IS = Options(gated=True)


class Stopped(ImageError):
    """The gate objects to the picture: no network has seen it. image: what they would have seen."""

    def __init__(self, objection: str, image: DecodedImage, crop: Crop | None):
        super().__init__(objection)
        self.image = image
        self.crop = crop


@dataclass(frozen=True, eq=False)
class Seen:
    """What the networks see of a file.

    image: the part that `crop` names, the whole where that is None, with the visitor's scale where
    it has none of its own; its warnings tell of all that. reference: of an example.
    """

    image: DecodedImage
    crop: Crop | None
    reference: Reference | None


@dataclass(frozen=True, eq=False)
class Examined:
    """An image with its prediction; image, crop, and reference as in `Seen`."""

    name: str
    image: DecodedImage
    crop: Crop | None
    reference: Reference | None
    options: Options
    predictor: Predictor
    prediction: Prediction

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the visitor, beyond those of the prediction itself."""
        return _disagreement(self.prediction)

    @property
    def unsure(self) -> np.ndarray | None:
        """bool (S, S) at the network's input size: what only the image or only its mirror image has
        outlined. None where that is nothing, or not known to mean anything.
        """
        mirror = self.prediction.mirror
        if mirror is None or not mirror.mask_gap or not load_record(self.predictor.folder, MASK):
            return None
        return mirror.mask_differs

    @property
    def about_outline(self) -> str:
        """How sure the outline is; "" where that is not known."""
        if self.unsure is None:
            return ""
        gap = self.prediction.mirror.mask_gap
        third = load_record(self.predictor.folder, MASK).third(gap)
        return (
            f"The outlines of the image and of its mirror image have a Dice of {1 - gap:.2f}. In "
            f"the {third.images} validation images that were most like this in it, the outline's "
            f"Dice with the reference was {1 - third.error:.2f} on average."
        )


def read(image: Upload | Example, options: Options) -> Seen:
    """Raises ImageError, a sentence for the visitor; Stopped is one."""
    if not image.path.exists():
        raise ImageError(GONE)
    check_scale(options.mm_per_px)
    whole, _ = known.told(decode(image.path, options.frame - 1))  # a crop would hide it
    whole = _scaled(whole, options.mm_per_px)
    crop = crop_of(whole.size_hw, *options.sides)
    seen = cut(whole, crop) if crop else whole
    notes = burned_in.notes(seen.image_rgb_u8)
    if crop:
        notes.append(
            "Mask and numbers are those of the cropped image: columns "
            f"{crop.left} to {crop.right}, rows {crop.top} to {crop.bottom} of the whole."
        )
    if isinstance(image, Upload) and (objection := _objection(whole, seen)):
        if options.gated:
            raise Stopped(objection, seen, crop)
        notes.append(objection)
    seen = replace(seen, warnings=(*seen.warnings, *notes))
    return Seen(seen, crop, _reference(image, crop))


def examine(
    networks: Networks, image: Upload | Example, variant_id: str, options: Options
) -> Examined:
    """Raises ImageError, WeightsError, or EngineError, each a sentence for the visitor; Stopped is
    an ImageError.
    """
    seen = read(image, options)
    predictor = networks.get(variant_id)
    return Examined(
        name=image.name,
        **vars(seen),
        options=options,
        predictor=predictor,
        prediction=predictor.predict(seen.image),
    )


def _scaled(image: DecodedImage, mm_per_px: float | None) -> DecodedImage:
    """With the visitor's scale, which a file's own goes before."""
    if mm_per_px is None:
        return image
    if image.spacing_mm is not None:
        return replace(image, warnings=(*image.warnings, OWN_SCALE))
    return replace(image, spacing_mm=(mm_per_px, mm_per_px))


def _objection(whole: DecodedImage, seen: DecodedImage) -> str | None:
    """The gate's. It is enough that it lets the whole image or its part pass: the part may be
    small, the whole a screen with much around the scan.
    """
    objection = gate.objection(seen.image_rgb_u8)
    if objection is None or seen is whole:
        return objection
    return objection if gate.objection(whole.image_rgb_u8) else None


def check_scale(mm_per_px: float | None) -> None:
    """Raises ImageError for a scale that no image has; None is that of no scale."""
    if mm_per_px is not None and not is_plausible_spacing(mm_per_px):
        raise ImageError(
            f"The scale must be above 0 and at most {MAX_SPACING_MM:g} mm per pixel. Change it."
        )


def _reference(image: Upload | Example, crop: Crop | None) -> Reference | None:
    if isinstance(image, Upload):
        return None
    mask = image.reference_mask()
    if crop is not None:
        mask = mask[crop.top : crop.bottom, crop.left : crop.right]
    return Reference(image.pathology, mask)


def _disagreement(prediction: Prediction) -> tuple[str, ...]:
    """What to think of a probability where the same network outlined nothing."""
    if prediction.malignant_prob is None or prediction.mask is None or prediction.lesions:
        return ()
    return (MALIGNANT_NOTHING if prediction.malignant_prob >= 0.5 else BENIGN_NOTHING,)
