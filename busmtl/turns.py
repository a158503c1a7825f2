"""A lock that is given to whoever has waited longest."""

from collections import deque
from threading import Lock


class FairLock:
    """A context manager, held by one thread at a time, in the order in which they asked for it.

    threading.Lock promises no order: a thread that gives it up and wants it again at once, as a
    long batch does, would get it again and again while others wait.
    """

    def __init__(self):
        self._guard = Lock()
        self._held = False
        self._waiting: deque[Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            ticket = Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        ticket.acquire()  # released by whoever hands the lock over

    def __exit__(self, *exception) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()  # held all along: nobody can slip in between
            else:
                self._held = False
