"""Items made in a thread: in order, errors in their place, and no thread left behind."""

import gc
import threading
import time
import weakref

import pytest

from tfkd.inference.prefetch import prefetch


def test_items_come_in_order():
    assert list(prefetch(range(20))) == list(range(20))
    assert list(prefetch([])) == []


def test_they_are_made_beside_the_use_of_the_present_one():
    made = []

    def items():
        for number in range(9):
            made.append(number)
            yield number

    received = prefetch(items(), ahead=2)
    assert next(received) == 0
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]  # one in use, two ready, one waiting to be
    received.close()


def test_an_error_comes_where_the_item_would_have():
    def items():
        yield 1
        raise ValueError("no second item")

    received = prefetch(items())
    assert next(received) == 1
    with pytest.raises(ValueError, match="no second item"):
        next(received)


def test_closing_ends_the_thread_and_the_items():
    closed = []

    def items():
        try:
            while True:
                yield threading.get_ident()
        finally:
            closed.append(threading.get_ident())

    before = threading.active_count()
    received = prefetch(items())
    worker = next(received)
    assert worker != threading.get_ident()
    received.close()
    assert closed == [worker]
    assert threading.active_count() == before


class _OwnError(Exception):
    pass


def test_an_error_leaves_no_cycle():
    def items():
        yield 1
        raise _OwnError

    gc.collect()
    gc.disable()
    try:
        received = prefetch(items())
        assert next(received) == 1
        try:
            next(received)
        except _OwnError as error:
            left = weakref.ref(error)
        assert left() is None
    finally:
        gc.enable()


class _Item:
    pass


def test_a_used_item_is_not_kept():
    items = [_Item()]
    used = weakref.ref(items[0])
    waiting = threading.Event()

    def made():
        yield items.pop()
        waiting.wait(10)
        yield _Item()

    received = prefetch(made())
    first = next(received)
    assert used() is first
    del first
    seen = []
    late = threading.Timer(0.1, lambda: (seen.append(used()), waiting.set()))
    late.start()
    next(received)
    late.join()
    received.close()
    assert seen == [None]
