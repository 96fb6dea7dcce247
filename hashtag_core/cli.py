"""The command line: `hashtag-core quickstart`, `table 1`, `predict`, `tutorial` and the others."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from pathlib import Path

from hashtag_core.commands import benchmark, course, predict, prepare, quickstart, tables, train
from hashtag_core.errors import InputError, printable


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
    except InputError as error:  # of several lines where `tutorial` shows a cell
        code, message = 2, "\n".join(map(printable, str(error).split("\n")))
    except PermissionError as error:
        code, message = 2, printable(str(error.filename or error)) + ": no permission."
    except KeyboardInterrupt:
        code, message = 130, "stopped."
    print(f"hashtag-core: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hashtag-core",
        description="User-conditional, open-vocabulary image hashtag prediction.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--device", help="cpu, cuda or mps; the best there is where not given")
    common.add_argument("--json", metavar="FILE", help="also write the result as plain data")

    quickstart.add_command(commands, common)
    prepare.add_commands(commands)
    tables.add_commands(commands, common)
    train.add_command(commands, common)
    predict.add_command(commands, common)
    course.add_commands(commands)
    benchmark.add_command(commands, common)
    return parser


if __name__ == "__main__":
    sys.exit(main())
