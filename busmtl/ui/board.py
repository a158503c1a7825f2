"""A comparison as HTML: summary, tiles, and a slider between two pictures.

The image and each layer over it (a network's outline or activation map, the reference, the
consensus) stand in the page once, as SVG elements with an id; tiles and slider show them by <use>.
Every text that is not ours passes through `escape`.
"""

import base64
from dataclasses import dataclass, field
from html import escape

import numpy as np

from .. import render
from ..agreement import Agreement, compare, dice
from ..comparison import Place
from ..images import DecodedImage
from ..predictor import NO_LESION
from .board_tables import dice_table, networks_table
from .result import DISCLAIMER, Reference

_SHOWN_SIDE = 1000  # px of the image on the page; the outlines are as fine as the masks
_HEAT_SIDE = 128  # px; the networks' activation map has 8 × 8 places
_HEAT_NOTE = (
    "In the activation maps, bright places speak most for malignant, compared with the rest of "
    "this image only: a map does not say how likely it is malignant."
)


def empty() -> str:
    """In the board's place while there is none."""
    return '<div class="empty">Choose an image, and all networks answer here.</div>'


def source(image: DecodedImage) -> str:
    """The image, itself invisible, for tiles and slider to show."""
    png = render.image_png(image.image_rgb_u8, _SHOWN_SIDE)
    return f'<svg class="source" aria-hidden="true">{_raster("image", png, image.size_hw)}</svg>'


@dataclass(eq=False)
class Board:
    """One image and what the networks have said of it so far.

    layers: id or "reference" or "consensus" → SVG, drawn once, when the answer comes.
    agreement: None until all networks have answered.
    """

    name: str
    image: DecodedImage
    reference: Reference | None
    places: dict[str, Place]
    layers: dict[str, str] = field(default_factory=dict)
    agreement: Agreement | None = None

    def __post_init__(self):
        if self.reference is not None:
            self.layers["reference"] = _outline("reference", self.reference.mask)

    def add(self, place: Place) -> None:
        """The answer, or the failure, of one network takes its place."""
        variant_id, prediction = place.variant.id, place.prediction
        self.places[variant_id] = place
        if prediction is None:
            return
        if prediction.mask is not None:
            self.layers[variant_id] = _outline(variant_id, prediction.mask)
        else:
            self.layers[variant_id] = _heat(variant_id, prediction.activation_map)

    def finish(self) -> None:
        """All have answered."""
        self.agreement = compare([p.prediction for p in self.places.values() if p.prediction])
        if self.agreement.consensus is not None:
            self.layers["consensus"] = _outline("consensus", self.agreement.consensus)

    def html(self) -> str:
        height, width = self.image.size_hw
        return (
            f'<article class="compare" style="--width:{width};--height:{height}">'
            f'<header><strong class="name">{escape(self.name)}</strong>'
            f'<span class="size">{width} × {height} px</span></header>'
            f"{_summary(self)}{_tiles(self)}{networks_table(self.places, self.agreement)}"
            f"{dice_table(self.agreement)}{_slider(self)}{_notes(self)}"
            f'<p class="disclaimer">{DISCLAIMER}</p></article>'
        )


def _summary(board: Board) -> str:
    agreement = board.agreement
    if agreement is None:
        asked = [place for place in board.places.values() if place.state != "not available"]
        answered = sum(place.state != "waiting" for place in asked)
        body = f"<p>{answered} of {len(asked)} networks have answered.</p>"
    else:
        body = "".join(f"<p>{escape(text)}</p>" for text in (agreement.sentence, *agreement.beyond))
    return f'<section class="summary" aria-live="polite"><h3>Agreement</h3>{body}</section>'


def _tiles(board: Board) -> str:
    """As in the paper's figure: image, reference, masks; then activation maps and consensus."""
    places = [place for place in board.places.values() if not place.beyond_paper]
    tiles = [_tile(board, "Image", "")]
    if board.reference is not None:
        says = f"The data set says {board.reference.pathology}"
        tiles.append(_tile(board, "Reference", says, "reference"))
    tiles += [_network_tile(board, place) for place in places if place.variant.segments]
    tiles += [_network_tile(board, place) for place in places if not place.variant.segments]
    if "consensus" in board.layers:
        tiles.append(_tile(board, "Consensus", board.agreement.consensus_rule, "consensus"))
    beyond = [_network_tile(board, place) for place in board.places.values() if place.beyond_paper]
    note = f'<p class="aside">{_HEAT_NOTE}</p>' if 'class="heat"' in "".join(tiles) else ""
    return (
        '<section class="tiles"><h3>Masks and activation maps</h3>'
        f"<div>{''.join(tiles)}</div>{note}</section>"
        f'<section class="tiles beyond"><h3>Beyond the paper</h3><div>{"".join(beyond)}</div>'
        "</section>"
    )


