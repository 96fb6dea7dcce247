"""SQLite files as tables: which table, which rows, and what becomes of those that are damaged."""

import gzip
import sqlite3

import pytest
from bounded import bounded
from helpers import prepare

from hashtag_core import cli
from hashtag_core.errors import InputError
from hashtag_core.sources.table import Table
from hashtag_core.sources.table_batches import LARGE

USUAL = {"user": "user", "time": "time", "hashtags": "tags"}
COLUMNS = ["--user", "user", "--time", "time", "--hashtags", "tags"]
ROWS = [("ann", "2014-01-01", "sea;sun"), ("bob", "2014-01-02", "snow"), ("ann", None, "x;y")]


def database(path, rows=ROWS, table="photos", columns="user, time, tags", more=()):
    connection = sqlite3.connect(path)
    for statement in more:
        connection.execute(statement)
    connection.execute(f'CREATE TABLE "{table}" ({columns})')
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)
    connection.commit()
    connection.close()
    return path


def read(source):
    """(rows, problems) of a table."""
    pieces = list(source.pieces(0))
    rows = [row for piece in pieces if not isinstance(piece, str) for row in piece.data]
    return rows, [piece for piece in pieces if isinstance(piece, str)]


def test_the_one_table_of_a_file_is_read_and_the_file_stays_as_it_is(tmp_path):
    path = database(tmp_path / "my photos.sql")
    before = path.read_bytes(), path.stat().st_mtime_ns
    source = Table(path, **USUAL)
    assert source.understood[:3] == ["my photos.sql: sqlite", "encoding utf-8", "table photos"]
    photos = prepare(source, tmp_path / "out")
    assert photos.table.select(["photo_id", "user", "hashtags"]).to_pylist() == [
        {"photo_id": "000000000001", "user": "ann", "hashtags": ["sea", "sun"]},
        {"photo_id": "000000000002", "user": "bob", "hashtags": ["snow"]},
    ]
    assert photos.meta["report"]["rows"]["left_out"] == {"no time": 1}
    assert "no time  (row 3)" in (tmp_path / "out" / "report.txt").read_text()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my photos.sql", "out"]


def test_rows_come_in_the_order_of_the_table_not_of_an_index(tmp_path):
    path = database(tmp_path / "t", [(f"u{9 - n}", "2014-01-01", "x") for n in range(10)])
    connection = sqlite3.connect(path)
    connection.execute("CREATE INDEX every ON photos (user, time, tags)")
    connection.commit()
    connection.close()
    rows, _ = read(Table(path, **USUAL))
    assert [row[2]["user"] for row in rows] == [f"u{9 - n}" for n in range(10)]
    assert [row[0] for row in rows][-1] == path.stat().st_size  # how far the bar is


def test_a_table_without_row_numbers_and_names_with_quotes(tmp_path):
    columns = '"the ""user" TEXT PRIMARY KEY, time, tags'
    path = tmp_path / "t"
    database(path, ROWS[:2], columns=columns)
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE other ({columns}) WITHOUT ROWID")
    connection.execute("INSERT INTO other SELECT * FROM photos")
    connection.execute("DROP TABLE photos")
    connection.commit()
    connection.close()
    rows, problems = read(Table(path, 'the "user', "time", "tags"))
    assert [row[1] for row in rows] == [1, 2] and not problems


def test_of_several_tables_the_one_with_the_columns_is_read_or_the_one_that_is_told(tmp_path):
    more = ["CREATE TABLE notes (user, note)", "CREATE TABLE album (user, time, title)"]
    path = database(tmp_path / "t", more=more)
    source = Table(path, **USUAL)
    assert source.understood[2] == "table photos, the only one of 3 with these columns"
    assert "table photos, as told" in Table(path, **USUAL, table="photos").understood
    with pytest.raises(InputError, match=r"no column time. There are: user, note"):
        Table(path, **USUAL, table="notes")
    with pytest.raises(InputError, match=r"no table nothing. There are: notes \(user, note\); "):
        Table(path, **USUAL, table="nothing")
    several = r"several tables. Tell its --table: notes \(user, note\); album \(user, time, title\)"
    with pytest.raises(InputError, match=several):
        Table(path, "user", "time", "user")
    (tmp_path / "csv").write_text("user,time,tags\na,2014-01-01,x\n")
    with pytest.raises(InputError, match="no SQLite database; there is no --table"):
        Table(tmp_path / "csv", **USUAL, table="photos")


def test_without_columns_tables_and_columns_are_shown_and_the_command_works(tmp_path, capsys):
    path = database(tmp_path / "t.db", more=["CREATE TABLE notes (user, note)"])
    assert cli.main(["prepare", "table", str(path)]) == 2
    assert "Tell its --table: notes (user, note); photos (user, time, tags)" in (
        capsys.readouterr().err
    )
    assert cli.main(["prepare", "table", str(path), "--table", "photos"]) == 2
    printed = capsys.readouterr()
    command = printed.err.splitlines()[-1]
    assert f"{' '.join(COLUMNS)} --table photos --dry-run" in command
    assert "1  user  ann | bob | ann" in printed.out
    assert cli.main(command.split()[1:]) == 0
    assert "2  kept" in capsys.readouterr().out


