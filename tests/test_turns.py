"""Taking turns: first come, first served, also after a failure."""

from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

from busmtl import Predictor
from busmtl.turns import FairLock

PATIENCE_S = 30


def waiting(lock, count):
    """Waits until so many threads stand in the line."""
    while len(lock._waiting) < count:
        pass


def test_whoever_came_first_is_served_first():
    lock, served = FairLock(), []

    def take(number):
        with lock:
            served.append(number)

    threads = [Thread(target=take, args=(number,)) for number in range(8)]
    with lock:
        for number, thread in enumerate(threads):
            thread.start()
            waiting(lock, number + 1)
        assert not served
    for thread in threads:
        thread.join(PATIENCE_S)
    assert served == list(range(8))


def test_a_thread_that_wants_it_again_goes_to_the_end_of_the_line():
    lock, served = FairLock(), []

    def other():
        with lock:
            served.append("other")

    with lock:
        thread = Thread(target=other)
        thread.start()
        waiting(lock, 1)
    with lock:
        served.append("again")
    thread.join(PATIENCE_S)
    assert served == ["other", "again"]


def test_a_failure_gives_it_up():
    lock = FairLock()
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    with lock:
        pass


def test_only_one_holds_it():
    lock, inside, most = FairLock(), [], []

    def work(number):
        with lock:
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    assert most == [1] * 200


def test_networks_that_share_a_turn_work_one_after_the_other(weights_folder, scan_rgb_u8):
    turn = FairLock()
    predictor = Predictor("lite0-mtl", weights_folder("lite0-mtl"), turn=turn)
    with ThreadPoolExecutor(1) as pool:
        with turn:
            answer = pool.submit(predictor.predict, scan_rgb_u8)
            waiting(turn, 1)
            assert not answer.done()
        assert answer.result(PATIENCE_S).mask.shape == scan_rgb_u8.shape[:2]
