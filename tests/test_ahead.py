"""Decoding the next image while the network works on this one."""

from threading import Event

import pytest

from busmtl.ahead import one_ahead

PATIENCE_S = 30


def test_each_item_comes_with_its_result_in_order():
    found = [(item, future.result()) for item, future in one_ahead(str, iter(range(5)))]
    assert found == [(number, str(number)) for number in range(5)]
    assert list(one_ahead(str, [])) == []


def test_the_next_is_under_way_and_no_more():
    begun = [Event() for _ in range(4)]
    pairs = one_ahead(lambda number: begun[number].set(), range(4))
    next(pairs)
    assert begun[1].wait(PATIENCE_S) and not begun[2].is_set()
    pairs.close()
    assert not begun[2].is_set()


def test_a_failure_is_that_of_its_own_item():
    futures = [future for _, future in one_ahead(lambda number: 1 / number, [1, 0, 2])]
    assert (futures[0].result(), futures[2].result()) == (1, 0.5)
    with pytest.raises(ZeroDivisionError):
        futures[1].result()
