"""Times and missing values in tables as programs write them."""

import csv
import json
from datetime import datetime

import pytest
from helpers import prepare

from hashtag_core.errors import InputError
from hashtag_core.prepare.ingest import dry_run
from hashtag_core.sources.table import NOTHING, SHORTENED, Table
from hashtag_core.sources.table_times import Times, guess_times

USUAL = {"user": "user", "time": "time", "hashtags": "tags"}


def table(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("user", "time", "tags"), *rows])
    return path


@pytest.mark.parametrize(
    "cell, expected",
    [
        ("Dec 12, 2015, 1:11:14\u202fPM UTC", datetime(2015, 12, 12, 13, 11, 14)),
        ("December 12, 2015 12:05 AM", datetime(2015, 12, 12, 0, 5)),
        ("December 12, 2015 at 12:05 p.m.", datetime(2015, 12, 12, 12, 5)),
        ("12 Dec 2015", datetime(2015, 12, 12)),
        ("1st May 2012 13:05", datetime(2012, 5, 1, 13, 5)),
        ("04-MAY-12 01.05.00.000000 PM", datetime(2012, 5, 4, 13, 5)),
        ("2012-05-04 1:05:00 PM", datetime(2012, 5, 4, 13, 5)),
        ("2012-05-04 12:05 AM", datetime(2012, 5, 4, 0, 5)),
        ("2012-05-04 1:05:00 PM -0700", datetime(2012, 5, 4, 20, 5)),
        ("23/5/2012 1:05 PM", datetime(2012, 5, 23, 13, 5)),
        ("5/23/12 14:22", datetime(2012, 5, 23, 14, 22)),
        ("5/23/68", datetime(2068, 5, 23)),
        ("23.05.99", datetime(1999, 5, 23)),
        ("Fri May 04 2012 12:12:10 GMT+0200 (CEST)", datetime(2012, 5, 4, 10, 12, 10)),
        ("Fri May 04 12:12:10 CEST 2012", datetime(2012, 5, 4, 10, 12, 10)),
        ("Fri May 04 12:12:10 2012", datetime(2012, 5, 4, 12, 12, 10)),
        ("Fri, 04 May 2012 12:12:10 EST", datetime(2012, 5, 4, 17, 12, 10)),
        ("2012-05-04 12:12:10 CEST", datetime(2012, 5, 4, 10, 12, 10)),
        ("2012-05-04 12:12:10 UTC", datetime(2012, 5, 4, 12, 12, 10)),
        ("23/5/2012 12:12 +02:00", datetime(2012, 5, 23, 10, 12)),
        ("1 May 2012 12:12 -03:30", datetime(2012, 5, 1, 15, 42)),
    ],
)
def test_times_with_names_halves_of_days_and_zones(cell, expected):
    assert guess_times([cell], "when")(cell) == expected


@pytest.mark.parametrize(
    "cell", ["May 34, 2012", "12 Foo 2012", "4 May 2012 12:12 XYZ", "13:72 PM"]
)
def test_what_is_no_time_is_none(cell):
    for name in ("names of months", "rfc 2822", "iso"):
        assert Times(name)(cell) is None


def test_the_column_says_whether_the_day_comes_first():
    both = ["1/2/2005"] * 5000
    assert guess_times([*both, "14/2/2005"], "when").name == "d/m/y"
    assert guess_times([*both, "2/14/2005"], "when").name == "m/d/y"
    with pytest.raises(InputError, match=r"The rows do not agree.*--time-format"):
        guess_times([*both, "14/2/2005", "2/14/2005"], "when")
    with pytest.raises(InputError, match=r"year/month/day \(y/m/d\)"):
        guess_times(["14/05/03"], "when")
    assert Times("y/m/d")("14/05/03") == datetime(2014, 5, 3)


def test_zones_are_told():
    zoned, plain = "2013-07-30T12:00:00+09:00", "2013-07-30T09:00:00"
    assert guess_times([plain], "when").how == "iso"
    assert guess_times([zoned], "when").how == "iso, with their zone: turned into UTC"
    assert "1 of the first 3 have a zone" in guess_times([plain, zoned, plain], "when").how
    assert "zone" in guess_times([zoned], "when", "%Y-%m-%dT%H:%M:%S%z").how


# ---- nothing, in words


@pytest.mark.parametrize("nothing", ["NA", "nan", "NaN", "NULL", "None", r"\N", "<NA>", "N/A"])
def test_a_word_for_nothing_is_nobody_never_and_no_hashtag(tmp_path, nothing):
    rows = [
        ("ann", "2014-01-01", "sea;sun"),
        ("ann", "2014-01-02", nothing),
        (nothing, "2014-01-03", "snow"),
        ("bob", nothing, "snow"),
        ("Null", "2014-01-04", "none"),
    ]
    source = Table(table(tmp_path / "t.csv", rows), **USUAL)
    photos = prepare(source, tmp_path / "out")
    assert photos.users == ["Null", "ann"]
    report = json.loads((photos.folder / "report.json").read_text())
    assert set(report["rows"]["left_out"]) == {"no hashtags", "no user", "no time"}
    assert report["doubts"].pop(NOTHING) == {"count": 3, "examples": [nothing]}
    assert list(report["doubts"].values()) == [{"count": 1, "examples": ["none"]}]


def test_users_whose_digits_a_spreadsheet_cut_off_are_told(tmp_path):
    users = ["9.06E+17", "8,02E+17", "1E+15", "ann", "1e5"]
    rows = [(user, "2014-01-01", "sea") for user in users]
    report, _ = dry_run(Table(table(tmp_path / "t.csv", rows), **USUAL))
    assert report["doubts"][SHORTENED] == {"count": 3, "examples": users[:3]}


def test_epochs_before_and_around_1970_are_read_among_usual_ones():
    cells = ["-500000000", "86400", "-86400", "1336130000", "-631152000", "99999.5"]
    times = guess_times(cells, "time")
    assert times.name == "epoch"
    assert [str(times(cell)) for cell in cells] == [
        "1954-02-26 23:06:40", "1970-01-02 00:00:00", "1969-12-31 00:00:00", "2012-05-04 11:13:20",
        "1950-01-01 00:00:00", "1970-01-02 03:46:39.500000",
    ]  # fmt: skip
    assert [times(cell) for cell in ("0", "-1", "2012", "20120504", "12345678901")] == [None] * 5


@pytest.mark.parametrize("cells", [["86400", "-86400"], ["3", "12", "17"], ["0"] * 5])
def test_small_numbers_alone_are_no_times(cells):
    with pytest.raises(InputError, match="not understood"):
        guess_times(cells, "time")


def test_small_epochs_are_read_where_that_is_told():
    assert str(guess_times(["86400"], "time", "epoch")("86400")) == "1970-01-02 00:00:00"
