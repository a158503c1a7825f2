"""The probability and how to read it: thresholds, what they gave on test, and the assumed share."""

from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

from ..measured import (
    DEFAULT_POINT,
    Measured,
    OperatingPoint,
    Share,
    at_other_share,
    load,
)
from ..mirror import PROB, Mirror, load_record
from ..predictor import Prediction, Predictor
from ..variants import CLASS_NAMES

FREE = "free"
LABELS = {
    DEFAULT_POINT: "Default",
    "balanced": "Balanced",
    "high_sensitivity": "High sensitivity",
    FREE: "My own",
}
NO_RECORDS = "These weights bring no test figures, so there is nothing to say about a threshold."
BAD_SHARE = "The share of malignant lesions must be above 0% and below 100%."
_TABLE_NOTE = (
    "Sensitivity is the share of malignant lesions called malignant, specificity the share of "
    "benign ones called benign, with 95% intervals. Balanced and high sensitivity were chosen on "
    "validation images."
)


@dataclass(frozen=True)
class Score:
    """A network's probability and where its records lie: numbers only, nothing of the image.

    thresholds: those of the network's config, by name. mirror: of the probability alone.
    """

    malignant_prob: float | None
    folder: Path
    thresholds: dict[str, float]
    mirror: Mirror | None = None

    @property
    def measured(self) -> Measured | None:
        return load(self.folder)


@dataclass(frozen=True)
class View:
    """The visitor's choices: the name of a threshold, their own one in percent, and the share of
    malignant lesions in percent, None for the one that the probability assumes.
    """

    choice: str = DEFAULT_POINT
    free_percent: float = 50
    share_percent: float | None = None


def score_of(predictor: Predictor, prediction: Prediction) -> Score:
    thresholds = {DEFAULT_POINT: 0.5, **(predictor.config.thresholds.malignant or {})}
    mirror = prediction.mirror and replace(prediction.mirror, masks=None)
    return Score(prediction.malignant_prob, predictor.folder, thresholds, mirror)


def threshold_of(score: Score, view: View) -> float:
    """The chosen threshold in [0, 1]; 0.5 where this network has none of that name."""
    if view.choice == FREE:
        return view.free_percent / 100
    return score.thresholds.get(view.choice, 0.5)


def point_of(score: Score, view: View) -> OperatingPoint | None:
    """What the chosen threshold gave on BUSI test; None without records."""
    measured = score.measured
    if measured is None:
        return None
    return measured.points.get(view.choice) or measured.at(threshold_of(score, view))


def verdict(score: Score, view: View) -> str:
    """ "benign" or "malignant" at the chosen threshold."""
    return CLASS_NAMES[score.malignant_prob >= threshold_of(score, view)]


@dataclass(frozen=True)
class Controls:
    """points: the table's place."""

    choice: gr.Radio
    free: gr.Slider
    share: gr.Number
    points: gr.HTML

    @property
    def view(self) -> list[gr.Component]:
        """What makes up a View, in its order."""
        return [self.choice, self.free, self.share]


def controls() -> Controls:
    """In a fold of their own."""
    with gr.Accordion("Threshold and assumptions", open=False, elem_id="reading"):
        choice = gr.Radio(
            [(label, name) for name, label in LABELS.items()],
            value=DEFAULT_POINT,
            label="Threshold",
            elem_id="threshold",
        )
        free = gr.Slider(
            1, 99, 50, step=1, label="My own threshold, in percent", elem_id="free-threshold"
        )
        points = gr.HTML()
        share = gr.Number(
            None,
            label="Share of malignant lesions, in percent",
            info="Where you look.",
            placeholder="as the probability assumes",
            elem_id="share",
        )
    return Controls(choice, free, share, points)


def card(score: Score | None, view: View) -> str:
    """The probability, the verdict, and the record of that verdict."""
    if score is None:
        return ""
    if score.malignant_prob is None:
        body = "<p>This network gives no probability: it only outlines lesions.</p>"
    else:
        body = "".join(
            (
                _bar("malignant", score.malignant_prob),
                _bar("benign", 1 - score.malignant_prob),
                _at_own_share(score, view),
                f'<p class="verdict">At the threshold {percent(threshold_of(score, view))}: '
                f"<strong>{verdict(score, view)}</strong></p>",
                _record(score, view),
                _aside("range", sureness(score)),
            )
        )
    return (
        '<div class="findings" aria-live="polite">'
        f'<section class="probability"><h3>Probability</h3>{body}</section></div>'
    )


