"""`predict --history` with tables as spreadsheets and programs write them, not only our own CSV."""

import json
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashtag_core.errors import InputError
from hashtag_core.sources.history import read_any_history

ROWS = [("mon.jpg", ["cat", "sofa"]), ("more/tue.png", ["dog"])]


def read(tmp_path, content: str | bytes, name="history.csv"):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    history, understood = read_any_history(path)
    return [(image.relative_to(tmp_path).as_posix(), tags) for image, tags in history], understood


@pytest.mark.parametrize(
    "content",
    [
        'image,hashtags\nmon.jpg,"cat,sofa"\nmore/tue.png,dog\n',
        "image;hashtags\nmon.jpg;cat,sofa\nmore/tue.png;dog\n",
        "image\thashtags\nmon.jpg\tcat,sofa\nmore/tue.png\tdog\n",
        '\ufeffImage, Hashtags\r\nmon.jpg,"cat,sofa"\r\nmore/tue.png,dog\r\n',
        'id,picture,tags\n1,mon.jpg,"cat;sofa"\n2,more/tue.png,dog\n',
        "image,hashtags\nmon.jpg,\"['cat', 'sofa']\"\nmore/tue.png,['dog']\n",
        'image;hashtags\nmon.jpg;"[""cat"", ""sofa""]"\nmore/tue.png;dog\n',
        "image,hashtags\nmon.jpg,cat、sofa\nmore/tue.png,dog\n",
        'image,hashtags\nmon.jpg,"cat,sofa"\nmore/tue.png,dog\n'.encode("utf-16"),
    ],
    ids=["ours", "Excel", "tabs", "capitals", "other names", "list", "JSON", "CJK", "UTF-16"],
)
def test_tables_of_all_kinds_are_one_history(content, tmp_path):
    assert read(tmp_path, content)[0] == ROWS


def test_json_lines_json_and_parquet_are_read_whatever_the_order_of_their_names(tmp_path):
    one, two = ({"image": image, "hashtags": tags} for image, tags in ROWS)
    two = dict(reversed(two.items()))
    lines = "\n".join(map(json.dumps, (one, two)))
    assert read(tmp_path, lines, "a.jsonl")[0] == ROWS
    assert read(tmp_path, json.dumps([one, two]), "a.json")[0] == ROWS
    pq.write_table(pa.Table.from_pylist([one, two]), tmp_path / "a.parquet")
    assert read(tmp_path, (tmp_path / "a.parquet").read_bytes(), "b.parquet")[0] == ROWS


def test_pictures_that_are_in_the_table_are_taken_from_it(tmp_path):
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pictures = [{"bytes": bytes([255]) * 2**21, "path": "x.jpg"}, {"bytes": None, "path": "y.jpg"}]
    made = pa.table({"hashtags": [["cat"], ["dog"]], "image": pa.array(pictures, image)})
    pq.write_table(made, tmp_path / "a.parquet")
    history, _ = read_any_history(tmp_path / "a.parquet")
    assert history == [(pictures[0]["bytes"], ["cat"]), (tmp_path / "y.jpg", ["dog"])]


def test_an_sqlite_file_is_a_history(tmp_path):
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE photos (id, path, tags)")
    connection.execute("INSERT INTO photos VALUES (1, 'mon.jpg', 'cat;sofa')")
    connection.commit()
    connection.close()
    history, understood = read_any_history(tmp_path / "a.db")
    assert history == [(tmp_path / "mon.jpg", ["cat", "sofa"])] and "table photos" in understood


def test_what_is_guessed_is_told_and_nothing_of_our_own_form(tmp_path):
    assert read(tmp_path, "image,hashtags\na.jpg,cat\n")[1] == []
    understood = read(tmp_path, "image;hashtags\na.jpg;cat\n")[1]
    assert understood[-1] == "2 columns, separated by semicolons"


@pytest.mark.parametrize(
    "content, words",
    [
        ("image;tags\n", "line 1"),
        ("image;things\na.jpg;cat\n", "line 1: no column hashtags .*There are: image, things"),
        ("image;hashtags\na.jpg;cat\nb.jpg;\n", "line 3: a photo needs"),
        ("image;hashtags\n;cat\n", "line 2: a photo needs"),
        ("image;hashtags\na.jpg;" + "x" * 201 + "\n", "line 2: .*at most"),
        ("image,hashtags\na.jpg,köln\n".encode("cp1252"), "not UTF-8. Save it as CSV in UTF-8"),
        (b"PK\x03\x04" + bytes(99), "spreadsheet"),
        ("", "line 1"),
        (b"\0\xff" * 99, "history"),
    ],
)
def test_a_table_that_is_no_history_is_one_line(content, words, tmp_path):
    with pytest.raises(InputError, match=words) as raised:
        read(tmp_path, content)
    assert "history.csv" in str(raised.value) and "\n" not in str(raised.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        read_any_history(tmp_path / "nowhere.csv")
