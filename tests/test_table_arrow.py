"""Arrow streams and files as pyarrow writes them, and the pictures that are in tables."""

import gzip
import io
import sqlite3
import struct
from datetime import datetime

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from helpers import prepare
from hostile_containers import arrow_of
from PIL import Image

from hashtag_core.data import arrow
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.prepare.ingest import Images
from hashtag_core.sources import table_batches, table_sqlite
from hashtag_core.sources.table import Table

USUAL = {"user": "user", "time": "time", "hashtags": "tags"}
BERLIN = pa.timestamp("ms", "Europe/Berlin")
HUB = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # as data sets on the Hub are


def table(**more) -> pa.Table:
    times = [datetime(2020, 10, 25, hour) for hour in (3, 1, 2)]
    columns = {"user": ["ann", "ann", "bob"], "time": pa.array(times, BERLIN)}
    return pa.table({**columns, "tags": [["sea", "sun"], ["snow"], None], **more})


def read(source):
    """(rows, problems) of a table."""
    pieces = list(source.pieces(0))
    rows = [row for piece in pieces if not isinstance(piece, str) for row in piece.data]
    return rows, [piece for piece in pieces if isinstance(piece, str)]


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("stream", [True, False])
def test_streams_and_files_are_read_batch_by_batch(tmp_path, compression, stream):
    made = table(n=[None, None, None], word=pa.array(["a", "b", "a"]).dictionary_encode())
    data = arrow_of(made, compression, stream, times=3, chunk=2)
    (tmp_path / "t").write_bytes(data)
    source = Table(tmp_path / "t", **USUAL)
    assert source.understood[0] == "t: arrow"
    rows, problems = read(source)
    assert not problems and [row[1] for row in rows] == list(range(1, 10))
    wanted = [*made.drop_columns(["n", "word"]).to_pylist()] * 3
    assert [row[2] for row in rows] == wanted
    positions = [row[0] for row in rows]
    assert positions == sorted(positions) and positions[0] < positions[-1] <= len(data)


def test_feather_is_read_by_name_and_by_number_and_times_of_a_zone_become_utc(tmp_path):
    pa.feather.write_feather(table(), tmp_path / "t")
    for columns in (USUAL, dict(zip(USUAL, "123", strict=True))):
        out = tmp_path / columns["user"]
        photos = prepare(Table(tmp_path / "t", **columns), out)
        assert photos.table["photo_id"].to_pylist() == ["000000000002", "000000000001"]
        assert photos.table["time"].to_pylist()[0] == datetime(2020, 10, 25, 1)


@pytest.mark.parametrize("version", [1, 3])
def test_other_columns_are_not_looked_at(tmp_path, version):
    made = table(more=pa.array(["x" * 2**21] * 3), other=[[version]] * 3)
    (tmp_path / "t").write_bytes(arrow_of(made, "zstd"))
    assert [row[3] for row in read(Table(tmp_path / "t", **USUAL))[0]] == ["", "", ""]


def test_texts_that_are_not_utf_8_spoil_their_row_alone(tmp_path):
    tags = pa.array([b"sea", b"\xff\xfe", b"sun"]).view(pa.string())
    (tmp_path / "t").write_bytes(arrow_of(table().set_column(2, "tags", tags)))
    rows, problems = read(Table(tmp_path / "t", **USUAL))
    assert [row[3] for row in rows] == ["", table_batches.UNREADABLE, ""] and not problems


