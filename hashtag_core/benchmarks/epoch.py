"""An epoch of each model of quickstart, against its matrix products at this machine's full speed.

No training can be faster than its arithmetic. What an epoch takes beyond it goes to all the rest:
batches, non-linearities, products too small for a processor to get up to speed, the GRU's steps one
after the other, ranking, Adam.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hashtag_core.benchmarks.crowded import case
from hashtag_core.benchmarks.measure import Measured, Meter, compare
from hashtag_core.study.rows import MODELS, QUICKSTART

SIZES = {"users": 80, "photos": 46}  # of data/open_art
QUICK = {"users": 8, "photos": 12}
DEVICES = ("cpu",)
EPOCHS = 2  # timed together
LARGE, TIMES = 2048, 20  # the product that shows the full speed
NAMES = [name for name in QUICKSTART if name in MODELS]


def arithmetic(
    device: str, users: int, photos: int, parts: dict
) -> Callable[[], dict[str, Tensor]]:
    """Count the floating-point operations of the same work, and time a large product."""
    from torch.utils.flop_counter import FlopCounterMode

    work = case(device, users, photos, parts, EPOCHS)
    a, b = torch.randn(LARGE, LARGE), torch.randn(LARGE, LARGE)

    def of_product(a: tuple, b: tuple, *more, **others) -> int:
        return 2 * a[0] * a[1] * b[0]

    def count_and_time() -> dict[str, Tensor]:
        ours = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
        more = {} if ours is None else {ours: of_product}
        with FlopCounterMode(display=False, custom_mapping=more) as counter:
            work()
        best = float("inf")
        for _ in range(TIMES):
            start = time.perf_counter()
            torch.mm(a, b)
            best = min(best, time.perf_counter() - start)
        flop = torch.tensor(counter.get_total_flops() / EPOCHS)
        return {"flop": flop, "flop a second": torch.tensor(2 * LARGE**3 / best)}

    return count_and_time


def count(device: str, repeats: int, **sizes) -> int:
    """How many measurements `run` makes."""
    return 2 * len(NAMES)


def run(meter: Meter, users: int, photos: int) -> Iterator[dict]:
    """A row for each model: seconds of an epoch, and of its products alone."""
    for name in NAMES:
        sizes = {"users": users, "photos": photos, "parts": MODELS[name].parts}
        took = meter.measure(f"an epoch of {name}", case, epochs=EPOCHS, **sizes)
        alone = meter.measure(f"the arithmetic of {name}", arithmetic, repeats=0, **sizes)
        flop, speed = (float(alone.result[key]) for key in ("flop", "flop a second"))
        epoch = Measured([second / EPOCHS for second in took.seconds], took.peak_bytes, {})
        products = Measured([flop / speed], 0, {})
        row = compare("epoch", f"an epoch of {name}", "its products alone", epoch, products)
        yield {**row, "GFLOP": flop / 1e9, "GFLOP a second": speed / 1e9}
