"""One image through all networks; a failure costs its own place only."""

import logging
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from .engines import EngineError
from .images import DecodedImage
from .predictor import Prediction, Predictor
from .variants import BEYOND_PAPER, VARIANTS, Variant
from .weights import WeightsError

ABSENT = "Not available: this installation has no weights of it."
BROKEN = "This network failed, the others are not affected. Try again later."


class Networks(Protocol):
    """ids: the networks that can be asked for. get: one of them, loaded."""

    ids: Collection[str]

    def get(self, variant_id: str) -> Predictor: ...


@dataclass(frozen=True, eq=False)
class Place:
    """A network's place in a comparison.

    prediction: where the state is "ok". It is without mask_prob, and the activation map is there
        for networks that only classify: on a large image more of them would fill the memory.
    problem: a sentence for the user where the state is "not available" or "failed".
    """

    variant: Variant
    state: Literal["waiting", "ok", "not available", "failed"]
    prediction: Prediction | None = None
    problem: str | None = None

    @property
    def beyond_paper(self) -> bool:
        return self.variant.id in BEYOND_PAPER


def places(networks: Networks) -> dict[str, Place]:
    """id → place of every network, the paper's six in its order first, before any has run."""
    return {
        variant_id: Place(variant, "waiting")
        if variant_id in networks.ids
        else Place(variant, "not available", problem=ABSENT)
        for variant_id, variant in (VARIANTS | BEYOND_PAPER).items()
    }


def answers(networks: Networks, image: DecodedImage) -> Iterator[Place]:
    """The places of the networks that can be asked for, each as soon as it has its answer.

    While one answer becomes masks and measurements, the next network already works. Whoever stops
    early waits for these two, and no other is asked.
    """
    image.input_u8()  # made here, lest two networks make it at once
    asked = [each.variant for each in places(networks).values() if each.state == "waiting"]
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(partial(_answer, networks, image), asked)


def _answer(networks: Networks, image: DecodedImage, variant: Variant) -> Place:
    try:
        prediction = networks.get(variant.id).predict(image)
    except (WeightsError, EngineError) as error:
        return Place(variant, "failed", problem=str(error))
    except Exception:  # whatever goes wrong in one network, the others go on
        logging.exception("%s failed", variant.id)
        return Place(variant, "failed", problem=BROKEN)
    kept_map = None if variant.segments else prediction.activation_map
    return Place(variant, "ok", replace(prediction, mask_prob=None, activation_map=kept_map))
