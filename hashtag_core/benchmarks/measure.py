"""Time and peak memory of a piece of work, in a process of its own."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from hashtag_core.errors import InputError
from hashtag_core.workers import workers_for

SAMPLE_SECONDS = 0.002  # between two looks at the resident set


@dataclass(frozen=True)
class Measured:
    """What a case took.

    Attributes:
        seconds: of each repeat, the first warm-up left out.
        peak_bytes: the most memory at a time beyond what was there before.
        result: what it computed, to compare: name -> array.
    """

    seconds: list[float]
    peak_bytes: int
    result: dict[str, np.ndarray]

    @property
    def median(self) -> float:
        """Of the seconds."""
        return statistics.median(self.seconds)


def measure(case: Callable, device: str, repeats: int = 3, **arguments) -> Measured:
    """Run a case in a fresh process, so that its peak memory is its own.

    Args:
        case: (device, **arguments) -> work, a function without arguments that returns
            {name: tensor}; what `case` itself does is not measured. Both of a module.
        device: "cpu" or "cuda".
        repeats: how often to time, after one run that warms up.
        arguments: handed on.
    """
    with workers_for(_measure, [(case, device, repeats, arguments)]) as [process]:
        try:
            return process.take()
        except (InputError, RuntimeError) as error:
            raise type(error)(f"{case.__name__}: {error}") from None


def compare(benchmark: str, case: str, against: str, ours: Measured, other: Measured) -> dict:
    """One row: ours over the alternative, in time and memory, and how far the results differ."""
    apart = {
        name: float(np.linalg.norm(array - other.result[name]) / np.linalg.norm(other.result[name]))
        for name, array in ours.result.items()
        if name in other.result
    }
    return {
        "benchmark": benchmark,
        "case": case,
        "against": against,
        "time_ratio": ours.median / other.median,
        "memory_ratio": ours.peak_bytes / other.peak_bytes if other.peak_bytes else float("nan"),
        "seconds": ours.median,
        "seconds_spread": max(ours.seconds) - min(ours.seconds),
        "against_seconds": other.median,
        "against_seconds_spread": max(other.seconds) - min(other.seconds),
        "megabytes": ours.peak_bytes / 2**20,
        "against_megabytes": other.peak_bytes / 2**20,
        "largest_difference": max(apart.values(), default=float("nan")),
    }


def _measure(case: Callable, device: str, repeats: int, arguments: dict) -> Iterator[Measured]:
    """What `measure` returns, once; the other process makes it."""
    work = case(device, **arguments)
    peak, result = _peak(work, device)  # this also warms up
    seconds = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    arrays = {name: x.detach().float().cpu().numpy() for name, x in result.items()}
    yield Measured(seconds, peak, arrays)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _peak(work: Callable, device: str) -> tuple[int, dict]:
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        result = work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before, result

    import psutil

    process, done, most = psutil.Process(), threading.Event(), 0

    def look() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, process.memory_info().rss)
            time.sleep(SAMPLE_SECONDS)

    before = process.memory_info().rss
    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        result = work()
    finally:
        done.set()
        watcher.join()
    return max(most, process.memory_info().rss) - before, result
