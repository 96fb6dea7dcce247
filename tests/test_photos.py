"""A PhotoCollection on disk: what goes in comes out, also when a run is killed."""

import json
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photo_tables import GOOD, IMAGE, IN_ORDER, SHUFFLED, fake_features, table_of

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.pictures import grey_picture, load_picture
from hashtag_core.errors import InputError
from hashtag_core.prepare import writing as writing_module
from hashtag_core.prepare.places import workplace
from hashtag_core.prepare.writing import write_collection

# ---- what goes in comes out


def test_rows_come_out_sorted_by_user_then_time_then_photo_id(folder):
    loaded = PhotoCollection.load(folder)
    assert loaded.table["photo_id"].to_pylist() == IN_ORDER  # unknown times come last
    assert loaded.users == ["ann", "bea", "cat"]
    assert loaded.user_offsets.tolist() == [0, 3, 6, 8]
    assert loaded.rows_of(1) == slice(3, 6)
    assert len(loaded) == 8


def test_features_hashtags_and_pictures_belong_to_their_row(folder):
    loaded = PhotoCollection.load(folder)
    for row, photo_id in enumerate(IN_ORDER):
        assert loaded.features[row].tolist() == [row, 1.0]
        assert loaded.hashtags_of(row) == [photo_id, "all"]
        assert loaded.picture(row) == photo_id.encode()


def test_all_hashtags_stand_one_photo_after_the_other(folder):
    loaded = PhotoCollection.load(folder)
    assert loaded.hashtag_offsets.tolist() == list(range(0, 18, 2))
    assert loaded.hashtag_names.to_pylist() == [h for i in IN_ORDER for h in (i, "all")]


def test_pictures_are_read_in_any_order_across_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(writing_module, "ROWS_PER_GROUP", 3)
    written = write_collection(tmp_path / "c", table_of(SHUFFLED), {}, fake_features)
    assert pq.ParquetFile(tmp_path / "c" / "photos.parquet").num_row_groups == 3
    for row in [7, 0, 3, 2, 6, 5, 0, 1, 4]:
        assert written.picture(row) == b"p%d" % row


def test_meta_json_says_what_it_was_given_and_the_counts(folder):
    meta = PhotoCollection.load(folder).meta
    assert meta == {
        "made_by": "hashtag_core",
        "format_version": 1,
        "source": "test",
        "counts": {"photos": 8, "users": 3},
    }


def test_a_column_that_the_source_added_is_kept(tmp_path):
    table = table_of(SHUFFLED, licence=["free"] * 8)
    written = write_collection(tmp_path / "c", table, {}, fake_features)
    assert written.table["licence"].to_pylist() == ["free"] * 8


def test_pandas_opens_the_files_without_this_library(folder):
    frame = pd.read_parquet(folder / "photos.parquet")
    assert frame["photo_id"].tolist() == IN_ORDER
    assert frame["image"][2]["bytes"] == b"p2"
    assert frame["time"][0] == pd.Timestamp("1970-01-08")


def test_pyarrow_numpy_and_json_open_the_files_without_this_library(folder):
    table = pq.read_table(folder / "photos.parquet")
    assert table["hashtags"][0].as_py() == ["p0", "all"]
    assert np.load(folder / "features.npy", allow_pickle=False).shape == (8, 2)
    assert json.loads((folder / "meta.json").read_text())["counts"]["photos"] == 8


# ---- pictures that are not in the table


def test_a_picture_may_be_a_file_in_the_folder(tmp_path):
    images = pa.array([{"bytes": None, "path": "pictures/one.webp"}], IMAGE)
    table = table_of([("p0", "ann", 1)], image=images)
    written = write_collection(tmp_path / "c", table, {}, lambda p, path: np.save(path, [[1.0]]))
    (tmp_path / "c" / "pictures").mkdir()
    (tmp_path / "c" / "pictures" / "one.webp").write_bytes(b"one")
    assert written.picture(0) == b"one" and written.card(0) == (b"one", written.hashtags_of(0))


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "pictures/../../secret"])
def test_a_picture_outside_the_folder_is_refused(tmp_path, path):
    (tmp_path / "secret").write_bytes(b"secret")
    images = pa.array([{"bytes": None, "path": path}], IMAGE)
    table = table_of([("p0", "ann", 1)], image=images)
    written = write_collection(tmp_path / "c", table, {}, lambda p, path: np.save(path, [[1.0]]))
    for reading in (written.picture, written.card):
        with pytest.raises(InputError, match="leaves the folder"):
            reading(0)


@pytest.mark.parametrize("column", [["image"], []], ids=["null", "no column"])
def test_a_photo_without_a_picture_is_named(column, folder):
    table = table_of(SHUFFLED, image=pa.nulls(8, IMAGE)).sort_by(writing_module.SORT_KEYS)
    names = ["photo_id", "user", "time", "hashtags", *column]
    pq.write_table(table.select(names), folder / "photos.parquet")
    photos = PhotoCollection.load(folder)
    with pytest.raises(InputError, match="row 2 has no picture"):
        photos.picture(2)
    assert photos.card(2) == (grey_picture(), photos.hashtags_of(2))
    assert load_picture(grey_picture()).size == (96, 96)


