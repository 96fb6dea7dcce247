"""`hashtag-core results`: every table and figure of numbers, with one version on one machine."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands import tables
from hashtag_core.commands.options import open_photos, study_options
from hashtag_core.errors import InputError
from hashtag_core.printing import say

if TYPE_CHECKING:
    import pandas as pd

NAMES = (
    *(("table", name) for name in tables.TABLES),
    ("figure", "3"),
    ("figure", "history"),
    ("figure", "reliability"),
)
ABOUT = (
    "Make every table and figure of numbers, each as its own command does, and say how it differs "
    "from the one in data/results. Stopped, it goes on where it was."
)


def add_command(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line."""
    results = commands.add_parser(
        "results",
        parents=[common, study_options()],
        help="every table and figure of numbers, against the committed ones",
        description=ABOUT,
    )
    results.set_defaults(command=_results, history=20, lengths=tables.LENGTHS, sizes=None)


def _results(options: argparse.Namespace) -> None:
    if options.models is not None or options.json is not None:
        raise InputError("--models and --json are for one table: `hashtag-core table`.")
    from hashtag_core.study.study import variant_of

    start, differences = time.perf_counter(), []
    variant = variant_of(options.order, options.every_hashtag)
    photos = open_photos(options)
    arguments = shlex.split(options.line)[1:]
    for kind, name in NAMES:
        own = argparse.Namespace(**vars(options))
        own.name, own.line = name, shlex.join([kind, name, *arguments])
        say("", f"hashtag-core {own.line}")
        try:
            table = (tables.make_table if kind == "table" else tables.make_figure)(own)
        except InputError as error:
            if photos.has_pictures:
                raise
            say(f"Left out: {error}")  # a table about pictures alone
            continue
        file = f"{photos.folder.name}-{kind}-{name}{variant}"
        differences.append(f"{file}: {_difference(table, file)}")
    say("", "Against data/results:", *differences)
    say("", f"Written: {Path(options.out)}", f"Time:    {time.perf_counter() - start:.0f} s")


def _difference(table: pd.DataFrame, file: str) -> str:
    """How far a table is from the committed one."""
    from hashtag_core.repository import committed

    try:
        old = committed(file)
    except InputError:
        return "there is none"
    if table.columns.tolist() != old.columns.tolist() or len(table) != len(old):
        return "other rows or columns"
    numbers = old.select_dtypes("number").columns
    texts = [column for column in old if column not in numbers]
    if not table[texts].fillna("").astype(str).equals(old[texts].fillna("").astype(str)):
        return "other rows"
    apart = (table[numbers].round(4) - old[numbers]).abs().max()  # NaN where both are
    apart = apart[(apart > 0) & ~apart.index.str.startswith("ms ")]  # times are never the same
    return "the same" if apart.empty else "; ".join(f"{m} by up to {x:g}" for m, x in apart.items())
