"""Arrow streams from outside: each message is measured before pyarrow gets it.

An Arrow file (Feather, version 2) is such a stream with a table of contents behind it, which is
not needed to read it from its beginning. A few hundred bytes can stand for gigabytes: a buffer
that says how large it becomes when it is unpacked, a billion rows of nothing, a name that a
hundred thousand columns share. So what a message says of itself is read here first.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from hashtag_core.data.parquet import MAX_UNPACKED

if TYPE_CHECKING:
    import pyarrow as pa

STREAM, FILE = b"\xff\xff\xff\xff", b"ARROW1\0\0"  # how they begin
MAX_MESSAGE = 4 * 2**20  # bytes that describe a batch, or the columns
MAX_SCHEMA = 16 * 2**20  # bytes, about, that the columns take in memory
FIELD = 1000  # bytes of a column in memory, about, beside its name
MAX_VALUES = 2**24  # of one column in one batch, those of lists counted singly
MAX_DEPTH = 32  # of columns in columns
OTHERS = {14: "unions", 22: "runs", 23: "views", 24: "views", 25: "views", 26: "views"}
TIMESTAMP = 10
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
OLD = b"ARROW:experimental_compression"
SMALLER = "Write it with smaller batches"


def open_arrow(
    file: BinaryIO, columns: Sequence[str] | None = None
) -> tuple[pa.RecordBatchStreamReader, Messages]:
    """Open an Arrow stream or file whose batches can be read one by one in bounded memory.

    Args:
        file: of which the first bytes are `STREAM` or `FILE`.
        columns: those that are read; all of them where not given.

    Returns:
        The batches, and what they are read from.

    Raises:
        Exception: of many kinds, where it is damaged or says that it holds more than the bounds
            allow; so does reading the batches.
    """
    import pyarrow as pa

    messages = Messages(file)
    reader = pa.ipc.open_stream(pa.PythonFile(messages, "r"))
    if columns is None:
        return reader, messages
    file.seek(0)
    wanted = [n for n, name in enumerate(reader.schema.names) if name in columns]
    options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
    messages = Messages(file)
    return pa.ipc.open_stream(pa.PythonFile(messages, "r"), options=options), messages


def checked(batch: pa.RecordBatch) -> pa.StructArray:
    """The rows of a batch, when all that it says of itself holds; texts may not be UTF-8.

    Raises:
        ArrowInvalid: where it does not.
    """
    batch.validate()
    rows = batch.to_struct_array()
    rows.view(_as_bytes(rows.type)).validate(full=True)
    return rows


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """The same type, of bytes where there are texts."""
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_string(kind) or types.is_large_string(kind):
        return pa.binary() if types.is_string(kind) else pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([field.with_type(_as_bytes(field.type)) for field in kind])
    if types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _as_bytes(kind.value_type), kind.ordered)
    if types.is_map(kind):
        return pa.map_(_as_bytes(kind.key_type), _as_bytes(kind.item_type))
    if types.is_nested(kind):
        value = kind.value_field.with_type(_as_bytes(kind.value_type))
        if types.is_fixed_size_list(kind):
            return pa.list_(value, kind.list_size)
        return pa.list_(value) if types.is_list(kind) else pa.large_list(value)
    return kind


class Messages(io.RawIOBase):
    """The bytes of a stream, message by message; reading raises ValueError at the first bad one.

    Attributes:
        is_whole: whether the mark was read that ends a stream.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.left, self.is_whole = file, b"", False
        self.dictionaries: dict[int, int] = {}  # number -> bytes
        start = file.read(8)
        if start != FILE:
            self.left = self._message(start)

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        pieces = []
        while size:
            if not self.left:
                self.left = b"" if self.is_whole else self._message(self.file.read(8))
                if not self.left:
                    break
            pieces.append(self.left if len(self.left) <= size else self.left[:size])
            self.left = self.left[len(pieces[-1]) :]
            size -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _message(self, start: bytes) -> bytes:
        """A message with its first eight bytes, when it is within the bounds; b"" at the end."""
        if not start:
            return b""
        mark, size = start[:4], int.from_bytes(start[4:], "little")
        if mark != STREAM or len(start) < 8:
            raise ValueError("no message where one has to be")
        self.is_whole = size == 0
        if size > MAX_MESSAGE:
            raise ValueError(f"{size:,} bytes to describe it; at most {MAX_MESSAGE:,}")
        about = self.file.read(size)
        if self.is_whole:
            return start
        try:
            return start + about + self._body(_Table.root(about), about)
        except (struct.error, IndexError):
            raise ValueError("a broken message") from None

    def _body(self, message: _Table, about: bytes) -> bytes:
        """What belongs to a message, when both are within the bounds."""
        kind, header = message.number(1, "B"), message.table(2)
        size = message.number(3, "q")
        _cost(_pairs(message, 4))
        if header is None or kind not in (SCHEMA, DICTIONARY, BATCH):
            raise ValueError("a message of another kind")
        if not 0 <= size <= MAX_UNPACKED:
            raise ValueError(f"a batch of {size:,} bytes; at most {MAX_UNPACKED:,}. {SMALLER}")
        body = self.file.read(size)
        if len(body) < size:
            raise ValueError("cut off")
        if kind == SCHEMA:
            _cost(_pairs(header, 2))
            _cost(_fields(header, 1, 0))
        elif kind == BATCH:
            _unpacked(header, body)
        else:
            data, number = header.table(1), header.number(0, "q")
            if data is None:
                raise ValueError("a dictionary of nothing")
            before = self.dictionaries.get(number, 0) if header.number(2, "B") else 0
            self.dictionaries[number] = before + _unpacked(data, body)
            if sum(self.dictionaries.values()) > MAX_UNPACKED:
                raise ValueError(f"dictionaries of more than {MAX_UNPACKED:,} bytes")
        return body


