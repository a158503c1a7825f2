"""The tables of a comparison: what each network says, and how far the masks overlap."""

from html import escape

from ..agreement import Agreement
from ..comparison import Place
from ..measure import Lesion
from ..predictor import Prediction
from ..variants import BEYOND_PAPER, get_variant

_COLUMNS = ("Network", "Malignant", "Lesion area", "Axes of the largest", "Time")
_NOT_ITS_TASK = '<td class="none">not its task</td>'
_BEYOND_ROW = '<tr class="group"><th scope="rowgroup" colspan="{}">Beyond the paper</th></tr>'


def networks_table(places: dict[str, Place], agreement: Agreement | None) -> str:
    """Probability, lesion size, and time of each network."""
    paper = "".join(_row(place) for place in places.values() if not place.beyond_paper)
    beyond = "".join(_row(place) for place in places.values() if place.beyond_paper)
    heads = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
    body = (
        f"<tbody>{paper}</tbody>{_together(agreement)}"
        f"<tbody>{_BEYOND_ROW.format(len(_COLUMNS))}{beyond}</tbody>"
    )
    return _table("Numbers", "numbers", heads, body)


def dice_table(agreement: Agreement | None) -> str:
    """Dice of each two masks: every pair once, the later network in the row."""
    if agreement is None or not agreement.dice:
        return ""
    columns = list(dict.fromkeys(first for first, _ in agreement.dice))
    rows = list(dict.fromkeys(second for _, second in agreement.dice))
    heads = "<td></td>" + "".join(_head(variant_id, "col") for variant_id in columns)
    lines = {row: _dice_row(row, columns, agreement) for row in rows}
    body = f"<tbody>{''.join(lines[row] for row in rows if row not in BEYOND_PAPER)}</tbody>"
    beyond = "".join(lines[row] for row in rows if row in BEYOND_PAPER)
    if beyond:
        body += f"<tbody>{_BEYOND_ROW.format(len(columns) + 1)}{beyond}</tbody>"
    note = "Dice coefficient of the masks: 1 is full agreement, 0 none."
    return _table("Overlap of each two masks", "overlap", heads, body, note)


def _row(place: Place) -> str:
    name = _head(place.variant.id, "row")
    if place.prediction is None:
        text = escape(place.problem or "Waiting")
        return f'<tr>{name}<td class="none problem" colspan="{len(_COLUMNS) - 1}">{text}</td></tr>'
    return f"<tr>{name}{_cells(place.prediction)}</tr>"


def _cells(prediction: Prediction) -> str:
    prob = prediction.malignant_prob
    probability = _NOT_ITS_TASK if prob is None else f"<td>{prob:.1%}</td>"
    sizes = _NOT_ITS_TASK * 2 if prediction.mask is None else _sizes(prediction.lesions)
    return f"{probability}{sizes}<td>{prediction.latency_ms / 1000:.2f} s</td>"


def _together(agreement: Agreement | None) -> str:
    """What the paper's networks say together: spread of the probabilities, consensus."""
    if agreement is None or (agreement.prob_range is None and agreement.consensus is None):
        return ""
    spread, sizes = '<td class="none">–</td>', '<td class="none">–</td>' * 2
    if agreement.prob_range is not None:
        lowest, highest = agreement.prob_range
        spread = f"<td>{lowest:.1%} to {highest:.1%}</td>"
    if agreement.consensus is not None:
        sizes = _sizes(agreement.consensus_lesions)
    return (
        f'<tbody><tr class="together"><th scope="row">Spread and consensus</th>{spread}{sizes}'
        '<td class="none">–</td></tr></tbody>'
    )


def _sizes(lesions: tuple[Lesion, ...]) -> str:
    if not lesions:
        return '<td class="none" colspan="2">no lesion outlined</td>'
    largest = lesions[0]
    area = f"{sum(lesion.area_px for lesion in lesions):,} px"
    axes = f"{largest.major_axis_px:.0f} × {largest.minor_axis_px:.0f} px"
    if largest.area_mm2 is not None:
        area = f"{sum(lesion.area_mm2 for lesion in lesions):.1f} mm²<br>{area}"
        axes = f"{largest.major_axis_mm:.1f} × {largest.minor_axis_mm:.1f} mm<br>{axes}"
    return f"<td>{area}</td><td>{axes}</td>"


def _dice_row(row: str, columns: list[str], agreement: Agreement) -> str:
    cells = "".join(
        f'<td style="--dice:{value:.2f}">{value:.2f}</td>' if value is not None else "<td></td>"
        for value in (agreement.dice.get((column, row)) for column in columns)
    )
    return f"<tr>{_head(row, 'row')}{cells}</tr>"


def _head(variant_id: str, scope: str) -> str:
    return f'<th scope="{scope}">{get_variant(variant_id).title}</th>'


def _table(title: str, name: str, heads: str, body: str, note: str = "") -> str:
    """In a box of its own that scrolls sideways where the page is narrow, by keyboard too."""
    return (
        f'<section class="{name}"><h3>{title}</h3>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table><thead><tr>{heads}</tr></thead>{body}</table></div>"
        f'<p class="aside">{note}</p></section>'
    )
