"""Fetches the next item of an iterator while the one before is dealt with."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")


def prefetched(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Gives the items in order; one thread fetches at most one item ahead. What `items` raises is raised here.

    Close it (`contextlib.closing`) when leaving early: the thread then ends after the item it is at.
    """
    wanted: SimpleQueue[Iterator[Item] | None] = SimpleQueue()
    fetched: SimpleQueue[tuple[Item | None, BaseException | None]] = SimpleQueue()

    def fetch() -> None:
        while (source := wanted.get()) is not None:
            try:
                fetched.put((next(source, None), None))
            except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
                fetched.put((None, error))

    # A daemon: a program that ends must not wait for an answer that may take minutes.
    Thread(target=fetch, name="prefetch", daemon=True).start()
    wanted.put(items)
    try:
        while True:
            item, error = fetched.get()
            if error is not None:
                raise error
            if item is None:
                return
            wanted.put(items)
            yield item
            item = None  # not two old pages in memory while waiting for the next
    finally:
        wanted.put(None)
