"""Clear ends what is under way, so that no late answer fills the page again.

Gradio's `cancels` alone would not do: the browser asks for it only after the handler of the same
click has answered.
"""

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr


@dataclass
class Visit:
    """A visitor's, kept in a gr.State. clears: how often he has pressed Clear on a tab."""

    clears: int = 0


def unless_cleared(handler: Callable) -> Callable:
    """The handler, with the visit before its inputs; it changes nothing if that was cleared."""

    def handle(visit: Visit, *inputs):
        clears = visit.clears
        answer = handler(*inputs)
        return answer if visit.clears == clears else gr.skip()

    return handle
