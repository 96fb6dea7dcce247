"""Training: Adam, validation after each epoch, the best epoch kept (§3.3, §4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from hashtag_core import __version__
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import LONG, Batch, UserHistories
from hashtag_core.data.loading import Batches, batches, prefetched, resident
from hashtag_core.devices import Processes, choose_device
from hashtag_core.errors import InputError
from hashtag_core.evaluation.metrics import evaluate
from hashtag_core.evaluation.ranking import model_ranker
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.model.loss import softmax_loss
from hashtag_core.printing import progress_bar, say
from hashtag_core.training.checkpoints import Checkpoint, digest_of
from hashtag_core.training.runs import refuse_other_files, save_run
from hashtag_core.training.state import TrainConfig, Training


def fit(
    model: HashtagModel,
    train: UserHistories,
    valid: UserHistories,
    hashtags: Hashtags,
    train_config: TrainConfig | None = None,
    folder: str | Path | None = None,
    device: torch.device | str | None = None,
    provenance: dict | None = None,
    description: str = "training",
    on_epoch: Callable[[HashtagModel, list[dict]], None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> tuple[HashtagModel, list[dict]]:
    """Train a model and return it as it was after its best epoch.

    Under `torchrun` all processes call it with the same arguments. Each takes its share of the
    users of every batch and of the validation users; the sums of their gradients and counts are
    those of one process. The first one writes.

    A training with a folder can be killed at any moment: called again with the same arguments and
    first weights, it goes on from checkpoint.pt and ends as if nothing had happened, on one CPU
    with exactly the same weights. The checkpoint is removed when the training is over.

    What a step remembers grows with its longest history, so training histories of more than `LONG`
    photos are learned from in pieces (`UserHistories.at_most`). Validation reads all of them whole.

    Args:
        model: what to train; it is changed in place. Its first weights are the caller's: seed
            with `torch.manual_seed` before making it.
        train: the training users' histories; every hashtag in them is seen.
        valid: the validation users' histories.
        hashtags: the vocabulary of the training users, and of whom the model shall be used for;
            validation has its own, `valid.hashtags`, whose seen ones are the same.
        train_config: how to train; `TrainConfig.paper()` where not given.
        folder: where to keep checkpoints and, in `save_run`'s format, the model; with a checkpoint
            at the end of an epoch that is the best so far, its model, too. None keeps nothing.
        device: where to compute; chosen automatically where not given.
        provenance: what run.json shall say about where the data come from.
        description: what the progress bar says.
        on_epoch: called after each epoch with the model as it is then and the log so far, in the
            first process; once more, perhaps, where the training was killed just then.
        checkpoint_seconds: write a checkpoint at most this often; 0 for after every step and every
            epoch.

    Returns:
        (model, log): log has a dict per epoch: epoch, loss, and the validation's R@10 and A@1.

    Raises:
        InputError: where there is nothing to train on or to validate with, the loss is not finite,
            the disk is full, the checkpoint is damaged, another run trains in the folder, or it
            holds files of a run's names that are none.
    """
    settings = train_config or TrainConfig.paper()
    if not len(train) or not len(valid) or settings.epochs < 1:
        raise InputError(
            f"{len(train)} training users, {len(valid)} validation users, {settings.epochs} "
            "epochs: training needs at least one of each."
        )
    device = choose_device(device)
    processes = Processes.started(device)
    rank, first = processes.rank, processes.rank == 0
    long, train = sum(len(rows) > LONG for rows in train.rows), train.at_most(LONG)
    if first and long:
        say(
            f"{long:,} training user(s) of more than {LONG:,} photos: learned from in pieces of at "
            "most as many, each as if of a new user."
        )
    identity = {}
    if folder is not None:
        identity = _identity(model, train, valid, hashtags, settings, provenance)
    identity |= {"processes": processes.number, "device": device.type, "torch": torch.__version__}
    identity["hashtag_core"] = __version__  # another one may round otherwise
    train, valid = resident((train, valid), device)
    generator = torch.Generator().manual_seed(settings.seed)  # order of users, targets
    train_batches = batches(
        train, settings.users_per_batch, True, generator, rank, processes.number
    )
    valid_batches = batches(valid, 16, rank=rank, processes=processes.number)
    parameters = model.to(device).parameters()
    optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=settings.epochs * len(train_batches)
    )
    seen = hashtags.psi[: hashtags.num_seen].to(device)  # (V, d_w), H^train
    ranker = model_ranker(model, valid.hashtags, device)
    progress = Training(model, optimizer, schedule, generator, generator.get_state())
    checkpoint = Checkpoint(folder, identity, checkpoint_seconds, processes)
    with (
        checkpoint.held(),
        progress_bar(total=settings.epochs, desc=description, leave=None, disable=not first) as bar,
    ):
        if first and folder is not None:
            refuse_other_files(Path(folder))
        state, message = checkpoint.read()
        if state is not None:
            progress.restore(state)
        if first and message:
            say(message)
        bar.update(len(progress.log))
        while not progress.finished(settings.epochs, settings.patience):
            run_epoch(progress, train_batches, seen, checkpoint, processes)
            result = evaluate(ranker, valid_batches, valid.hashtags, ("seen",), processes)["seen"]
            _check_finite(torch.stack(progress.losses).mean().item(), result, progress.epoch)
            is_best = progress.end_epoch({f"valid {m}": result[m] for m in ("R@10", "A@1")})
            log = progress.log
            bar.update()
            bar.set_postfix(loss=f"{log[-1]['loss']:.2f}", R10=f"{result['R@10']:.1f}")
            if first and on_epoch is not None:
                on_epoch(model, log)
            if checkpoint.due():
                checkpoint.write(progress.state())
                if is_best and folder is not None:
                    save_run(folder, model, hashtags, settings, log, provenance)
        checkpoint.write(progress.state())  # first: beside it a run counts as unfinished
        model.load_state_dict(progress.best_weights)
        if first and folder is not None:  # now with the whole log
            save_run(folder, model, hashtags, settings, progress.log, provenance)
        checkpoint.remove()
    processes.wait()
    return model.eval(), progress.log


def run_epoch(
    progress: Training, loader: Batches, given: Tensor, checkpoint: Checkpoint, processes: Processes
) -> None:
    """The steps of an epoch that are still to do, and a checkpoint now and then.

    Args:
        progress: the training; its losses say how many steps are done.
        loader: the training batches.
        given: (V, d_w), the training hashtags' word vectors, on the model's device.
        checkpoint: where to write.
        processes: who trains together.
    """
    progress.model.train()
    for batch in prefetched(progress.batches(loader), given.device):
        targets = batch.draw_targets(progress.generator)  # (N,)
        loss = train_step(progress.model, progress.optimizer, batch, targets, given, processes)
        progress.losses.append(loss)
        progress.schedule.step()
        if checkpoint.due():
            checkpoint.write(progress.state())


def _identity(
    model: HashtagModel,
    train: UserHistories,
    valid: UserHistories,
    hashtags: Hashtags,
    settings: TrainConfig,
    provenance: dict | None,
) -> dict:
    """What tells one training from another; `model` still has its first weights."""
    return {
        "model": asdict(model.config),
        "first weights": digest_of(model),
        "training": asdict(settings),
        "data": provenance or {},
        "users": [len(train), len(valid)],
        "photos": [sum(map(len, train.rows)), sum(map(len, valid.rows))],
        "hashtags": [len(hashtags), hashtags.num_seen],
    }


def train_step(
    model: HashtagModel,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    targets: Tensor,
    given: Tensor,
    processes: Processes | None = None,
) -> Tensor:
    """One step on one batch; returns the loss of Equation 9.

    Args:
        model: on the batch's device.
        optimizer: of its parameters.
        batch: of B users, or a process's part of it.
        targets: (N,) int64, a hashtag of each photo.
        given: (V, d_w), the training hashtags' word vectors.
        processes: who else works on the batch; None for nobody.
    """
    with _autocast(given.device):
        psi = model.psi(given)  # (V, d_w)
        queries = model(batch, psi)  # (N, d)
        loss = softmax_loss(queries, psi, model.phi_tag, targets, batch.photo_weights())
    optimizer.zero_grad()
    loss.backward()
    if processes is not None and processes.number > 1:
        loss = _add_up(loss, model, processes)
    optimizer.step()
    return loss.detach()


def _add_up(loss: Tensor, model: HashtagModel, processes: Processes) -> Tensor:
    """Sum the gradients over all processes, in place, and return the sum of their losses.

    Each loss has the weights of the whole batch (`Batch.photo_weights`), so the sums are what one
    process would find with all of its users.
    """
    learned = [p for p in model.parameters() if p.grad is not None]
    total, *gradients = processes.sum(
        [loss.detach(), *(p.grad for p in learned if p.grad is not None)]
    )
    for parameter, gradient in zip(learned, gradients, strict=True):
        parameter.grad = gradient
    return total


def _check_finite(loss: float, result: dict[str, float], epoch: int) -> None:
    if result["photos"] == 0:
        raise InputError("no photo of the validation users has a hashtag of the training users.")
    if not math.isfinite(loss):
        raise InputError(
            f"the loss is {loss} in epoch {epoch}: lower the learning rate, or look for huge "
            "numbers among the features and the word vectors."
        )


def _autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where it helps: on a GPU that has it."""
    helps = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=helps)
