"""Tables made to cost much: bounded in memory, refused or read in one line each."""

import gzip
import json
import os
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bounded import bounded
from helpers import prepare
from hostile_tables import HOSTILE, MB, USUAL, csv, packed, parquet, repeated

from hashtag_core.data import history_reading
from hashtag_core.data.history_reading import read_history
from hashtag_core.data.parquet import open_parquet, row_bytes
from hashtag_core.errors import InputError
from hashtag_core.prepare import opening
from hashtag_core.prepare.cleaning import clean_encoded, clean_hashtag
from hashtag_core.prepare.report import MAX_SHOWN, Report, report_text
from hashtag_core.sources.table import BYTES_OF_PIECE, Table
from hashtag_core.sources.yfcc100m import Yfcc100m

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 150))
MOST_MB = 800  # that reading any of them adds


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Name -> (exit code, what was shown), of all hostile tables read in one bounded process."""
    folder = tmp_path_factory.mktemp("hostile")
    for number, (make, _) in enumerate(HOSTILE.values()):
        content = make()
        data = content.encode() if isinstance(content, str) else content
        (folder / f"{number:02d}").write_bytes(data)
    program = f"from hostile_tables import prepare_all\nprepare_all({str(folder)!r})"
    imports = "pyarrow.parquet", "pyarrow.compute", "duckdb", "hashtag_core.prepare.ingest"
    ran = bounded(program=program, imports=imports, seconds=600)
    assert ran.megabytes < MOST_MB
    return dict(zip(HOSTILE, json.loads(ran.out).values(), strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_that_asks_for_much_gets_little(outcomes, name):
    code, shown = outcomes[name]
    expected, said = HOSTILE[name][1]
    assert said in shown and code == expected, shown[-1500:]
    assert max(map(len, shown.splitlines())) < 1000  # of what it holds, little is shown


def test_parquet_files_with_any_damage_are_read_or_refused(tmp_path):
    program = f"from hostile_tables import fuzz_parquet\nfuzz_parquet({str(tmp_path)!r}, 0, "
    ran = bounded(program=f"{program}{MUTATIONS})", imports=("pyarrow.parquet",), seconds=3600)
    counts = json.loads(ran.out)
    assert sum(counts.values()) == MUTATIONS and min(counts.values()) > MUTATIONS // 20
    assert ran.megabytes < MOST_MB


# ---- pieces, in bytes and in rows


def fat_rows(kind, path, text, rows):
    """A table of so many rows with a long text; of Parquet, where it is asked for."""
    if kind == "parquet":
        path.write_bytes(parquet(repeated(text, rows), more=repeated(text, rows)))
    elif kind == "csv":
        path.write_bytes(csv(*[f"a,2001-01-01,x,{text}"] * rows, header="user,time,tags,more"))
    else:
        one = json.dumps({"user": "a", "time": "2001-01-01", "tags": "x", "more": text})
        some = [one] * rows
        path.write_text("[" + ",".join(some) + "]" if kind == "json" else "\n".join(some))
    return Table(path, **USUAL)


@pytest.mark.parametrize("kind", ["csv", "json", "json lines", "parquet"])
def test_pieces_of_fat_rows_hold_few_of_them(tmp_path, kind):
    pieces = list(fat_rows(kind, tmp_path / "t", "x" * 100_000, 400).pieces(0))
    texts = [sum(len(str(row[2])) for row in piece.data) for piece in pieces]
    assert len(texts) >= 3 and max(texts) < BYTES_OF_PIECE + 2**20
    assert sum(len(piece.data) for piece in pieces) == 400 + (kind == "csv")


def test_a_block_has_few_lines_where_they_are_short(tmp_path):
    path = tmp_path / "t"
    row = "\t".join(["1", "1@N00", "", "", "1200000000", "", "", "", "cat", *[""] * 12, "jpg", "0"])
    path.write_text(row + "\n" + "a\n" * 300_000)
    pieces = list(Yfcc100m([path], ["cat"]).pieces(0))
    assert sum(len(piece.data[1].lines) for piece in pieces) == 300_001
    assert max(len(piece.data[1].lines) for piece in pieces) <= opening.MAX_LINES
    _, first = pieces[1].data
    assert first.first == len(pieces[0].data[1].lines) + 1


def test_pictures_of_any_number_come_in_order_in_little_memory(tmp_path):
    """Together they are larger than what DuckDB may use."""
    program = f"""
