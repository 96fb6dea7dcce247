"""Parquet files from outside, opened and measured before a row of them is made.

A few hundred bytes of Parquet can stand for gigabytes: a long text that each of a million rows
repeats by its number, a list of a billion equal values, pages that are nothing but zeros. So what
the file says of itself is checked first, texts are read as numbers of a dictionary, and how large
a row is comes from `row_bytes`, without making it.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_FOOTER = 4 * 2**20  # bytes; in memory it takes up to 230 times as many
MAX_LIST = 100_000  # columns, or row groups
MAX_UNPACKED = 256 * 2**20  # bytes of one column in one row group
MAX_VALUES = 2**25  # of one column in one row group, those of lists counted singly
MAX_FIXED = 1024  # bytes of a value where all are of one length
CELL = 50  # bytes that a cell takes as an object of Python, about, beside its text


def open_parquet(
    path: Path, columns: Sequence[str] | None = None, footer: int = MAX_FOOTER
) -> pq.ParquetFile:
    """Open a Parquet file whose columns can be read batch by batch in bounded memory.

    Texts come as dictionary arrays, where each different one is held once.

    Args:
        path: of the file.
        columns: those that will be read; the bounds are theirs. All where not given.
        footer: bytes that its footer has at most.

    Raises:
        InputError: where the file is damaged, or says that it holds more than the bounds allow.
    """
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 8, 0))
        size = int.from_bytes(file.read(4), "little")
    if size > footer:
        what = f"{size:,} bytes to describe its columns and row groups; at most {footer:,}"
        raise InputError(f"{path}: {what}. Write it with fewer of them.")
    limits = {"thrift_string_size_limit": footer, "thrift_container_size_limit": MAX_LIST}
    try:
        opened = pq.ParquetFile(path, **limits)
        about, schema = opened.metadata, opened.schema
        leaves = [n for n in range(len(schema)) if _is_of(schema.column(n).path, columns)]
        texts = [schema.column(n).path for n in leaves if _is_text(schema.column(n))]
        opened.close()
        problem = _too_much(path, leaves)
        if any(schema.column(n).length > MAX_FIXED for n in leaves):
            problem = f"values of more than {MAX_FIXED:,} bytes of one length"
        if problem is None:
            return pq.ParquetFile(path, metadata=about, read_dictionary=texts, **limits)
    except Exception as error:  # of many kinds
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: a damaged Parquet file ({reason}).") from None
    raise InputError(f"{path}: {problem}.")


def row_bytes(array: pa.Array) -> np.ndarray:
    """(n,) int64: about how many bytes each row takes as objects of Python."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    kind = array.type
    if types.is_dictionary(kind):
        sizes = np.append(row_bytes(array.dictionary), CELL)  # the last one is of a null
        return sizes[pc.fill_null(array.indices, len(sizes) - 1).to_numpy(zero_copy_only=False)]
    if types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
    if types.is_nested(kind) and not types.is_struct(kind):
        of_row = pc.list_parent_indices(array).to_numpy()
        sizes = np.bincount(of_row, row_bytes(array.flatten()), minlength=len(array))
        return CELL + sizes.astype(np.int64)
    if types.is_struct(kind):
        return sum(map(row_bytes, array.flatten()), np.full(len(array), CELL))
    if any(is_kind(kind) for is_kind in (types.is_string, types.is_binary, types.is_large_string)):
        sizes = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        return CELL + sizes.astype(np.int64)
    return np.full(len(array), CELL)


def _is_of(path: str, columns: Sequence[str] | None) -> bool:
    """Whether a leaf, such as `tags.list.element`, belongs to one of these columns."""
    return columns is None or any(path == c or path.startswith(f"{c}.") for c in columns)


def _is_text(leaf: pq.ColumnSchema) -> bool:
    return leaf.physical_type == "BYTE_ARRAY" and leaf.converted_type != "DECIMAL"


def _too_much(path: Path, leaves: Sequence[int]) -> str | None:
    """What is beyond the bounds in these leaves, by what the footer says; None: nothing.

    DuckDB is asked: at some damages, pyarrow ends the whole process when it is.
    """
    import duckdb

    with duckdb.connect(config={"threads": 1}) as database:
        some = database.execute(
            "SELECT row_group_id, column_id, total_uncompressed_size, num_values "
            "FROM parquet_metadata(?) WHERE total_uncompressed_size > ? OR num_values > ?",
            [glob.escape(str(path)), MAX_UNPACKED, MAX_VALUES],
        ).fetchall()
    for group, leaf, unpacked, values in some:
        if leaf in leaves:
            return (
                f"row group {group} holds {unpacked:,} bytes, or {values:,} values, of one column; "
                f"at most {MAX_UNPACKED:,} and {MAX_VALUES:,}. Write it with smaller row groups"
            )
    return None
