"""YFCC100M's metadata as an SQLite file: other tables, odd values, damaged pages."""

import gzip
import os
import random
import sqlite3
from contextlib import closing

import pytest
from yfcc100m_files import (
    PHOTO,
    WORDS,
    database,
    photo,
    read,
    small_world,
)

from hashtag_core import cli
from hashtag_core.benchmarks.ingest import photos_of
from hashtag_core.benchmarks.yfcc100m_forms import write_form
from hashtag_core.errors import InputError
from hashtag_core.prepare import sqlite
from hashtag_core.prepare.ingest import prepare
from hashtag_core.sources import yfcc100m
from hashtag_core.sources.yfcc100m import Yfcc100m

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 150))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return small_world(tmp_path_factory.mktemp("world"))


def test_another_table_and_values_that_nobody_expects(tmp_path):
    rows = [
        photo(photoid=1, usertags="cat"), photo(photoid="2", usertags="dog", marker="0"),
        photo(photoid=3, usertags=None), photo(photoid=4, datetaken=None, dateuploaded=1200000000),
        photo(photoid=5, usertags="c\0at,dog"), photo(photoid=6, usertags="a\tcat,dog\n\x1e"),
        photo(photoid=7, usertags=b"cat,\xff"), photo(photoid=8.5), photo(photoid=None),
        photo(photoid=9, uid=12), photo(photoid=10, marker=0.0), photo(photoid=-11),
        photo(photoid=12, datetaken="null", dateuploaded="null"), photo(photoid=13, usertags=2005),
        photo(photoid=14, title="\n\t\0|" * 50), photo(photoid=15, usertags="x" * 70_000),
    ]  # fmt: skip
    path = database(tmp_path / "my.db", *rows)
    before = path.read_bytes()
    photos, report = read(path, tmp_path / "out")
    assert {found[2]: found[3] for found in photos} == {
        "1": ("cat",), "2": ("dog",), "4": ("cat",), "5": ("dog",), "6": ("a cat", "dog"),
        "7": ("cat",), "14": ("cat",),
    }  # fmt: skip
    lines = {r: [p["row_id"] for p in e["first"]] for r, e in report["rows"]["left_out"].items()}
    assert lines == {
        "the photo id is not a number": [8, 9, 12],
        "the user is not like 30302697@N00": [10],
        "the marker is neither 0 (photo) nor 1 (video)": [11],
        "no user tags": [3],
        "user tags of more than 65,536 bytes": [16],
        "no date, neither taken nor uploaded": [13],
        "no hashtag with a word vector": [14],
    }
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["my.db", "out"]


def test_a_row_is_called_by_its_row_id(tmp_path, capsys):
    rows = [photo(photoid=number) for number in range(1, 1200)] + [photo(uid="nobody")]
    database(tmp_path / "my.db", *rows)
    arguments = ["prepare", "yfcc100m", str(tmp_path / "my.db"), "--out", str(tmp_path / "out")]
    everybody = ["--min-photos", "1", "--max-photos", "9999", "--min-kept-photos", "1"]
    assert cli.main([*arguments, *everybody]) == 0
    assert "the user is not like 30302697@N00  (row id 1,200)" in capsys.readouterr().out
    for _ in range(2):  # found while it is read, then in the report that is there
        assert cli.main([*arguments, *everybody, "--strict"]) == 2
        assert "my.db, row id 1,200: the user is not" in capsys.readouterr().err


def test_row_ids_of_every_size(tmp_path):
    path = database(tmp_path / "ids.db")
    ids = [-(2**63), -1, 0, 1, 2**40 - 1, 2**40, 2**63 - 1]
    with closing(sqlite3.connect(path)) as connection:
        names = ", ".join(PHOTO)
        for number, row_id in enumerate(ids, 1):
            values = [row_id, *photo(photoid=number).values()]
            places = ", ".join("?" for _ in values)
            connection.execute(f"INSERT INTO photos (rowid, {names}) VALUES ({places})", values)
        connection.commit()
    photos, report = read(path, tmp_path / "out")
    assert [found[2] for found in photos] == ["4", "5"]
    assert report["rows"]["left_out"]["the row id is not between 1 and 2^40"]["count"] == 5


