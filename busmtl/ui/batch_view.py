"""A batch as HTML. Every text that is not ours passes through `escape`."""

from html import escape

from ..batch import THRESHOLD, Outcome
from ..metrics import dice
from .result import DISCLAIMER

# key in `busmtl.batch.figures` → what the visitor reads
_RATES = {
    "tpr": "TPR (sensitivity): malignant found",
    "fpr": "FPR: benign called malignant",
    "acc": "ACC (accuracy): right answers",
    "pre": "PRE (precision): right when it says malignant",
    "f1": "F1 score",
    "auc": "AUC",
}
_OVERLAPS = {
    "iou_per_image_mean": "IoU, mean of the images",
    "dice_per_image_mean": "Dice, mean of the images",
    "iou_pooled": "IoU, all pixels pooled",
    "dice_pooled": "Dice, all pixels pooled",
}


def empty() -> str:
    """In the place of the table while there is none."""
    return '<div class="empty">Choose images or a zip and press Start.</div>'


def message(text: str) -> str:
    """In the place of the table: why there is none and what to do."""
    return (
        '<div class="message" role="alert"><strong>The batch could not be analysed</strong>'
        f"<p>{escape(text)}</p></div>"
    )


def progress(done: int, total: int, sentence: str) -> str:
    """A bar while total is above 0, with the sentence below it."""
    bar = f'<progress max="{total}" value="{done}" aria-label="Progress"></progress>'
    return f'<div class="progress">{bar if total else ""}<p role="status">{sentence}</p></div>'


def summary(outcomes: list[Outcome], total: int) -> str:
    """What became of all images, in a sentence."""
    failed = sum(outcome.failed for outcome in outcomes)
    if len(outcomes) == total:
        text = f"Done: {_images(total)}."
    else:
        text = f"Stopped after {len(outcomes)} of {_images(total)}."
    if failed:
        text += f" {failed} of them could not be used; the table says why."
    return f"{text} {DISCLAIMER}"


def notes(sentences: list[str] | tuple[str, ...]) -> str:
    """What was passed over, and other things to know; "" where there is nothing."""
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<section class="notes"><h3>Please note</h3><ul>{items}</ul></section>'


# ---- the table


def table(outcomes: list[Outcome], sortable: bool) -> str:
    """A row an image, at least one. sortable: with buttons in the head, which batch.js serves."""
    with_labels = any(outcome.item.label for outcome in outcomes)
    with_masks = any(outcome.item.masks for outcome in outcomes)
    rows = [_cells(outcome) for outcome in outcomes]
    shown = {"Label": with_labels, "Dice": with_masks}
    columns = [name for name in rows[0] if shown.get(name, True)]
    head = "".join(_head(name, sortable) for name in columns)
    body = "".join(
        f"<tr{_row_class(outcome)}>{''.join(cells[name] for name in columns)}</tr>"
        for outcome, cells in zip(outcomes, rows, strict=True)
    )
    hint = '<p class="aside">Press a heading to sort by it.</p>' if sortable else ""
    return hint + _scrolling("Results", f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>")


def _scrolling(label: str, body: str, kind: str = "") -> str:
    """A table that a keyboard can scroll where it is wider than the page."""
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f'<table class="{kind}">{body}</table></div>'
    )


def _row_class(outcome: Outcome) -> str:
    return ' class="failed"' if outcome.failed else ""


def _head(name: str, sortable: bool) -> str:
    kind = "" if name in ("Image", "Label", "Predicted") else ' class="number"'
    if not sortable:
        return f'<th scope="col"{kind}>{name}</th>'
    return f'<th scope="col"{kind} aria-sort="none"><button type="button">{name}</button></th>'


def _cells(outcome: Outcome) -> dict[str, str]:
    """Column → <td>, in the order of the columns. data-value is what batch.js sorts by."""
    row = outcome.row
    malignant = row.get("malignant_prob")
    fraction = row.get("lesion_fraction")
    return {
        "Image": _name_cell(outcome),
        "Label": _text_cell(outcome.item.label),
        "Predicted": _text_cell(row.get("predicted")),
        "Malignant": _number_cell(malignant, malignant and f"{float(malignant):.1%}"),
        "Areas": _number_cell(row.get("lesion_count")),
        "Area px": _number_cell(row.get("lesion_area_px")),
        "Area": _number_cell(fraction, fraction and f"{float(fraction):.1%}"),
        "Major px": _number_cell(row.get("major_axis_px")),
        "Minor px": _number_cell(row.get("minor_axis_px")),
        "Dice": _number_cell(_dice(outcome)),
        "ms": _number_cell(row.get("latency_ms")),
    }


