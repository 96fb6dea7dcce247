"""The command line: `hashtag-core quickstart`, `table 1`, `predict`, `tutorial` and the others."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import signal
import sys
from typing import NoReturn

from hashtag_core import __version__
from hashtag_core.commands import (
    benchmark,
    course,
    predict,
    prepare,
    quickstart,
    reproduce,
    results,
    tables,
    train,
)
from hashtag_core.commands.paths import Written, check_paths
from hashtag_core.errors import InputError, printable
from hashtag_core.printing import say
from hashtag_core.stopping import NOBODY_READS, Stop, end_at_once, flush_output

STOPPED, AGAIN = "stopped.", " Start the same command again: it goes on from here."
GO_ON = (
    "quickstart",
    "prepare",
    "table",
    "figure",
    "results",
    "train",
    "reproduce",
)  # so do these when stopped


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: of the command line. None for those of this process, which then is the program:
            it hears ctrl-C and SIGTERM.

    Returns:
        The exit code: 0, 2 for bad input, 130 and 143 when stopped by ctrl-C and SIGTERM, 141
        where nobody reads what is printed.
    """
    stop = Stop()
    if arguments is not None:
        return _answer(arguments, stop)
    stop.listen()
    try:
        return _answer(sys.argv[1:], stop)
    finally:
        end_at_once()
        flush_output()


def _answer(arguments: list[str], stop: Stop) -> int:
    """Run one command, and tell in one line what went wrong; returns the exit code."""
    try:
        options = _parser().parse_args(arguments or ["--help"])
        options.line = shlex.join(arguments)
        for stream in (sys.stdout, sys.stderr):  # hashtags hold what some consoles cannot show
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        if int(os.environ.get("RANK", 0)):  # torchrun's: the first process speaks for all
            options.json, sys.stdout = None, io.StringIO()
            os.environ["TQDM_DISABLE"] = "1"
        check_paths(vars(options))  # better said before the work than after it
        code = options.command(options) or 0
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk is told now
        return code
    except (Exception, KeyboardInterrupt) as error:
        code, message = _explain(error, stop, goes_on={*arguments[:1]} <= {*GO_ON})
    if message:
        say(*f"hashtag-core: {message}".split("\n"), file=sys.stderr)
    return code


def _explain(error: BaseException, stop: Stop, goes_on: bool) -> tuple[int, str]:
    """The exit code and the message of what ended a command; a fault of ours is raised again.

    `goes_on` says whether the command, started again, goes on from where it was.
    """
    if stop.signal or isinstance(error, KeyboardInterrupt):  # which many libraries turn into theirs
        return 128 + (stop.signal or signal.SIGINT), STOPPED + (AGAIN if goes_on else "")
    if isinstance(error, InputError):
        return 2, str(error)  # of several lines where `tutorial` shows a cell
    if isinstance(error, BrokenPipeError):
        return NOBODY_READS, ""
    if isinstance(error, OSError):  # no permission, a full disk, a folder that vanished
        reason = "no permission" if isinstance(error, PermissionError) else error.strerror or error
        return 2, printable(f"{error.filename}: {reason}." if error.filename else f"{reason}.")
    raise error


class Parser(argparse.ArgumentParser):
    """argparse's; the arguments that it complains of are printable."""

    def error(self, message: str) -> NoReturn:
        """Print the message after the usage, or where something is missing after the whole help."""
        if "arguments are required" not in message:
            super().error(printable(message))
        self.print_help(sys.stderr)
        self.exit(2, f"\n{self.prog}: error: {printable(message)}\n")


def _parser() -> Parser:
    parser = Parser(
        prog="hashtag-core",
        description="User-conditional, open-vocabulary image hashtag prediction.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--device", help="cpu, cuda or mps; the best there is where not given")
    common.add_argument(
        "--json", metavar="FILE", type=Written, help="also write the result as plain data"
    )

    quickstart.add_command(commands, common)
    prepare.add_commands(commands)
    tables.add_commands(commands, common)
    results.add_command(commands, common)
    train.add_command(commands, common)
    predict.add_command(commands, common)
    course.add_commands(commands)
    benchmark.add_command(commands, common)
    reproduce.add_command(commands, _run)
    return parser


def _run(arguments: list[str]) -> None:
    """A command as a step of another one; what it raises is told by that."""
    options = _parser().parse_args(arguments)
    options.line = shlex.join(arguments)
    check_paths(vars(options))
    options.command(options)


if __name__ == "__main__":
    sys.exit(main())
