"""What the endpoint "compare" returns: its types, from which Gradio writes its documentation."""

from typing import Literal, TypedDict

from ..agreement import Agreement
from ..comparison import Place
from ..images import DecodedImage
from ..measure import Lesion
from .result import DISCLAIMER

DESCRIPTION = (
    "One breast-ultrasound image file through all networks: each one's calibrated probability of "
    "malignant (0 to 1), lesion size (all areas together, axes of the largest; mm only where a "
    "DICOM file states its pixel spacing), and time; and on what they agree. A value is null for "
    "a task that a network does not have. The agreement is that of the paper's networks; its Dice "
    "values include those beyond the paper. The file is deleted when it has been read. "
    f"{DISCLAIMER}"
)


class Size(TypedDict):
    """All areas of a mask together, and the axes of the largest; None where nothing is outlined.
    Millimetres are None as well where the file does not state its pixel spacing.
    """

    lesion_count: int
    lesion_area_px: int
    lesion_area_mm2: float | None
    major_axis_px: float | None
    minor_axis_px: float | None
    major_axis_mm: float | None
    minor_axis_mm: float | None


class NetworkAnswer(TypedDict):
    """problem: a sentence unless the status is "ok". malignant_prob is in [0, 1]; it and lesion are
    None for a task that the network does not have.
    """

    id: str
    title: str
    beyond_paper: bool
    status: Literal["ok", "not available", "failed"]
    problem: str | None
    malignant_prob: float | None
    lesion: Size | None
    latency_ms: float | None


class PairDice(TypedDict):
    first: str
    second: str
    dice: float


class AgreementAnswer(TypedDict):
    """Of the paper's networks; dice has the pairs with those beyond it too."""

    sentence: str
    malignant_prob_min: float | None
    malignant_prob_max: float | None
    dice: list[PairDice]
    consensus: Size | None
    consensus_rule: str | None
    beyond_paper: list[str]


class Comparison(TypedDict):
    """The answer; notes are sentences on what was changed in reading the file."""

    width_px: int
    height_px: int
    notes: list[str]
    networks: list[NetworkAnswer]
    agreement: AgreementAnswer
    disclaimer: str


def comparison_json(
    image: DecodedImage, places: dict[str, Place], agreement: Agreement
) -> Comparison:
    height, width = image.size_hw
    return {
        "width_px": width,
        "height_px": height,
        "notes": list(image.warnings),
        "networks": [_network(place) for place in places.values()],
        "agreement": _agreement(agreement),
        "disclaimer": DISCLAIMER,
    }


def _network(place: Place) -> NetworkAnswer:
    prediction = place.prediction
    outlines = prediction is not None and prediction.mask is not None
    return {
        "id": place.variant.id,
        "title": place.variant.title,
        "beyond_paper": place.beyond_paper,
        "status": place.state,
        "problem": place.problem,
        "malignant_prob": prediction and prediction.malignant_prob,
        "lesion": _size(prediction.lesions) if outlines else None,
        "latency_ms": prediction and prediction.latency_ms,
    }


def _agreement(agreement: Agreement) -> AgreementAnswer:
    lowest, highest = agreement.prob_range or (None, None)
    has_consensus = agreement.consensus is not None
    return {
        "sentence": agreement.sentence,
        "malignant_prob_min": lowest,
        "malignant_prob_max": highest,
        "dice": [
            {"first": first, "second": second, "dice": value}
            for (first, second), value in agreement.dice.items()
        ],
        "consensus": _size(agreement.consensus_lesions) if has_consensus else None,
        "consensus_rule": agreement.consensus_rule,
        "beyond_paper": list(agreement.beyond),
    }


def _size(lesions: tuple[Lesion, ...]) -> Size:
    largest = lesions[0] if lesions else None
    in_mm = largest is not None and largest.area_mm2 is not None
    return {
        "lesion_count": len(lesions),
        "lesion_area_px": sum(lesion.area_px for lesion in lesions),
        "lesion_area_mm2": sum(lesion.area_mm2 for lesion in lesions) if in_mm else None,
        "major_axis_px": largest and largest.major_axis_px,
        "minor_axis_px": largest and largest.minor_axis_px,
        "major_axis_mm": largest and largest.major_axis_mm,
        "minor_axis_mm": largest and largest.minor_axis_mm,
    }
