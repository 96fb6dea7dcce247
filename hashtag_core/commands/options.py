"""Options that several commands share, and the study that they describe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands.paths import Read, WrittenFolder, check_paths
from hashtag_core.errors import InputError
from hashtag_core.files import refuse_others
from hashtag_core.printing import say

if TYPE_CHECKING:
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.study.study import Study


FIXED, PAPER_FIXED = 1000, 18_583  # hashtags of the fixed vocabulary; the paper's, Table 5


def data_options(out: str | None, shown: str) -> argparse.ArgumentParser:
    """Which photos, which split, and where results go; `shown` is the default in words."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data", metavar="DIR", type=Read, help="a photo collection; default: data/open_art"
    )
    shared.add_argument(
        "--out", metavar="DIR", type=WrittenFolder, default=out, help=f"default: {shown}"
    )
    shared.add_argument("--folds", type=int, default=1, help="user folds; default: one split")
    shared.add_argument("--seed", type=int, default=0)
    shared.add_argument(
        "--words", metavar="FILE", type=Read, help="GloVe vectors; default: 6B, 50 dimensions"
    )
    return shared


def study_options() -> argparse.ArgumentParser:
    """Options of a study, for commands that read them with `open_study`."""
    shared = data_options(None, "runs/tables/NAME OF DATA")
    shared.add_argument("--models", metavar="A,B,…", help="only these rows, named as in the table")
    shared.add_argument("--epochs", type=int, help="default: 20")
    shared.add_argument("--users-per-batch", type=int, help="default: 4")
    shared.add_argument("--paper", action="store_true", help="the paper's sizes and training (§4)")
    shared.add_argument(
        "--fixed",
        type=int,
        metavar="N",
        help=f"hashtags of the fixed vocabulary; default: {FIXED:,}, with --paper {PAPER_FIXED:,}",
    )
    shared.add_argument(
        "--order",
        choices=("time", "shuffled"),
        default="time",
        help="of each user's photos; shuffled: what is the order worth?",
    )
    shared.add_argument(
        "--every-hashtag",
        action="store_true",
        help="also those without any known word, which the paper leaves out",
    )
    return shared


def open_study(options: argparse.Namespace) -> Study:
    """The study that the options of `study_options` describe; says if it has no pictures."""
    from hashtag_core.study.rows import notice
    from hashtag_core.study.study import Study
    from hashtag_core.training.state import TrainConfig

    least = {"epochs": 1, "users_per_batch": 1, "fixed": 1, "history": 1, "seed": 0}
    for name, bound in least.items():
        value = getattr(options, name, None)
        if value is not None and value < bound:
            raise InputError(f"--{name.replace('_', '-')} {value}: at least {bound}.")
    if options.fixed is None:
        options.fixed = PAPER_FIXED if options.paper else FIXED
    photos = open_photos(options)
    given = {"seed": options.seed, "epochs": options.epochs}
    given |= {"users_per_batch": options.users_per_batch}
    training = TrainConfig.paper() if options.paper else TrainConfig.small()
    training = replace(training, **{name: x for name, x in given.items() if x is not None})
    study = Study(
        photos, Path(options.out), options.folds, options.seed, options.device, options.words,
        training, options.fixed, "paper" if options.paper else "small", options.order,
        options.every_hashtag,
    )  # fmt: skip
    if said := notice(study.photos):
        say(said)
    return study


def tell_fixed(study: Study) -> None:
    """Say it where the training users have fewer hashtags than the fixed vocabulary is to have."""
    from hashtag_core.data.hashtags import build_fixed_hashtags

    wanted, in_training = study.fixed_size, study.photos.of_users(study.splits[0].train)
    if (there := len(build_fixed_hashtags(study.photos, in_training, wanted))) < wanted:
        say(
            f"Fixed vocabulary: all {there:,} hashtags that the training users have (in the first "
            f"fold), not {wanted:,}."
        )


def open_photos(options: argparse.Namespace) -> PhotoCollection:
    """The photos that --data names, and where results of them go if --out does not say so."""
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.repository import repository_folder

    photos = PhotoCollection.load(options.data or repository_folder("data/open_art"))
    options.out = WrittenFolder(options.out or Path("runs/tables") / photos.folder.name)
    check_paths({"out": options.out, "data": Read(photos.folder)})  # now both are known
    return photos


def result_path(study: Study, name: str) -> Path:
    """Where a figure NAME.png goes, and NAME.csv beside it; "-shuffled" and the like at its end.

    Raises:
        InputError: where a file lies there that is not of this program.
    """
    from hashtag_core.study.study import variant_of

    path = study.folder / f"{name}{variant_of(study.order, study.every_hashtag)}.png"
    refuse_others(path, "figure")
    refuse_others(path.with_suffix(".csv"), "csv")
    return path


def chosen_models(options: argparse.Namespace) -> list[str] | None:
    """The rows that --models names, None for all."""
    return None if options.models is None else [m.strip() for m in options.models.split(",")]


def whole_numbers(text: str, option: str, least: int) -> list[int]:
    """The numbers that an option names, separated by commas, each at least `least`."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: whole numbers, separated by commas.") from None
    if min(numbers) < least:
        raise InputError(f"{option} {text}: at least {least}.")
    return list(dict.fromkeys(numbers))
