"""A training that can be killed at any moment and goes on: what it is made of, and checkpoint.pt.

A checkpoint holds all that decides how the training goes on, so that it ends with the very weights
and log that it would have had. It is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from hashtag_core.data.histories import Batch
from hashtag_core.data.loading import Batches
from hashtag_core.devices import Processes
from hashtag_core.errors import InputError, enough_disk
from hashtag_core.model.joint_embedding import HashtagModel

FILE = "checkpoint.pt"


@dataclass
class Training:
    """All that changes while a model is trained.

    Attributes:
        model: what is trained.
        optimizer: of its parameters.
        schedule: of the learning rate.
        generator: draws the order of users at the start of an epoch, then the targets.
        order: the generator's state at the start of the epoch.
        epoch: the one that runs, from 1.
        losses: of this epoch's steps so far, on the model's device.
        log: a dict for each finished epoch.
        best_weights: the model's after the best epoch so far.
    """

    model: HashtagModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    order: Tensor
    epoch: int = 1
    losses: list[Tensor] = field(default_factory=list)
    log: list[dict] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best(self) -> dict:
        """The log's entry of the best epoch so far, the earliest of equally good ones."""
        return max(self.log, key=lambda entry: entry["valid R@10"])

    def finished(self, epochs: int, patience: int) -> bool:
        """Whether so many epochs are over, or so many have brought nothing better."""
        return self.epoch > epochs or (
            bool(self.log) and self.epoch - 1 - self.best["epoch"] >= max(patience, 1)
        )

    def batches(self, loader: Batches) -> Iterator[Batch]:
        """The epoch's batches from the next one on, in the order drawn at its start."""
        drawn_so_far = self.generator.get_state()
        self.generator.set_state(self.order)
        coming = loader.start_at(len(self.losses))  # draws the order
        if self.losses:
            self.generator.set_state(drawn_so_far)
        return coming

    def end_epoch(self, results: dict[str, float]) -> bool:
        """Log an epoch and keep its weights if they are the best; says if they are."""
        loss = float(torch.stack(self.losses).mean())
        self.log.append({"epoch": self.epoch, "loss": loss, **results})
        best = self.best is self.log[-1]
        if best:
            self.best_weights = {n: w.detach().clone() for n, w in self.model.state_dict().items()}
        self.epoch, self.losses, self.order = self.epoch + 1, [], self.generator.get_state()
        return best

    def state(self) -> dict:
        """All of it as a dict of plain data and tensors."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "order": self.order,
            "epoch": self.epoch,
            "losses": torch.stack(self.losses) if self.losses else torch.zeros(0),
            "log": self.log,
            "best_weights": self.best_weights,
            "torch": torch.get_rng_state(),  # for parts that draw, such as dropout
            "cuda": torch.cuda.get_rng_state() if self._on_gpu else None,
        }

    def restore(self, state: dict) -> None:
        """Take over what `state` gave, perhaps in another process."""
        device = next(self.model.parameters()).device
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        self.order, self.epoch, self.log = state["order"], state["epoch"], state["log"]
        self.losses = list(state["losses"].to(device))
        self.best_weights = {n: w.to(device) for n, w in state["best_weights"].items()}
        torch.set_rng_state(state["torch"])
        if self._on_gpu and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"])

    @property
    def _on_gpu(self) -> bool:
        return next(self.model.parameters()).is_cuda


class Checkpoint:
    """The checkpoint of one training, in its run folder.

    Args:
        folder: the run folder; None keeps nothing.
        job: what is trained, on what and how, as plain data. No training goes on from the
            checkpoint of another job.
        seconds: so much time at least lies between two checkpoints within an epoch.
        processes: who trains together: all read, the first one writes.
    """

    def __init__(
        self, folder: str | Path | None, job: dict, seconds: float, processes: Processes
    ) -> None:
        self.path = None if folder is None else Path(folder) / FILE
        self.job = json.loads(json.dumps(job))  # a tuple comes back as a list
        self.seconds = seconds
        self.processes = processes
        self.writes = self.path is not None and processes.rank == 0
        self._written = time.monotonic()

    def read(self) -> tuple[dict | None, str]:
        """(the state to go on from or None, what to tell the user or "").

        Raises:
            InputError: where the file is damaged, or not there for all processes.
        """
        state, told = None, ""
        if self.path is not None and self.path.is_file():
            kept = read_checkpoint(self.path)
            other = [name for name, value in self.job.items() if kept["job"].get(name) != value]
            if other:
                told = f"{self.path}: of another training ({', '.join(other)}); it starts anew."
            else:
                state = kept["state"]
                steps = len(state["losses"])
                told = f"{self.path}: goes on in epoch {state['epoch']} after {steps} steps."
        place = [0, 0] if state is None else [state["epoch"], len(state["losses"])]
        everybody = self.processes.sum_of_numbers(place)  # and nobody writes before all have read
        if everybody != [self.processes.number * value for value in place]:
            raise InputError(
                f"{self.path}: not the same for all processes. All machines need one run folder."
            )
        return state, told

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return self.writes and time.monotonic() - self._written >= self.seconds

    def write(self, state: dict) -> None:
        """Write `Training.state`; the checkpoint before stays until this one is whole.

        Raises:
            InputError: where the disk is full.
        """
        if self.writes:
            write_checkpoint(self.path, {"job": self.job, "state": state})
            self._written = time.monotonic()

    def remove(self) -> None:
        """The training is over: what remains is the run."""
        if self.writes:
            self.path.unlink(missing_ok=True)


def write_checkpoint(path: Path, content: dict) -> None:
    """Write a dict of plain data and tensors, whole or not at all."""
    with whole_file(path) as partial, partial.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # of torch's zip writer; behind it is what the disk said
            behind = error.__context__
            raise (behind if isinstance(behind, OSError) else error) from None


def read_checkpoint(path: Path) -> dict:
    """Read what `write_checkpoint` wrote, tensors on the CPU.

    Raises:
        InputError: where the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            if spoilt := parts.testzip():  # `torch.load` does not look at the checksums
                raise ValueError(f"{spoilt} is not what was written")
        content = torch.load(path, weights_only=True, map_location="cpu")
        return {"job": dict(content["job"]), "state": dict(content["state"])}
    except Exception as error:  # a cut or spoilt file raises many kinds
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{path}: a damaged checkpoint ({type(error).__name__}: {reason}). "
            "Delete it to begin the training anew."
        ) from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write, so that `path` is the whole new file or what it was.

    Raises:
        InputError: where the disk is full.
    """
    partial = path.with_name(path.name + ".partial")
    there = (path.parent / FILE).is_file()
    kept = "the last good checkpoint" if there else "what was written before"
    try:
        with enough_disk(path, f"{kept} is still there"):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())  # on the disk, before its name says so
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def digest_of(model: HashtagModel) -> str:
    """SHA-256 of a model's weights, their names and their shapes."""
    digest = hashlib.sha256()
    for name, weights in model.state_dict().items():
        digest.update(f"{name} {tuple(weights.shape)}".encode())
        digest.update(weights.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