def _dice(outcome: Outcome) -> str | None:
    if outcome.counts is None:
        return None
    tp, _, fn, _ = outcome.counts
    return f"{dice(outcome.counts):.2f}" if tp + fn else None


def _name_cell(outcome: Outcome) -> str:
    name = escape(outcome.row["image"])
    if outcome.failed:
        remark = f"Not analysed. {escape(outcome.row['error'])}"
    else:
        remark = escape(f"{outcome.row['warnings']} {outcome.note}".strip())
    remark = remark and f"<small>{remark}</small>"
    return f'<th scope="row" data-value="{name}"><span>{name}</span>{remark}</th>'


def _text_cell(text: str | None) -> str:
    kind = f' class="{text}"' if text else ""
    return f'<td data-value="{text or ""}"{kind}>{text or "–"}</td>'


def _number_cell(value: str | int | None, shown: str | None = None) -> str:
    if value is None:
        return '<td class="number" data-value="">–</td>'
    if isinstance(value, int):
        shown = f"{value:,}"
    return f'<td class="number" data-value="{value}">{shown or value}</td>'


# ---- figures on the visitor's own data


def figures(answer: dict) -> str:
    """What `busmtl.batch.figures` found; "" where there was nothing to compare."""
    labels, masks = answer["classification"], answer["segmentation"]
    parts = [_confusion(labels)] if labels else []
    parts += [_segmentation(masks)] if masks else []
    parts += [_rates(labels)] if labels else []
    if not parts:
        return ""
    warnings = "".join(f'<p class="few">{escape(text)}</p>' for text in answer["warnings"])
    return (
        f'<section class="own"><h3>On your own data</h3>{warnings}'
        f'<div class="own-parts">{"".join(parts)}</div></section>'
    )


def _rates(numbers: dict) -> str:
    rows = "".join(_rate(title, numbers[name]) for name, title in _RATES.items())
    return _scrolling(
        "Figures against your labels",
        '<thead><tr><th scope="col">Against your labels</th>'
        '<th scope="col" class="number">Value</th><th scope="col" class="number">95 % interval</th>'
        f'<th scope="col" class="number">Images</th></tr></thead><tbody>{rows}</tbody>',
    )


def _confusion(numbers: dict) -> str:
    count = numbers["benign"] + numbers["malignant"]
    table = _scrolling(
        "Confusion matrix",
        '<thead><tr><td></td><th scope="col">Predicted benign</th>'
        '<th scope="col">Predicted malignant</th></tr></thead><tbody>'
        f'<tr><th scope="row">Labelled benign</th><td class="right">{numbers["tn"]}</td>'
        f"<td>{numbers['fp']}</td></tr>"
        f'<tr><th scope="row">Labelled malignant</th><td>{numbers["fn"]}</td>'
        f'<td class="right">{numbers["tp"]}</td></tr></tbody>',
        kind="confusion",
    )
    return (
        f"<div><h4>Confusion matrix, {_images(count)}</h4>"
        f'<p class="aside">Called malignant from a probability of {THRESHOLD} on.</p>{table}</div>'
    )


def _rate(title: str, figure: dict) -> str:
    value = _decimal(figure["value"])
    interval, share = "–", "–"
    if figure.get("whole"):
        interval = f"{figure['low']:.3f} to {figure['high']:.3f}"
        share = f"{figure['part']} of {figure['whole']}"
    return (
        f'<tr><th scope="row">{title}</th><td class="number">{value}</td>'
        f'<td class="number">{interval}</td><td class="number">{share}</td></tr>'
    )


def _segmentation(numbers: dict) -> str:
    rows = "".join(
        f'<tr><th scope="row">{title}</th><td class="number">{_decimal(numbers[name])}</td></tr>'
        for name, title in _OVERLAPS.items()
    )
    aside = ""
    if numbers["images_without_lesion"]:
        aside = (
            f'<p class="aside">{_images(numbers["images_without_lesion"])} with an empty reference '
            f"mask left out of these; the network outlined something in "
            f"{numbers['outlined_without_lesion']} of them.</p>"
        )
    table = _scrolling(
        "Overlap with your masks",
        '<thead><tr><th scope="col">Overlap</th><th scope="col" class="number">Value</th></tr>'
        f"</thead><tbody>{rows}</tbody>",
    )
    title = f"Outline against your masks, {_images(numbers['images'])}"
    return f"<div><h4>{title}</h4>{aside}{table}</div>"


def _decimal(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
