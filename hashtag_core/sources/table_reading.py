"""A table's rows, one after the other: CSV and its relatives, JSON lines, JSON, GeoJSON, Parquet.

Nothing here stops at a bad row: it comes out as a reason, with its line, and the next one follows.
What is guessed about the file (encoding, delimiter) is told in `Opened.understood`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import DAMAGED, opened
from hashtag_core.sources.table_csv import (
    BAD_LINES,
    DELIMITERS,
    LONG_LINE,
    Found,
    Refused,
    csv_rows,
    find_encoding,
    guess_delimiter,
    text_lines,
    usual_width,
)

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ITEM = 64 * 2**20  # bytes of one JSON object in a list
SAMPLE = 2**20  # bytes, or so, that guesses are made from

NO_OBJECT = "not a JSON object"
UNREADABLE = "a value that cannot be read"  # of Parquet: a year 20000, text that is not UTF-8
BAD_ROWS = BAD_LINES | {NO_OBJECT, UNREADABLE}
SPREADSHEETS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
FEATURES = re.compile(r'"features"\s*:\s*\[\s*\{\s*"(type|geometry|properties|id|bbox)"')


@dataclass
class Opened:
    """How a table is read.

    Attributes:
        kind: "csv", "json lines", "json", "geojson" or "parquet".
        rows: reads them: (position, line, cells, note or ""), or (position, line, `Refused`,
            reason); a text says what is wrong with the file as a whole, and comes last.
        names: the columns' names, where a header or the format tells them.
        understood: what was guessed or told, a sentence each.
    """

    kind: str
    rows: Callable[[], Iterator[Found | str]]
    names: list[str] | None
    understood: list[str] = field(default_factory=list)


def is_read(row: Found | str) -> bool:
    """Whether a row's cells are known."""
    return not isinstance(row, str) and not isinstance(row[2], Refused)


def open_table(
    path: Path, header: bool, encoding: str | None = None, delimiter: str | None = None
) -> Opened:
    """Find out what kind of table a file is, and how to read it.

    Args:
        path: of the file, which may be compressed.
        header: whether the first row of a CSV file names the columns.
        encoding: of a text file; found out where not given.
        delimiter: of a CSV file; found out where not given.

    Raises:
        InputError: where that cannot be found out.
    """
    with opened(path) as (file, _):
        try:
            sample = file.read(SAMPLE)
        except DAMAGED:
            sample = b""
    if not sample.strip():
        raise InputError(f"{path}: the file is empty, or damaged from its beginning.")
    if sample.startswith(b"PAR1"):
        return _parquet(path)
    if sample.startswith(SPREADSHEETS):
        raise InputError(f"{path}: a spreadsheet, or a zip. Save it as CSV, or unpack it.")
    encoding, how = find_encoding(path, sample, encoding, len(sample) < SAMPLE)
    try:
        text = sample.decode(encoding, errors="replace")
    except UnicodeError as error:
        raise InputError(f"{path}: cannot be read as {encoding} ({error}).") from None
    start = text.lstrip()
    if start[:1] == "{" and ('"FeatureCollection"' in start[:2000] or FEATURES.search(start)):
        return Opened("geojson", lambda: _json_items(path, "features.item", encoding), None, [how])
    if start[:1] == "[" and start[1:].lstrip()[:1] == "{":
        return Opened("json", lambda: _json_items(path, "item", encoding), None, [how])
    if start[:1] == "{":
        return Opened("json lines", lambda: _json_lines(path, encoding), None, [how])
    return _csv(path, text, header, encoding, delimiter, how)