# ---- a run that was killed


def killed(pictures: list[bytes], path) -> None:
    path.write_bytes(b"half a file")
    raise KeyboardInterrupt


def test_a_killed_run_leaves_no_collection_and_the_next_one_succeeds(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_collection(tmp_path / "c", table_of(SHUFFLED), {}, killed)
    assert not (tmp_path / "c").exists()
    write_collection(tmp_path / "c", table_of(SHUFFLED), {}, fake_features)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_killed_run_leaves_the_older_collection_as_it_was(folder):
    with pytest.raises(KeyboardInterrupt):
        write_collection(folder, table_of(GOOD), {}, killed)
    assert len(PhotoCollection.load(folder)) == 8


def test_the_next_run_finds_the_features_of_the_killed_one(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_collection(tmp_path / "c", table_of(SHUFFLED), {}, killed)
    found = []

    def resumed(pictures, path):
        found.append(path.read_bytes())
        fake_features(pictures, path)

    write_collection(tmp_path / "c", table_of(SHUFFLED), {}, resumed)
    assert found == [b"half a file"]


def test_an_older_collection_is_replaced(folder):
    write_collection(folder, table_of(GOOD), {}, fake_features)
    assert len(PhotoCollection.load(folder)) == 3
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_run_killed_while_it_cleaned_up_does_not_stop_the_next_one(folder):
    shutil.copytree(folder, workplace(folder) / "old")  # not yet removed
    write_collection(folder, table_of(GOOD), {}, fake_features)
    assert len(PhotoCollection.load(folder)) == 3


# ---- the collection that comes with the repository


def test_the_shipped_data_have_the_counts_that_their_meta_json_says(open_art):
    assert open_art.meta["counts"] == {"photos": len(open_art), "users": len(open_art.users)}
    licences = Counter(open_art.table["licence"].to_pylist())
    assert open_art.meta["licences"] == dict(licences)


def test_every_picture_read_for_the_shipped_data_was_kept_or_counted(open_art):
    assert open_art.meta["read"] == len(open_art) + sum(open_art.meta["left_out"].values())


def test_the_shipped_data_are_at_most_25_megabytes(open_art):
    assert sum(path.stat().st_size for path in open_art.folder.iterdir()) <= 25_000_000


def test_every_shipped_photo_has_a_licence_and_an_attribution(open_art):
    for column in ("licence", "attribution"):
        assert all(text and text.strip() for text in open_art.table[column].to_pylist())
    assert set(open_art.table["licence"].to_pylist()) == {"public domain", "CC BY-SA 4.0"}


def test_the_attribution_of_a_shipped_photo_says_who_and_under_which_licence(open_art):
    for row in open_art.table.select(["licence", "attribution"]).to_pylist():
        assert ", by " in row["attribution"]
        assert row["licence"] in row["attribution"]


def test_no_shipped_name_holds_an_email_address(open_art):
    for column in ("user", "attribution"):
        assert not [text for text in open_art.table[column].to_pylist() if "@" in text]


def test_a_shipped_user_has_10_to_200_photos(open_art):
    photos_each = np.diff(open_art.user_offsets)
    assert photos_each.min() >= 10
    assert photos_each.max() <= 200


def test_the_shipped_features_are_finite_and_differ(open_art):
    assert open_art.features.shape == (len(open_art), 1280)
    assert open_art.features.dtype == np.float16
    assert np.isfinite(open_art.features).all()
    assert len(np.unique(open_art.features[:, :8], axis=0)) > 0.9 * len(open_art)


def test_shipped_pictures_are_small_webp_files_that_decode(open_art):
    for row in np.random.default_rng(0).choice(len(open_art), 40, replace=False):
        encoded = open_art.picture(int(row))
        assert encoded[:4] == b"RIFF"
        assert load_picture(encoded).size == (128, 128)


def test_shipped_hashtags_are_clean(open_art):
    names = open_art.hashtag_names.dictionary.to_pylist()
    assert [name for name in names if name != " ".join(name.lower().split()) or not name] == []


@pytest.mark.parametrize("about", [None, {}, {"name": None}, {"name": None, "weights": None}])
def test_a_meta_json_that_names_no_convnet_is_no_error(folder, about):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "convnet": about}))
    photos = PhotoCollection.load(folder)
    assert photos.convnet is None and "no ConvNet named" in repr(photos)


def test_features_that_an_older_version_left_half_switched_are_refused(folder):
    (folder / "meta.next.json").write_text("{}")
    with pytest.raises(InputError, match="prepare features` again"):
        PhotoCollection.load(folder)
    (folder / "features.next.npy").write_bytes(b"")  # it was not yet switching
    assert len(PhotoCollection.load(folder)) == 8
