"""Time and peak memory of a piece of work, in a process of its own."""

from __future__ import annotations

import io
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from hashtag_core.errors import InputError
from hashtag_core.workers import workers_for

SAMPLE_SECONDS = 0.002  # between two looks at the resident set
SECONDS_TO_END = 10


@dataclass(frozen=True)
class Measured:
    """What a case took.

    Attributes:
        seconds: of each repeat, the warm-up left out.
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
        repeats: how often to time, after one run that warms up; 0 for that one alone.
        arguments: handed on.
    """
    jobs = [(case, device, repeats, arguments)]
    with workers_for(_measure, jobs) as [worker]:
        try:
            found = worker.take()
        except (InputError, RuntimeError) as error:
            raise type(error)(f"{case.__name__}: {error}") from None
        worker.process.join(SECONDS_TO_END)  # else it is ended while it tidies up
    return found


@contextmanager
def environment(variables: dict[str, str | None]) -> Iterator[None]:
    """Processes that are started meanwhile have these environment variables; None: not set."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        _set(variables)
        yield
    finally:
        _set(before)


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@dataclass(frozen=True)
class Meter:
    """Measures one case after the other, and says on a progress bar which one.

    Attributes:
        device: "cpu" or "cuda".
        repeats: how often to time each, where it does not say otherwise.
        bar: of `progress_bar`; it counts the measurements.
    """

    device: str
    repeats: int
    bar: Any

    def measure(
        self, what: str, case: Callable, repeats: int | None = None, **arguments: Any
    ) -> Measured:
        """See `measure` below; `what` is what the bar says meanwhile."""
        self.bar.set_description(what)
        repeats = self.repeats if repeats is None else repeats
        found = measure(case, self.device, repeats, **arguments)
        self.bar.update()
        return found


def together(measured: Sequence[Measured]) -> Measured:
    """Several measurements of one case as one."""
    seconds = [second for found in measured for second in found.seconds]
    return Measured(seconds, max(found.peak_bytes for found in measured), measured[0].result)


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


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _measure(case: Callable, device: str, repeats: int, arguments: dict) -> Iterator[Measured]:
    """What `measure` returns, once; the other process makes it."""
    with redirect_stderr(io.StringIO()):  # its bars would write over the one of the measurements
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
