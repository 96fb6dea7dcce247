"""Processes that do nothing but keep a core busy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hashtag_core.workers import Worker, workers_for


@contextmanager
def busy_processes(number: int) -> Iterator[list[Worker]]:
    """So many processes are busy meanwhile; they end with this one, also where it is killed."""
    with workers_for(keep_busy, [()] * number) as started:
        for worker in started:
            worker.take()  # it has begun
        yield started


def keep_busy() -> Iterator[None]:
    """What each of them does, without an end."""
    yield None
    while True:
        pass
