"""Work under way in a thread before it is asked for."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def one_ahead(function: Callable, items: Iterable[Item]) -> Iterator[tuple[Item, Future]]:
    """Each item with the future of function(item), in order.

    The call for the next item is under way in a thread meanwhile, as decoding is while a network
    works, and no more than that lies in memory. A future's result raises what the call raised.
    """
    with ThreadPoolExecutor(1) as pool:
        current = None
        for item in items:
            coming = item, pool.submit(function, item)
            if current is not None:
                yield current
            current = coming
        if current is not None:
            yield current


def in_background(function: Callable, *arguments) -> Future:
    """The future of the call, which begins at once in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *arguments)
    pool.shutdown(wait=False)
    return future
