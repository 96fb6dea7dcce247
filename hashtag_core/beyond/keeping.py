"""`ours+` on disk: plus.safetensors beside the run of its f (`training/runs.py`).

It holds the scorer, the space of pictures and the memory. No pickle is read, and its sizes are
checked against each other before anything is used.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from typing_extensions import TypedDict

from hashtag_core.beyond.evidence import Parts, PictureSpace, Reader
from hashtag_core.beyond.memory import Memory
from hashtag_core.beyond.plus import Plus
from hashtag_core.beyond.plus_training import TRUST
from hashtag_core.beyond.scorer import Scorer, ScorerConfig
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.errors import InputError
from hashtag_core.files import reading, whole_file
from hashtag_core.formats import parse_json, to_json
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.training.runs import load_run, save_run
from hashtag_core.training.state import TrainConfig

FILE = "plus.safetensors"
AGAIN = "Train the model again."


class About(TypedDict):
    """What the header of plus.safetensors says."""

    parts: Parts
    scorer: ScorerConfig
    trust: float
    temperature: float
    f_temperature: float
    hashtags: int  # V, the seen ones
    data: dict[str, Any]  # where the data come from, and all that it depends on


def save_plus(folder: str | Path, plus: Plus, provenance: dict | None = None) -> None:
    """Write plus.safetensors whole or not at all.

    Args:
        folder: the run folder of f.
        plus: `ours+`.
        provenance: what the file shall say about where the data come from, as plain data.

    Raises:
        InputError: where the disk is full.
    """
    from safetensors.torch import save

    memory, space = plus.reader.memory, plus.reader.space
    arrays = {
        "space.mean": space.mean.astype(np.float16),
        "space.axes": space.axes.astype(np.float16),
        "memory.pictures": memory.pictures.astype(np.float16),
        "memory.hashtag_ids": memory.hashtag_ids.astype(np.int32),
        "memory.hashtag_offsets": memory.hashtag_offsets.astype(np.int64),
        "memory.owners": memory.owners.astype(np.int32),
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in arrays.items()}
    tensors |= {f"scorer.{n}": w.contiguous() for n, w in plus.scorer.state_dict().items()}
    about = {
        "parts": asdict(plus.reader.parts),
        "scorer": asdict(plus.scorer.config),
        "trust": plus.trust,
        "temperature": plus.temperature,
        "f_temperature": plus.f_temperature,
        "hashtags": len(memory.count),
        "data": provenance or {},
    }
    with whole_file(Path(folder) / FILE) as partial:
        partial.write_bytes(save(tensors, {"about": to_json(about)}))


def load_plus(
    folder: str | Path, model: HashtagModel, hashtags: Hashtags
) -> tuple[Plus, dict[str, Any]]:
    """Read what `save_plus` wrote: `ours+`, and its provenance.

    Args:
        folder: the run folder.
        model: f, and
        hashtags: its vocabulary, of `load_run`.

    Raises:
        InputError: where the file is missing, damaged, or of another model.
    """
    from safetensors import safe_open

    path = Path(folder) / FILE
    with reading(path), safe_open(path, "pt") as file:
        header = (file.metadata() or {}).get("about", "")
        about = parse_json(header, About, path, AGAIN)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        return _assemble(about, tensors, model, hashtags), about["data"]
    except (KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
        raise InputError(f"{path}: {error}. {AGAIN}") from error


def ship(run: str | Path, folder: str | Path) -> None:
    """Copy the run of an `ours+` with weights of 16 bits, as those in data/models are.

    Args:
        run: a run folder with plus.safetensors in it.
        folder: the new one.

    Raises:
        InputError: where the run is missing, damaged or has no `ours+`.
    """
    model, hashtags, about = load_run(run)
    (plus, data), settings = load_plus(run, model, hashtags), TrainConfig(**about["training"])
    save_run(folder, model, hashtags, settings, about["log"], about["data"], torch.float16)
    save_plus(folder, plus, data)


def _assemble(
    about: dict, tensors: dict[str, torch.Tensor], model: HashtagModel, hashtags: Hashtags
) -> Plus:
    own = {name: tensor for name, tensor in tensors.items() if name.startswith("scorer.")}
    arrays = {name: tensors[name].numpy() for name in tensors if name not in own}
    ids, offsets = arrays["memory.hashtag_ids"].astype(np.int64), arrays["memory.hashtag_offsets"]
    pictures, owners = arrays["memory.pictures"].astype(np.float32), arrays["memory.owners"]
    mean, axes = (arrays[f"space.{name}"].astype(np.float32) for name in ("mean", "axes"))
    fits = (
        about["hashtags"] == hashtags.num_seen,
        axes.shape == (model.config.d_i, pictures.shape[1]) and mean.shape == axes.shape[:1],
        len(owners) == len(pictures) == len(offsets) - 1 and owners.ndim == 1,
        offsets[0] == 0 and (np.diff(offsets) > 0).all() and offsets[-1] == len(ids),
        len(ids) and ids.min() >= 0 and ids.max() < hashtags.num_seen,
        about["trust"] in (*TRUST, 0.0),
        all(0.1 <= about[name] <= 10 for name in ("temperature", "f_temperature")),
        all(np.isfinite(x).all() for x in arrays.values())
        and all(bool(w.isfinite().all()) for w in own.values()),
    )
    if not all(fits):
        raise ValueError("its parts do not fit each other or the model beside it")
    memory = Memory(pictures, ids, offsets, owners.astype(np.int64), hashtags.num_seen)
    reader = Reader(Parts(**about["parts"]), PictureSpace(mean, axes), memory)
    scorer = Scorer(len(reader.columns), len(reader.moments), ScorerConfig(**about["scorer"]))
    scorer.load_state_dict({name.removeprefix("scorer."): w for name, w in own.items()})
    numbers = about["trust"], about["temperature"], about["f_temperature"]
    return Plus(model, reader, scorer.eval(), *numbers)