def table(score: Score | None, view: View) -> str:
    """All thresholds side by side, then where the figures come from."""
    if score is None or score.malignant_prob is None:
        return ""
    measured = score.measured
    if measured is None:
        return f'<p class="aside">{NO_RECORDS}</p>'
    points = {**measured.points, FREE: measured.at(view.free_percent / 100)}
    rows = "".join(
        _row(label, points[name], name == view.choice)
        for name, label in LABELS.items()
        if name in points
    )
    return (
        f'<table class="points"><caption>On the {len(measured.test.is_malignant)} images of BUSI '
        'test</caption><thead><tr><th scope="col">Threshold</th><th scope="col">Sensitivity</th>'
        f'<th scope="col">Specificity</th></tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="aside">{_TABLE_NOTE}{_about_validation(measured)}</p>'
    )


def percent(share: float) -> str:
    """0.5 → "50%", 0.20841 → "20.8%"."""
    return f"{share * 100:.1f}".removesuffix(".0") + "%"


def with_interval(share: Share) -> str:
    return f"{share.value:.0%} ({share.low * 100:.0f} to {share.high:.0%})"


def similar(score: Score) -> str:
    """Of the validation images that scored alike, how many were malignant; "" where unknown."""
    measured = score.measured
    alike = measured and measured.neighbours(score.malignant_prob)
    if not alike:
        return ""
    return (
        f"Of the {alike.count} validation images that scored most alike "
        f"({percent(alike.low)} to {percent(alike.high)}), {alike.malignant} were malignant."
    )


def sureness(score: Score) -> str:
    """How far image and mirror image lie apart, and what that meant; "" where it is not known."""
    record = load_record(score.folder, PROB)
    if record is None or score.mirror is None:
        return ""
    low, high = sorted(score.mirror.malignant_probs)
    third = record.third(score.mirror.prob_gap)
    return (
        f"Image and mirror image alone: {percent(low)} and {percent(high)}. Of the {third.images} "
        f"validation images most like this in it, {third.error:.0%} were called wrongly at 50%."
    )


def at_own_share(score: Score, view: View) -> float | None:
    """The probability at the visitor's share; None without one that can be used."""
    measured = score.measured
    assumed = measured and measured.assumed_share
    if not assumed or view.share_percent is None or not 0 < view.share_percent < 100:
        return None
    return at_other_share(score.malignant_prob, assumed, view.share_percent / 100)


def _bar(class_name: str, prob: float) -> str:
    shown = f"{prob * 100:.1f}%"
    return (
        f'<div class="bar {class_name}"><span>{class_name.capitalize()}</span>'
        f'<strong>{shown}</strong><i style="--share:{shown}"></i></div>'
    )


def _at_own_share(score: Score, view: View) -> str:
    if view.share_percent is None:
        return ""
    adjusted = at_own_share(score, view)
    if adjusted is None:
        return f'<p class="own-share">{BAD_SHARE if score.measured else NO_RECORDS}</p>'
    return (
        f'<p class="own-share">Where {percent(view.share_percent / 100)} of the lesions are '
        f"malignant: <strong>{adjusted * 100:.1f}% malignant</strong></p>"
    )


def _record(score: Score, view: View) -> str:
    point = point_of(score, view)
    if point is None:
        return ""
    return (
        f'<p class="aside record">On BUSI test: sensitivity {with_interval(point.sensitivity)}, '
        f"specificity {with_interval(point.specificity)}.</p>" + _aside("similar", similar(score))
    )


def _aside(kind: str, text: str) -> str:
    return f'<p class="aside {kind}">{text}</p>' if text else ""


def _row(label: str, point: OperatingPoint, is_chosen: bool) -> str:
    chosen = ' aria-current="true"' if is_chosen else ""
    return (
        f'<tr{chosen}><th scope="row">{label}, {percent(point.threshold)}</th>'
        f"<td>{_short(point.sensitivity)}</td><td>{_short(point.specificity)}</td></tr>"
    )


def _short(share: Share) -> str:
    """As `with_interval`, where it must not be wider than a column."""
    return f"{share.value:.0%} ({share.low * 100:.0f}–{share.high * 100:.0f})"


def _about_validation(measured: Measured) -> str:
    if measured.assumed_share is None:
        return ""
    titles = {"busi": "BUSI", "busbra": "BUS-BRA"}
    parts = " and ".join(
        f"{len(part.is_malignant)} of {titles[name]}" for name, part in measured.validation.items()
    )
    return (
        f" Validation images are {parts}; since the network was tuned on them, its figures there "
        "are rather too good. The probability assumes that "
        f"{measured.assumed_share:.0%} of the lesions are malignant, as among these."
    )