def test_a_database_that_is_something_else_is_said(tmp_path):
    def refused(statements, match, name="x.db"):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(statements)
        with pytest.raises(InputError, match=match) as error:
            Yfcc100m([path], WORDS)
        assert "\n" not in str(error.value)

    columns = ", ".join(PHOTO)
    refused("CREATE TABLE a (photoid, uid, marker)", "a has no datetaken, dateuploaded, usertags")
    refused("VACUUM", "no table in it|no SQLite|23 or 25")
    refused(f"CREATE TABLE a ({columns}); CREATE TABLE b ({columns})", "several tables .*: a, b")
    refused("CREATE TABLE a (x); CREATE VIEW yfcc100m_dataset AS SELECT 1 AS photoid", "a has no")
    rows = columns.replace("photoid", "photoid PRIMARY KEY")
    refused(f"CREATE TABLE a ({rows}) WITHOUT ROWID", "a has no row ids. Copy it")
    computed = columns.replace("usertags", "usertags AS (upper(title))")
    refused(f"CREATE TABLE a ({computed})", "a has no usertags")
    path = database(tmp_path / "good.db", photo())
    (tmp_path / "good.db.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match=r"compressed SQLite file\. Unpack it"):
        Yfcc100m([tmp_path / "good.db.gz"])
    path.write_bytes(path.read_bytes()[:-1024])
    with pytest.raises(InputError, match=r"bytes of .*\. Is it downloaded whole"):
        Yfcc100m([path])


def test_triggers_and_views_beside_the_table_do_nothing(tmp_path):
    path = database(tmp_path / "a.db", photo(), photo(photoid=2))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TRIGGER t AFTER INSERT ON photos BEGIN DELETE FROM photos; END;"
            "CREATE VIEW v AS SELECT * FROM photos; CREATE INDEX i ON photos (upper(usertags));"
        )
    assert len(read(path, tmp_path / "out")[0]) == 2


def test_a_value_of_17_megabytes_costs_its_row_alone(tmp_path):
    rows = [photo(photoid=i) for i in range(1, 40)]
    for number, name in ((5, "usertags"), (20, "title"), (21, "description")):
        rows[number - 1][name] = "x" * (sqlite.MAX_VALUE + 1)
    path = database(tmp_path / "a.db", *rows)
    photos, report = read(path, tmp_path / "out")
    entry = report["rows"]["left_out"]["a value of more than 16 MiB, or a damaged one"]
    lost = [place["row_id"] for place in entry["first"]]
    assert 5 in lost and set(lost) <= {5, 20, 21} and len(photos) == 39 - len(lost)


@pytest.mark.parametrize(
    "page, size", [(512, 20_000), (512, 2**23), (1024, 3000), (65536, 3000), (65536, 2**23)]
)
def test_every_size_of_pages_and_blocks(world, tmp_path, monkeypatch, page, size):
    path = write_form(world["23 columns"], tmp_path / "a.sql", "sqlite", page)
    expected = list(photos_of(prepare(Yfcc100m([world["sqlite"]], WORDS), tmp_path / "expected")))
    monkeypatch.setattr(yfcc100m, "BLOCK", size)
    assert read(path, tmp_path / "out")[0] == expected


@pytest.mark.parametrize("seed", range(4))
def test_damaged_pages_cost_their_own_rows_alone(world, tmp_path, monkeypatch, seed):
    data = bytearray(world["sqlite"].read_bytes())
    rng = random.Random(seed)
    kind = {number: data[1024 * number] for number in range(1, len(data) // 1024)}
    leaves = [number for number, first in kind.items() if first == 13]
    above = [number for number, first in kind.items() if first == 5]
    broken = rng.sample(leaves, 5) if seed else [rng.choice(above[1:])]
    for number in broken:
        data[1024 * number : 1024 * number + 1024] = bytes(1024)
    path = tmp_path / "a.sql"
    path.write_bytes(data)
    monkeypatch.setattr(yfcc100m, "BLOCK", 40_000)
    photos, report = read(path, tmp_path / "out")
    reachable = set(ids_one_by_one(path, world["sqlite"]))
    everything = {found[2]: found for found in read(world["sqlite"], tmp_path / "whole")[0]}
    expected = {id_: found for id_, found in everything.items() if int(id_) in reachable}
    assert {found[2]: found for found in photos} == expected
    assert len(expected) < len(everything)
    problems = [problem["what"] for problem in report["problems"]]
    assert problems and all("damaged: no row could be read with a row id" in p for p in problems)
    ranges = [[int(n.replace(",", "")) for n in p.split() if n[0].isdigit()] for p in problems]
    for id_ in set(map(int, everything)) - reachable:
        assert any(first <= id_ and (not last or id_ <= last[0]) for first, *last in ranges)
    with pytest.raises(InputError, match="damaged"):
        read(path, tmp_path / "strict", strict=True)


def ids_one_by_one(path, whole):
    """The row ids of a database that can be read, each asked for by itself."""
    with closing(sqlite3.connect(whole)) as connection:
        ids = [row[0] for row in connection.execute("SELECT photoid FROM yfcc100m_dataset")]
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        for row_id in ids:
            try:
                query = "SELECT * FROM yfcc100m_dataset WHERE photoid = ?"
                if connection.execute(query, [row_id]).fetchall():
                    yield row_id
            except sqlite3.Error:
                continue