def test_a_stream_that_is_cut_off_is_told_wherever_it_is_cut(tmp_path):
    data = arrow_of(table(), times=4)
    whole = read_bytes(tmp_path, data)
    assert whole == (12, [])
    seen = set()
    for end in range(len(data) - 1, len(data) * 2 // 3, -3):
        rows, problems = read_bytes(tmp_path, data[:end])
        seen.add((rows, len(problems)))
    assert seen == {(12, 1), (9, 1), (6, 1)}
    assert "no end mark behind row 12" in read_bytes(tmp_path, data[:-8])[1][0]


def read_bytes(tmp_path, data):
    (tmp_path / "t").write_bytes(data)
    rows, problems = read(Table(tmp_path / "t", **USUAL))
    return len(rows), problems


def test_an_older_feather_and_a_compressed_file_are_named(tmp_path):
    (tmp_path / "old").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    with pytest.raises(InputError, match=r"a Feather file of version 1. Write it as Parquet"):
        Table(tmp_path / "old", **USUAL)
    (tmp_path / "t").write_bytes(gzip.compress(arrow_of(table())))
    with pytest.raises(InputError, match=r"compressed as a whole. Unpack it"):
        Table(tmp_path / "t", **USUAL)


def test_dictionaries_that_grow_are_bounded_together(tmp_path, monkeypatch):
    coded = [pa.array(["x" * 40_000 + str(n)]).dictionary_encode() for n in range(4)]
    made = pa.table({**table().slice(0, 1).to_pydict(), "tags": coded[0]})
    file = io.BytesIO()
    with pa.ipc.new_stream(file, made.schema) as writer:
        for number in range(4):
            known = pa.concat_arrays([c.dictionary for c in coded[: number + 1]])
            tags = pa.DictionaryArray.from_arrays(pa.array([number], pa.int32()), known)
            writer.write_table(made.set_column(2, "tags", tags))
    assert read_bytes(tmp_path, file.getvalue()) == (4, [])
    monkeypatch.setattr(arrow, "MAX_UNPACKED", 140_000)
    number, (problem,) = read_bytes(tmp_path, file.getvalue())
    assert number == 3 and "at most 140,000" in problem


def test_what_the_columns_cost_is_counted_as_often_as_it_is_pointed_at(tmp_path, monkeypatch):
    """In a file made by hand, a thousand columns can share one long name."""
    made = table(**{f"c{n}": [1, 2, 3] for n in range(9)})
    data = bytearray(arrow_of(made))
    monkeypatch.setattr(arrow, "MAX_SCHEMA", 20 * arrow.FIELD)
    assert read_bytes(tmp_path, data) == (3, [])
    message = arrow._Table.root(bytes(data[8 : 8 + struct.unpack_from("<I", data, 4)[0]]))
    places = message.table(2)._target(1) + 8 + 4  # of the first field, in the file
    number = struct.unpack_from("<I", data, places - 4)[0]
    assert number == 12
    fields = [places + 4 * n + struct.unpack_from("<I", data, places + 4 * n)[0] for n in range(12)]
    for n in range(12):  # all of them are the one in front, in the order of the bytes
        struct.pack_into("<I", data, places + 4 * n, max(fields) - places - 4 * n)
    monkeypatch.setattr(arrow, "MAX_SCHEMA", 11 * arrow.FIELD)
    with pytest.raises(InputError, match="columns that take more than 11,000 bytes"):
        read_bytes(tmp_path, data)


def test_parquet_with_lists_in_several_row_groups_is_read(tmp_path):
    made = pa.concat_tables([table()] * 4)
    pq.write_table(made, tmp_path / "t", row_group_size=5)
    rows, problems = read(Table(tmp_path / "t", **USUAL))
    assert [row[2] for row in rows] == made.to_pylist() and not problems


# ---- pictures


def with_pictures(tmp_path, kind, cells):
    """A table with these cells in the column `image`, and hashtags x, y, z."""
    columns = {"user": ["ann"] * 3, "time": ["2014-01-01"] * 3, "tags": ["x", "y", "z"]}
    if kind == "sqlite":
        connection = sqlite3.connect(tmp_path / "t")
        connection.execute("CREATE TABLE photos (user, time, tags, image)")
        rows = list(zip(*columns.values(), cells, strict=True))
        connection.executemany("INSERT INTO photos VALUES (?, ?, ?, ?)", rows)
        connection.commit()
        connection.close()
        return tmp_path / "t"
    made = pa.table(columns | {"image": cells})
    if kind == "parquet":
        pq.write_table(made, tmp_path / "t", row_group_size=2)
    else:
        (tmp_path / "t").write_bytes(arrow_of(made))
    return tmp_path / "t"


def pictures_of(photos):
    """Hashtag -> picture."""
    hashtags = [tags[0] for tags in photos.table["hashtags"].to_pylist()]
    return dict(zip(hashtags, photos.column("image").to_pylist(), strict=True))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_pictures_in_a_table_come_into_the_collection_and_paths_where_there_are_none(
    tmp_path, kind
):
    (tmp_path / "b.png").write_bytes(picture(9))
    cells = [{"bytes": picture(1), "path": "a.png"}, {"bytes": None, "path": "b.png"}, None]
    path, images = with_pictures(tmp_path, kind, pa.array(cells, HUB)), Images(tmp_path)
    photos = prepare(Table(path, **USUAL, image="image"), tmp_path / "o", images=images)
    from_path = {"bytes": None, "path": "b.png"}
    assert pictures_of(photos) == {
        "x": {"bytes": picture(1), "path": None},
        "y": from_path,
        "z": None,
    }
    photos = prepare(Table(path, **USUAL, image="image.path"), tmp_path / "p", images=images)
    assert pictures_of(photos) == {"x": None, "y": from_path, "z": None}  # a.png is nowhere


@pytest.mark.parametrize("kind", ["parquet", "arrow", "sqlite"])
def test_a_column_of_bytes_holds_pictures_of_any_size_up_to_a_bound(tmp_path, kind, monkeypatch):
    for module in (table_batches, table_sqlite):
        monkeypatch.setattr(module, "MAX_PICTURE", 3 * 2**20)
    small, large = bytes([255]) * 2**21, bytes([255]) * 2**22
    source = Table(with_pictures(tmp_path, kind, [small, large, None]), **USUAL, image="image")
    photos = prepare(source, tmp_path / "o", images=Images(tmp_path))
    assert pictures_of(photos) == {"x": {"bytes": small, "path": None}, "y": None, "z": None}
    assert photos.meta["report"]["notes"] == {table_batches.LARGE_PICTURE: 1}


def test_a_column_of_pictures_may_be_told_by_its_number(tmp_path):
    cells = pa.array([{"bytes": picture(1), "path": "a.png"}, None, None], HUB)
    source = Table(with_pictures(tmp_path, "parquet", cells), "1", "2", "3", image="4")
    photos = prepare(source, tmp_path / "o", images=Images(tmp_path))
    assert pictures_of(photos)["x"] == {"bytes": picture(1), "path": None}


def test_our_own_collection_is_a_table_with_pictures(site, tmp_path):
    columns = {"user": "user", "time": "time", "hashtags": "hashtags", "image": "image"}
    source = Table(site / "photos.parquet", **columns, photo_id="photo_id")
    photos, again = PhotoCollection.load(site), prepare(source, tmp_path / "o")
    for name in ("photo_id", "user"):
        assert again.table[name].equals(photos.table[name]) and len(again) > 10
    assert again.column("image").equals(photos.column("image"))