from pathlib import Path
from hostile_tables import sorted_pictures
sorted_pictures(Path({str(tmp_path)!r}))
"""
    ran = bounded(program=program, imports=("pyarrow.parquet", "duckdb", "pandas"))
    assert ran.out.strip() == "2600 True" and ran.megabytes < MOST_MB


# ---- values


def test_what_is_too_long_for_a_hashtag_is_not_looked_at():
    for long in ("x" * 10**7, "#" * 10**7, " " * 10**7, "geo:a=" + "x" * 10**7):
        assert clean_hashtag(long) == (None, "a hashtag of more than 200 characters")
        assert clean_encoded(long.encode()) == (None, "a hashtag of more than 200 characters")
    assert clean_encoded(b"%F0%9F%90%88" * 200) == ("🐈" * 200, None)
    assert clean_hashtag("é" * 200)[0] == "é" * 200


def test_yfcc100m_s_tags_are_bounded_in_number_and_in_what_is_kept_in_mind(tmp_path):
    def row(number, tags):
        cells = [str(number), "1@N00", "", "", "1200000000", "", "", "", tags, *[""] * 12]
        return "\t".join([*cells, "jpg", "0"]) + "\n"

    path = tmp_path / "t"
    path.write_text(
        row(1, "cat")
        + row(2, ",".join(f"cat{n}" for n in range(1000)))
        + row(3, ",".join(f"cat{n}" for n in range(1001)))
        + "".join(row(4 + n, f"{n}" + "y" * 60_000) for n in range(50))
    )
    source = Yfcc100m([path], ["cat"])
    report = json.loads((prepare(source, tmp_path / "out").folder / "report.json").read_text())
    left_out = report["rows"]["left_out"]
    assert left_out["more than 1,000 hashtags"] == {
        "count": 1, "first": [{"file": str(path), "line": 3}]
    }  # fmt: skip
    assert report["hashtags"]["left_out"]["a hashtag of more than 200 characters"] == 50
    assert source._clean.cache_info().currsize == 1000 + 1  # none of those


def test_the_report_shows_little_of_a_long_name():
    report = Report(problems=[(0, "w" * 10_000)])
    report.note("n" * 10_000, 1)
    text = report_text(report.as_dict(["f" * 10_000], ["f" * 10_000]))
    assert max(map(len, text.splitlines())) < 3 * MAX_SHOWN and "w…" in text and "n…" in text


WILD = {  # a time as it stands: the photo's, or None
    "0001-01-01": datetime(1, 1, 1),
    "0001-01-01T00:00:00+14:00": None,  # before the year 1
    "9999-12-31T23:59:59": datetime(9999, 12, 31, 23, 59, 59),
    "9999-12-31T23:59:59-14:00": None,
    "0000-01-01": None,
    "10000-01-01": None,
    "-0001-01-01": None,
    "9" * 18: None,
    "NaN": None,
    "-inf": None,
    "2001-02-30": None,
    "2001-01-01T25:00": None,
    "\0": None,
}


@pytest.mark.parametrize("kind", ["csv", "json lines", "parquet"])
def test_wild_times_and_ids_that_come_twice(tmp_path, kind):
    usual = [f"2001-01-{day:02d}" for day in range(1, 29)]
    rows = [
        {"user": f"u{n % 2}", "time": time, "tags": "x", "id": f"p{n}"}
        for n, time in enumerate([*usual, *WILD])
    ]
    rows += [{**row, "user": "u2"} for row in rows[:20]]
    path = tmp_path / "t"
    if kind == "csv":
        path.write_bytes(csv(*[",".join(row.values()) for row in rows], header=",".join(rows[0])))
        path.write_bytes(path.read_bytes().replace(b"a,2001-01-01,x\n", b""))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    photos = prepare(Table(path, **USUAL, photo_id="id"), tmp_path / "out")
    times = [time for time in WILD.values() if time is not None]
    found = sorted(photos.table["time"].to_pylist())
    assert found == sorted([*times, *map(datetime.fromisoformat, usual)])
    left_out = photos.meta["report"]["rows"]["left_out"]
    assert left_out.pop("a photo whose id stood before") == 20
    assert sum(left_out.values()) == len(WILD) - len(times)


def test_numbers_as_times_are_of_their_unit_or_left_out(tmp_path):
    usual, wild = [1.2e9 + n for n in range(20)], [1e18, -1e300, float("nan"), float("inf"), 0, -1]
    table = pa.table({"user": ["a"] * 26, "time": [*usual, *wild], "tags": ["x"] * 26})
    pq.write_table(table, tmp_path / "t")
    photos = prepare(Table(tmp_path / "t", **USUAL), tmp_path / "out")
    left_out = photos.meta["report"]["rows"]["left_out"]
    assert len(photos) == 20 and left_out == {"no time": 1, "a time that is not understood": 5}


# ---- encodings


ODD = [b"\0", b"\xff\xfe", b"\xfe\xff", b"+AGE-", b"+AGE", b"\x1b$B", b"\x1b", b"\x80", b"\xd8\0"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8", "iso2022_jp", "hz"])
def test_text_of_any_encoding_with_odd_bytes_is_read_or_refused(tmp_path, encoding):
    usual = "user,time,tags\n" + "a,2001-01-01,x\n" * 20
    json_list = "[" + ",".join(['{"user":"a","time":"2001-01-01","tags":"x"}'] * 20) + "]"
    path, read = tmp_path / "t", 0
    for text in (usual, json_list, json_list[1:-1].replace("},", "}\n")):
        whole = text.encode(encoding)
        for n, odd in enumerate(ODD):
            at = (n * 37) % len(whole)
            for spoiled in (whole + odd, whole[:at] + odd + whole[at:], whole[: at or 9]):
                path.write_bytes(spoiled)
                try:
                    source = Table(path, **USUAL, encoding=encoding)
                    for piece in source.pieces(0):
                        if not isinstance(piece, str):
                            source.understand(piece.data, with_texts=True).report.check()
                            read += len(piece.data)
                except InputError as error:
                    assert "\n" not in str(error)
    assert read > 200


@pytest.mark.parametrize("encoding", ["utf-7", "UTF7", "punycode", "idna"])
def test_encodings_that_may_keep_a_whole_file_in_mind_are_refused(tmp_path, encoding):
    (tmp_path / "t").write_bytes(csv())
    with pytest.raises(InputError, match=r"not read. Convert the file to UTF-8"):
        Table(tmp_path / "t", **USUAL, encoding=encoding)


# ---- compressed files


def test_what_is_packed_well_and_in_several_streams_is_read(tmp_path):
    import lzma

    rows = [f"u{n},2001-01-01,x{n}" for n in range(3000)]
    parts = [csv(*rows[:1500]), ("\n".join(rows[1500:]) + "\n").encode()]
    path = tmp_path / "t"
    whole = packed(lzma, *parts)
    padded = lzma.compress(parts[0]) + b"\0" * 70_000 + lzma.compress(parts[1]) + b"\0" * 4
    for data in (whole, padded, gzip.compress(parts[0]) + gzip.compress(parts[1])):
        path.write_bytes(data)
        (piece,) = Table(path, **USUAL).pieces(0)
        assert [row[2][0] for row in piece.data] == ["a", *(f"u{n}" for n in range(3000))]


def test_lines_of_a_bomb_count_up_to_where_it_was_left(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "FREE", 10_000)
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(csv(*["a,2001-01-01,x"] * 100_000)))
    *_, problem = Table(path, **USUAL).pieces(0)
    assert problem.startswith("it unpacks to more than 200 times its size: read up to line ")
    row = "\t".join(["1", "1@N00", "", "", "1200000000", "", "", "", "cat", *[""] * 12, "jpg", "0"])
    path.write_bytes(gzip.compress((row + "\n").encode() * 20_000))
    *_, problem = Yfcc100m([path], ["cat"]).pieces(0)
    assert "it unpacks to more than 200 times its size" in problem


# ---- Parquet, one bound each


def test_rows_are_measured_without_making_them():
    texts = pa.array(["a" * 1000, None]).dictionary_encode()
    array = pa.StructArray.from_arrays(
        [texts, pa.array([[1] * 100, None]), pa.array([[{"t": "b" * 500}] * 2, []])],
        ["a", "b", "c"],
    )
    large, small = row_bytes(array)
    assert 1000 + 100 * 30 + 2 * 500 < large < 12_000 and small < 400
    assert row_bytes(array.slice(1)).tolist() == [small]


def test_a_parquet_file_is_refused_for_what_its_footer_says(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(parquet(pa.array(["x"])))
    with pytest.raises(InputError, match=r"bytes to describe its columns.*at most 100\. Write it"):
        open_parquet(path, footer=100)
    for content in (b"", b"PAR1", b"PAR1" * 5, path.read_bytes()[:-4], b"PAR1" + b"\xff" * 8):
        (tmp_path / "broken").write_bytes(content)
        with pytest.raises(InputError):
            open_parquet(tmp_path / "broken")
    wide = pa.table({"w": pa.array([b"x" * 2000], pa.binary(2000)), "v": [1]})
    pq.write_table(wide, path)
    with pytest.raises(InputError, match="values of more than 1,024 bytes of one length"):
        open_parquet(path)
    with open_parquet(path, ["v"]) as file:  # the bounds are of what is read
        assert file.read(["v"]).to_pydict() == {"v": [1]}


# ---- a history from a CSV file


@pytest.mark.parametrize(
    "content, said",
    [
        (lambda: "a.jpg," + "x" * 3 * MB, "line 2: more than 1,048,576 characters"),
        (lambda: "a.jpg,cat\n" * 4 * MB, "more than 32 MiB"),
        (lambda: "a.jpg,cat\n" * 100_001, "line 100002: more than 100,000 photos"),
        (lambda: "a.jpg," + ";".join(map(str, range(10_000))), "line 2: a photo has at most 1,000"),
        (lambda: "a.jpg," + "x" * 1000, "line 2: a photo has at most 1,000 hashtags of 200"),
        (lambda: '"a","b\nc",' * 3 * MB, "line 3000002: more than two cells"),
        (lambda: 'a.jpg,"' + "x\n" * MB, "field larger than field limit"),
    ],
    ids=["line", "file", "photos", "hashtags", "hashtag", "columns", "cell"],
)  # fmt: skip
def test_a_history_is_bounded(tmp_path, content, said):
    path = tmp_path / "history.csv"
    path.write_text("image,hashtags\n" + content())
    with pytest.raises(InputError, match=said) as raised:
        read_history(path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


def test_a_history_at_its_bounds_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(history_reading, "MAX_PHOTOS", 3)
    path = tmp_path / "history.csv"
    hashtags = ";".join(f"{n:0200d}" for n in range(1000))
    path.write_text("image,hashtags\n" + "".join(f"{n}.jpg,{hashtags}\n" for n in range(3)))
    with pytest.raises(InputError, match="field larger"):  # of 201,000 characters
        read_history(path)
    path.write_text("image,hashtags\n" + f"a.jpg,{hashtags[: 201 * 600]}\n" * 3)
    assert [len(hashtags) for _, hashtags in read_history(path)] == [600] * 3
