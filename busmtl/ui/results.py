"""The tab "Results": what the networks reached on the test images, beside the paper."""

import base64
from functools import partial
from html import escape

import gradio as gr

from .. import reported

NONE_YET = (
    "<p>This installation holds no results: <code>python -m train report</code> writes them.</p>"
)
CITATION = (
    "Images: BUSI, Al-Dhabyani et al., <i>Dataset of breast ultrasound images</i>, Data in Brief "
    '28:104863, 2020, <a href="https://doi.org/10.1016/j.dib.2019.104863" rel="noreferrer" '
    'target="_blank">doi:10.1016/j.dib.2019.104863</a> (CC BY 4.0).'
)
PICTURES = (
    (
        "fig4_overfitting",
        "Fig. 4: overfitting",
        "Training and validation loss of ST-Classification by epoch at 128 px, without and with "
        "augmentation, weight decay, and a falling rate.",
    ),
    (
        "fig6_masks",
        "Fig. 6: masks",
        "Image, reference, and each network's mask of two benign and two malignant test images. "
        "They are chosen by rank: one and two thirds up the mean overlap.",
    ),
    (
        "calibration",
        "Calibration",
        "Malignant share against mean probability in five groups of equal size; on the diagonal, a "
        "probability means what it says.",
    ),
    (
        "iou_distribution",
        "Overlap with the reference",
        "Share of the lesions whose IoU is at most the value below.",
    ),
)
WORST = {
    "iou": ("Worst outlined", "mean IoU"),
    "right_prob": ("Worst classified", "mean probability of the right class"),
}
SHORT = 24  # characters: "0.768 [0.640, 0.889]" is one
PLOT = 300  # px, side of the ROC plot's square
PRIVATE = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}


def build() -> None:
    """Lay out the open tab. What is large comes when the tab is first opened."""
    results = reported.load()
    if results is None:
        gr.HTML(NONE_YET)
        return
    titles = reported.classifiers(results)
    paper = [each for each in results["tables"] if each["name"] in ("table1", "table2")]
    gr.HTML("".join(table_html(each) for each in paper), elem_id="results-paper")
    first = next(iter(titles.values()))
    with gr.Row(elem_id="results-roc"):
        with gr.Column(min_width=300):
            network = gr.Dropdown(
                list(titles.items()), value=first, label="Network", filterable=False
            )
            threshold = gr.Slider(
                0, 1, 0.5, step=0.01, label="Malignant from this probability on", elem_id="point"
            )
        with gr.Column(scale=2, min_width=300):
            plot = gr.HTML(operating_html(results, first, 0.5), elem_id="roc")
    for control in (network, threshold):
        control.change(
            partial(operating_html, results),
            [network, threshold],
            plot,
            trigger_mode="always_last",
            **PRIVATE,
        )
    show = gr.Button("Show figures and failures", elem_id="results-show")
    more = gr.HTML(elem_id="results-more")
    show.click(partial(more_html, results), None, more, **PRIVATE)
    for each in results["tables"]:
        if each not in paper:
            with gr.Accordion(each["title"], open=False):
                gr.HTML(table_html(each, titled=False))


def table_html(table: dict, titled: bool = True) -> str:
    """A table of results.json; it scrolls by itself where the window is narrow."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table["header"])
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(_cell(cell) for cell in row[1:])
        + "</tr>"
        for row in table["rows"]
    )
    title = f"<h3>{escape(table['title'])}</h3>" if titled else ""
    notes = "".join(f"<p>{escape(note)}</p>" for note in table["notes"].split("\n\n") if note)
    return (
        f'<section class="results-table">{title}<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(table["title"])}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{notes}</section>"
    )


def _cell(text: str) -> str:
    """One line where it is as short as a figure with its interval."""
    return f'<td class="{"short" if len(text) <= SHORT else "long"}">{escape(text)}</td>'


def operating_html(results: dict, variant_id: str, threshold: float) -> str:
    """ROC of one network with a dot at the threshold, and what the test images say there."""
    network = results["networks"][variant_id]
    point = reported.operating_point(network, threshold)
    rows = "".join(
        f"<tr><th scope='row'>{name}</th><td>{_share(share)}</td>"
        f"<td>{share.count} of {share.total}</td></tr>"
        for name, share in point.shares.items()
    )
    return (
        f'<div class="roc">{_roc_svg(network, point)}<table><caption>At {threshold:.2f} on BUSI '
        f"test, with 95 % Wilson intervals</caption><tbody>{rows}</tbody></table></div>"
    )


def _share(share: reported.Share) -> str:
    if not share.total:
        return "–"
    low, high = share.interval
    return f"{share.value:.3f} [{low:.3f}, {high:.3f}]"


def _roc_svg(network: dict, point: reported.OperatingPoint) -> str:
    path = " ".join(
        f"{fpr * PLOT:.1f},{(1 - tpr) * PLOT:.1f}" for fpr, tpr in reported.roc(network)
    )
    x = point.fp / (point.fp + point.tn) * PLOT
    y = (1 - point.tp / (point.tp + point.fn)) * PLOT
    title = escape(network["title"])
    return (
        f'<svg viewBox="-42 -12 {PLOT + 56} {PLOT + 52}" role="img" '
        f'aria-label="ROC curve of {title}">'
        f'<rect width="{PLOT}" height="{PLOT}"/><line x1="0" y1="{PLOT}" x2="{PLOT}" y2="0"/>'
        f'<polyline points="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
        f'<text x="{PLOT / 2}" y="{PLOT + 34}">False positive rate</text>'
        f'<text transform="translate(-30 {PLOT / 2}) rotate(-90)">True positive rate</text>'
        f'<text x="0" y="{PLOT + 16}">0</text><text x="{PLOT}" y="{PLOT + 16}">1</text>'
        f'<text x="-12" y="8">1</text></svg>'
    )


def more_html(results: dict) -> str:
    """The pictures, and the worst failures."""
    figures = "".join(
        f'<figure class="wide"><h3>{title}</h3><img alt="{escape(text)}" '
        f'src="{_data_url(name + ".png")}"><figcaption>{escape(text)}</figcaption></figure>'
        for name, title, text in PICTURES
        if (reported.FOLDER / f"{name}.png").exists()
    )
    return figures + _failures(results["failures"]) + f"<p>{CITATION}</p>"


def _failures(failures: list[dict]) -> str:
    sections = []
    for kind, (title, figure) in WORST.items():
        items = "".join(
            f'<figure><img alt="{escape(each["image"])} with the reference outline" '
            f'src="{_data_url(each["file"])}"><figcaption>{escape(each["image"])}<br>{figure} '
            f"{each['figure']:.2f}</figcaption></figure>"
            for each in failures
            if each["kind"] == kind
        )
        sections.append(f'<h3>{title} test images</h3><div class="failures">{items}</div>')
    return (
        '<section class="results-failures">' + "".join(sections)
        + "<p>Mean over the networks; the yellow line is the reference.</p></section>"
    )  # fmt: skip


def _data_url(file: str) -> str:
    data = (reported.FOLDER / file).read_bytes()
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
