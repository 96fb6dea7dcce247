"""`hashtag-core quickstart`: train on data/open_art, compare, draw."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from hashtag_core.commands.options import data_options
from hashtag_core.commands.output import as_text, write_json
from hashtag_core.errors import InputError

DEFAULT_RUNS = Path("runs/quickstart")
DEFAULT_RUN = DEFAULT_RUNS / "seed0-fold1of5/open/ours-image-hashtag"


def add_command(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line."""
    commands.add_parser(
        "quickstart",
        parents=[common, data_options(DEFAULT_RUNS, "%(default)s")],
        help="train on data/open_art, compare, draw",
    ).set_defaults(command=_quickstart)


def _quickstart(options: argparse.Namespace) -> None:
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.plots.pictures import plot_examples
    from hashtag_core.repository import repository_folder
    from hashtag_core.study.figures import MODEL, predictions
    from hashtag_core.study.study import Study
    from hashtag_core.study.tables import quickstart

    start = time.perf_counter()
    photos = PhotoCollection.load(options.data or repository_folder("data/open_art"))
    print(f"{len(photos):,} photos of {len(photos.users)} users from {photos.folder.name}.")
    study = Study(photos, options.out, options.folds, options.seed, options.device, options.words)
    table = quickstart(study)
    write_json(options, json.loads(table.to_json(orient="records")))  # NaN becomes null
    print(f"\nTest users, in per cent{' (mean ± std over folds)' if options.folds > 1 else ''}:\n")
    for which, block in table.groupby("candidates", sort=False):
        if left_out := block["left_out"].iloc[0]:
            print(f"({left_out:,} photos without any {which} hashtag left out)")
        print(f"{which} hashtags:\n{as_text(block.drop(columns='candidates'))}\n")
    hashtags = study.fold(0, "open").hashtags
    print(
        f"{len(hashtags):,} hashtags, {hashtags.num_seen:,} of them seen; "
        f"{hashtags.left_out['no word vector']:,} have no word vector and are left out."
    )
    best = table[table["candidates"] == "seen"].set_index("model")["A@1"]
    print(
        f"The user's history is worth {best['ours (image+hashtag)']:.1f} against "
        f"{best['user agnostic']:.1f} (A@1, seen).\nRepeating the user's recent hashtags without "
        f"looking at the picture reaches {best['repeat recent']:.1f}:\npeople post in series. "
        "The paper has no such row; it is the line to beat.\n"
    )
    try:
        figure = Path(options.out) / "examples.png"
        plot_examples(predictions(study), figure)
    except InputError as error:  # a collection may come without pictures
        figure = f"none ({error})"
    run = study.path(0, "open", MODEL)
    print(f"Figure:      {figure}")
    print(f"Checkpoint:  {run}")
    print(f"Time:        {time.perf_counter() - start:.0f} s")
    print(f"Next:        hashtag-core predict --image YOUR.jpg --run {run}")
