"""What all experiments on one collection share: folds, trained models, results that are kept.

A study has a folder. Each trained model and each result lies in it as soon as it is there, with
what it depends on and what made it; a stopped study goes on from them, and two tables that need the
same model train it once. A result counts as long as what it depends on is the same: photos, words,
settings, the library's version. Where another device, number of threads or torch made it, it counts
too, and `makers` says so.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

import torch
from typing_extensions import TypedDict

from hashtag_core import __version__
from hashtag_core.beyond.evidence import Parts
from hashtag_core.beyond.keeping import FILE, load_plus, save_plus
from hashtag_core.beyond.plus import Plus
from hashtag_core.beyond.plus_training import train_plus
from hashtag_core.data.loading import batches
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import shuffled, user_folds
from hashtag_core.data.words import load_word_vectors, vectors_file
from hashtag_core.devices import Processes, choose_device
from hashtag_core.errors import InputError, printable
from hashtag_core.evaluation.baselines import frequency, oracle, repeat_recent
from hashtag_core.evaluation.metrics import Ranker, evaluate
from hashtag_core.evaluation.ranking import model_ranker
from hashtag_core.files import locked, reading, write_whole
from hashtag_core.formats import read_json, to_json
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.study.folds import Fold, make_fixed_fold, make_fold, make_transductive_fold
from hashtag_core.study.rival_rows import rival, seconds
from hashtag_core.study.rows import IN_SECONDS, MODELS, PLUS, RIVALS, UNGUARDED, main_row
from hashtag_core.training.loop import fit
from hashtag_core.training.runs import Run, is_finished, load_run, made_for
from hashtag_core.training.state import TrainConfig

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

AGAIN = "Delete it: it is computed again."
ORDERS = "time", "shuffled"


class Kept(TypedDict):
    """A result in the study's folder, as JSON: what it depends on, what made it, and its rows.

    Its model may have been made by another than measured it. NaN is null.
    """

    data: dict[str, Any]
    made_with: NotRequired[list[str]]  # those of version 0.6.0 and older do not say it
    rows: list[dict[str, float | str | None]]


def variant_of(order: str, every_hashtag: bool) -> str:
    """What names of folders and results end in, where a study is not as the paper has it."""
    other = "" if order == "time" else f"-{order}"
    return other + ("-every-hashtag" if every_hashtag else "")


@dataclass(eq=False, repr=False)
class Study:
    """Folds, models and results of one collection.

    Args:
        photos: the collection.
        folder: where trained models and results are kept.
        folds: 1 for one split, 70 / 10 / 20; more for as many splits, each user tested once.
        seed: of the splits and of all training.
        device: where to compute; chosen automatically where not given.
        words: a file of word vectors. None for those that came with the collection, or else for
            the installed ones.
        training: how to train; `TrainConfig.small` where not given.
        fixed_size: hashtags of the fixed vocabulary.
        sizes: of the models, "small" or "paper" (`ModelConfig`).
        order: of each user's photos: "time", that of the collection, or "shuffled" with the seed,
            to see what the order is worth.
        every_hashtag: the open vocabulary also has the hashtags without any known word.

    Attributes:
        makers: what made the models and results that were asked for so far, a line each.

    Under `torchrun` all processes make the same study and call the same methods; they train and
    evaluate together, and the first one writes.
    """

    photos: PhotoCollection
    folder: Path
    folds: int = 1
    seed: int = 0
    device: torch.device | str | None = None
    words: Path | str | None = None
    training: TrainConfig | None = None
    fixed_size: int = 1000
    sizes: str = "small"
    order: str = "time"
    every_hashtag: bool = False

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        self.device = choose_device(self.device)
        self.processes = Processes.started(self.device)
        self.training = self.training or TrainConfig.small(self.seed)
        self.words = self.photos.words if self.words is None else self.words
        self.words = None if self.words is None else Path(self.words).resolve()
        one = self.folds == 1
        several = user_folds(self.photos, 5 if one else self.folds, self.seed)
        self.splits = several[:1] if one else several
        self.numbers = range(len(self.splits))
        self._of = len(several)  # the one split is the first of five
        self._latest: tuple[tuple[int, str], Fold] | None = None
        self.makers: dict[str, None] = {}  # in their order
        if self.order not in ORDERS:
            raise InputError(f"order {self.order!r}: choose one of {', '.join(ORDERS)}.")
        shuffle = self.order == "shuffled"
        self.rows_in_order = shuffled(self.photos, self.seed) if shuffle else None

    def __repr__(self) -> str:
        how = f"{len(self.splits)} fold(s), seed {self.seed}, {self.sizes} models, on {self.device}"
        epochs, folder = self.training.epochs, printable(str(self.folder))
        return f"Study of {self.photos}\n  {how}, at most {epochs} epochs; kept in {folder}"

    @cached_property
    def provenance(self) -> dict:
        """What a result depends on, as it is written beside it."""
        return {
            "source": self.photos.meta.get("source"),
            "sha256": self.photos.checksum(),
            "times sha256": self._digest_of_times(),
            "convnet": self.photos.convnet,
            "query_convnet": self.photos.query_convnet,
            "words": self.words and os.fsencode(self.words).decode(errors="backslashreplace"),
            "words sha256": self._digest_of_words(),
            "order": self.order,
            "every_hashtag": self.every_hashtag,
            "seed": self.seed,
            "training": asdict(self.training),
            "fixed_size": self.fixed_size,
            "sizes": self.sizes,
            "hashtag_core": __version__,
        }

    def _digest_of_times(self) -> str:
        """The collection's checksum is of the photos in their order; one row goes by seconds."""
        return hashlib.sha256(seconds(self.photos).tobytes()).hexdigest()

    def _digest_of_words(self) -> str:
        path = vectors_file(self.words)
        with reading(path), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def made_with(self) -> str:
        """What computes here and now, in a line: versions, device, threads."""
        device = self.device.type
        if device == "cuda":
            device = torch.cuda.get_device_name(self.device)
        how = f"torch {torch.__version__}, threads {torch.get_num_threads()}"
        return f"hashtag_core {__version__}, {how}, {device}"

    @cached_property
    def vectors(self) -> KeyedVectors:
        """The word vectors."""
        return load_word_vectors(self.words)

    def fold(self, number: int, setting: str) -> Fold:
        """Fold `number` in one of the settings "open", "fixed" (vocabulary), "transductive"."""
        key = (number, setting)
        if self._latest is None or self._latest[0] != key:  # one at a time: they can be large
            split, order = self.splits[number], self.rows_in_order
            if setting == "open":
                made = make_fold(self.photos, split, self.vectors, order, self.every_hashtag)
            elif setting == "fixed":
                made = make_fixed_fold(self.photos, split, self.fixed_size, order)
            else:
                made = make_transductive_fold(self.photos, split, self.fixed_size, order)
            self._latest = (key, made)
        return self._latest[1]

    def path(self, number: int, setting: str, name: str) -> Path:
        """The folder of one model of one fold."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        variant = variant_of(self.order, self.every_hashtag)
        fold = f"seed{self.seed}-fold{number + 1}of{self._of}{variant}"
        return self.folder / fold / setting / slug

    def _about(self, number: int, setting: str) -> dict:
        """What a model depends on, as run.json says it."""
        return {**self.provenance, "fold": f"{number + 1} of {self._of}", "setting": setting}

    def is_trained(self, number: int, setting: str, name: str) -> bool:
        """Whether `model` has nothing to do: one with these settings is there."""
        made = made_for(self.path(number, setting, name))
        return self._about(number, setting).items() <= made.items()

    def model(self, number: int, setting: str, name: str, parts: dict | None = None):
        """A trained model: read from the study's folder, or trained now and written there.

        A training that was stopped goes on where it was.

        Args:
            number: the fold.
            setting: "open", "fixed" or "transductive".
            name: a key of `MODELS`, or any name where `parts` is given.
            parts: how its ModelConfig differs from the paper's model.
        """
        path = self.path(number, setting, name)
        fold = self.fold(number, setting)
        parts = MODELS[name].parts if parts is None else parts
        sizes = {"small": ModelConfig.small, "paper": ModelConfig.paper}[self.sizes]
        config = sizes(
            self.photos.features.shape[1],
            self.vectors.vector_size,
            d_v=self.photos.to_predict.shape[1],
            num_hashtags=fold.hashtags.num_seen,
            num_users=len(self.photos.users),
            **{"learned_psi": setting != "open"} | parts,
        )
        about = self._about(number, setting)
        kept, _, run = load_run(path) if is_finished(path) else (None, None, {})
        self.processes.wait()  # nobody writes before all have looked
        if kept is not None and kept.config == config and about.items() <= run["data"].items():
            self.makers[run["data"]["made with"]] = None
            return kept.to(self.device)
        self.makers[self.made_with] = None
        torch.manual_seed(self.seed)  # the first weights
        trained, _ = fit(
            HashtagModel(config),
            fold.train,
            fold.valid,
            fold.hashtags,
            self.training,
            folder=path,
            device=self.device,
            provenance={**about, "made with": self.made_with},
            description=f"fold {number + 1}/{len(self.splits)} {setting}: {name}",
        )
        return trained

    def ranker(self, number: int, setting: str, name: str) -> Ranker:
        """The ranker of a row: a baseline without training, or a trained model."""
        fold = self.fold(number, setting)
        if name == "frequency":
            return frequency
        if name == "repeat recent":
            return repeat_recent
        if name == "oracle":
            return oracle(self.photos, fold.hashtags)
        if name in RIVALS or name == IN_SECONDS:
            return rival(name, fold, self.photos)
        if name in PLUS or name == UNGUARDED:
            return self.plus(number, setting, name).ranker(fold.hashtags, self.device)
        return model_ranker(self.model(number, setting, name), fold.hashtags, self.device)

    def plus(self, number: int, setting: str, name: str) -> Plus:
        """A row of `ours+`, trained on top of the paper's model of the fold.

        `ours+` itself lies beside that model, as plus.safetensors; the others are trained anew.
        """
        without, fold = PLUS.get(name, ()), self.fold(number, setting)
        folder = self.path(number, setting, main_row(self.photos))
        model = None if "f" in without else self.model(number, setting, main_row(self.photos))
        kept = None
        if name == "ours+" and model is not None and (folder / FILE).is_file():
            kept, data = load_plus(folder, model, fold.hashtags)
            kept = kept if data == self.provenance else None
        self.processes.wait()  # nobody writes before all have looked
        if kept is not None:
            return kept
        parts = {part.name: part.name not in without for part in fields(Parts)}
        plus = train_plus(model, fold.train, fold.valid, Parts(**parts), seed=self.seed)
        if name == "ours+" and self.processes.rank == 0:
            save_plus(folder, plus, self.provenance)
        return replace(plus, trust=1.0) if name == UNGUARDED else plus

    def kept(
        self, number: int, setting: str, name: str, what: str, compute: Callable, *more
    ) -> list:
        """The rows of a result: from the study's folder, or else computed now and written there.

        Args:
            number: the fold.
            setting: the fold's setting.
            name: the model.
            what: which result, the name of its file.
            compute: (study, number, setting, name, *more) -> list of dicts of numbers and texts.
            more: what else it needs; `what` has to tell one from another.

        Raises:
            InputError: where another run computes the same just now.
        """
        path = self.path(number, setting, name) / f"{what}.json"
        kept = read_json(path, Kept, AGAIN) if path.is_file() else {"data": None}
        self.processes.wait()  # nobody writes before all have looked
        if kept["data"] == self.provenance:
            self.makers.update(dict.fromkeys(kept["made_with"]))
            return [{n: math.nan if x is None else x for n, x in r.items()} for r in kept["rows"]]
        first = self.processes.rank == 0
        others, self.makers = self.makers, {self.made_with: None}
        try:
            with locked(path) if first else nullcontext():
                rows = compute(self, number, setting, name, *more)
                if first:
                    known = [{n: None if x != x else x for n, x in r.items()} for r in rows]
                    made = {"data": self.provenance, "made_with": [*self.makers], "rows": known}
                    write_whole(path, to_json(made, indent=1).encode())
        finally:
            self.makers = others | self.makers
        self.processes.wait()
        return rows

    def evaluate(
        self, number: int, setting: str, ranker: Ranker, candidates: tuple[str, ...] = ("seen",)
    ) -> dict[str, dict[str, float]]:
        """A ranker's metrics on the fold's test photos; see `evaluation.metrics.evaluate`."""
        fold, p = self.fold(number, setting), self.processes
        own = batches(fold.test, 8, rank=p.rank, processes=p.number)
        return evaluate(ranker, own, fold.hashtags, candidates, p)

    def failed(self, number: int, setting: str, name: str) -> bool:
        """Whether a trained row has learned less than which hashtags are frequent.

        Then its A@1 on the validation users is below that of `frequency`. With few training users
        that happens: each of them gives many photos almost the same hashtags, and what holds for
        these users is learned before anything that holds for others.
        """
        log = read_json(self.path(number, setting, name) / "run.json", Run, AGAIN)["log"]
        fold, p = self.fold(number, setting), self.processes
        own = batches(fold.valid, 16, rank=p.rank, processes=p.number)
        rule = evaluate(frequency, own, fold.valid.hashtags, ("seen",), p)["seen"]["A@1"]
        return max(log, key=lambda epoch: epoch["valid R@10"])["valid A@1"] < rule

    def prediction(self, number: int, setting: str, name: str) -> list[dict]:
        """Hashtag prediction by one row: its metrics on the test photos, a dict per candidates.

        A trained row has a number more, "failed": 1 where it `failed`, else 0.
        """
        return self.kept(number, setting, name, "prediction", _predict)


def _predict(study: Study, number: int, setting: str, name: str) -> list[dict]:
    candidates = ("seen", "unseen", "all") if setting == "open" else ("seen",)
    ranker = study.ranker(number, setting, name)
    result = study.evaluate(number, setting, ranker, candidates)
    more = {"failed": float(study.failed(number, setting, name))} if name in MODELS else {}
    return [{"candidates": which, **metrics, **more} for which, metrics in result.items()]
