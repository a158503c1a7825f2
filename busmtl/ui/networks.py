"""The networks that the page offers, each loaded when it is first asked for."""

from threading import Lock

from .. import weights
from ..predictor import Predictor
from ..turns import FairLock
from ..variants import DEFAULT_VARIANT, marked_title


class Networks:
    """Loaded networks, shared by all visitors: a Predictor keeps nothing of an image.

    One image at a time in one network has the two cores of a small server to itself; whoever has
    waited longest is next, so that a long batch holds nobody up for more than an image.
    """

    def __init__(self):
        self.ids = weights.available() or [DEFAULT_VARIANT]
        self.default = DEFAULT_VARIANT if DEFAULT_VARIANT in self.ids else self.ids[0]
        self._loaded: dict[str, Predictor] = {}
        self._locks = {variant_id: Lock() for variant_id in self.ids}
        self._turn = FairLock()

    def get(self, variant_id: str) -> Predictor:
        """Loaded once, while others wait for this network only; a load that failed (WeightsError,
        EngineError) is tried again. KeyError for an id that the page does not offer.
        """
        with self._locks[variant_id]:
            if variant_id not in self._loaded:
                self._loaded[variant_id] = Predictor(variant_id, turn=self._turn)
            return self._loaded[variant_id]

    @property
    def loaded(self) -> list[str]:
        """Ids of those in memory. It does not wait for one that is being loaded."""
        return list(self._loaded)

    def choices(self) -> list[tuple[str, str]]:
        """(what the user reads, id) of each."""
        return [(marked_title(variant_id), variant_id) for variant_id in self.ids]
