"""The command line: `hashtag-core quickstart`, `table 1`, `predict`, `tutorial` and the others."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands import benchmark as benchmark_commands
from hashtag_core.commands import course as course_commands
from hashtag_core.commands import prepare as prepare_commands
from hashtag_core.commands import train as train_command
from hashtag_core.commands.predict import _predict
from hashtag_core.commands.quickstart import DEFAULT_RUN, DEFAULT_RUNS, _quickstart
from hashtag_core.commands.tables import add_commands
from hashtag_core.errors import InputError, printable

if TYPE_CHECKING:
    pass


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


if __name__ == "__main__":
    sys.exit(main())
