"""Arrow, SQLite and JSON in JSON or JavaScript that ask for much, and with any damage."""

import io
import json
import os
import sqlite3
import struct
import tempfile
from pathlib import Path

import pyarrow as pa
from broken_files import mutated
from hostile_tables import MB, ROW, USUAL, deep, flipped, repeated

TIME = "2001-01-01"


def arrow(tags: pa.Array, compression=None, stream=True, chunk=None, **more) -> bytes:
    """An Arrow stream or file of one batch with these hashtags."""
    n = len(tags)
    table = pa.table({"user": ["a"] * n, "time": [TIME] * n, "tags": tags, **more})
    return arrow_of(table, compression, stream, chunk=chunk)


def arrow_of(table: pa.Table, compression=None, stream=True, times=1, chunk=None) -> bytes:
    file = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(file, table.schema, options=options) as writer:
        for _ in range(times):
            writer.write_table(table, chunk)
    return file.getvalue()


def nothing(rows: int, times: int = 1) -> bytes:
    """Batches of nulls, which take no bytes."""
    table = pa.table({name: pa.nulls(rows) for name in USUAL.values()})
    return arrow_of(table, times=times)


def says(data: bytes, before: int, after: int, kind="<q") -> bytes:
    """The same with another number in place of this one, everywhere."""
    before, after = (struct.pack(kind, number) for number in (before, after))
    assert before in data
    return data.replace(before, after)


def sqlite(*rows: tuple, columns="user, time, tags", more=()) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA page_size = 512")
        connection.execute(f"CREATE TABLE photos ({columns})")
        marks = ", ".join("?" * len(columns.split(",")))
        connection.executemany(f"INSERT INTO photos VALUES ({marks})", rows)
        for statement in more:
            connection.execute(statement)
        connection.commit()
        connection.close()
        return path.read_bytes()


GOOD = ("a", TIME, "x")
UNPACKED = arrow(pa.array(["y" * 30_001] * 20 + ["x"]), "zstd")
FIRST_SIZE = 20 * 30_001 + 1  # bytes of the buffer of hashtags, unpacked
HOSTILE_CONTAINERS = {  # name: (what makes it, (exit code, what is said))
    "a batch of 20,000,000 rows of nothing": (
        lambda: nothing(20 * MB),
        (2, "a batch of 20,000,000 values; at most 16,777,216"),
    ),
    "20 batches of the same 30,000 rows": (
        lambda: arrow_of(pa.table(same(30_000)), "zstd", times=20),
        (0, "it unpacks to more than 200 times its size"),
    ),
    "a buffer that says it is 2**40 bytes": (
        lambda: says(UNPACKED, FIRST_SIZE, 2**40),
        (2, "a batch of 1,099,5"),
    ),
    "a buffer that is larger than it says": (
        lambda: says(UNPACKED, FIRST_SIZE, FIRST_SIZE - 1000),
        (2, "damaged after row 0"),
    ),
    "a buffer of 400 MB of the same": (
        lambda: arrow(pa.array(["x" * 100 * MB] * 4), "zstd"),
        (2, "at most 268,435,456. Write it with smaller batches"),
    ),
    "a message of 1 GB": (
        lambda: b"\xff\xff\xff\xff" + struct.pack("<I", 2**30) + UNPACKED[8:],
        (2, "1,073,741,824 bytes to describe it; at most 4,194,304"),
    ),
    "30,000 columns in Arrow": (
        lambda: arrow(pa.array(["x"]), **{f"c{n}": [1] for n in range(30_000)}),
        (2, "columns that take more than 16,777,216 bytes"),
    ),
    "columns 40 deep": (lambda: arrow(nested(40)), (2, "columns nested more than 32 deep")),
    "a long text for 5000 rows in Arrow": (
        lambda: arrow(repeated("x" * 5 * MB, 5000)),
        (2, "a row of more than 1,048,576 bytes"),
    ),
    "a list of 10,000,000 in Arrow": (
        lambda: arrow(pa.ListArray.from_arrays([0, 10 * MB], pa.nulls(10 * MB, pa.int8()))),
        (2, "a row of more than 1,048,576 bytes"),
    ),
    "views": (
        lambda: arrow(pa.array(["x"]).cast(pa.string_view())),
        (2, "a column of views, which is not read. Write it as Parquet"),
    ),
    "200,000 lists in an object": (
        lambda: json.dumps({str(n): [{"a": n}] for n in range(200_000)}).encode(),
        (2, "nothing in column user for --user"),
    ),
    "10 MB of objects in objects behind a script": (
        lambda: b"f(" + b'{"a":' * 2 * MB,
        (2, "there is no list of objects in it"),
    ),
    "a list in front, of 10 MB": (
        lambda: (f'{{"a":[{f"[],{deep(40)}," * (MB // 16)}0],"b":[{ROW}]}}').encode(),
        (0, "1  kept"),
    ),
    "a blob of 60 MB": (
        lambda: sqlite(GOOD, GOOD, ("a", TIME, bytes(60 * MB))),
        (0, "damaged, or with a value that is too large, after row 1"),
    ),
    "a hundred texts of 5 MB": (
        lambda: sqlite(GOOD, GOOD, *[("a", TIME, "x" * 5 * MB)] * 30),
        (0, "30  left out: a row of more than 1,048,576 bytes"),
    ),
}  # fmt: skip


