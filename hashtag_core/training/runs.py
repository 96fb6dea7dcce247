"""A run folder: a trained model, its vocabulary, and how it was made."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hashtag_core.data.hashtags import Hashtags
from hashtag_core.errors import InputError
from hashtag_core.files import reading, whole_file
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.training.checkpoints import CHECKPOINT, kept_beside

if TYPE_CHECKING:
    from hashtag_core.training.state import TrainConfig


def save_run(
    folder: str | Path,
    model: HashtagModel,
    hashtags: Hashtags,
    settings: TrainConfig,
    log: list[dict],
    provenance: dict | None = None,
) -> None:
    """Write model.safetensors, hashtags.parquet and run.json, each of them whole or not at all.

    Args:
        folder: the run folder, made where it is not there.
        model: the trained model.
        hashtags: its vocabulary.
        settings: how it was trained.
        log: a dict per epoch, of `fit`.
        provenance: where the data come from, as plain data.

    Raises:
        InputError: where the disk is full.
    """
    from safetensors.torch import save

    folder = Path(folder)
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
        # not its save_file, which may leave a file of its own behind where it is killed
        "model.safetensors": lambda path: path.write_bytes(save(weights)),
        "hashtags.parquet": hashtags.save,
        "run.json": write_json,
    }
    for name, write in writers.items():
        with whole_file(folder / name, kept_beside(folder / name)) as partial:
            write(partial)


def is_finished(folder: Path) -> bool:
    """Whether a run lies there whose training is over; before that, a checkpoint lies beside it."""
    return (folder / "run.json").is_file() and not (folder / CHECKPOINT).exists()


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
