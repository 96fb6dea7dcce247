"""What img2dataset says of the pictures it fetched: the Parquet file beside each tar, or folder.

It has one row for each photo, with `url`, `key` (the picture's name), `status` and `error_message`,
and the columns that `--save_additional_columns` carried along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hashtag_core.data.parquet import open_parquet, row_bytes
from hashtag_core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 10_000  # at a time
MAX_ROW_BYTES = 20_000  # of what is read of a photo
NEEDED = ("key", "status")
ID_COLUMNS = ("photo_id", "photoid")
MAX_WHY = 60  # characters of an error
NUMBER = re.compile(r"\d{4,}|0x[0-9a-f]+")  # an address or a size, say: it differs in each
NOT_FETCHED = "img2dataset did not fetch the picture ({why}): kept without it"


class Outcome(NamedTuple):
    """What became of a photo's picture."""

    key: str  # the picture's name, without its ending
    names: list[str]  # by which the photo is known: its URL, its id
    why_not: str | None  # where it was not fetched


def outcomes(path: Path) -> Iterator[Outcome]:
    """What became of each photo.

    Raises:
        InputError: where the file is damaged, larger than it should be, or not img2dataset's.
    """
    import pyarrow.types as types

    with open_parquet(path, (*NEEDED, "url", "error_message", *ID_COLUMNS)) as file:
        kinds = {field.name: field.type for field in file.schema_arrow}
        ids = [name for name in ("url", *ID_COLUMNS) if name in kinds]
        columns = [*NEEDED, *ids, *({"error_message"} & kinds.keys())]
        if not ids or not kinds.keys() >= {*NEEDED}:
            what = "`key`, `status`, and `url` or `photo_id`"
            raise InputError(f"{path}: not img2dataset's, which has the columns {what}.")
        for name in columns:
            kind = kinds[name].value_type if types.is_dictionary(kinds[name]) else kinds[name]
            if not (types.is_string(kind) or types.is_integer(kind) or types.is_null(kind)):
                raise InputError(f"{path}: column `{name}` is {kind}; it must be text.")
        try:
            for batch in file.iter_batches(ROWS, columns=columns):
                yield from _rows(path, batch, ids)
        except InputError:
            raise
        except Exception as error:  # pyarrow raises what a damaged page makes it raise
            reason = " ".join(str(error).split())[:100]
            raise InputError(f"{path}: a damaged Parquet file ({reason}).") from None


def _rows(path: Path, batch: pa.RecordBatch, ids: list[str]) -> Iterator[Outcome]:
    if len(batch) and sum(map(row_bytes, batch.columns)).max() > MAX_ROW_BYTES:
        raise InputError(f"{path}: a row of more than {MAX_ROW_BYTES:,} bytes.")
    for row in batch.to_pylist():
        if row["key"] is not None:
            why = None if row["status"] == "success" else _why_not(row)
            names = [str(row[name]) for name in ids if row[name] is not None]
            yield Outcome(str(row["key"]), names, why)


def _why_not(row: dict) -> str:
    """The reason in words that are the same for many: numbers and addresses are left out."""
    said = row.get("error_message") or row["status"] or "no reason"
    return NOT_FETCHED.format(why=NUMBER.sub("…", " ".join(str(said).split()))[:MAX_WHY])
