"""What the endpoint "batch" returns: its types, from which Gradio writes its documentation."""

from typing import TypedDict


class Row(TypedDict):
    """A row of predictions.csv, with None where the CSV has nothing. Lengths in px of the image."""

    image: str
    variant: str
    predicted: str | None
    benign_prob: float | None
    malignant_prob: float | None
    lesion_count: int | None
    lesion_area_px: int | None
    lesion_fraction: float | None
    major_axis_px: float | None
    minor_axis_px: float | None
    spacing_mm: str | None
    latency_ms: float | None
    warnings: str | None
    error: str | None


class Rate(TypedDict, total=False):
    """value is None where it is not defined. The AUC has a value only; the others have the bounds
    of their 95 % interval and the images they were counted from.
    """

    value: float | None
    low: float | None
    high: float | None
    part: int
    whole: int


class Classification(TypedDict):
    """Against the labels, at the threshold of the column `predicted`."""

    benign: int
    malignant: int
    threshold: float
    tp: int
    fp: int
    fn: int
    tn: int
    tpr: Rate
    fpr: Rate
    acc: Rate
    pre: Rate
    f1: Rate
    auc: Rate


class Segmentation(TypedDict):
    """Against the reference masks; overlap is that of the images whose reference has a lesion."""

    images: int
    images_without_lesion: int
    outlined_without_lesion: int
    iou_per_image_mean: float | None
    dice_per_image_mean: float | None
    iou_pooled: float | None
    dice_pooled: float | None


class Figures(TypedDict):
    """On the caller's own data; None where there is nothing to compare."""

    classification: Classification | None
    segmentation: Segmentation | None
    warnings: list[str]


class Answer(TypedDict):
    """notes: sentences on what was passed over."""

    rows: list[Row]
    figures: Figures
    notes: list[str]
