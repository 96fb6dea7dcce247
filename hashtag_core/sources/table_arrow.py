"""The rows of an Arrow file or stream (Feather, a data set of Hugging Face), batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hashtag_core.data.arrow import FILE, STREAM, checked, open_arrow
from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import BOMB, most_unpacked
from hashtag_core.sources.table_batches import cells_of
from hashtag_core.sources.table_csv import Found

ROWS_AT_A_TIME = 2**18  # that are measured together: a dictionary is, each time
NO_END = "there is no end mark behind row {number:,}: it may have been cut off there"


def is_arrow(start: bytes) -> bool:
    """Whether a file that begins like this is of this kind."""
    return start.startswith((STREAM, FILE))


def arrow_names(path: Path) -> list[str]:
    """The columns' names; raises InputError where they cannot be read."""
    try:
        with path.open("rb") as file:
            return open_arrow(file)[0].schema.names
    except Exception as error:  # of many kinds
        raise InputError(f"{path}: a damaged Arrow file ({_short(error)}).") from None


def arrow_rows(
    path: Path, columns: list[str] | None = None, picture: str | None = None
) -> Iterator[Found | str]:
    """The rows of a file, as `Opened.rows`.

    Args:
        path: of the file.
        columns: those that are read; all of them where not given.
        picture: the one of them that holds pictures.
    """
    size, number, unpacked = path.stat().st_size, 0, 0
    try:
        with path.open("rb") as file:
            reader, messages = open_arrow(file, columns)
            for batch in reader:
                rows = checked(batch)
                for start in range(0, len(rows), ROWS_AT_A_TIME):
                    some = rows.slice(start, ROWS_AT_A_TIME)
                    for bytes_of_row, cells, why in cells_of(some, picture):
                        number += 1
                        unpacked += bytes_of_row
                        yield file.tell(), number, cells, why
                    if unpacked > most_unpacked(size):
                        yield BOMB.format(line=number)
                        return
            if not messages.is_whole:
                yield NO_END.format(number=number)
    except GeneratorExit:
        raise
    except Exception as error:  # of many kinds
        yield f"damaged after row {number:,}: {_short(error)}"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:150]
