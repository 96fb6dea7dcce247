"""The plan of a reproduction: this program's own commands, what each costs, what is missing."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands.options import FIXED, PAPER_FIXED
from hashtag_core.errors import InputError
from hashtag_core.files import write_whole
from hashtag_core.formats import read_json, to_json

if TYPE_CHECKING:
    from hashtag_core.benchmarks.costs import Cost
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.sources.yfcc100m import Yfcc100m
    from hashtag_core.study.reproduction import Model, Size
    from hashtag_core.study.study import Study
    from hashtag_core.training.state import TrainConfig

METADATA = (
    "the metadata of YFCC100M: --metadata FILE …; data/README says where each form is to be had"
)
PICTURES = (
    "their pictures: --images DIR; or --without-pictures, for the rows that need none. "
    "`prepare yfcc100m … --urls FILE` lists those to fetch"
)
ANEW = (
    "--metadata FILE …, too: the photos that are there were selected without pictures, and have to "
    "be selected anew with --images"
)
NONE_FOUND = (
    "their pictures: none was found in {images}. If some came since, delete {photos}: it is made "
    "anew"
)
USERS_PER_BATCH = 16  # with the paper's sizes; its one takes 16 times as many steps
CPU_BATCH = 8  # pictures: as quick as 32 there, with half a gigabyte less
SAMPLE_EPOCHS = 6  # of small models, so that a laptop does all of it
SPEEDS = dict[str, dict[str, float]]  # what was measured -> numbers
PARTS = {"decode", "look"}  # of what a picture takes


@dataclass(frozen=True)
class Step:
    """One of the commands.

    Attributes:
        what: it does, in words.
        arguments: of this program.
        cost: of what is left to do.
        is_done: whether it would do all of it anew.
    """

    what: str
    arguments: list[str]
    cost: Cost
    is_done: bool = False


class Plan:
    """What is to be done.

    Args:
        options: of `hashtag-core reproduce`.

    Raises:
        InputError: where they do not go together.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        if not 0 < options.sample <= 1:
            raise InputError(f"--sample {options.sample:g}: a share above 0; 1 for all users.")
        if options.images is not None and options.without_pictures:
            raise InputError("--images and --without-pictures: one of the two.")
        for name, least in (("epochs", 1), ("users_per_batch", 1), ("workers", 0), ("seed", 0)):
            value = getattr(options, name)
            if value is not None and value < least:
                raise InputError(f"--{name.replace('_', '-')} {value}: at least {least}.")
        self.options, self.out = options, Path(options.out)
        self.collection, self.tables = self.out / "collection", self.out / "tables"
        is_sample = options.sample < 1
        self.sizes = "small" if is_sample else "paper"
        self.epochs = options.epochs or (SAMPLE_EPOCHS if is_sample else 20)
        self.users_per_batch = options.users_per_batch or (4 if is_sample else USERS_PER_BATCH)
        if options.convnet is not None:
            from hashtag_core.model.convnet import check_convnet

            check_convnet(options.convnet)

    @cached_property
    def convnet(self) -> str | None:
        """Whose features: the one that was named, or else the one whose features are there."""
        if self.options.without_pictures:
            return None
        there = None if self.photos is None else self.photos.convnet
        default = "efficientnet_lite0" if self.options.sample < 1 else "resnet50"
        return self.options.convnet or there or default

    @cached_property
    def source(self) -> Yfcc100m:
        """The metadata, as the first step reads them."""
        from hashtag_core.sources.yfcc100m import Yfcc100m

        options = self.options
        drawn = (float(f"{options.sample:g}"), options.seed) if options.sample < 1 else (1.0, 0)
        return Yfcc100m(options.metadata, options.words, options.images is not None, *drawn)

    @cached_property
    def photos(self) -> PhotoCollection | None:
        """The collection, where it is there; where metadata are given, made of them."""
        from hashtag_core.data.meta import said_by
        from hashtag_core.data.photos import PhotoCollection
        from hashtag_core.prepare.ingest import digest_of
        from hashtag_core.prepare.selection import Selection

        if not (self.collection / "photos.parquet").is_file():
            return None
        if self.options.metadata:
            images = self.options.images
            root = None if images is None else str(Path(images).resolve())
            made_of = said_by(self.collection).get("job")
            if made_of != digest_of(self.source, Selection.paper(), root):
                return None
        photos = PhotoCollection.load(self.collection)
        if self.options.without_pictures and photos.has_pictures:
            raise InputError(
                f"{self.collection} has pictures. Name another --out for what is "
                "--without-pictures, with its --metadata."
            )
        return photos

    @cached_property
    def training(self) -> TrainConfig:
        """How the models are trained."""
        from hashtag_core.training.state import TrainConfig

        usual = TrainConfig.paper() if self.sizes == "paper" else TrainConfig.small()
        how = {"epochs": self.epochs, "users_per_batch": self.users_per_batch}
        return replace(usual, seed=self.options.seed, **how)

    @cached_property
    def study(self) -> Study | None:
        """What the tables are made by, where the collection is there."""
        from hashtag_core.study.study import Study

        if self.photos is None:
            return None
        options, fixed = self.options, PAPER_FIXED if self.sizes == "paper" else FIXED
        return Study(
            self.photos, self.tables, 1, options.seed, options.device, options.words,
            self.training, fixed, self.sizes,
        )  # fmt: skip

    @cached_property
    def size(self) -> Size:
        """The collection's, or as long as it is not there the paper's."""
        from hashtag_core.study.reproduction import Size

        return Size.paper(self.options.sample) if self.photos is None else Size.of(self.photos)

    def missing(self) -> list[str]:
        """What has to be there before anything can be done, a line each."""
        options, lines = self.options, []
        if self.photos is None:
            lines += [] if options.metadata else [METADATA]
            lines += [] if options.images or options.without_pictures else [PICTURES]
            if options.images and not Path(options.images).is_dir():
                lines.append(f"the folder of pictures, {options.images}")
        elif self.convnet is not None and not self.photos.has_pictures:
            if self.photos.meta.get("counts", {}).get("pictures"):
                return lines  # found, and looked at in the next step
            if not options.images:
                lines.append(PICTURES)
            elif not options.metadata:
                lines.append(ANEW)
            else:
                lines.append(NONE_FOUND.format(images=options.images, photos=self.collection))
        return lines

    def steps(self) -> Iterator[Step]:
        """All of them, in their order. What a step costs is measured when it is asked for."""
        if self.options.metadata:
            yield self._prepare()
        if self.convnet is not None:
            yield self._features(self.convnet)
        yield Step("what is in the data", self._of_study("table", "data"), self._nothing())
        yield from self._trainings()

    def _prepare(self) -> Step:
        from hashtag_core.benchmarks.costs import reading
        from hashtag_core.prepare.places import workplace_of

        options, files = self.options, list(self.options.metadata)
        arguments = ["prepare", "yfcc100m", *files, "--out", str(self.collection), "--no-features"]
        arguments += ["--images", options.images] if options.images else []
        arguments += ["--words", options.words] if options.words else []
        if options.sample < 1:
            arguments += ["--sample", f"{options.sample:g}", "--seed", str(options.seed)]
        cost = self._nothing()
        if self.photos is None:
            cost = reading(self.source)
        was_killed = workplace_of(self.collection).exists()  # and has to tidy up
        is_done = self.photos is not None and not was_killed
        return Step("select the photos", arguments, cost, is_done)

    def _features(self, name: str) -> Step:
        from hashtag_core.benchmarks import costs

        arguments = ["prepare", "features", str(self.collection), "--convnet", name]
        cost = self._nothing()
        is_done = self.photos is not None and self.photos.convnet == name
        if not is_done:
            numbers = self._measured(f"a picture, {name}", PARTS, self._picture_seconds)
            photos, workers = self.size.photos, self.options.workers
            decode, look = numbers["decode"], numbers["look"]
            seconds = max(look, decode / workers) if workers else look + decode
            fetched = 0 if self.options.images else photos * costs.PICTURE_BYTES
            cost = costs.Cost(photos * seconds, photos * 2048 * 2 + fetched, 1e9)
        arguments += ["--workers", str(self.options.workers)]
        arguments += ["--batch-size", str(CPU_BATCH)] if self.device == "cpu" else []
        what = f"features of the pictures, by {name}"
        return Step(what, arguments + self._device(), cost, is_done)

    def _trainings(self) -> Iterator[Step]:
        """Tables 1 to 5 and Figure 3; a model of several tables counts where it comes first."""
        from hashtag_core.study.reproduction import FIGURE_3, TABLES, trained_rows

        known: set[Model] = set()
        for name in TABLES:
            rows = trained_rows(name, self.convnet is not None)
            if rows:
                new = [row for row in rows if row not in known]
                yield self._training(f"Table {name}", new, ["table", name])
            known.update(rows)
        main = "ours (hashtag)" if self.convnet is None else "ours (image+hashtag)"
        users = [("open", f"{main}, d_u = {d_u}") for d_u in FIGURE_3[self.sizes]]
        yield self._training("Figure 3", users, ["figure", "3"])

    def _training(self, what: str, models: list[Model], names: list[str]) -> Step:
        from hashtag_core.benchmarks.costs import TrainingSpeed

        left, study = len(models), self.study
        if study is not None:
            left = sum(not study.is_trained(0, *model) for model in models)
        more = f", {left} of {len(models)} models to train" if models else ", models of those above"
        cost = self._nothing()
        if left:
            parts = {field.name for field in fields(TrainingSpeed)}
            numbers = self._measured("training", parts, self._training_speed)
            cost = TrainingSpeed(**numbers).of(self.size, self.epochs, left)
        return Step(what + more, self._of_study(*names), cost)

    def _of_study(self, *names: str) -> list[str]:
        arguments = [*names, "--data", str(self.collection), "--out", str(self.tables)]
        arguments += ["--paper"] if self.sizes == "paper" else []
        arguments += ["--seed", str(self.options.seed), "--epochs", str(self.epochs)]
        arguments += ["--users-per-batch", str(self.users_per_batch)]
        arguments += ["--words", self.options.words] if self.options.words else []
        return arguments + self._device()

    def _device(self) -> list[str]:
        return ["--device", self.options.device] if self.options.device else []

    def _nothing(self) -> Cost:
        from hashtag_core.benchmarks.costs import Cost

        return Cost(0.0, 0.0, 0.0)

    def _training_speed(self) -> dict[str, float]:
        from hashtag_core.benchmarks.costs import training_speed

        d_i = 1280 if self.convnet == "efficientnet_lite0" else 2048
        return asdict(training_speed(self.device, self.size, self.sizes, d_i))

    def _picture_seconds(self) -> dict[str, float]:
        from hashtag_core.benchmarks.costs import features

        return features(self.device, self.convnet or "")

    @cached_property
    def device(self) -> str:
        """Where the models compute: "cpu" or "cuda"."""
        from hashtag_core.devices import choose_device

        return choose_device(self.options.device).type

    def _measured(
        self, what: str, names: set[str], measure: Callable[[], dict[str, float]]
    ) -> dict[str, float]:
        """Speeds of this machine, measured once and kept in speeds.json beside the results."""
        import torch

        path = self.out / "speeds.json"
        kept = read_json(path, SPEEDS, "Delete it: it is measured again.") if path.is_file() else {}
        how = f"torch {torch.__version__}, {torch.get_num_threads()} threads, {self.device}"
        key = f"{what}; {self.sizes}, {self.size.hashtags:,.0f} hashtags; {how}"
        if key not in kept or kept[key].keys() != names:
            kept[key] = measure()
            write_whole(path, to_json(kept, indent=1).encode())
        return kept[key]