def test_columns_by_number(tmp_path):
    rows, _ = read(Table(database(tmp_path / "t"), "1", "2", "3"))
    assert rows[1][2] == {"user": "bob", "time": "2014-01-02", "tags": "snow"}


def test_texts_that_are_not_utf_8_are_told_or_read_in_their_encoding(tmp_path):
    connection = sqlite3.connect(tmp_path / "t")
    connection.execute("CREATE TABLE photos (user, time, tags)")
    for user, tags in (("'ann'", "CAST(x'6be96c6e' AS TEXT)"), ("CAST(x'ff' AS TEXT)", "'x'")):
        connection.execute(f"INSERT INTO photos VALUES ({user}, '2014-01-01', {tags})")
    connection.execute("INSERT INTO photos VALUES ('bob', '2014-01-01', 'y')")
    connection.commit()
    connection.close()
    meta = prepare(Table(tmp_path / "t", **USUAL), tmp_path / "out").meta["report"]
    assert meta["hashtags"]["left_out"] == {"a hashtag of broken characters": 1}
    assert sum(meta["rows"]["left_out"].values()) == 2 and meta["rows"]["kept"] == 1
    told = prepare(Table(tmp_path / "t", **USUAL, encoding="cp1252"), tmp_path / "told")
    assert told.table["hashtags"].to_pylist() == [["kéln"], ["y"], ["x"]]


def test_a_utf_16_database_is_read(tmp_path):
    path = tmp_path / "t"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA encoding = 'UTF-16le'")
    connection.execute("CREATE TABLE photos (user, time, tags)")
    connection.execute("INSERT INTO photos VALUES ('ann', '2014-01-01', 'köln')")
    connection.commit()
    connection.close()
    assert read(Table(path, **USUAL))[0][0][2]["tags"] == "köln"


def test_a_large_row_is_left_out_alone_and_a_larger_value_ends_the_reading(tmp_path):
    rows = [("ann", "2014-01-01", tags) for tags in ("x", "y" * 2**21, "z", "z", "w" * 2**25)]
    found, problems = read(Table(database(tmp_path / "t", rows), **USUAL))
    assert [row[3] for row in found] == ["", LARGE, ""]
    (problem,) = problems
    # Python's sqlite3 steps ahead: the row right before it is lost with it, and told to be
    assert problem.startswith("damaged, or with a value that is too large, after row 3 (")


def test_pictures_in_a_column_that_is_not_asked_for_do_not_matter(tmp_path):
    rows = [(bytes(2**25), *ROWS[0]), (b"", *ROWS[1])]
    path = database(tmp_path / "t", rows, columns="picture, user, time, tags")
    found, problems = read(Table(path, **USUAL))
    assert len(found) == 2 and not problems


def test_a_damaged_page_keeps_the_rows_before_it(tmp_path):
    rows = [(f"u{n}", "2014-01-01", "x" * 100) for n in range(1000)]
    path = database(tmp_path / "t", rows)
    data = bytearray(path.read_bytes())
    at = 20 * 4096
    data[at : at + 4096] = bytes(4096)
    path.write_bytes(data)
    found, problems = read(Table(path, **USUAL))
    users = [row[2]["user"] for row in found]
    assert 300 < len(users) < 1000 and users == [f"u{n}" for n in range(len(users))]
    (problem,) = problems
    assert f"after row {len(users):,} (database disk image is malformed)" in problem


def test_a_compressed_one_has_to_be_unpacked(tmp_path):
    path = database(tmp_path / "t")
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match=r"compressed as a whole. Unpack it"):
        Table(path, **USUAL)


@pytest.mark.parametrize("more", [(), ["CREATE VIEW v AS SELECT 1"]], ids=["no", "a view"])
def test_no_table_and_no_row_are_told(tmp_path, more):
    connection = sqlite3.connect(tmp_path / "t")
    connection.execute("PRAGMA user_version = 1")
    for statement in more:
        connection.execute(statement)
    connection.close()
    with pytest.raises(InputError, match="there is no table in it"):
        Table(tmp_path / "t", **USUAL)
    connection = sqlite3.connect(tmp_path / "t")
    connection.execute("CREATE TABLE photos (user, time, tags)")
    connection.close()
    with pytest.raises(InputError, match="there is no row in it"):
        Table(tmp_path / "t", **USUAL)


def test_a_large_table_takes_little_memory(tmp_path):
    rows = [(f"u{n}", "2014-01-01", "t" * 100_000) for n in range(1500)]
    path = database(tmp_path / "t", rows)
    assert path.stat().st_size > 140 * 2**20
    ran = bounded("prepare", "table", path, *COLUMNS, "--dry-run")
    assert ran.code == 0 and "1,500  rows read" in ran.out and ran.megabytes < 400
