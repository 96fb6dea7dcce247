"""What is no table is named for what it is, with what to do."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile

import pytest

from hashtag_core.errors import InputError
from hashtag_core.sources.table import Table

USUAL = {"user": "user", "time": "time", "hashtags": "tags"}
ROW = {"user": "ann", "time": "2014-01-01", "tags": "sea"}


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


FILES = {
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "a spreadsheet. Save it as CSV"),
    "zip": (zipped("t.csv"), r"a zip. Unpack it. Name the table in it"),
    "tar.gz": (gzip.compress(tarred()), "a tar archive. Unpack it"),
    "feather": (b"FEA1" + bytes(99), "Feather file of version 1.*Parquet"),
    "pickle": (pickle.dumps([ROW]), "pickle.*run code"),
    "html": (b"\n<!DOCTYPE html><html><table><tr><td>user,time,tags</table>", "an HTML page"),
    "xls": (b"<table><tr><td>user</td></tr></table>", "spreadsheet in disguise"),
    "xml": (b'<?xml version="1.0"?><photos/>', "XML"),
    "object": (json.dumps({"a": {"b": [1, 2]}}, indent=1).encode(), "no list of objects in it"),
    "takeout": (
        b'{\n "title": "a.jpg",\n "photoTakenTime": {"timestamp": "1"}}',
        "Google Takeout.*no hashtags.*prepare folder",
    ),
    "an archive in a zip": (
        zipped("data/account.js", "data/tweets.js"),
        r"a zip. Unpack it. Its table: data/tweets.js",
    ),
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


def test_a_folder_is_named_with_the_table_in_it(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match=r"a folder. Name the table in it"):
        Table(tmp_path, **USUAL)
    (tmp_path / "data" / "tweets.js").write_text("")
    with pytest.raises(InputError, match=r"a folder. Its table: .*tweets.js"):
        Table(tmp_path, **USUAL)


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
