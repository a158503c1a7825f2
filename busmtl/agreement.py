"""Where several networks agree on one image: Dice of their masks, consensus, and a sentence.

The consensus, the spread, and the sentence are those of the paper's networks. One from beyond the
paper is set beside them: it has its own Dice values and its own sentence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from . import metrics
from .measure import Lesion, measure
from .predictor import Prediction
from .variants import BEYOND_PAPER, VARIANTS, get_variant

CALL_PROB = 0.5  # from here on a probability leans towards malignant
ALIKE_DICE = 0.8  # outlines that overlap as much as this agree well
PARTLY_DICE = 0.5  # and as much as this, in part
NOTHING_TO_COMPARE = (
    "There is nothing to compare: it takes two of the paper's networks that give a probability, "
    "or two that outline lesions."
)


@dataclass(frozen=True, eq=False)
class Agreement:
    """dice: Dice coefficient of each two masks, by their variants' ids in the order given.
    prob_range: lowest and highest probability of malignant; None without two of them.
    consensus: bool (H, W), what the majority of the masks holds; None without two masks.
    consensus_lesions: its components, largest first.
    consensus_rule: a sentence on what counts as majority; None without a consensus.
    sentence: what the paper's networks agree and disagree on.
    beyond: a sentence for each network beyond the paper.
    """

    dice: dict[tuple[str, str], float]
    prob_range: tuple[float, float] | None
    consensus: np.ndarray | None
    consensus_lesions: tuple[Lesion, ...]
    consensus_rule: str | None
    sentence: str
    beyond: tuple[str, ...]


def compare(predictions: Iterable[Prediction]) -> Agreement:
    """Predictions of different variants for the same image, in the order to be shown."""
    predictions = list(predictions)
    pair_dice = {
        (first.variant, second.variant): dice(first.mask, second.mask)
        for first, second in combinations(predictions, 2)
        if first.mask is not None and second.mask is not None
    }
    of_paper = [prediction for prediction in predictions if prediction.variant in VARIANTS]
    probs = {p.variant: p.malignant_prob for p in of_paper if p.malignant_prob is not None}
    masks = {p.variant: p.mask for p in of_paper if p.mask is not None}
    consensus = majority(list(masks.values())) if len(masks) > 1 else None
    return Agreement(
        dice=pair_dice,
        prob_range=(min(probs.values()), max(probs.values())) if len(probs) > 1 else None,
        consensus=consensus,
        consensus_lesions=() if consensus is None else measure(consensus, of_paper[0].spacing_mm),
        consensus_rule=None if consensus is None else majority_rule(len(masks)),
        sentence=_sentence(probs, masks, pair_dice),
        beyond=tuple(_beyond(p, consensus) for p in predictions if p.variant in BEYOND_PAPER),
    )


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Dice coefficient of two bool (H, W) masks; 1 where both are empty, for then they agree."""
    return float(metrics.dice(metrics.overlap_counts(first[None], second[None]))[0])


def majority(masks: list[np.ndarray]) -> np.ndarray:
    """bool (H, W) masks → bool (H, W): True where more than half of them are. A tie is outside."""
    votes = np.zeros(masks[0].shape, np.uint8)
    for mask in masks:
        votes += mask
    return votes > len(masks) // 2


def majority_rule(mask_count: int) -> str:
    """What counts as a majority of so many masks, two or more, and what happens to a tie."""
    half, is_odd = divmod(mask_count, 2)
    if mask_count == 2:
        return "It holds what both masks hold; what only one of them holds is a tie and left out."
    rule = f"It holds what at least {half + 1} of the {mask_count} masks hold"
    return f"{rule}." if is_odd else f"{rule}; a tie of {half} to {half} is left out."


def _sentence(
    probs: dict[str, float],
    masks: dict[str, np.ndarray],
    pair_dice: dict[tuple[str, str], float],
) -> str:
    parts = []
    if len(probs) > 1:
        parts.append(_on_class(probs))
    if len(masks) > 1:
        parts.append(_on_masks(masks, pair_dice))
    if not parts:
        return NOTHING_TO_COMPARE
    verdicts, texts = zip(*parts, strict=True)
    text = (", and " if len(set(verdicts)) == 1 else ", but ").join(texts)
    return f"{text[0].upper()}{text[1:]}."


def _on_class(probs: dict[str, float]) -> tuple[bool, str]:
    """(whether they agree, in words), of two or more probabilities."""
    malignant = [variant_id for variant_id, prob in probs.items() if prob >= CALL_PROB]
    benign = [variant_id for variant_id in probs if variant_id not in malignant]
    spread = f"{min(probs.values()):.0%} to {max(probs.values()):.0%} malignant"
    if malignant and benign:
        lean = "leans" if len(malignant) == 1 else "lean"
        return False, (
            f"{_titles(malignant)} {lean} towards malignant and {_titles(benign)} towards benign "
            f"({spread})"
        )
    side = "malignant" if malignant else "benign"
    return True, f"{_all(len(probs))} probabilities lean towards {side} ({spread})"


def _on_masks(
    masks: dict[str, np.ndarray], pair_dice: dict[tuple[str, str], float]
) -> tuple[bool, str]:
    """(whether they agree, in words), of two or more masks."""
    empty = [variant_id for variant_id, mask in masks.items() if not mask.any()]
    if len(empty) == len(masks):
        return True, f"none of the {len(masks)} masks holds a lesion"
    if empty:
        finds = "finds" if len(empty) == 1 else "find"
        return False, f"{_titles(empty)} {finds} no lesion to outline while the rest do"
    among = [pair for pair in pair_dice if set(pair) <= masks.keys()]
    pair = min(among, key=pair_dice.get)
    lowest = pair_dice[pair]
    if lowest >= ALIKE_DICE:
        return True, f"{_all(len(masks))} outlines agree well (lowest Dice {lowest:.2f})"
    verdict = "agree in part" if lowest >= PARTLY_DICE else "differ"
    return False, (
        f"the outlines {verdict} (furthest apart are {_titles(pair)} with Dice {lowest:.2f})"
    )


def _beyond(prediction: Prediction, consensus: np.ndarray | None) -> str:
    text = f"Beyond the paper, {get_variant(prediction.variant).title} says "
    text += f"{prediction.malignant_prob:.0%} malignant"
    if consensus is None:
        return f"{text}."
    return f"{text}; its mask and the consensus have Dice {dice(prediction.mask, consensus):.2f}."


def _titles(variant_ids: Iterable[str]) -> str:
    *others, last = (get_variant(variant_id).title for variant_id in variant_ids)
    return f"{', '.join(others)} and {last}" if others else last


def _all(count: int) -> str:
    return "both" if count == 2 else f"all {count}"
