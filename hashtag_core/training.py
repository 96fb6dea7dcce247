"""Training: Adam, validation after each epoch, the best epoch kept (§3.3, §4)."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from hashtag_core.errors import InputError, reading
from hashtag_core.hashtags import Hashtags
from hashtag_core.histories import Batch, UserHistories
from hashtag_core.loading import batches, prefetched, resident
from hashtag_core.loss import softmax_loss
from hashtag_core.metrics import Ranker, evaluate
from hashtag_core.model import HashtagModel, ModelConfig
from hashtag_core.processes import Processes
from hashtag_core.ranking import top_hashtags


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


def model_ranker(
    model: HashtagModel,
    hashtags: Hashtags,
    device: torch.device,
    users: Callable[[Batch, Tensor], Tensor] | None = None,
) -> Ranker:
    """A ranker for `evaluate`: (batch, candidates, k) -> (N, k) ids, from the model's scores.

    Args:
        model: a trained model.
        hashtags: its vocabulary.
        device: where to compute.
        users: (batch, psi) -> (N, d_u), the user before each photo; None for what the model
            makes of all the photos before it.
    """
    given = hashtags.psi.to(device)  # (V, d_w)

    @torch.inference_mode()
    def rank(batch: Batch, candidates: range, k: int) -> Tensor:
        model.eval()
        batch, psi = batch.to(device), model.psi(given)
        if users is None:
            queries = model(batch, psi)  # (N, d), in float32: bfloat16 would make ties
        else:
            queries = model.queries(batch.query_images[batch.mask], users(batch, psi))
        return top_hashtags(queries, psi, model.phi_tag, candidates, k)[1]  # (N, k)

    return rank


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
) -> tuple[HashtagModel, list[dict]]:
    """Train a model and return it as it was after its best epoch.

    Under `torchrun` all processes call it with the same arguments. Each takes its share of the
    users of every batch and of the validation users; the sums of their gradients and counts are
    those of one process. The first one writes.

    Args:
        model: what to train; it is changed in place. Its first weights are the caller's: seed
            with `torch.manual_seed` before making it.
        train: the training users' histories; every hashtag in them is seen.
        valid: the validation users' histories.
        hashtags: the vocabulary.
        train_config: how to train; `TrainConfig.paper()` where not given.
        folder: where to keep the best model so far, `save_run`'s format; None keeps nothing.
        device: where to compute; chosen automatically where not given.
        provenance: what run.json shall say about where the data come from.
        description: what the progress bar says.
        on_epoch: called after each epoch with the model as it is then and the log so far, in the
            first process.

    Returns:
        (model, log): log has a dict per epoch: epoch, loss, and the validation's R@10 and A@1.

    Raises:
        InputError: where there is nothing to train on or to validate with, or the loss overflows.
    """
    from tqdm.auto import tqdm

    settings = train_config or TrainConfig.paper()
    if not len(train) or not len(valid) or settings.epochs < 1:
        raise InputError(
            f"{len(train)} training users, {len(valid)} validation users, {settings.epochs} "
            "epochs: training needs at least one of each."
        )
    device = choose_device(device)
    processes = Processes.started(device)
    first = processes.rank == 0
    train, valid = resident((train, valid), device)
    generator = torch.Generator().manual_seed(settings.seed)  # order of users, targets
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    share = {"rank": processes.rank, "processes": processes.number}
    train_batches = batches(train, settings.users_per_batch, True, generator, **share)
    valid_batches = batches(valid, users_per_batch=16, **share)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=settings.epochs * len(train_batches)
    )
    seen = hashtags.psi[: hashtags.num_seen].to(device)  # (V, d_w), H^train
    ranker = model_ranker(model, hashtags, device)
    log: list[dict] = []
    best, best_weights = None, {}

    epochs = range(1, settings.epochs + 1)
    for epoch in (bar := tqdm(epochs, desc=description, leave=None, disable=not first)):
        model.train()
        losses = []
        for batch in prefetched(train_batches, device):
            targets = batch.draw_targets(generator)  # (N,)
            losses.append(train_step(model, optimizer, batch, targets, seen, processes))
            schedule.step()
        result = evaluate(ranker, valid_batches, hashtags, ("seen",), processes)["seen"]
        mean_loss = float(torch.stack(losses).mean())
        _check_finite(mean_loss, result, epoch)
        valid_results = {f"valid {metric}": result[metric] for metric in ("R@10", "A@1")}
        log.append({"epoch": epoch, "loss": mean_loss, **valid_results})
        bar.set_postfix(loss=f"{mean_loss:.2f}", R10=f"{result['R@10']:.1f}")
        if first and on_epoch is not None:
            on_epoch(model, log)
        if best is None or result["R@10"] > best["valid R@10"]:
            best = log[-1]
            best_weights = {name: w.detach().clone() for name, w in model.state_dict().items()}
            if first and folder is not None:
                save_run(folder, model, hashtags, settings, log, provenance)
        elif epoch - best["epoch"] >= settings.patience:
            break
    model.load_state_dict(best_weights)
    if first and folder is not None:
        save_run(folder, model, hashtags, settings, log, provenance)  # now with the whole log
    processes.wait()
    return model.eval(), log


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
    total, *gradients = processes.sum([loss.detach(), *(p.grad for p in learned)])
    for parameter, gradient in zip(learned, gradients, strict=True):
        parameter.grad = gradient
    return total


def _check_finite(loss: float, result: dict[str, float], epoch: int) -> None:
    if result["photos"] == 0:
        raise InputError("no photo of the validation users has a hashtag of the training users.")
    if not math.isfinite(loss):
        raise InputError(f"the loss is {loss} in epoch {epoch}: lower the learning rate.")


def _autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where it helps: on a GPU that has it."""
    helps = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=helps)


def save_run(
    folder: str | Path,
    model: HashtagModel,
    hashtags: Hashtags,
    settings: TrainConfig,
    log: list[dict],
    provenance: dict | None = None,
) -> None:
    """Write model.safetensors, hashtags.parquet and run.json, each of them whole or not at all."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: w.detach().cpu().contiguous() for name, w in model.state_dict().items()}
    run = {
        "model": asdict(model.config),
        "training": asdict(settings),
        "data": provenance or {},
        "log": log,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }

    def write_json(path: Path) -> None:
        path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")

    writers = {
        "model.safetensors": lambda path: save_file(weights, path),
        "hashtags.parquet": hashtags.save,
        "run.json": write_json,
    }
    for name, write in writers.items():
        partial = folder / (name + ".partial")
        write(partial)
        partial.replace(folder / name)


def load_run(
    folder: str | Path, model: HashtagModel | None = None
) -> tuple[HashtagModel, Hashtags, dict]:
    """Read what `save_run` wrote: (model in evaluation mode, hashtags, run.json).

    Args:
        folder: the run folder.
        model: whose weights to read; made from run.json where not given. A model with a part of
            one's own has to be made by oneself.

    Raises:
        InputError: where the folder or a file in it is missing or does not fit.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    for name in ("model.safetensors", "hashtags.parquet", "run.json"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name}. Train a model with `hashtag-core quickstart`.")
    with reading(folder / "run.json") as path:
        run = json.loads(path.read_text(encoding="utf-8"))
        model = model or HashtagModel(ModelConfig(**run["model"]))
    with reading(folder / "model.safetensors") as path:
        model.load_state_dict(load_file(path))
    with reading(folder / "hashtags.parquet") as path:
        hashtags = Hashtags.load(path)
    return model.eval(), hashtags, run
