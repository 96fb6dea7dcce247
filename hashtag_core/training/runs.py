"""A run folder: a trained model, its vocabulary, and how it was made."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path
from typing import NotRequired

import torch
from torch import Tensor
from typing_extensions import TypedDict

from hashtag_core.data.hashtags import Hashtags
from hashtag_core.errors import InputError
from hashtag_core.files import reading, whole_file
from hashtag_core.formats import read_json, to_json
from hashtag_core.model.joint_embedding import ENCODERS, HashtagModel, ModelConfig
from hashtag_core.model.user_encoders import UserEncoder
from hashtag_core.training.checkpoints import CHECKPOINT, kept_beside
from hashtag_core.training.state import TrainConfig

FILES = "model.safetensors", "hashtags.parquet", "run.json"
MAX_HEADER = 2**24  # bytes of the header of model.safetensors
AGAIN = "Train the model again."


class Data(TypedDict):
    """Where the data come from, in run.json; `fit` adds what it is told as `provenance`."""

    convnet: NotRequired[str | None]
    query_convnet: NotRequired[str | None]
    words: NotRequired[str | None]


class Run(TypedDict):
    """What run.json holds."""

    model: ModelConfig
    training: TrainConfig
    data: Data
    log: list[dict[str, float]]
    versions: dict[str, str]


def save_run(
    folder: str | Path,
    model: HashtagModel,
    hashtags: Hashtags,
    settings: TrainConfig,
    log: list[dict],
    provenance: dict | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write model.safetensors, hashtags.parquet and run.json, each of them whole or not at all.

    Args:
        folder: the run folder, made where it is not there.
        model: the trained model.
        hashtags: its vocabulary.
        settings: how it was trained.
        log: a dict per epoch, of `fit`.
        provenance: where the data come from, as plain data.
        dtype: of the weights in the file; None for that of the model. `load_run` makes float32 of
            float16.

    Raises:
        InputError: where the disk is full.
    """
    from safetensors.torch import save

    folder = Path(folder)
    weights = {
        name: w.detach().cpu().to(dtype or w.dtype).contiguous()
        for name, w in model.state_dict().items()
    }
    run = {
        "model": asdict(model.config),
        "training": asdict(settings),
        "data": provenance or {},
        "log": log,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }

    def write_json(path: Path) -> None:
        path.write_text(to_json(run, indent=2) + "\n", encoding="utf-8")

    writers = {
        # not its save_file, which may leave a file of its own behind where it is killed
        "model.safetensors": lambda path: path.write_bytes(save(weights)),
        "hashtags.parquet": hashtags.save,
        "run.json": write_json,
    }
    for name, write in writers.items():
        with whole_file(folder / name, kept_beside(folder / name)) as partial:
            write(partial)


def refuse_other_files(folder: Path) -> None:
    """Refuse to train where files lie under the names of a run's that are not of one.

    They are of a run beside a checkpoint, beside a run.json, or with its vocabulary.

    Raises:
        InputError: which file is not.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if not there or (folder / CHECKPOINT).exists():
        return
    mend = "Move it elsewhere, or train in another folder."
    if len(there) == 1:
        raise InputError(f"{folder / there[0]} is there, and is not of a run of ours. {mend}")
    if "run.json" in there:
        read_json(folder / "run.json", Run, mend)
    else:
        Hashtags.load(folder / "hashtags.parquet")


def is_finished(folder: Path) -> bool:
    """Whether a run lies there whose training is over; before that, a checkpoint lies beside it."""
    return (folder / "run.json").is_file() and not (folder / CHECKPOINT).exists()


def made_for(folder: Path) -> dict:
    """What a finished run was trained on, as run.json says; {} where none lies there."""
    return read_json(folder / "run.json", Run, AGAIN)["data"] if is_finished(folder) else {}


def load_run(
    folder: str | Path, user_encoder: UserEncoder | None = None
) -> tuple[HashtagModel, Hashtags, dict]:
    """Read what `save_run` wrote: (model in evaluation mode, hashtags, run.json).

    Args:
        folder: the run folder.
        user_encoder: one of your own that the model was trained with, and whose weights are read;
            not needed where it is of `ENCODERS`.

    Raises:
        InputError: where the folder or a file in it is missing or does not fit.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name}. Train a model with `hashtag-core quickstart`.")
    run = read_json(folder / "run.json", Run, AGAIN)
    with reading(folder / "run.json"):
        config = ModelConfig(**run["model"])
        if user_encoder is not None and config.encoder in ENCODERS:
            raise InputError(
                f"{folder}: trained with {config.encoder!r} of ENCODERS, and so not with the "
                "`user_encoder` that is given. Leave it out."
            )
        if user_encoder is None and config.encoder not in ENCODERS:
            raise InputError(
                f"{folder}: trained with a user encoder of somebody's own, {config.encoder!r}. "
                "Give it as `user_encoder`, or make it known first: "
                f"ENCODERS[{config.encoder!r}] = lambda config: …"
            )
        with torch.device("meta"):  # sizes without memory
            wanted = HashtagModel(config, user_encoder).state_dict()
    hashtags = Hashtags.load(folder / "hashtags.parquet")
    with reading(folder / "model.safetensors") as path:
        _check_weights(path, wanted)
        weights = load_file(path)
        for name, w in weights.items():
            if w.dtype == torch.float16:  # a model made smaller, to be shipped
                weights[name] = w = w.float()
            if w.dtype != wanted[name].dtype:
                raise InputError(f"{path}: {name} is {w.dtype}, not {wanted[name].dtype}. {AGAIN}")
            if not w.isfinite().all():
                raise InputError(f"{path}: {name} has numbers that are not finite. {AGAIN}")
        model = HashtagModel(config, user_encoder)
        model.load_state_dict(weights)
    _check_vocabulary(folder, model, hashtags)
    return model.eval(), hashtags, run


def _check_weights(path: Path, wanted: dict[str, Tensor]) -> None:
    """Refuse a file whose header says other weights than these, before anything is read."""
    from safetensors import safe_open

    with path.open("rb") as start:
        header = int.from_bytes(start.read(8), "little")
    if header > MAX_HEADER:
        raise InputError(f"{path}: a header of {header:,} bytes, at most {MAX_HEADER:,} are read.")
    with safe_open(path, "pt") as file:
        held = {name: tuple(file.get_slice(name).get_shape()) for name in file.offset_keys()}
    shapes = {name: tuple(w.shape) for name, w in wanted.items()}
    for name in sorted(shapes.keys() | held.keys()):
        if shapes.get(name) != held.get(name):
            is_, should = (f"shape {s[name]}" if name in s else "not there" for s in (held, shapes))
            raise InputError(f"{path}: {name} is {is_}, and by run.json {should}. {AGAIN}")


def _check_vocabulary(folder: Path, model: HashtagModel, hashtags: Hashtags) -> None:
    """Refuse a vocabulary of another model."""
    d_w, config = hashtags.psi.shape[1], model.config
    if model.learned_psi is None and d_w != config.d_w:
        what = f"psi of {d_w} numbers, and by run.json {config.d_w}"
    elif hashtags.num_seen > config.num_hashtags and (config.num_hashtags or config.learned_psi):
        what = f"{hashtags.num_seen:,} seen hashtags, and by run.json {config.num_hashtags:,}"
    else:
        return
    raise InputError(f"{folder / 'hashtags.parquet'}: {what}. {AGAIN}")
