r"""The one place that prints: lines, progress bars, and text in the cells of CSV files.

Hashtags, names of users and files, and what meta.json says come from outside. As they are, they
could clear the terminal (`\x1b[2J`), write over a line (`\r`, backspaces), turn its direction
(`\u202e`), or forge one with a newline. So whatever the library prints goes through `say` or
`progress_bar`; tests/test_printing.py refuses any other `print` and `tqdm` in its source.

A filter around `sys.stdout` would see characters only: it cannot tell our own newlines, and the
returns and cursor codes of a progress bar, from those of a hashtag; nor does it guard programs
and notebooks, which do not go through `cli.main`. Here each argument of `say` is one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, TextIO

from hashtag_core.errors import printable

# What a spreadsheet takes for a formula gets a ' in front; so does what begins with ' and then
# such a character, so that taking one away gives exactly the text. For Python's `re` and DuckDB.
FORMULA, AS_TEXT = r"^('*[=+\-@\t\r\n])", r"'\1"


def say(*lines: object, file: TextIO | None = None, flush: bool = False) -> None:
    """Print each argument as one line, whatever it holds, above the progress bars.

    Args:
        lines: what to print; "" is an empty line.
        file: where; `sys.stdout` where not given.
        flush: let it be seen now, also in a file or a pipe.
    """
    with _bars().external_write_mode(file):
        print(*(printable(str(line)) for line in lines), sep="\n", file=file, flush=flush)


def progress_bar(items: Iterable | None = None, desc: str = "", **options: Any) -> Any:
    """A progress bar of tqdm, which takes the other options; its words are made printable."""
    return _bars()(items, desc=desc, **options)


@cache
def _bars() -> Any:
    """The class of the bars: tqdm's for a terminal or a notebook."""
    from tqdm.auto import tqdm  # here: it reads TQDM_DISABLE when it is imported

    class Bar(tqdm):
        @property
        def format_dict(self) -> dict:
            shown = super().format_dict
            words = {name: shown[name] for name in ("prefix", "unit", "postfix")}
            return {**shown, **{name: text and printable(text) for name, text in words.items()}}

    return Bar
