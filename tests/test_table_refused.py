"""What is no table is named for what it is, with what to do."""

import gzip
import io
import json
import pickle
import sqlite3
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.feather
import pytest

from hashtag_core.errors import InputError
from hashtag_core.sources.table import Table

USUAL = {"user": "user", "time": "time", "hashtags": "tags"}
COLUMNS = {"user": ["ann"], "time": ["2014-01-01"], "tags": ["sea"]}
ROW = {"user": "ann", "time": "2014-01-01", "tags": "sea"}
SEARCH = {"photos": {"page": 1, "photo": [ROW, ROW]}, "stat": "ok"}


def sqlite(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (user, time, tags)")
    database.close()


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("t.csv"))
    return file.getvalue()


def streamed():
    file = io.BytesIO()
    table = pa.table(COLUMNS)
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


FILES = {
    "sqlite": (sqlite, "an SQLite database.*sqlite3 -csv"),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "a spreadsheet. Save it as CSV"),
    "zip": (zipped("t.csv"), "a zip"),
    "tar.gz": (gzip.compress(tarred()), "a tar archive. Unpack it"),
    "feather": (lambda path: pa.feather.write_feather(pa.table(COLUMNS), path), "Feather.*Parquet"),
    "arrow": (streamed(), "an Arrow stream.*Parquet"),
    "pickle": (pickle.dumps([ROW]), "pickle.*run code"),
    "html": (b"\n<!DOCTYPE html><html><table><tr><td>user,time,tags</table>", "an HTML page"),
    "xls": (b"<table><tr><td>user</td></tr></table>", "spreadsheet in disguise"),
    "xml": (b'<?xml version="1.0"?><photos/>', "XML"),
    "js": (f"window.YTD.tweets.part0 = {json.dumps([ROW])}".encode(), "JavaScript. Cut off.*YTD"),
    "jsonp": (f"jsonFlickrApi({json.dumps(SEARCH)})".encode(), "JavaScript.*jsonFlickrApi"),
    "object": (json.dumps(SEARCH, indent=1).encode(), r"one JSON object.*in `photo`.*jq"),
    "in a line": (json.dumps(SEARCH).encode(), r"in `photos.photo`.*jq"),
    "ragged": (
        b"user,tags,time\na,x,y,2014\nb,x,y,z,2014\n",
        "rows have up to 5 cells, but the header has 3 names.*needs quotes around it",
    ),
    "equally long": (
        b"user,time,tags\n1,ann,2014,sea\n2,bob,2014,sun\n",
        "rows have up to 4 cells, but the header has 3 names.*needs quotes around it",
    ),
    "uneven": (b"user,time,tags\na,2014,x,y\nb,2014\n", "needs quotes around it"),
    "utf-16-le": ("user,time,tags\na,2014-01-01,b\n".encode("utf-16-le"), "--encoding: utf-16-le"),
    "utf-16-be": ("user,time,tags\na,2014-01-01,b\n".encode("utf-16-be"), "--encoding: utf-16-be"),
}


@pytest.mark.parametrize("name", FILES)
def test_another_kind_of_file_is_named_with_what_to_do(tmp_path, name):
    content, message = FILES[name]
    path = tmp_path / "t"
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(InputError, match=message) as error:
        Table(path, **USUAL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({**ROW, "tags": [{"text": "sea"}, {"text": "sun"}]}),
        "(user),time,tags\nann,2014-01-01,sea",
        "user = name,time,tags\nann,2014-01-01,sea",
    ],
)
def test_tables_that_begin_a_little_like_them_are_read(tmp_path, text):
    path = tmp_path / "t"
    path.write_text(text)
    user = "user" if text[0] == "{" else text.partition(",")[0]
    Table(path, **{**USUAL, "user": user})
