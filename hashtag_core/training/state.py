"""How to train, and all that changes while a model is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hashtag_core.data.histories import Batch
from hashtag_core.data.loading import Batches
from hashtag_core.errors import InputError
from hashtag_core.model.joint_embedding import HashtagModel

WITH_STATE = "model", "optimizer", "schedule"  # of a `Training`


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        epochs: at most so many.
        learning_rate: of Adam at the start (the paper's words); it falls to 0 along a cosine.
        users_per_batch: the paper has one, "due to technical constraints".
        patience: stop after so many epochs without a better R@10 on the validation users.
        seed: of the order of users and the drawn targets.
    """

    epochs: int = 20
    learning_rate: float = 5e-5
    users_per_batch: int = 1
    patience: int = 5
    seed: int = 0

    @classmethod
    def paper(cls) -> TrainConfig:
        """Adam from 5e-5, 20 epochs, one user a batch (§4), and never stopping early."""
        return cls(patience=20)

    @classmethod
    def small(cls, seed: int = 0) -> TrainConfig:
        """For a small collection: larger steps."""
        return cls(epochs=20, learning_rate=1e-3, users_per_batch=4, patience=10, seed=seed)


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
            **{name: getattr(self, name).state_dict() for name in WITH_STATE},
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
        """Take over what `state` gave, perhaps in another process.

        Raises:
            InputError: where it is not the state of such a training.
        """
        expected = self._form_of(state)
        other = [name for name in {**state, **expected} if not _alike(state, expected, name)]
        if other:
            raise InputError(
                f"the checkpoint does not fit this training ({', '.join(map(str, other))}). "
                "Delete checkpoint.pt to begin the training anew."
            )
        device = next(self.model.parameters()).device
        for name in WITH_STATE:
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        self.order, self.epoch, self.log = state["order"], state["epoch"], state["log"]
        self.losses = list(state["losses"].to(device))
        self.best_weights = {n: w.to(device) for n, w in state["best_weights"].items()}
        torch.set_rng_state(state["torch"])
        if self._on_gpu and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"])

    def _form_of(self, state: dict) -> dict:
        """What a state has to look like: this training's own, with as much done as `state` says."""
        own, zero = self.state(), torch.zeros(())
        done, log, optimizer = (state.get(name) for name in ("losses", "log", "optimizer"))
        stepped = optimizer.get("state") if isinstance(optimizer, dict) else None
        moments = {
            number: {"step": zero, "exp_avg": weights, "exp_avg_sq": weights}
            for number, weights in enumerate(self.model.parameters())
            if isinstance(stepped, dict) and number in stepped
        }
        read, entries = {"epoch": 1, "valid R@10": 0.0}, log if isinstance(log, list) else []
        return {
            **own,
            "optimizer": {**own["optimizer"], "state": moments},
            "losses": torch.zeros(len(done) if isinstance(done, Tensor) else 0),
            "log": [entry | read if isinstance(entry, dict) else read for entry in entries],
            "best_weights": dict(own["model"]) if log else {},
        }

    @property
    def _on_gpu(self) -> bool:
        return next(self.model.parameters()).is_cuda


def _alike(values: Any, expected: Any, key: Any) -> bool:
    """Whether two dicts or lists hold the same there, but for numbers: keys, types and shapes."""
    try:
        value, like = values[key], expected[key]
    except LookupError:
        return False
    if isinstance(like, Tensor):
        is_one = isinstance(value, Tensor)
        return is_one and value.shape == like.shape and value.dtype == like.dtype
    if isinstance(like, float):
        return type(value) in (int, float)
    if type(value) is not type(like):
        return False
    if isinstance(like, dict):
        return all(_alike(value, like, name) for name in {**value, **like})
    if isinstance(like, list | tuple):
        return len(value) == len(like) and all(_alike(value, like, i) for i in range(len(like)))
    return True
