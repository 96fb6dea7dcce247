"""Tables as they are found: `hashtag-core prepare table`, its guesses, and what it cannot read."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
from collections import Counter
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from broken_files import mutated
from helpers import prepare

from hashtag_core import cli
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.prepare.ingest import NothingKept, dry_run
from hashtag_core.sources import table_json
from hashtag_core.sources.table import Table
from hashtag_core.sources.table_separators import guess_separator
from hashtag_core.sources.table_times import Times, guess_times

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 150))
USUAL = {"user": "user", "time": "time", "hashtags": "tags"}


def collect(path, out=None, **options):
    """(photos as dicts, report) of a table."""
    photos = prepare(Table(path, **{**USUAL, **options}), out or path.with_suffix(".out"))
    report = json.loads((photos.folder / "report.json").read_text())
    assert report["rows"]["read"] == len(photos) + sum(
        entry["count"] for entry in report["rows"]["left_out"].values()
    )
    return photos.table.to_pylist(), report


def hashtags_of(photos):
    return [photo["hashtags"] for photo in photos]


def text_file(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


ROWS = [
    {
        "user": f"u{i % 3}",
        "time": f"201{i % 9}-03-01 12:{i:02d}:00",
        "tags": f"cat{i}, Чёрный кот,東京",
    }
    for i in range(12)
]  # fmt: skip


def as_csv(delimiter, rows=ROWS):
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def as_parquet(rows=ROWS):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


LISTS = [{**row, "tags": row["tags"].split(",")} for row in ROWS]
FEATURES = [
    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [16.4, 48]}, "properties": row}
    for row in ROWS
]
FORMATS = {
    "commas": as_csv(","),
    "semicolons": as_csv(";"),
    "tabs": as_csv("\t"),
    "bars": as_csv("|"),
    "utf-16": as_csv(",").decode().encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + as_csv(";"),
    "json lines": "\n".join(json.dumps(row, ensure_ascii=False) for row in LISTS).encode(),
    "json": json.dumps(LISTS, indent=1).encode(),
    "geojson": json.dumps({"type": "FeatureCollection", "features": FEATURES}).encode(),
    "parquet": as_parquet(LISTS),
    "gzip": gzip.compress(as_csv(",")),
    "bzip2": bz2.compress(as_csv("\t")),
    "xz": lzma.compress(json.dumps(ROWS).encode()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_photos(tmp_path, name):
    path = tmp_path / "table"  # its name tells nothing
    path.write_bytes(FORMATS[name])
    photos, report = collect(path)
    assert report["rows"]["kept"] == 12 and not report["rows"]["left_out"]
    assert [photo["user"] for photo in photos] == ["u0"] * 4 + ["u1"] * 4 + ["u2"] * 4
    expected = {(row["user"], row["time"], f"cat{i}") for i, row in enumerate(ROWS)}
    assert {(p["user"], str(p["time"]), p["hashtags"][0]) for p in photos} == expected
    assert all(photo["hashtags"][1:] == ["чёрный кот", "東京"] for photo in photos)


# ---- tables found in the wild, each with one command


def command(path, *options):
    out = path.with_suffix(".collection")
    code = cli.main(["prepare", "table", str(path), "--out", str(out), *options])
    assert code == 0
    return PhotoCollection.load(out)


def test_semicolons_and_german_dates(tmp_path, capsys):
    path = text_file(
        tmp_path / "fotos.csv",
        "Wer;Wann;Schlagwörter;Bild\n"
        'Jörg;03.05.2012 12:30;"Fluß, Sonne,geo:lat=48.2";a.jpg\n'
        "Jörg;04.05.2012 09:00;Fluß,sonne,Sonne;b.jpg\n"
        "Ada;01.01.1900;x;c.jpg\n",
    )
    photos = command(path, "--user", "Wer", "--time", "Wann", "--hashtags", "Schlagwörter")
    assert hashtags_of(photos.table.to_pylist()) == [["x"], ["fluß", "sonne"], ["fluß", "sonne"]]
    assert photos.table["time"][0].as_py() == datetime(1900, 1, 1)
    shown = capsys.readouterr().out
    for told in ("separated by semicolons", "times: d/m/y", "hashtags separated by commas",
                 "1  left out: a machine tag", "same hashtag twice", "3  rows read"):  # fmt: skip
        assert told in shown


def test_no_header_and_hashtags_between_spaces(tmp_path):
    path = text_file(
        tmp_path / "photos.txt",
        "17\tann\t1300000000\tsea sun 海\n18\tbob\t1300000001\tmoon\n19\tann\t1200000000\tsun\n",
    )
    photos = command(path, "--user", "2", "--time", "3", "--hashtags", "4", "--photo-id", "1")
    table = photos.table.to_pylist()
    assert [row["photo_id"] for row in table] == ["19", "17", "18"]
    assert hashtags_of(table) == [["sun"], ["sea", "sun", "海"], ["moon"]]
    assert table[0]["time"] == datetime(2008, 1, 10, 21, 20)


def test_tweets_with_hashtags_in_their_text(tmp_path):
    rows = [
        {"user": {"name": "ann"}, "created_at": "Wed Aug 27 13:08:45 +0000 2008",
         "entities": {"hashtags": "#Зима #снег"}},
        {"user": {"name": "bob"}, "created_at": "Wed Aug 27 15:08:45 +0200 2008",
         "entities": {"hashtags": "#black cat #x"}},
    ]  # fmt: skip
    path = text_file(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)))
    photos = command(
        path, "--user", "user.name", "--time", "created_at", "--hashtags", "entities.hashtags"
    )
    assert hashtags_of(photos.table.to_pylist()) == [["зима", "снег"], ["black cat", "x"]]
    assert set(photos.table["time"].to_pylist()) == {datetime(2008, 8, 27, 13, 8, 45)}


def test_one_user_s_photos_scattered_through_the_file_come_together_in_order(tmp_path):
    rows = [f"u{i % 7},{2000 + (i * 37) % 20}-01-01,t{i}" for i in range(700)]
    photos = command(
        text_file(tmp_path / "t.csv", "\n".join(["user,time,tags", *rows])),
        "--user", "user", "--time", "time", "--hashtags", "tags",
    )  # fmt: skip
    for user in range(7):
        times = photos.table["time"].to_pylist()[photos.rows_of(user)]
        assert len(times) == 100 and times == sorted(times)


def test_text_of_an_old_encoding_when_it_is_told(tmp_path):
    path = text_file(tmp_path / "t.csv", "user,time,tags\nЮра,2001-01-01,зима;снег\n" * 3, "cp1251")
    with pytest.raises(InputError, match=r"not UTF-8. Tell its --encoding"):
        Table(path, **USUAL)
    photos, _ = collect(path, encoding="cp1251")
    assert photos[0]["user"] == "Юра" and photos[0]["hashtags"] == ["зима", "снег"]
    with pytest.raises(InputError, match="no such encoding"):
        Table(path, **USUAL, encoding="rot13")


def test_pictures_beside_the_table_and_none_outside(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"picture")
    text_file(tmp_path / "secret.jpg", "secret")
    (tmp_path / "pictures" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    names = ["a.jpg", "../secret.jpg", str(tmp_path / "secret.jpg"), "link.jpg", "", "none.jpg"]
    lines = [f"ann,2001-01-0{i},cat,{name}" for i, name in enumerate(names, 1)]
    path = text_file(tmp_path / "t.csv", "\n".join(["user,time,tags,file", *lines]))
    options = "--user user --time time --hashtags tags --image file --no-features --image-root"
    photos = command(path, *options.split(), str(tmp_path / "pictures"))
    assert photos.picture(0) == b"picture"
    for row in range(1, 6):
        with pytest.raises(InputError, match="no picture"):
            photos.picture(row)
    notes = photos.meta["report"]["notes"]
    assert sorted(notes.values()) == [1, 3] and photos.meta["counts"]["pictures"] == 1
    assert cli.main(["prepare", "table", str(path), *options.split(), str(tmp_path / "no")]) == 2
    assert "no such folder of pictures" in capsys.readouterr().err


def test_a_dry_run_shows_the_first_ten_photos_and_the_counts_and_writes_nothing(tmp_path, capsys):
    rows = [f"ann\u202e,2001-01-{i % 28 + 1:02d},cat{i} \x1b[31mred" for i in range(30)]
    rows.append("bob,x,y")
    path = text_file(tmp_path / "t.csv", "\n".join(["user,time,tags", *rows]))
    options = ["--user", "user", "--time", "time", "--hashtags", "tags", "--dry-run"]
    before = sorted(tmp_path.iterdir())
    assert cli.main(["prepare", "table", str(path), *options, "--out", str(tmp_path / "o")]) == 0
    shown = capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == before
    assert shown.count("  2001-01-") == 10 and "31  rows read" in shown
    assert "a time that is not understood  (line 32)" in shown
    assert "\x1b" not in shown and "\u202e" not in shown and "\\u202e" in shown


# ---- bad rows


def test_a_bad_row_is_left_out_alone(tmp_path):
    path = text_file(
        tmp_path / "t.csv",
        "user,time,tags\n"
        "ann,2001-01-01,cat\n"
        ',2001-01-02,"no user"\n'
        "ann,,no time\n"
        "ann,31/31/2001,bad time\n"
        "ann,2001-01-03,\n"
        "ann,2001-01-04,geo:lat=1\n"
        "ann,2001-01-05\n"
        'ann,2001-01-06,"open, and never closed\n'
        "ann,2001-01-07,after it\n"
        'ann,2001-01-08,12" pipe\n'
        f"{'a' * 300},2001-01-09,long\n"
        f"ann,2001-01-10,{';'.join(map(str, range(2000)))}\n"
        f"ann,2001-01-11,{'a' * 2_000_000}\n"
        '"ann","2001-01-12","two\nlines"\n'
        "ann\ufffd,2001-01-13,x\n",
    )
    photos, report = collect(path, separator=";")
    assert [str(photo["time"])[8:10] for photo in photos] == ["01", "07", "08", "12"]
    assert hashtags_of(photos)[1:] == [["after it"], ['12" pipe'], ["two lines"]]
    lines = {r: [p["line"] for p in e["first"]] for r, e in report["rows"]["left_out"].items()}
    assert lines == {
        "no user": [3],
        "no time": [4],
        "a time that is not understood": [5],
        "no hashtags": [6],
        "no hashtag among the tags": [7],
        "another number of columns than most rows": [8],
        "quotes that do not match": [9],
        "a user of more than 200 characters": [12],
        "more than 1,000 hashtags": [13],
        "a line of more than 1,048,576 characters": [14],
        "a user or photo id with characters that are not of the encoding": [17],
    }
    with pytest.raises(InputError, match="line 3: no user"):
        prepare(Table(path, **USUAL), tmp_path / "strict", strict=True)


@pytest.mark.parametrize("name", FORMATS)
def test_broken_tables_never_stop_a_run(tmp_path, name):
    path, seen = tmp_path / "table", Counter()
    for seed in range(MUTATIONS // 10):
        path.write_bytes(mutated(FORMATS[name], seed))
        columns = USUAL if seed % 3 else {"user": "1", "time": "2", "hashtags": "3"}
        try:
            photos = prepare(Table(path, **columns), tmp_path / f"{seed}")
        except NothingKept:
            seen["nothing"] += 1
        except InputError as error:
            seen["refused"] += 1
            assert "\n" not in str(error)
        else:
            rows = photos.meta["report"]["rows"]
            assert rows["read"] == rows["kept"] + sum(rows["left_out"].values())
            seen["ok"] += 1
    assert seen.total() == MUTATIONS // 10


def test_lists_that_break_off_are_read_as_far_as_they_go(tmp_path, monkeypatch):
    for name in ("json", "geojson"):
        path = tmp_path / name
        path.write_bytes(FORMATS[name][: len(FORMATS[name]) * 3 // 4])
        photos, report = collect(path)
        assert 5 < len(photos) < 12 and "broken JSON after object" in report["problems"][0]["what"]
    monkeypatch.setattr(table_json, "MAX_ITEM", 70_000)
    huge = text_file(tmp_path / "huge", json.dumps([*LISTS, {"user": "a" * 600_000}]))
    photos, report = collect(huge)
    assert "a value of more than 70,000 characters" in report["problems"][0]["what"]


def test_what_json_can_hold_is_refused_row_by_row(tmp_path):
    rows = [
        json.dumps(LISTS[0]), "[1]", "{", '{"user": "\\ud800", "time": "2001-01-01", "tags": "a"}',
        "[" * 100_000, '{"user": NaN, "time": "2001-01-01", "tags": "a"}',
        '{"user": "a", "time": ' + "9" * 5000 + ', "tags": "a"}',
        '{"user": "a", "time": {"x": 1}, "tags": "a"}',
        '{"user": 7, "time": 1300000000, "tags": []}',
        '{"user": 7.0, "time": "2001-01-02", "tags": ["a", null, 5, "\\ud800"]}',
    ]  # fmt: skip
    photos, report = collect(text_file(tmp_path / "t.jsonl", "\n".join(rows)))
    assert [photo["user"] for photo in photos] == ["7", "u0"]
    assert photos[0]["hashtags"] == ["a", "5"]
    assert {r: e["count"] for r, e in report["rows"]["left_out"].items()} == {
        "not a JSON object": 3,
        "an object nested more than 64 deep": 1,
        "a user or photo id with characters that are not of the encoding": 1,
        "no user": 1,
        "a time that is not understood": 2,
    }


# ---- guesses, by hand


@pytest.mark.parametrize(
    "cells, name, expected",
    [
        (["2005-03-01 12:39:28.0"], "iso", datetime(2005, 3, 1, 12, 39, 28)),
        (["2005-03-01T12:39:28+02:00"], "iso", datetime(2005, 3, 1, 10, 39, 28)),
        (["1900"], "iso", datetime(1900, 1, 1)),
        (["2005/03/01"], "iso", datetime(2005, 3, 1)),
        (["20050301123928"], "iso", datetime(2005, 3, 1, 12, 39, 28)),
        (["2005:03:01 12:39:28"], "exif", datetime(2005, 3, 1, 12, 39, 28)),
        (["1200000000", 1200000000.5], "epoch", datetime(2008, 1, 10, 21, 20)),
        (["1200000000000"], "epoch ms", datetime(2008, 1, 10, 21, 20)),
        (["1401010100000"], "epoch ms", datetime(2014, 5, 25, 9, 28, 20)),  # not in 1401
        ([1200000000000000], "epoch us", datetime(2008, 1, 10, 21, 20)),
        (["3/14/2005 1:05 PM", "1/2/2005 12:00 AM"], "m/d/y", datetime(2005, 3, 14, 13, 5)),
        (["14/3/2005", "1/2/2005"], "d/m/y", datetime(2005, 3, 14)),
        (["1.2.2005"], "d/m/y", datetime(2005, 2, 1)),
        (["Tue, 01 Mar 2005 12:39:28 +0100"], "rfc 2822", datetime(2005, 3, 1, 11, 39, 28)),
        ([datetime(2005, 3, 1, 12, tzinfo=UTC)], "iso", datetime(2005, 3, 1, 12)),
        ([date(2005, 3, 1)], "iso", datetime(2005, 3, 1)),
    ],
)
def test_times_in_the_usual_ways(cells, name, expected):
    times = guess_times([None, "", *cells], "when")
    assert (times.name, times(cells[0])) == (name, expected)


def test_times_that_nobody_can_tell_are_asked_for():
    with pytest.raises(InputError, match=r"day/month or month/day.*--time-format d/m/y"):
        guess_times(["1/2/2005", "3/4/2006"], "when")
    with pytest.raises(InputError, match=r"day/month or month/day"):
        guess_times(["1/2/2005 10:00:00.123"], "when")  # that dot tells nothing
    with pytest.raises(InputError, match=r"as in '1/2/2005'"):
        guess_times(["2005-01-01", "1/2/2005", "3 Mar", "?"], "when")
    with pytest.raises(InputError, match=r"column when: .*'soon'.*--time-format"):
        guess_times(["soon"], "when")
    with pytest.raises(InputError, match="all are empty"):
        guess_times(["", None], "when")
    with pytest.raises(InputError, match="one of iso"):
        Times("whenever")
    assert Times("%d %B %Y")("5 May 2010") == datetime(2010, 5, 5)
    bad = [
        "5/5/5",
        "10000-01-01",
        "1e400",
        "nan",
        "9" * 200,
        "0000:00:00 00:00:00",
        object(),
        b"\xff",
    ]
    for name in ("iso", "exif", "epoch", "epoch ns", "d/m/y", "rfc 2822", "twitter", "%d %Q"):
        assert [Times(name)(cell) for cell in bad] == [None] * len(bad)


@pytest.mark.parametrize(
    "cells, name, expected",
    [
        (["a,b c", "d"], ",", ["a", "b c"]),
        (["a; b", "c,d;e"], ";", ["a", "b"]),
        (["a b", "c"], " ", ["a", "b"]),
        (["#a #b c", "#d"], "#", ["a", "b c"]),
        (["#a,#b"], "#", ["a", "b"]),
        (["so cold #a #b", "#c", "#d"], "#", ["a", "b"]),
        (['["a b", "c"]'], "list", ["a b", "c"]),
        (["['a b', \"it's\"]"], "list", ["a b", "it's"]),
        (["{a,b}"], "list", ["a", "b"]),
        (['{cat,"black cat",dog}'], "list", ["cat", "black cat", "dog"]),  # as PostgreSQL writes
        (["['a' 'b c'\n 'd']"], "list", ["a", "b c", "d"]),  # as numpy does
        (["""['it\\'s', "x"]"""], "list", ["it's", "x"]),
        ([[{"text": "a", "indices": [0, 1]}, {"id": 1}]], "list", ["a", ""]),
        ([[["a", "b"], [[[["c"]]]]]], "list", ["a", "b", ""]),
        (["[]", "[a]"], "list", []),
        ([["a", "b,c"]], "list", ["a", "b,c"]),
        (['"a","b c"'], ",", ["a", "b c"]),
    ],
)
def test_separators_are_found(cells, name, expected):
    separator = guess_separator([None, *cells])
    assert (separator.name, separator(cells[0])) == (name, (expected, False))