def same(rows: int) -> dict:
    cells = zip(USUAL.values(), ("a", TIME, "x" * 150), strict=True)
    return {name: repeated(text, rows) for name, text in cells}


def nested(depth: int) -> pa.Array:
    array = pa.array(["x"])
    for _ in range(depth):
        array = pa.StructArray.from_arrays([array], ["a"])
    return array


# ---- any damage


def sound(kind: str) -> list[bytes]:
    """Files of a kind that are read as they are."""
    tags = [[f"t{n % 7}", "é", "x" * (n % 40)] for n in range(60)]
    as_text = [",".join(some) for some in tags]
    if kind == "arrow":
        structs = [[{"text": text} for text in some] for some in tags]
        coded = pa.array(as_text).dictionary_encode()
        arrays = [pa.array(tags), pa.array(as_text), pa.array(structs), coded]
        return [
            arrow(array, compression, stream, 15, number=pa.array(range(60)))
            for array in arrays
            for compression in (None, "lz4", "zstd")
            for stream in (True, False)
        ]
    if kind == "sqlite":
        rows = [("a", TIME, text) for text in as_text]
        more = ["CREATE TABLE other (n)", "CREATE INDEX i ON photos (tags)"]
        key = "user, time, tags PRIMARY KEY"
        unlike = [(*row[:2], f"{row[2]},{n}" * 9) for n, row in enumerate(rows)]
        return [sqlite(*rows), sqlite(*rows, more=more), sqlite(*unlike, columns=key)]
    rows = [{"user": "a", "time": TIME, "tags": some} for some in tags]
    inside = {"photos": {"page": 1, "photo": rows}, "stat": "ok"}
    posts = [{"tweet": {**row, "tags": [{"text": t} for t in row["tags"]]}} for row in rows]
    told = json.dumps(inside), json.dumps(inside, indent=1), f"f({json.dumps(inside)});"
    return [text.encode() for text in (*told, f"var x.y = {json.dumps(posts)}")]


def fuzz(kind: str, folder: str, first: int, last: int) -> None:
    """Read a file with so many different damages; prints how many were read or refused."""
    from hashtag_core.errors import InputError
    from hashtag_core.prepare.report import Report
    from hashtag_core.sources.table import Table

    os.environ.setdefault("TQDM_DISABLE", "1")
    path, counts, files = Path(folder) / "t", {"read": 0, "refused": 0, "rows": 0}, sound(kind)
    for seed in range(first, last):
        data = files[seed % len(files)]
        path.write_bytes(mutated(data, seed) if seed % 3 == 0 else flipped(data, seed))
        columns = USUAL
        told = {"encoding": "utf-8"} if kind == "json" and seed // 4 % 4 else {}  # or it is refused
        if kind == "json" and seed % len(files) == len(files) - 1:
            columns = {what: f"tweet.{name}" for what, name in USUAL.items()}
        try:
            source, total, rows = Table(path, **columns, **told), Report(), 0
            for piece in source.pieces(0):
                if not isinstance(piece, str):
                    rows += len(piece.data)
                    total.add(source.understand(piece.data, with_texts=True).report)
            total.check()
            assert total.rows_read == rows
            counts["rows"] += rows
        except InputError as error:
            assert "\n" not in str(error)
            counts["refused"] += 1
        else:
            counts["read"] += 1
    print(json.dumps(counts))
