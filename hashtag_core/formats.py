"""Our own files: each is read in one way, and checked against one description of what it holds.

The description stands beside what writes the file: a TypedDict for JSON, {column: what} for
Parquet. What `read_json`, `read_parquet` and `read_features` return has the described keys, columns
and types, and took no more memory than the file's size allows for.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashtag_core.errors import InputError
from hashtag_core.files import reading

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MAX_JSON = 32 * 2**20  # bytes of a JSON file
UNPACKED = 100, 256 * 2**20  # a Parquet file may hold so many times its bytes, or so many
SHOWN = 60  # characters of a value in an error


def read_json(path: Path, kind: type, remedy: str) -> dict:
    """A JSON file of our own, as plain data.

    Args:
        path: the file.
        kind: its description, a TypedDict; dataclasses in it stand for their fields. Further keys
            may be there.
        remedy: what to do where the file does not fit, a sentence.

    Raises:
        InputError: where it cannot be read, is too large or too deep, or does not fit; the error
            names the key and says what it must be.
    """
    with reading(path), path.open("rb") as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise InputError(f"{path}: more than {MAX_JSON:,} bytes. {remedy}")
    return parse_json(data, kind, path, remedy)


def parse_json(data: bytes | str, kind: type, path: Path, remedy: str) -> dict:
    """The same of JSON that stands in a file of our own beside other things."""
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import from_json

    try:
        TypeAdapter(kind).validate_json(data, strict=True)
        return from_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    except ValueError as error:  # nested too deep
        first = {"type": "", "loc": (), "msg": str(error)}
    key, must = ".".join(map(str, first["loc"])), first["msg"][0].lower() + first["msg"][1:]
    if not key:
        raise InputError(f"{path}: damaged, or of another version ({must}). {remedy}")
    is_what = "" if isinstance(first["input"], dict) else f" is {_shown(first['input'])}"
    raise InputError(f"{path}: `{key}`{is_what}: {must.rstrip('.')}. {remedy}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def to_json(data: Any, **layout: Any) -> str:
    """Data as JSON, as `json.dumps` does; there are no words for NaN and infinity in it.

    Raises:
        InputError: where a number is not finite.
    """
    try:
        return json.dumps(data, allow_nan=False, **layout)
    except ValueError:
        raise InputError("a result is no finite number, and JSON has no word for it.") from None


def check_columns(
    schema: pa.Schema, columns: Mapping[str, str], where: Path | str, optional: bool = False
) -> None:
    """Refuse a table without these columns, or with columns of other types.

    Args:
        schema: the table's.
        columns: name -> what it holds, as `_kinds` names it.
        where: the file, for the error.
        optional: whether columns may be missing.
    """
    for name, what in columns.items():
        if schema.names.count(name) != 1:
            if optional and name not in schema.names:
                continue
            raise InputError(f"{where} has no column `{name}`, or several. It holds {what}.")
        kind = schema.field(name).type
        if what not in _kinds(kind):
            raise InputError(f"{where}: column `{name}` is of type {kind}; it must be {what}.")


def _kinds(kind: pa.DataType) -> set[str]:
    """What a column of this type may be called in a description."""
    import pyarrow.types as types

    if types.is_list(kind) or types.is_large_list(kind):
        return {f"lists of {inner}" for inner in _kinds(kind.value_type)}
    if types.is_struct(kind):
        parts = {field.name: _kinds(field.type) for field in kind}
        is_image = "bytes" in parts.get("bytes", ()) and "text" in parts.get("path", ())
        return {"{bytes, path}"} if is_image else set()
    fits = {
        "text": types.is_string(kind) or types.is_large_string(kind),
        "bytes": types.is_binary(kind) or types.is_large_binary(kind),
        "timestamps": types.is_timestamp(kind),
        "whole numbers": types.is_int64(kind),
        "numbers of 32 bits": types.is_float32(kind),
    }
    return {what for what, is_so in fits.items() if is_so}


def read_parquet(path: Path, names: list[str]) -> pa.Table:
    """Columns of a Parquet file of our own, whole and valid; check their types before.

    A few bytes can stand for any number of equal texts. So texts are read as numbers of those that
    differ, and only written out where that fits what such a file may hold.

    Raises:
        InputError: where the file is damaged, holds too much, or a text is not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with reading(path):
        most = max(UNPACKED[0] * path.stat().st_size, UNPACKED[1])
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            leaves = [file.schema.column(i) for i in range(len(file.schema))]
        leaves = [leaf for leaf in leaves if leaf.path.split(".")[0] in names]
        # of lists the number of rows alone: pyarrow aborts at some broken metadata of columns
        size = rows * sum(max(8, leaf.length or 0) for leaf in leaves)
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        if size <= most:
            table = pq.read_table(path, columns=names, read_dictionary=texts)
            size = sum(_written_out(chunk) for column in table.columns for chunk in column.chunks)
        if size > most:
            raise InputError(f"{path}: {size:,} bytes unpacked, at most {most:,} are read.")
        table = table.cast(pa.schema([schema.field(name) for name in table.column_names]))
        table.validate(full=True)  # also that texts are UTF-8
        return table


def _written_out(array: pa.Array) -> int:
    """How many bytes an array has once each of its texts stands there itself."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.DictionaryArray):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return 4 * len(array) + (pc.sum(lengths.take(array.indices)).as_py() or 0)
    if isinstance(array, pa.StructArray):
        return sum(map(_written_out, array.flatten()))
    if isinstance(array, pa.ListArray | pa.LargeListArray):
        return 8 * len(array) + _written_out(array.flatten())
    return array.nbytes


def read_features(path: Path) -> np.ndarray:
    """The numbers of an .npy file as a memory map, once its header is known to be true.

    Raises:
        InputError: where it holds something else than an array of numbers, row after row.
    """
    import numpy as np

    with reading(path), path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("of another version of the .npy format")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        held = os.fstat(file.fileno()).st_size - start
    if dtype not in ("f2", "f4", "f8"):
        raise InputError(f"{path}: numbers of type {dtype.str}; it must be float16.")
    if by_columns:
        raise InputError(f"{path}: stored column by column; it must be row by row (C order).")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise InputError(
            f"{path}: damaged: an array {shape} of {dtype} is said to be in {held:,} bytes."
        )
    if not held:
        return np.zeros(shape, dtype)  # (P, 0), of photos without pictures: nothing to map
    with reading(path):
        return np.load(path, mmap_mode="r", allow_pickle=False)
