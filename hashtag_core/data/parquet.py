"""Parquet files from outside, opened and measured before a row of them is made.

A few hundred bytes of Parquet can stand for gigabytes: a long text that each of a million rows
repeats by its number, a list of a billion equal values, pages that are nothing but zeros. So what
the file says of itself is checked first, texts are read as numbers of a dictionary, and how large
a row is comes from `row_bytes`, without making it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashtag_core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_FOOTER = 4 * 2**20  # bytes; read, a small part of it takes up to 230 times as many
MAX_LIST = 100_000  # columns, or row groups
MAX_PARTS = 200_000  # columns times row groups
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

    about = _footer(path, footer)
    limits = {"thrift_string_size_limit": footer, "thrift_container_size_limit": MAX_LIST}
    try:
        with pq.ParquetFile(path, **limits) as file:
            schema, metadata = file.schema, file.metadata
        leaves = [n for n in range(len(schema)) if _is_of(schema.column(n).path, columns)]
        texts = [schema.column(n).path for n in leaves if _is_text(schema.column(n))]
        problem = _too_much(about, leaves)
        if any(schema.column(n).length > MAX_FIXED for n in leaves):
            problem = f"values of more than {MAX_FIXED:,} bytes of one length"
        if problem is None:
            return pq.ParquetFile(path, metadata=metadata, read_dictionary=texts, **limits)
    except Exception as error:  # of many kinds
        raise _damaged(path, error) from None
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


def _damaged(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:100]
    return InputError(f"{path}: a damaged Parquet file ({reason}).")


# ---- the footer, read here: at some damages, pyarrow ends the whole process when it is asked

ROW_GROUPS, COLUMNS, ABOUT, VALUES, UNPACKED = 4, 1, 3, 5, 6  # fields, as Parquet numbers them
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12


def _footer(path: Path, most: int) -> dict:
    """What stands in the footer: field -> value."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 8, 0))
        tail = file.read()
        size = int.from_bytes(tail[:4], "little")
        if tail[4:] == b"PAR1" and size > most:
            what = f"{size:,} bytes to describe its columns and row groups; at most {most:,}"
            raise InputError(f"{path}: {what}. Write it with fewer of them.")
        try:
            file.seek(end - 8 - size)
            about = _thrift(file.read(size), 0, STRUCT)[0]
            parts = sum(len(group[COLUMNS]) for group in about.get(ROW_GROUPS, []))
        except Exception:  # of many kinds: the fields may be anything
            raise _damaged(path, ValueError("no footer at its end")) from None
    if parts > MAX_PARTS:
        raise InputError(f"{path}: {parts:,} columns of row groups; at most {MAX_PARTS:,}.")
    return about


def _thrift(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    """(a value of Thrift's compact protocol, None for a text; where the next one begins)."""
    if kind in (TRUE, FALSE):
        return kind == TRUE, at
    if kind in (I16, I32, I64):
        number, at = _number(data, at)
        return number >> 1 ^ -(number & 1), at
    if kind in (BYTE, DOUBLE):
        return None, at + (1 if kind == BYTE else 8)
    if kind == BINARY:
        size, at = _number(data, at)
        return None, at + size
    if kind == LIST:
        size, kind, at = data[at] >> 4, data[at] & 15, at + 1
        if size == 15:
            size, at = _number(data, at)
        values = []
        for _ in range(size):
            value, at = _thrift(data, at, BYTE if kind in (TRUE, FALSE) else kind)
            values.append(value)
        return values, at
    if kind != STRUCT:
        raise ValueError(f"type {kind}")
    fields: dict[int, Any] = {}
    field = 0
    while head := data[at]:
        at += 1
        field += head >> 4
        if not head >> 4:
            field, at = _thrift(data, at, I16)
        fields[field], at = _thrift(data, at, head & 15)
    return fields, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    """(a number of seven bits a byte, the lowest first; where the next value begins)."""
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return number, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _too_much(footer: dict, leaves: Sequence[int]) -> str | None:
    """What is beyond the bounds in these leaves, by what the footer says; None: nothing."""
    for group, about in enumerate(footer.get(ROW_GROUPS, [])):
        for leaf in leaves:
            column = about[COLUMNS][leaf].get(ABOUT, {})
            values, unpacked = column.get(VALUES, 0), column.get(UNPACKED, 0)
            if unpacked > MAX_UNPACKED or values > MAX_VALUES:
                return (
                    f"row group {group} holds {unpacked:,} bytes, or {values:,} values, of one "
                    f"column; at most {MAX_UNPACKED:,} and {MAX_VALUES:,}. Write it with smaller "
                    "row groups"
                )
    return None
