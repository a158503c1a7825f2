"""The networks that the page offers, each loaded when it is first asked for."""

from threading import Lock

from .. import weights
from ..predictor import Predictor
from ..variants import DEFAULT_VARIANT, marked_title


class Networks:
    """Loaded networks, shared by all visitors: a Predictor keeps nothing of an image."""

    def __init__(self):
        self.ids = weights.available() or [DEFAULT_VARIANT]
        self.default = DEFAULT_VARIANT if DEFAULT_VARIANT in self.ids else self.ids[0]
        self._loaded: dict[str, Predictor] = {}
        self._lock = Lock()

    def get(self, variant_id: str) -> Predictor:
        """One load at a time; a failed one (WeightsError, EngineError) is tried again."""
        with self._lock:
            if variant_id not in self._loaded:
                self._loaded[variant_id] = Predictor(variant_id)
            return self._loaded[variant_id]

    @property
    def loaded(self) -> list[str]:
        """Ids of those in memory. It does not wait for one that is being loaded."""
        return list(self._loaded)

    def choices(self) -> list[tuple[str, str]]:
        """(what the user reads, id) of each."""
        return [(marked_title(variant_id), variant_id) for variant_id in self.ids]
