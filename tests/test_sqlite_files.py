"""SQLite files from outside: read only, and only what is stored in their tables."""

import sqlite3

import pytest

from hashtag_core.errors import InputError
from hashtag_core.prepare.sqlite import is_sqlite, open_sqlite, quoted

NAME = 'my "photos'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a b?#.sql"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """CREATE TABLE "my ""photos" (id INTEGER PRIMARY KEY, tags TEXT,
                   upper_tags TEXT AS (upper(tags)));
               INSERT INTO "my ""photos" (tags) VALUES ('sea,sun'), (CAST(x'ff00' AS TEXT));
               CREATE VIEW views AS SELECT * FROM "my ""photos";
               CREATE VIRTUAL TABLE words USING fts5(word);"""
        )
    connection.close()
    return path


def test_stored_columns_of_tables_are_read_as_bytes(file):
    assert is_sqlite(file.read_bytes())
    with open_sqlite(file) as (connection, tables):
        assert tables[NAME] == ["id", "tags"]
        assert "views" not in tables and "words" not in tables
        rows = connection.execute(f"SELECT id, tags FROM {quoted(NAME)}").fetchall()
    assert rows == [(1, b"sea,sun"), (2, b"\xff\x00")]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "statement",
    [
        'INSERT INTO "my ""photos" (tags) VALUES (\'x\')',
        'SELECT upper(tags) FROM "my ""photos"',
        "ATTACH 'other.db' AS other",
        "PRAGMA query_only=0",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT load_extension('x')",
    ],
)
def test_nothing_else_can_be_asked(file, statement):
    with open_sqlite(file) as (connection, _), pytest.raises(sqlite3.Error):
        connection.execute(statement).fetchall()


def test_a_function_that_is_allowed(file):
    with open_sqlite(file, frozenset({"length"})) as (connection, _):
        assert connection.execute('SELECT length(id) FROM "my ""photos"').fetchone() == (1,)


def test_changes_that_wait_beside_it_are_told(tmp_path):
    path = tmp_path / "open.db"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=wal")
    writer.execute("CREATE TABLE photos (id)")
    writer.commit()
    with (
        pytest.raises(InputError, match=r"open\.db-wal beside it holds changes"),
        open_sqlite(path),
    ):
        pass
    writer.close()
    with open_sqlite(path) as (_, tables):
        assert tables == {"photos": ["id"]}


@pytest.mark.parametrize("size", [100, 1000, 3000])
def test_a_damaged_one_is_told(file, size):
    whole = file.read_bytes()
    file.write_bytes(whole[:size])
    with pytest.raises(InputError, match="damaged SQLite"), open_sqlite(file):
        pass