def _csv(
    path: Path, text: str, header: bool, encoding: str, delimiter: str | None, how: str
) -> Opened:
    delimiter = "\t" if delimiter == r"\t" else delimiter
    if delimiter is None:
        delimiter, width = guess_delimiter(path, text)
    elif len(delimiter) != 1 or delimiter in '\r\n"':
        raise InputError(f"--delimiter {delimiter!r}: one character.")
    else:
        width = usual_width(text, delimiter)[1]
    rows, names = partial(csv_rows, path, encoding, delimiter, width), None
    if header:
        first = next(filter(is_read, rows(False)), None)
        if first is None:
            raise InputError(f"{path}: no row with {width} columns to name them.")
        names = [str(cell).strip() for cell in first[2]]
    columns = f"{width} columns, separated by {DELIMITERS.get(delimiter, delimiter)}"
    return Opened("csv", partial(rows, header), names, [how, columns])


# ---- JSON


def _json_lines(path: Path, encoding: str) -> Iterator[Found | str]:
    for numbered in text_lines(path, encoding):
        if isinstance(numbered, str):
            yield numbered
            return
        position, number, line = numbered
        if line is None:
            yield position, number, Refused(), LONG_LINE
            continue
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError):
            cells = None
        good = isinstance(cells, dict)
        yield position, number, cells if good else Refused(line), "" if good else NO_OBJECT


class _Bounded:
    """A file as UTF-8 that ends with an error where one item is too large."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self.file, self.left = file, MAX_ITEM
        self.decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode

    def read(self, size: int = -1) -> bytes:
        """As a file's; raises ValueError where the item is too large."""
        text = ""
        while size and not text:
            piece = self.file.read(size)
            self.left -= len(piece)
            if self.left < 0:
                raise ValueError(f"an item of more than {MAX_ITEM // 2**20} MiB")
            text = self.decode(piece, final=not piece)
            if not piece:
                break
        return text.encode("utf-8", errors="replace")


def _json_items(path: Path, prefix: str, encoding: str) -> Iterator[Found | str]:
    """The objects of a list, by their number; the `properties` of a GeoJSON feature are on top."""
    import ijson

    number = 0
    with opened(path) as (file, raw):
        bounded = _Bounded(file, encoding)
        try:
            for item in ijson.items(bounded, prefix, use_float=True):
                bounded.left = MAX_ITEM
                number += 1
                good = isinstance(item, dict)
                if good and isinstance(item.get("properties"), dict):
                    item = {**item, **item["properties"]}
                cells = item if good else Refused(item)
                yield raw.tell(), number, cells, "" if good else NO_OBJECT
        except GeneratorExit:
            raise
        except Exception as error:  # ijson's backends raise what they like
            reason = " ".join(str(error).split())[:100]
            yield f"broken JSON after object {number:,}: {reason}"


# ---- Parquet


def _parquet(path: Path) -> Opened:
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
    except Exception as error:  # of many kinds
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: a damaged Parquet file ({reason}).") from None
    return Opened("parquet", lambda: parquet_rows(path), names)


def parquet_rows(path: Path, columns: list[str] | None = None) -> Iterator[Found | str]:
    """The rows of a Parquet file, as `Opened.rows`; of these columns only, where they are given."""
    import pyarrow.parquet as pq

    size, number = path.stat().st_size, 0
    try:
        with pq.ParquetFile(path) as file:
            total = file.metadata.num_rows
            for batch in file.iter_batches(5000, columns=columns):
                for cells in _as_dicts(batch):
                    number += 1
                    why = UNREADABLE if isinstance(cells, Refused) else ""
                    yield size * number // max(total, 1), number, cells, why
    except GeneratorExit:
        raise
    except Exception as error:  # of many kinds
        yield f"damaged after row {number:,}: {' '.join(str(error).split())[:100]}"


def _as_dicts(batch: pa.RecordBatch) -> list[dict | Refused]:
    """The rows, where need be one by one: what Python cannot hold spoils its own row only."""
    try:
        return batch.to_pylist()
    except (ValueError, OverflowError):
        if len(batch) == 1:
            return [Refused()]
        return [row for i in range(len(batch)) for row in _as_dicts(batch.slice(i, 1))]
