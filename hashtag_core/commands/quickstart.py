"""`hashtag-core quickstart`: train on data/open_art, compare, draw."""

from __future__ import annotations

import argparse
import json
import time

from hashtag_core.commands.options import data_options, open_photos, result_path
from hashtag_core.commands.output import as_lines, tell_failed, write_json
from hashtag_core.errors import InputError
from hashtag_core.printing import say

DEFAULT_RUNS = "runs/quickstart"
DEFAULT_RUN = f"{DEFAULT_RUNS}/seed0-fold1of5/open/ours-image-hashtag"


def add_command(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line."""
    commands.add_parser(
        "quickstart",
        parents=[common, data_options(DEFAULT_RUNS, "%(default)s")],
        help="train on data/open_art, compare, draw",
    ).set_defaults(command=_quickstart)


def _quickstart(options: argparse.Namespace) -> None:
    from hashtag_core.plots.pictures import plot_examples
    from hashtag_core.study.figures import MODEL, predictions
    from hashtag_core.study.study import Study
    from hashtag_core.study.tables import quickstart

    start = time.perf_counter()
    photos = open_photos(options)
    say(f"{len(photos):,} photos of {len(photos.users)} users from {photos.folder.name}.")
    study = Study(photos, options.out, options.folds, options.seed, options.device, options.words)
    figure = result_path(study, "examples")
    table = quickstart(study)
    write_json(options, json.loads(table.to_json(orient="records")))  # NaN becomes null
    try:
        plot_examples(predictions(study), figure)
    except InputError as error:  # a collection may come without pictures
        figure = f"none ({error})"
    spread = " (mean ± std over folds)" if options.folds > 1 else ""
    say("", f"Test users, in per cent{spread}:", "")
    for which, block in table.groupby("candidates", sort=False):
        if left_out := block["left_out"].iloc[0]:
            say(f"({left_out:,} photos without any {which} hashtag left out)")
        say(f"{which} hashtags:", *as_lines(block.drop(columns="candidates")), "")
    tell_failed(table)
    hashtags = study.fold(0, "open").hashtags
    say(
        f"{len(hashtags):,} hashtags, {hashtags.num_seen:,} of them seen; their words: "
        + ", ".join(f"{n:,} {kind}" for kind, n in hashtags.made_of.items())
        + f". {hashtags.left_out['no word vector']:,} have no word vector and are left out."
    )
    best = table[table["candidates"] == "seen"].set_index("model")["A@1"]
    say(
        f"The user's history is worth {best['ours (image+hashtag)']:.1f} against "
        f"{best['user agnostic']:.1f} (A@1, seen).",
        "Repeating the user's recent hashtags without "
        f"looking at the picture reaches {best['repeat recent']:.1f}:",
        "people post in series. The paper has no such row; it is the line to beat. "
        f"ours+ knows what that rule knows, and looks at the picture: {best['ours+']:.1f}.",
        "",
    )
    run = study.path(0, "open", MODEL)
    say(f"Figure:      {figure}")
    say(f"Checkpoint:  {run}")
    say(f"Time:        {time.perf_counter() - start:.0f} s")
    say(f"Next:        hashtag-core predict --image YOUR.jpg --run {run}")
    say("             (by ours+; with --paper by the paper's model alone)")