def _network_tile(board: Board, place: Place) -> str:
    variant = place.variant
    if place.prediction is not None:
        return _tile(board, variant.title, _words(place, board.reference), variant.id)
    text = place.problem or "Waiting"
    return (
        f'<figure class="{place.state.replace(" ", "-")}" data-tile="{variant.id}">'
        f'<div class="shot"></div><figcaption><strong>{variant.title}</strong> {escape(text)}'
        "</figcaption></figure>"
    )


def _words(place: Place, reference: Reference | None) -> str:
    """A network's answer in a few words."""
    prediction, parts = place.prediction, []
    if prediction.malignant_prob is not None:
        parts.append(f"{prediction.malignant_prob:.1%} malignant")
    if prediction.mask is not None:
        count = len(prediction.lesions)
        parts.append({0: "no lesion outlined", 1: "1 area"}.get(count, f"{count} areas"))
        if reference is not None:
            parts.append(f"Dice {dice(prediction.mask, reference.mask):.2f} with the reference")
    else:
        parts.append("activation map")
    return ", ".join(parts)


def _tile(board: Board, title: str, text: str, layer: str = "") -> str:
    height, width = board.image.size_hw
    return (
        f'<figure data-tile="{layer}"><div class="shot"><svg viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(f"{title}: {text}" if text else title)}">'
        f'<use href="#compare-image"/>{board.layers.get(layer, "")}</svg></div>'
        f"<figcaption><strong>{title}</strong> {escape(text)}</figcaption></figure>"
    )


def _slider(board: Board) -> str:
    """Two pictures in one frame, parted where the visitor wants; compare.js makes it work."""
    if board.agreement is None or not board.layers:
        return ""
    variants = [place.variant for place in board.places.values()]
    variants.sort(key=lambda variant: not variant.segments)  # first of all, compare two masks
    titles = {variant.id: variant.title for variant in variants}
    titles |= {"reference": "Reference", "consensus": "Consensus"}
    choices = {layer: title for layer, title in titles.items() if layer in board.layers}
    choices["none"] = "The image alone"
    left, right, *_ = choices
    height, width = board.image.size_hw
    pane = f'viewBox="0 0 {width} {height}" aria-hidden="true"'
    return (
        '<section class="pair"><h3>Any two, side by side</h3><div class="choices">'
        f"{_choice('left', choices, left)}{_choice('right', choices, right)}</div>"
        f'<div class="shot"><svg {pane}><use href="#compare-image"/></svg>'
        f'<svg class="left" {pane}><use href="#compare-{left}"/></svg>'
        f'<svg class="right" {pane}><use href="#compare-{right}"/></svg><i></i>'
        '<input type="range" value="50" aria-label="Share of the left picture, in percent"></div>'
        '<p class="aside">Drag over the image, or move the line with the arrow keys.</p></section>'
    )


def _choice(side: str, choices: dict[str, str], chosen: str) -> str:
    options = "".join(
        f'<option value="{layer}"{" selected" * (layer == chosen)}>{title}</option>'
        for layer, title in choices.items()
    )
    return (
        f'<div><label for="pair-{side}">{side.capitalize()}</label>'
        f'<select id="pair-{side}" data-side="{side}">{options}</select></div>'
    )


def _notes(board: Board) -> str:
    notes = [note for note in board.image.warnings if note != NO_LESION]
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section class="notes"><h3>Please note</h3><ul>{items}</ul></section>'


def _outline(name: str, mask: np.ndarray) -> str:
    path = render.svg_path(mask)
    return (
        f'<g id="compare-{name}" class="outline"><path class="halo" d="{path}"/>'
        f'<path class="line" d="{path}"/></g>'
    )


def _heat(name: str, activation_map: np.ndarray) -> str:
    png = render.heat_png(activation_map, _HEAT_SIDE)
    return f'<g class="heat">{_raster(name, png, activation_map.shape)}</g>'


def _raster(name: str, png: bytes, size_hw: tuple[int, int]) -> str:
    height, width = size_hw
    return (
        f'<image id="compare-{name}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{base64.b64encode(png).decode()}"/>'
    )
