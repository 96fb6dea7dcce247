"""The command line: `hashtag-core quickstart`, `table 1`, `predict`, `tutorial` and the others."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands import benchmark as benchmark_commands
from hashtag_core.commands import course as course_commands
from hashtag_core.commands import prepare as prepare_commands
from hashtag_core.commands import train as train_command
from hashtag_core.commands.tables import add_commands, write_json
from hashtag_core.errors import InputError
from hashtag_core.prepare.report import printable

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_RUNS = Path("runs/quickstart")
DEFAULT_RUN = DEFAULT_RUNS / "seed0-fold1of5/open/ours-image-hashtag"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    options.line = shlex.join(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):  # hashtags hold what some consoles cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if int(os.environ.get("RANK", 0)):  # torchrun's: the first process speaks for all
        options.json, sys.stdout = None, io.StringIO()
        os.environ["TQDM_DISABLE"] = "1"
    try:
        folder = Path(getattr(options, "json", None) or ".").parent
        if not folder.is_dir():  # better said before the work than after it
            raise InputError(f"--json {options.json}: there is no folder {folder}.")
        return options.command(options) or 0
    except InputError as error:
        shown = "\n".join(map(printable, str(error).split("\n")))  # `tutorial` shows a cell
        print(f"hashtag-core: {shown}", file=sys.stderr)
        return 2
    except PermissionError as error:
        name = printable(str(error.filename or error))
        print(f"hashtag-core: {name}: no permission.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hashtag-core: stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hashtag-core",
        description="User-conditional, open-vocabulary image hashtag prediction.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--device", help="cpu, cuda or mps; the best there is where not given")
    common.add_argument("--json", metavar="FILE", help="also write the result as plain data")

    quick = commands.add_parser(
        "quickstart", parents=[common], help="train on data/open_art, compare, draw"
    )
    quick.add_argument("--data", metavar="DIR", help="a photo collection; default: data/open_art")
    quick.add_argument("--out", metavar="DIR", default=DEFAULT_RUNS, help="default: %(default)s")
    quick.add_argument("--words", metavar="FILE", help="GloVe vectors; default: 6B, 50 dimensions")
    quick.add_argument("--folds", type=int, default=1, help="user folds; default: one split")
    quick.add_argument("--seed", type=int, default=0)
    quick.set_defaults(command=_quickstart)

    prepare_commands.add_commands(commands)
    add_commands(commands, common)
    train_command.add_commands(commands, common)
    course_commands.add_commands(commands)
    benchmark_commands.add_commands(commands, common)

    predict = commands.add_parser("predict", parents=[common], help="hashtags for a picture")
    predict.add_argument("--image", metavar="FILE", required=True, help="the picture")
    predict.add_argument(
        "--history", metavar="TABLE", help="CSV (image, hashtags), or your collection"
    )
    predict.add_argument("--hashtags", metavar="A,B,C", help="choose among these, seen or not")
    predict.add_argument("-k", type=int, default=10, help="how many; default: %(default)s")
    predict.add_argument("--run", metavar="DIR", default=DEFAULT_RUN, help="default: %(default)s")
    predict.set_defaults(command=_predict)
    return parser


def _quickstart(options: argparse.Namespace) -> None:
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.plots.pictures import plot_examples
    from hashtag_core.sources.open_art import open_art_folder
    from hashtag_core.study.figures import MODEL, predictions
    from hashtag_core.study.study import Study
    from hashtag_core.study.tables import METRICS, quickstart

    start = time.perf_counter()
    photos = PhotoCollection.load(options.data or open_art_folder())
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


def _predict(options: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from hashtag_core.data.history_reading import collection_history, read_history
    from hashtag_core.prediction import HashtagPredictor

    if options.k < 1:
        raise InputError(f"-k {options.k}: ask for at least one hashtag.")
    predictor = HashtagPredictor.load(options.run, options.device)
    history = []
    if options.history and Path(options.history).is_dir():
        history = collection_history(options.history, predictor.convnet_name)
    elif options.history:
        history = read_history(options.history)
    feature = predictor.feature(options.image)  # first, so that a bad picture is known at once
    user, without = predictor.new_user(), 0
    for image, hashtags in tqdm(history, desc="history", disable=not history):
        if predictor.represent(hashtags)[0]:
            user = predictor.add_photo(user, image, hashtags)
        else:
            without += 1
    candidates = options.hashtags.split(",") if options.hashtags is not None else None
    best = predictor.predict(feature, user, candidates, options.k)
    if without:
        print(f"{without} photo(s) of the history left out: no hashtag with a word vector.")
    for name, score in best:
        print(f"{score:8.2f}  {name}")
    write_json(options, [{"hashtag": name, "score": score} for name, score in best])


if __name__ == "__main__":
    sys.exit(main())
