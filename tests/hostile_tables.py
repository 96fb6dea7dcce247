"""Small tables that ask for much: each with what `prepare table` says about it."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import random
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from broken_files import mutated

MB = 10**6
ROW = '{"user":"a","time":"2001-01-01","tags":["x"]}'
USUAL = {"user": "user", "time": "time", "hashtags": "tags"}
COLUMNS = ["--user", "user", "--time", "time", "--hashtags", "tags"]


def row(**cells: object) -> str:
    """A JSON object with something of its own."""
    return json.dumps({**json.loads(ROW), **cells})


def csv(*rows: str, header: str = "user,time,tags") -> bytes:
    return "\n".join([header, "a,2001-01-01,x", *rows, ""]).encode()


def wide(columns: int) -> bytes:
    more = ",ab" * columns
    return "\n".join([f"user,time,tags{more}", *[f"a,2001-01-01,x{more}"] * 3]).encode()


def parquet(tags: pa.Array, compression: str = "zstd", **more: pa.Array) -> bytes:
    """A table whose hashtags are these; nothing in the file says that they were numbers."""
    file, n = io.BytesIO(), len(tags)
    table = pa.table({"user": ["a"] * n, "time": ["2001-01-01"] * n, "tags": tags, **more})
    pq.write_table(
        table, file, compression=compression, store_schema=False, row_group_size=max(n, 1)
    )
    return file.getvalue()


def repeated(text: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), [text])


def packed(module, *parts: bytes, **options) -> bytes:
    """Several streams in one file: what is the same a million times is packed once."""
    return b"".join(module.compress(part, **options) for part in parts)


def lists(times: int) -> pa.Array:
    """One photo with so many times the same hashtag."""
    numbers = pa.array(memoryview(bytes(times)).cast("b"), pa.int8())
    return pa.ListArray.from_arrays([0, times], pa.DictionaryArray.from_arrays(numbers, ["x"]))


def deep(depth: int) -> str:
    """Objects and lists in one another."""
    return '{"a":[' * (depth // 2) + "]}" * (depth // 2)


GEOJSON = '{"type":"FeatureCollection","features":[ROWS]}'
DEEP_ROW = '{"user":"a","time":X,"tags":X}'
DEPTHS = [*range(66, 900, 60), *range(900, 980, 6)]  # json.loads takes not quite 1000
LARGE_WINDOW = [{"id": lzma.FILTER_LZMA2, "dict_size": 1536 * 2**20}]
BOMB = "it unpacks to more than 200 times its size"
HOSTILE = {  # name: (what makes it, (exit code, what is said))
    "deep geojson": (
        lambda: GEOJSON.replace("ROWS", f'{{"properties":{ROW}}},{{"properties":{deep(100_000)}}}'),
        (0, "broken JSON after object 1: an object nested more than 64 deep"),
    ),
    "deep json": (
        lambda: f"[{ROW},{deep(100_000)}]",
        (0, "broken JSON after object 1: an object nested more than 64 deep"),
    ),
    "json nested almost too deep for Python": (
        lambda: "[" + ",".join([ROW] * 50 + [DEEP_ROW.replace("X", deep(n)) for n in DEPTHS]) + "]",
        (0, f"{len(DEPTHS)}  left out: an object nested more than 64 deep"),
    ),
    "lines nested almost too deep for Python": (
        lambda: "\n".join([ROW] * 50 + [DEEP_ROW.replace("X", deep(n)) for n in DEPTHS]),
        (0, f"{len(DEPTHS)}  left out: an object nested more than 64 deep"),
    ),
    "long keys above many": (
        lambda: f"[{ROW},{json.dumps({'k' * MB: {str(n): 1 for n in range(50_000)}})}]",
        (0, "1  left out: no user"),
    ),
    "a hashtag of 10 MB": (
        lambda: f"[{ROW},{row(tags=['x' * 10 * MB, 'y'])}]",
        (0, "1  left out: a hashtag of more than 200 characters"),
    ),
    "a text of hashtags of 10 MB": (
        lambda: f"[{ROW},{row(tags='[' + chr(39) + 'x' * 10 * MB)}]",
        (0, "1  left out: hashtags of more than 262,144 characters"),
    ),
    "100,000 hashtags": (
        lambda: f"[{ROW},{row(tags=['x'] * 100_000)}]",
        (0, "1  left out: more than 1,000 hashtags"),
    ),
    "names and times of 3 MB": (
        lambda: (
            f"[{ROW},{row(user='x' * 3 * MB)},{row(time='1' * 3 * MB)},{row(tags={'x': 'y' * MB})}]"
        ),
        (0, "1  left out: a user of more than 200 characters"),
    ),
    "a column's name of 100 kB": (
        lambda: csv("b,2001-01-01,y,z", header=f"user,time,tags,{'n' * 100_000}"),
        (0, "another number of columns than most rows"),
    ),
    "an object of 30 MB": (
        lambda: f"[{ROW},{row(more='x' * 30 * MB)}]",
        (0, "broken JSON after object 1: a value of more than 8,388,608 characters"),
    ),
    "half a million columns": (
        lambda: wide(340_000),
        (2, "a row of more than 16 MiB in memory"),
    ),
    "lines of 3 MB": (
        lambda: wide(MB),
        (2, "a line of more than 1,048,576 characters"),
    ),
    "a quoted cell without an end": (
        lambda: csv('a,2001-01-02,"y', *["z" * MB] * 30),
        (0, "30  left out: a cell of more than 131,072 characters"),
    ),
    "a line of zeros": (
        lambda: packed(gzip, csv(), b"0" * 50 * MB),
        (0, f"{BOMB}: read up to line 2"),
    ),
    "a line of zeros in bzip2": (
        lambda: packed(bz2, csv()) + packed(bz2, b"0" * 5 * MB) * 20,
        (0, f"{BOMB}: read up to line 2"),
    ),
    "an object of zeros": (
        lambda: packed(gzip, f"[{ROW},".encode(), b'{"a":"' + b"0" * 50 * MB),
        (0, "broken JSON after object 1: a value of more than 8,388,608 characters"),
    ),
    "a window of 1.5 GB": (
        lambda: packed(lzma, csv(), filters=LARGE_WINDOW),
        (2, "empty, or damaged from its beginning"),
    ),
    "a window of 1.5 GB in the second stream": (
        lambda: packed(lzma, csv()) + packed(lzma, csv(), filters=LARGE_WINDOW),
        (0, "ends too early, or is damaged: read up to line 1"),
    ),
    "a long text for 5000 rows": (
        lambda: parquet(repeated("x" * MB, 300)),
        (2, "left out: hashtags of more than 262,144 characters"),
    ),
    "a longer text for 5000 rows": (
        lambda: parquet(repeated("x" * 5 * MB, 5000)),
        (2, "a row of more than 1,048,576 bytes"),
    ),
    "a long text for every hashtag": (
        lambda: parquet(
            pa.ListArray.from_arrays([*range(0, 100_001, 10_000)], repeated("x" * 30_000, 100_000))
        ),
        (2, "a row of more than 1,048,576 bytes"),
    ),
    "a cell of 100 MB": (
        lambda: parquet(pa.array(["x", "y" * 100 * MB, "z"])),
        (0, "1  left out: a row of more than 1,048,576 bytes"),
    ),
    "a page of 400 MB": (
        lambda: parquet(pa.array(["x" * 100 * MB + str(n) for n in range(4)])),
        (2, "row group 0 holds 400,"),
    ),
    "a list of 50,000,000": (
        lambda: parquet(lists(50 * MB)),
        (2, "or 50,000,000 values, of one column"),
    ),
    "a list of 20,000,000": (
        lambda: parquet(lists(20 * MB)),
        (2, "a row of more than 1,048,576 bytes"),
    ),
    "40,000,000 rows of nothing": (
        lambda: nothing(40 * MB),
        (2, "or 40,000,000 values, of one column"),
    ),
    "a footer of 300,000 parts": (
        lambda: footer_of(300_000),
        (2, "300,000 columns of row groups; at most 200,000"),
    ),
    "40,000 columns": (
        lambda: parquet(pa.array(["x"]), **{f"c{n}": [1] for n in range(40_000)}),
        (2, "bytes to describe its columns and row groups"),
    ),
}  # fmt: skip


def nothing(rows: int) -> bytes:
    """A table of nulls."""
    file = io.BytesIO()
    table = pa.table({name: pa.nulls(rows, pa.string()) for name in USUAL.values()})
    pq.write_table(table, file, row_group_size=rows)
    return file.getvalue()


def footer_of(parts: int) -> bytes:
    """A Parquet file that is a footer: a row group of so many columns, of three bytes each."""
    schema = b"\x19\x2c" + b"\x48\x01s\x15\x02\0" + b"\x15\x02\x25\0\x18\x01x\0"
    size = bytes((parts & 127 | 128, parts >> 7 & 127 | 128, parts >> 14))  # below 2 million
    group = b"\x19\xfc" + size + b"\x26\x08\0" * parts + b"\x16\x02" * 2 + b"\0"
    footer = b"\x15\x02" + schema + b"\x16\x02" + b"\x19\x1c" + group + b"\0"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def prepare_all(folder: str) -> None:
    """`prepare table` of every file in a folder; prints what came of each as JSON."""
    from hashtag_core import cli
    from hashtag_core.prepare import opening

    opening.FREE = 2**25  # for the test's speed
    outcomes = {}
    for path in sorted(Path(folder).iterdir()):
        shown, start = io.StringIO(), time.perf_counter()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            code = cli.main(["prepare", "table", str(path), *COLUMNS, "--out", f"{path}.out"])
        outcomes[path.name] = [code, shown.getvalue()]
        print(path.name, f"{time.perf_counter() - start:.1f}", file=sys.stderr)
    print(json.dumps(outcomes))


def fuzz_parquet(folder: str, first: int, last: int) -> None:
    """Read a Parquet file with so many different damages; prints how many were read or refused."""
    from hashtag_core.errors import InputError
    from hashtag_core.sources.table import Table

    os.environ.setdefault("TQDM_DISABLE", "1")
    path, counts, sound = Path(folder) / "t", {"read": 0, "refused": 0}, sound_files()
    for seed in range(first, last):
        data = sound[seed % len(sound)]
        path.write_bytes(mutated(data, seed) if seed % 5 == 0 else flipped(data, seed))
        try:
            source = Table(path, **USUAL)
            for piece in source.pieces(0):
                if not isinstance(piece, str):
                    source.understand(piece.data, with_texts=True).report.check()
        except InputError as error:
            assert "\n" not in str(error)
            counts["refused"] += 1
        else:
            counts["read"] += 1
    print(json.dumps(counts))


def flipped(data: bytes, seed: int) -> bytes:
    """The same data with one to four bits or bytes changed: much of it can still be read."""
    rng, changed = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(4, len(data) - 8)
        changed[at] = rng.choice((changed[at] ^ (1 << rng.randrange(8)), rng.randrange(256), 255))
    return bytes(changed)


def sound_files() -> list[bytes]:
    """Parquet files with hashtags in lists, in a text and in objects, packed in every way."""
    tags = [[f"t{n % 7}", "é", "x" * (n % 40)] for n in range(60)]
    as_text = pa.array([",".join(some) for some in tags])
    structs = pa.array([[{"text": text} for text in some] for some in tags])
    files = []
    for array in (pa.array(tags), as_text, structs):
        for compression in ("none", "snappy", "zstd", "gzip"):
            files.append(parquet(array, compression, number=pa.array(range(60))))
    return files


def sorted_pictures(folder: Path) -> None:
    """Print how many photos with a picture of 200 kB come out, and whether each has its own."""
    from hashtag_core.prepare.report import Report
    from hashtag_core.prepare.selection import Selected, Selection
    from hashtag_core.prepare.staging import Piece, Staging, same_job, understood

    photos, size = 2600, 200_000

    class Pictures:
        name, unit, malformed, files, inputs = "pictures", "B", frozenset(), ["f"], ["f"]
        sizes, job, meta = [photos], {}, {}

        def pieces(self, number):
            yield from (Piece(start, start) for start in range(0, photos, 100))

        def understand(self, start, with_texts):
            report = Report()
            rows = []
            for n in range(start, start + 100):
                photo = {"photo_id": f"{n * 7919 % photos:05d}", "user": "a", "time": None}
                photo["picture"] = photo["photo_id"].encode() * (size // 5)
                rows.append(((0, n + 1), {**photo, "hashtags": report.hashtags_of(["x"])}, ""))
            return understood(rows, report, None)

    same_job(folder / "work", {})
    Staging(Pictures(), folder / "work").run()
    selected = Selected(folder / "work", Selection())
    ids, own = [], True
    for table in selected.photos():
        assert table.nbytes < 100 * MB
        ids += table["photo_id"].to_pylist()
        for photo_id, picture in zip(ids[-len(table) :], table["picture"], strict=True):
            own &= picture.as_py() == photo_id.encode() * (size // 5)
    print(len(ids), own and ids == sorted(ids))