def test_columns_that_are_not_there_are_named(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(FORMATS["commas"])
    with pytest.raises(InputError, match=r"no column who. There are: user, time, tags"):
        Table(path, "who", "time", "tags")
    with pytest.raises(InputError, match="nothing in column 9 for --user"):
        Table(path, "9", "2", "3")
    path.write_bytes(FORMATS["json"])
    with pytest.raises(InputError, match=r"column who for --user. There are: tags, time"):
        Table(path, "who", "time", "tags")
    text_file(path, "a,a,b\n1,2,3\n")
    with pytest.raises(InputError, match="several columns a; use their numbers"):
        Table(path, "a", "b", "b")
    for content, message in (
        ("", "empty"), ("one column\nonly\n", "no delimiter"), ("PAR1nonsense", "damaged Parquet"),
    ):  # fmt: skip
        text_file(path, content)
        with pytest.raises(InputError, match=message):
            Table(path, **USUAL)
    with pytest.raises(InputError, match="one character"):
        Table(text_file(path, "a,b,c"), **USUAL, delimiter="::")


def test_a_told_separator_and_a_dry_run_from_python(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(FORMATS["commas"])
    report, photos = dry_run(Table(path, **USUAL, separator="é"))
    assert report["rows"]["kept"] == 12 and len(photos) == 10
    assert photos[0]["hashtags"] == ["cat0, чёрный кот,東京"]
    for empty, message in (("separator", "at least one character"), ("time_format", "one of iso")):
        with pytest.raises(InputError, match=message):
            Table(path, **USUAL, **{empty: ""})
    path.write_bytes(
        as_csv("\t", [{**row, "tags": row["tags"].replace(",", "\t")} for row in ROWS])
    )
    photos, _ = collect(path, delimiter=r"\t", separator=r"\t")  # as shells leave it
    assert photos[0]["hashtags"] == ["cat0", "чёрный кот", "東京"]


def test_json_in_any_encoding_and_order(tmp_path):
    rows = [{"user": "é", "time": "2001-01-01", "tags": ["x"]}]
    for encoding, told in (("utf-8-sig", None), ("utf-16", None), ("cp1252", "cp1252")):
        path = text_file(tmp_path / encoding, json.dumps(rows, ensure_ascii=False), encoding)
        photos, _ = collect(path, encoding=told)
        assert photos[0]["user"] == "é"
    properties = {**rows[0], "more": "z" * 3000}
    features = [{"geometry": None, "properties": properties, "type": "Feature"}] * 2
    data = json.dumps({"features": features, "type": "FeatureCollection"})
    photos, report = collect(text_file(tmp_path / "geo", data))
    assert report["rows"]["kept"] == 2 and photos[0]["hashtags"] == ["x"]
    photos, _ = collect(text_file(tmp_path / "ml", json.dumps({**rows[0], "features": [1, 2]})))
    assert len(photos) == 1  # JSON lines with such a column


def test_objects_are_no_names(tmp_path):
    rows = [{"user": {"id": 1}, "time": "2001-01-01", "tags": ["x"]}, LISTS[0]]
    _, report = collect(text_file(tmp_path / "t", "\n".join(map(json.dumps, rows))))
    assert report["rows"]["left_out"]["no user"]["count"] == 1


def test_few_lines_that_are_not_utf8_and_a_bom_in_spite_of_what_is_told(tmp_path):
    path = text_file(
        tmp_path / "t", "user,time,tags\nJörg,2001-01-01,a\nx,2001-01-02,b\n", "cp1252"
    )
    with pytest.raises(InputError, match="not UTF-8"):
        Table(path, **USUAL)
    path = text_file(tmp_path / "t", '"user","time","tags"\n"a","2001-01-01","b"\n', "utf-8-sig")
    assert collect(path, encoding="UTF8")[0][0]["user"] == "a"


def test_parquet_reads_the_named_columns_and_leaves_out_values_that_nothing_holds(tmp_path):
    table = pa.table(
        {
            "u": pa.array([{"id": i} for i in range(4)]),
            "a.b": pa.array([1, 10**14, 2, 3], pa.timestamp("s")),  # a year 3,000,000
            "tags": pa.array([["x"], ["y"], [{}.get("z")], ["z"]]),
            "picture": pa.array([b"large"] * 4),
            "file": pa.nulls(4, pa.string()),
        }
    )
    path = tmp_path / "t"
    pq.write_table(table, path)
    source = Table(path, "u.id", "a.b", "tags", image="file")
    assert set(next(source.opened.rows())[2]) == {"u", "a.b", "tags", "file"}
    photos, report = collect(path, user="u.id", time="a.b")
    assert [photo["user"] for photo in photos] == ["0", "3"]
    assert {r: e["first"][0]["row"] for r, e in report["rows"]["left_out"].items()} == {
        "a value that cannot be read": 2,
        "no hashtag among the tags": 3,
    }


def test_what_is_no_table_is_said_clearly(tmp_path):
    for content, message in (
        ("PK\x03\x04", "a spreadsheet, or a zip. Save it as CSV"),
        ("user,time,tags\n", "there is no row in it"),
        ("usr,time,tags\na,2001-01-01,x,\nb,2001-01-01,y,\n", "first row with 4 columns names"),
    ):
        with pytest.raises(InputError, match=message):
            Table(text_file(tmp_path / "t", content), **USUAL)
    with pytest.raises(InputError, match=r"a folder. Name the table in it"):
        Table(tmp_path, **USUAL)
    with pytest.raises(InputError, match="name is not UTF-8; rename it"):
        Table(text_file(tmp_path / "t\udce9", "user,time,tags\na,2001-01-01,x\n"), **USUAL)


def test_names_from_a_table_do_no_harm_in_a_terminal(tmp_path, capsys):
    path = text_file(tmp_path / "t", "us\x1b[31mer,time,tags\na,2001-01-01,x\n")
    options = ["--user", "user", "--time", "time", "--hashtags", "tags"]
    assert cli.main(["prepare", "table", str(path), *options]) == 2
    shown = capsys.readouterr().err
    assert "\x1b" not in shown and "us\\x1b[31mer" in shown