def _unpacked(batch: _Table, body: bytes) -> int:
    """Bytes of a batch's buffers when they are unpacked; raises ValueError beyond the bounds."""
    values = max([batch.number(0, "q"), *batch.pairs(1)[:, 0].tolist()])
    if values > MAX_VALUES:
        raise ValueError(f"a batch of {values:,} values; at most {MAX_VALUES:,}. {SMALLER}")
    if batch.table(3) is None:
        return len(body)
    total = 0
    for at, size in batch.pairs(2).tolist():
        if size:
            if at < 0:
                raise ValueError("a buffer outside of its batch")
            (unpacked,) = struct.unpack_from("<q", body, at)
            total += size if unpacked < 0 else unpacked
    if total > MAX_UNPACKED:
        raise ValueError(f"a batch of {total:,} bytes; at most {MAX_UNPACKED:,}. {SMALLER}")
    return total


def _cost(costs: Iterator[int]) -> None:
    """Raise ValueError where they come to more than may be."""
    left = MAX_SCHEMA
    for cost in costs:
        left -= cost
        if left < 0:
            raise ValueError(f"columns that take more than {MAX_SCHEMA:,} bytes to describe")


def _fields(table: _Table, number: int, depth: int) -> Iterator[int]:
    """Bytes that each column takes, and those in it."""
    if depth > MAX_DEPTH:
        raise ValueError(f"columns nested more than {MAX_DEPTH} deep")
    for field in table.tables(number):
        kind, about = field.number(2, "B"), field.table(3)
        if kind in OTHERS:
            raise ValueError(f"a column of {OTHERS[kind]}, which is not read. Write it as Parquet")
        zone = about.text(1) if kind == TIMESTAMP and about is not None else b""
        yield FIELD + len(field.text(0)) + len(zone)
        yield from _pairs(field, 6)
        yield from _fields(field, 5, depth + 1)


def _pairs(table: _Table, number: int) -> Iterator[int]:
    """Bytes that each name with its value takes."""
    for pair in table.tables(number):
        if (name := pair.text(0)) == OLD:
            raise ValueError("compressed as pyarrow 0.17 did. Write it anew")
        yield FIELD + len(name) + len(pair.text(1))


class _Table:
    """A table of FlatBuffers: values by their number, which may be missing."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.names = at - self._read("i", at)
        self.size = self._read("H", self.names)

    @classmethod
    def root(cls, data: bytes) -> _Table:
        """The one that everything is in."""
        return cls(data, *struct.unpack_from("<I", data))

    def _read(self, kind: str, at: int) -> Any:
        if at < 0:
            raise IndexError(at)
        return struct.unpack_from(f"<{kind}", self.data, at)[0]

    def _place(self, number: int) -> int:
        """Where a value stands; 0: nowhere."""
        name = 4 + 2 * number
        offset = self._read("H", self.names + name) if name + 2 <= self.size else 0
        return self.at + offset if offset else 0

    def _target(self, number: int) -> int:
        place = self._place(number)
        return place + self._read("I", place) if place else 0

    def number(self, number: int, kind: str) -> int:
        """A number; 0 where it is missing."""
        place = self._place(number)
        return self._read(kind, place) if place else 0

    def table(self, number: int) -> _Table | None:
        """A table in it."""
        target = self._target(number)
        return _Table(self.data, target) if target else None

    def tables(self, number: int) -> Iterator[_Table]:
        """The tables of a list."""
        target = self._target(number)
        for n in range(self._read("I", target) if target else 0):
            place = target + 4 + 4 * n
            yield _Table(self.data, place + self._read("I", place))

    def text(self, number: int) -> bytes:
        """A text."""
        target = self._target(number)
        return self.data[target + 4 :][: self._read("I", target)] if target else b""

    def pairs(self, number: int) -> np.ndarray:
        """(n, 2): a list of two numbers of 64 bits each."""
        target = self._target(number)
        count = 2 * self._read("I", target) if target else 0
        return np.frombuffer(self.data, "<i8", count, target + 4).reshape(-1, 2)
