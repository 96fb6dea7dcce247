"""`hashtag-core quickstart`: train on data/open_art, compare, draw."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands.output import write_json
from hashtag_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_RUNS = Path("runs/quickstart")
DEFAULT_RUN = DEFAULT_RUNS / "seed0-fold1of5/open/ours-image-hashtag"


def _quickstart(options: argparse.Namespace) -> None:
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.plots.pictures import plot_examples
    from hashtag_core.repository import repository_folder
    from hashtag_core.study.figures import MODEL, predictions
    from hashtag_core.study.study import Study
    from hashtag_core.study.tables import METRICS, quickstart

    start = time.perf_counter()
    photos = PhotoCollection.load(options.data or repository_folder("data/open_art"))
    print(f"{len(photos):,} photos of {len(photos.users)} users from {photos.folder.name}.")
    study = Study(photos, options.out, options.folds, options.seed, options.device, options.words)
    table = quickstart(study)
    write_json(options, json.loads(table.to_json(orient="records")))  # NaN becomes null
    print(f"\nTest users, in per cent{' (mean ± std over folds)' if options.folds > 1 else ''}:\n")
    print(_as_text(table, METRICS))
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


def _as_text(table: pd.DataFrame, metrics: tuple[str, ...]) -> str:
    """The table of `quickstart` to read, a block for each set of candidates."""
    with_std = f"{metrics[0]} std" in table
    width = 14 if with_std else 8
    lines = []
    for which, block in table.groupby("candidates", sort=False):
        rows = block.to_dict("records")
        if rows[0]["left_out"]:
            lines.append(f"({rows[0]['left_out']:,} photos without any {which} hashtag left out)")
        head = f"{which} hashtags, {rows[0]['photos']:,} photos"
        lines.append(f"{head:34s}" + "".join(f"{metric:>{width}s}" for metric in metrics))
        for row in rows:
            cells = (
                f"{row[m]:.1f} ± {row[f'{m} std']:.1f}" if with_std else f"{row[m]:.1f}"
                for m in metrics
            )
            lines.append(f"  {row['model']:32s}" + "".join(f"{cell:>{width}s}" for cell in cells))
        lines.append("")
    return "\n".join(lines)
