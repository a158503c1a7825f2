"""The one-page PDF of a result."""

import datetime
import io
from html import escape

from PIL import Image
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepInFrame, Paragraph, SimpleDocTemplate, Spacer, Table
from reportlab.platypus import Image as Picture

from .. import render
from ..measured import Measured
from ..predictor import NO_LESION
from .downloads import overlay
from .examine import Examined
from .result import DISCLAIMER, area_text, length_text, size_text
from .thresholds import FREE, LABELS, percent, with_interval

MARGIN = 16 * mm
# A frame has a padding of 6 pt on each side.
_WIDTH, _HEIGHT = A4[0] - 2 * MARGIN - 12, A4[1] - 2 * MARGIN - 12
_PICTURE_SIDE_PX = 1200  # more is not seen on half a page
_PICTURE_HEIGHT = 200  # pt

_BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=9, leading=12)
_TITLE = ParagraphStyle("title", _BODY, fontName="Helvetica-Bold", fontSize=15, leading=20)
_HEAD = ParagraphStyle("head", _BODY, fontName="Helvetica-Bold", spaceBefore=10, spaceAfter=3)
_SMALL = ParagraphStyle("small", _BODY, fontSize=7.5, leading=10, textColor=colors.grey)
_WARNING = ParagraphStyle(
    "warning", _BODY, fontName="Helvetica-Bold", borderColor=colors.black, borderWidth=1,
    borderPadding=5, spaceBefore=8, spaceAfter=12,
)  # fmt: skip
_LINES = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 2),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]


def report(examined: Examined, facts: dict, measured: Measured | None) -> bytes:
    """facts: those of `downloads.facts_of`. What is long is set smaller: it stays one page."""
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=A4, title="Breast-ultrasound image through busmtl", author="busmtl",
        leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN,
    )  # fmt: skip
    content = [
        Paragraph("One breast-ultrasound image through one network", _TITLE),
        Paragraph(f"{DISCLAIMER} Not a medical device.", _WARNING),
        _pictures(examined),
        *_section("Result", _result_rows(examined, facts)),
        *_thresholds(measured, facts["reading"]),
        *_section("Image", _image_rows(examined, facts)),
        *_section("Network", _network_rows(facts)),
        *(_notes(facts["warnings"])),
        Spacer(0, 8),
        Paragraph(f"{DISCLAIMER} Made {_now()} with busmtl.", _SMALL),
    ]
    document.build([KeepInFrame(_WIDTH, _HEIGHT, content, mode="shrink")])
    return buffer.getvalue()


def _pictures(examined: Examined) -> Table:
    """The image and its overlay, side by side."""
    sides = [
        _picture(Image.fromarray(examined.image.image_rgb_u8)),
        _picture(overlay(examined)),
    ]
    under = "Outlined" if examined.prediction.mask is not None else "What the network looked at"
    captions = [Paragraph("Image", _SMALL), Paragraph(under, _SMALL)]
    return Table([sides, captions], colWidths=[_WIDTH / 2] * 2, style=_LINES[2:])


def _picture(picture: Image.Image) -> Picture:
    picture.thumbnail((_PICTURE_SIDE_PX, _PICTURE_SIDE_PX))
    box = {"width": _WIDTH / 2 - 8, "height": _PICTURE_HEIGHT, "kind": "proportional"}
    return Picture(io.BytesIO(render.png(picture)), **box)


def _result_rows(examined: Examined, facts: dict) -> list[tuple[str, str]]:
    rows, prediction, reading = [], examined.prediction, facts["reading"]
    if reading is not None:
        prob = percent(prediction.malignant_prob)
        rows += [
            ("Probability of malignant", prob),
            ("Verdict", f"{reading['verdict']} at the threshold {percent(reading['threshold'])}"),
            ("Similar images", reading["similar_validation_images"]),
            ("Mirror image", reading["image_and_mirror_image"]),
        ]
        if reading["malignant_prob_at_own_share"] is not None:
            share = percent(reading["own_malignant_share"])
            own = percent(reading["malignant_prob_at_own_share"])
            rows.append((f"Where {share} of lesions are malignant", f"{own} malignant"))
    if prediction.lesions:
        largest = prediction.lesions[0]
        axes = " × ".join(length_text(largest, axis) for axis in ("major", "minor"))
        rows += [("Outlined area", area_text(prediction.lesions)), ("Axes of the largest", axes)]
    elif prediction.mask is not None:
        rows.append(("Outlined area", NO_LESION))
    return rows


def _thresholds(measured: Measured | None, reading: dict | None) -> list[Flowable]:
    if measured is None or reading is None:
        return []
    points = dict(measured.points)
    if reading["threshold_name"] == FREE:
        points[FREE] = measured.at(reading["threshold"])
    rows = [
        (f"{LABELS[name]}, {percent(point.threshold)}",
         f"sensitivity {with_interval(point.sensitivity)}, "
         f"specificity {with_interval(point.specificity)}")
        for name, point in points.items() if name in LABELS
    ]  # fmt: skip
    return _section("Thresholds on BUSI test, with 95% intervals", rows)


def _image_rows(examined: Examined, facts: dict) -> list[tuple[str, str]]:
    spacing = facts["spacing_mm"]
    scale = "unknown" if spacing is None else " × ".join(f"{side:g}" for side in spacing) + " mm"
    return [
        ("File", facts["image"]),
        ("Size", size_text(examined.image.size_hw, examined.crop)),
        ("Size of a pixel", scale),
        ("Frame", str(facts["frame"])),
    ]


def _network_rows(facts: dict) -> list[tuple[str, str]]:
    network = facts["network"]
    return [
        ("Name", f"{network['title']} ({network['variant']})"),
        ("Version of busmtl", network["busmtl_version"]),
        ("Weights, sha256", network["weights_sha256"]),
    ]


def _notes(warnings: list[str]) -> list[Flowable]:
    if not warnings:
        return []
    return [Paragraph("Please note", _HEAD), *(_paragraph(each) for each in warnings)]


def _section(title: str, rows: list[tuple[str, str]]) -> list[Flowable]:
    cells = [[_paragraph(name), _paragraph(text)] for name, text in rows if text]
    table = Table(cells, colWidths=[_WIDTH * 0.3, _WIDTH * 0.7], style=_LINES)
    return [Paragraph(title, _HEAD), table]


def _paragraph(text: str) -> Paragraph:
    """The PDF's own fonts have Western European letters only; others become "?"."""
    return Paragraph(escape(text.encode("cp1252", "replace").decode("cp1252")), _BODY)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
