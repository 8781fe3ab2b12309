"""The next page comes while the one before is stored; never more than one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from connector.directory.prefetch import prefetched


def test_items_come_in_order() -> None:
    assert list(prefetched(iter(range(100)))) == list(range(100))
    assert list(prefetched(iter([]))) == []


def test_one_item_is_fetched_meanwhile_and_no_more() -> None:
    asked: list[int] = []
    fetched = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number in range(4):
            asked.append(number)
            fetched[number].set()
            yield number

    with closing(prefetched(items())) as pages:
        for page in pages:
            if page + 1 < 4:
                assert fetched[page + 1].wait(5), "the next one is fetched while this one is dealt with"
            assert asked == list(range(min(4, page + 2)))


def test_an_error_is_raised_where_the_item_is_waited_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no second page")

    pages = prefetched(items())
    assert next(pages) == 1
    with pytest.raises(ValueError, match="no second page"):
        next(pages)


def test_leaving_early_ends_the_thread() -> None:
    others = set(threading.enumerate())  # of tests before, which may still be ending
    with closing(prefetched(iter(range(1000)))) as pages:
        assert next(pages) == 0
        (thread,) = set(threading.enumerate()) - others
    thread.join(5)
    assert not thread.is_alive()
