"""A PhotoCollection that does not fit is refused: one line says what is wrong, and where."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photo_tables import GOOD, SHUFFLED, fake_features, table_of

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.prepare.writing import write_collection


def error_of(action, *arguments) -> str:
    """The message of the InputError that is raised."""
    with pytest.raises(InputError) as raised:
        action(*arguments)
    message = str(raised.value)
    assert "\n" not in message
    return message


BAD_TABLES = {
    "a missing column": (table_of(GOOD).drop_columns("user"), "user"),
    "a user that is a number": (table_of(GOOD, user=[1, 1, 2]), "column `user` is of type int64"),
    "a time that is text": (table_of(GOOD, time=["1", "2", "3"]), "column `time` is of type"),
    "hashtags that are text": (table_of(GOOD, hashtags=["a", "b", "c"]), "column `hashtags`"),
    "a user that is null": (table_of([*GOOD, ("p3", None, 1)]), "`user` is null"),
    "hashtags that are null": (table_of(GOOD, hashtags=[["a"], None, ["b"]]), "`hashtags` is null"),
    "a hashtag that is null": (table_of(GOOD, hashtags=[["a"], [None], ["b"]]), "hashtag"),
    "a photo without hashtags": (
        table_of(GOOD, hashtags=[["a"], [], ["b"]]),
        "row 1: a photo with",
    ),
    "the same hashtag twice": (
        table_of(GOOD, hashtags=[["a", "b"], ["b", "a"], ["a", "b", "a"]]),
        "row 2: the same hashtag twice",
    ),
    "the same photo_id twice": (table_of([*GOOD, ("p0", "cat", 1)]), "`photo_id`"),
    "no photos": (table_of([], user=pa.array([], pa.string())), "photo"),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_writing_refuses(what, tmp_path):
    table, words = BAD_TABLES[what]
    message = error_of(write_collection, tmp_path / "c", table, {}, fake_features)
    assert words in message
    assert str(tmp_path / "c") in message
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("what", BAD_TABLES)
def test_loading_refuses(what, folder):
    table, words = BAD_TABLES[what]
    pq.write_table(table, folder / "photos.parquet")
    np.save(folder / "features.npy", np.zeros((len(table), 2), dtype=np.float16))
    message = error_of(PhotoCollection.load, folder)
    assert words in message
    assert str(folder) in message


@pytest.mark.parametrize("first", [("p1", "ann", 3), ("p1", "zoe", 1), ("p9", "ann", 2)])
def test_loading_refuses_rows_out_of_order(first, folder):
    table = table_of([first, ("p2", "ann", 2), ("p3", "bea", 1)])
    pq.write_table(table, folder / "photos.parquet")
    np.save(folder / "features.npy", np.zeros((3, 2), dtype=np.float16))
    assert "row 0 is out of order" in error_of(PhotoCollection.load, folder)


@pytest.mark.parametrize("name", ["photos.parquet", "features.npy", "meta.json"])
def test_loading_names_a_missing_file(name, folder):
    (folder / name).unlink()
    assert f"no {name}" in error_of(PhotoCollection.load, folder)


def test_loading_names_a_missing_folder(tmp_path):
    assert "nowhere" in error_of(PhotoCollection.load, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["photos.parquet", "features.npy", "meta.json"])
def test_loading_names_a_broken_file(name, folder):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    assert name in error_of(PhotoCollection.load, folder)


def test_loading_refuses_another_format_version(folder):
    (folder / "meta.json").write_text('{"format_version": 99}')
    assert "`format_version` is 99" in error_of(PhotoCollection.load, folder)


@pytest.mark.parametrize(
    "name", ["../features.npy", "/features.npy", "a/b.npy", "..", "", "photos.parquet", 7, None, []]
)
def test_loading_refuses_features_that_are_no_file_of_the_folder(name, folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "features": name}))
    assert "`features` is" in error_of(PhotoCollection.load, folder)


def test_features_of_another_name_are_loaded(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "features": "features.b-1.npy"}))
    assert "no features.b-1.npy" in error_of(PhotoCollection.load, folder)
    (folder / "features.npy").rename(folder / "features.b-1.npy")
    assert PhotoCollection.load(folder).features.shape == (8, 2)


@pytest.mark.parametrize("shape", [(7, 2), (9, 2), (8,)])
def test_loading_refuses_features_of_another_length(shape, folder):
    np.save(folder / "features.npy", np.zeros(shape, dtype=np.float16))
    assert "there are 8 photos" in error_of(PhotoCollection.load, folder)


def test_loading_never_unpickles_features(folder):
    np.save(folder / "features.npy", np.array([[print, {}]] * 8), allow_pickle=True)
    assert "features.npy" in error_of(PhotoCollection.load, folder)


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    message = error_of(write_collection, tmp_path / "mine", table_of(SHUFFLED), {}, fake_features)
    assert "something else" in message
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"
