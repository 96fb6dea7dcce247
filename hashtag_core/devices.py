"""Where to compute, and several processes on several GPUs or machines that train one model.

Each process works on its share of the users. What they find is added up, so that the result is that
of one. `torchrun --nproc-per-node 8 -m hashtag_core.cli train …` starts them; `accelerate` connects
them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from hashtag_core.errors import InputError


@dataclass(frozen=True)
class Processes:
    """Which process this is.

    Attributes:
        rank: its number, from 0.
        number: how many there are.
        device: where this one computes.
    """

    rank: int = 0
    number: int = 1
    device: torch.device | str = "cpu"

    @classmethod
    def started(cls, device: torch.device) -> Processes:
        """What torchrun started, or this process alone.

        Args:
            device: where this process computes; GPUs talk by NCCL, CPUs by Gloo.

        Raises:
            InputError: where torchrun started several and accelerate is not installed.
        """
        if int(os.environ.get("WORLD_SIZE", 1)) == 1:
            return cls(device=device)
        try:
            from accelerate import PartialState
        except ImportError:
            raise InputError("several processes need accelerate: pip install accelerate") from None
        state = PartialState(cpu=device.type == "cpu")
        return cls(state.process_index, state.num_processes, device)

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums over all processes, of tensors of the same shapes in each."""
        if self.number == 1:
            return list(tensors)
        from accelerate.utils import reduce

        flat = reduce(torch.cat([tensor.flatten() for tensor in tensors]), "sum")
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [p.view_as(tensor) for p, tensor in zip(parts, tensors, strict=True)]

    def sum_of_numbers(self, numbers: Sequence[float]) -> list[float]:
        """The same of plain numbers, in float64."""
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        return self.sum([sums])[0].tolist()

    def wait(self) -> None:
        """Until all are here."""
        if self.number > 1:
            from accelerate.utils import wait_for_everyone

            wait_for_everyone()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in this thread alone: small steps take less time than waking another one for each.

    Only where this is Python's main thread: the number is the process's, and two that set it at
    once would not both find what was there before.
    """
    threads = torch.get_num_threads()
    if threads == 1 or threading.current_thread() is not threading.main_thread():
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The named device, or the best there is: CUDA, then MPS, then the CPU.

    Raises:
        InputError: where this machine has no such device.
    """
    if name is not None:
        try:
            device = torch.device(name)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError):
            raise InputError(
                f"device {str(name)!r} is not there: choose cpu, cuda or mps."
            ) from None
        return device
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))  # torchrun's
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
