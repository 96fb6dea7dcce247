"""Pictures in zips, tars and numbered folders: found, read in place, and hostile ones refused."""

import os
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import picture_shards
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bounded import bounded
from broken_files import mutated
from photo_tables import IMAGE
from picture_shards import (
    as_img2dataset,
    as_tar,
    as_zip,
    key_by_hand,
    member_of,
    metadata,
    picture,
    tar_member,
    url_of,
)
from test_features import tiny

from hashtag_core import cli
from hashtag_core.data import pictures
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.picture_store import Pictures
from hashtag_core.data.pictures import PictureError
from hashtag_core.data.shards import Place, place_of
from hashtag_core.prepare import ingest, picture_index, shard_members
from hashtag_core.prepare.features import extract_features
from hashtag_core.prepare.images import MISSING, Images
from hashtag_core.prepare.selection import Selection
from hashtag_core.prepare.shard_members import ShardError, members
from hashtag_core.prepare.url_list import UrlList
from hashtag_core.sources.yfcc100m import Yfcc100m
from hashtag_core.sources.yfcc100m_pictures import key_of, picture_names, picture_paths

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 60))
PHOTOS = range(101, 125)
WORDS = ("cat", "dog")


def prepared(folder: Path, root: Path, photos=PHOTOS, **options) -> PhotoCollection:
    """The collection of these photos with the pictures below `root`; what is said adds up."""
    source = Yfcc100m([metadata(folder / "rows.tsv", photos)], WORDS, with_images=True)
    images = Images(root, picture_paths, picture_names)
    out = ingest.prepare(source, folder / "out", Selection(), images, **options)
    collection = PhotoCollection.load(out)
    notes = collection.meta["report"]["notes"]
    assert collection.meta["counts"]["pictures"] + sum(notes.values()) == len(collection)
    return collection


def of_photos(collection: PhotoCollection) -> dict[int, bytes]:
    """Photo -> its picture, of those that have one."""
    found = {}
    for row, photo in enumerate(collection.table["photo_id"].to_pylist()):
        try:
            found[int(photo)] = collection.picture(row)
        except PictureError as error:
            assert error.reason == pictures.NO_PICTURE
    return found


def picture_at(path: str, root: Path) -> bytes:
    """The picture of a collection that says that its one picture is at this path."""
    parquet = root.parent / "one.parquet"
    pq.write_table(pa.table({"image": pa.array([{"bytes": None, "path": path}], IMAGE)}), parquet)
    return Pictures(parquet, root)[0]


def by_key(root: Path) -> None:
    for photo in PHOTOS:
        path = root / member_of(photo).removeprefix("data/images/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(photo))


def by_id_in_subfolders(root: Path) -> None:
    for photo in PHOTOS:
        path = root / f"{photo // 10:05d}" / f"{photo:09d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(photo))


def by_key_in_subfolders(root: Path) -> None:
    for photo in PHOTOS:
        path = root / f"{photo % 3}" / f"{key_by_hand(photo)}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(photo))


def in_bucket_zips(root: Path) -> None:
    for first in "0123456789abcdef":
        own = [photo for photo in PHOTOS if key_by_hand(photo)[0] == first]
        as_zip(root / f"{first}00.zip", {member_of(photo): picture(photo) for photo in own})


def in_hub_zips(root: Path) -> None:
    for part in range(2):
        own = PHOTOS[part::2]
        given = {member_of(photo): picture(photo) for photo in own}
        as_zip(root / "data" / f"data_{part}.zip", given, zipfile.ZIP_DEFLATED)


def in_tars(root: Path) -> None:
    for part in range(3):
        as_img2dataset(root / f"{part:05d}.tar", PHOTOS[part::3])


def in_tars_by_url(root: Path) -> None:
    as_img2dataset(root / "inner" / "00000.tar", PHOTOS, with_id=False)


def in_img2dataset_files(root: Path) -> None:
    """Its other format: keys as names, which look like ids of other photos."""
    shard = as_img2dataset(root / "00000.tar", PHOTOS)
    (root / "00000").mkdir()
    with tarfile.open(shard) as archive:
        archive.extractall(root / "00000", filter="data")
    shard.unlink()


def mixed(root: Path) -> None:
    for number, photo in enumerate(PHOTOS):
        kind = number % 4
        if kind == 0:
            (root / f"{photo}.jpg").write_bytes(picture(photo))
        elif kind == 1:
            as_zip(root / f"{photo:03x}.zip", {member_of(photo): picture(photo)})
        elif kind == 2:
            as_img2dataset(root / f"{number:05d}.tar", [photo])
        else:
            (root / "00000").mkdir(exist_ok=True)
            (root / "00000" / f"{photo:09d}.jpg").write_bytes(picture(photo))


WAYS = [
    by_key, by_id_in_subfolders, by_key_in_subfolders, in_bucket_zips, in_hub_zips, in_tars,
    in_tars_by_url, in_img2dataset_files, mixed,
]  # fmt: skip


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> bytes:
    """The features of the pictures as bytes, from files by id."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "root").mkdir()
    for photo in PHOTOS:
        (folder / "root" / f"{photo}.jpg").write_bytes(picture(photo))
    return features_of(prepared(folder, folder / "root"), folder)


def features_of(collection: PhotoCollection, folder: Path, limit: int = 1_000) -> bytes:
    given = Pictures(collection.folder / "photos.parquet", folder / "root")
    extract_features(given, folder / "f.npy", tiny(limit), 5)
    return (folder / "f.npy").read_bytes()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_same_pictures_give_the_same_features_wherever_they_lie(way, tmp_path, expected):
    (tmp_path / "root").mkdir()
    way(tmp_path / "root")
    before = {path: path.read_bytes() for path in (tmp_path / "root").rglob("*") if path.is_file()}
    collection = prepared(tmp_path, tmp_path / "root")
    assert of_photos(collection) == {photo: picture(photo) for photo in PHOTOS}
    assert features_of(collection, tmp_path) == expected
    after = {path: path.read_bytes() for path in (tmp_path / "root").rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("way", [in_bucket_zips, in_tars])
def test_an_extraction_that_was_stopped_ends_with_the_same_bytes(way, tmp_path, expected):
    (tmp_path / "root").mkdir()
    way(tmp_path / "root")
    collection = prepared(tmp_path, tmp_path / "root")
    with pytest.raises(KeyboardInterrupt):
        features_of(collection, tmp_path, limit=12)
    assert 0 < (np.fromfile(tmp_path / "f.npy.rows", np.uint8) > 0).sum() < len(PHOTOS)
    assert features_of(collection, tmp_path) == expected


def test_a_run_that_is_stopped_while_it_looks_for_pictures_goes_on(tmp_path, monkeypatch):
    in_tars(tmp_path / "root")
    read = picture_index.members

    def stopping(path):
        if path.name == "00001.tar":
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(picture_index, "members", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path, tmp_path / "root")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(picture_index, "members", read)
    assert len(of_photos(prepared(tmp_path, tmp_path / "root"))) == len(PHOTOS)


# ---- names


@pytest.mark.parametrize("photo", [1, 7, 12345, 2371390134])
def test_a_key_is_the_hash_without_leading_zeros_of_its_pairs(photo):
    assert key_of(url_of(photo)) == key_by_hand(photo)


def test_a_place_is_written_and_read():
    place = Place("a/000.zip", "data/x#1+2+3.zip/y é.jpg", 12, 345, 6)
    assert (
        str(place) == "a/000.zip/data/x#1+2+3.zip/y é.jpg#12+345+6"
        and place_of(str(place)) == place
    )
    for path in (
        "000.zip/a.jpg",
        "a.jpg#1+2+3",
        "000.zip/a.jpg#1+2",
        "000.zip/a.jpg#-1+2+3",
        "",
        "0.zip/#1+2+3",
    ):
        assert place_of(path) is None


def test_a_file_below_a_folder_that_is_called_like_a_zip_is_a_file(tmp_path):
    (tmp_path / "000.zip").mkdir()
    (tmp_path / "000.zip" / "a.jpg#0+5+3421846044").write_bytes(b"plain")
    assert picture_at("000.zip/a.jpg#0+5+3421846044", tmp_path) == b"plain"


# ---- img2dataset


def test_pictures_that_were_not_fetched_are_counted_by_reason(tmp_path):
    failed = {
        201: "HTTP Error 404: Not Found",
        202: "HTTP Error 404: Not Found",
        203: "<timed out>",
    }
    as_img2dataset(tmp_path / "root" / "00000.tar", PHOTOS, failed)
    collection = prepared(tmp_path, tmp_path / "root", [*PHOTOS, 201, 202, 203, 301])
    assert len(of_photos(collection)) == len(PHOTOS)
    assert collection.meta["report"]["notes"] == {
        "img2dataset did not fetch the picture (HTTP Error 404: Not Found): kept without it": 2,
        "img2dataset did not fetch the picture (<timed out>): kept without it": 1,
        MISSING: 1,
    }


def test_a_picture_that_was_fetched_in_a_second_run_counts(tmp_path):
    as_img2dataset(tmp_path / "root" / "first" / "00000.tar", [101], {102: "timed out"})
    as_img2dataset(tmp_path / "root" / "second" / "00000.tar", [102])
    assert of_photos(prepared(tmp_path, tmp_path / "root", [101, 102])).keys() == {101, 102}


def test_reasons_that_differ_in_each_photo_are_few_in_the_report(tmp_path):
    failed = {photo: f"error {'abcdefghij' * 3}{photo:b}" .translate(str.maketrans("01", "xy"))
              for photo in range(1000, 1100)}  # fmt: skip
    as_img2dataset(tmp_path / "root" / "00000.tar", [], failed)
    notes = prepared(tmp_path, tmp_path / "root", failed).meta["report"]["notes"]
    assert len(notes) == picture_index.MAX_REASONS + 1
    assert notes[picture_index.OTHER] == 100 - picture_index.MAX_REASONS


def test_a_tar_without_outcomes_gives_no_pictures_and_is_named(tmp_path):
    shard = as_tar(tmp_path / "root" / "00000.tar", [tar_member("101.jpg", picture(101))])
    collection = prepared(tmp_path, tmp_path / "root", [101])
    assert of_photos(collection) == {}
    [problem] = collection.meta["report"]["problems"]
    assert problem["file"] == "00000.parquet" and "not there" in problem["what"]
    pq.write_table(pa.table({"other": [1]}), shard.with_suffix(".parquet"))
    [problem] = prepared(tmp_path / "root", tmp_path / "root", [101]).meta["report"]["problems"]
    assert "not img2dataset's" in problem["what"]


def test_keys_of_img2dataset_are_not_taken_for_ids_of_photos(tmp_path):
    in_img2dataset_files(tmp_path / "root")
    (tmp_path / "root" / "00000.parquet").unlink()
    collection = prepared(tmp_path, tmp_path / "root", [*range(1, 20)])
    assert of_photos(collection) == {}
    [problem] = collection.meta["report"]["problems"]
    assert problem["file"] == "00000" and "00000.parquet" in problem["what"]


@pytest.mark.parametrize(
    "column",
    [pa.array([b"0"], pa.binary()), pa.array([1.5]), pa.array([["0"]]), pa.array(["x" * 30_000])],
    ids=lambda column: str(column.type),
)
def test_outcomes_of_other_types_are_named(column, tmp_path):
    shard = as_img2dataset(tmp_path / "root" / "00000.tar", [101])
    table = pq.read_table(shard.with_suffix(".parquet"))
    table = table.set_column(table.column_names.index("key"), "key", column)
    pq.write_table(table, shard.with_suffix(".parquet"))
    collection = prepared(tmp_path, tmp_path / "root", [101])
    assert of_photos(collection) == {} and len(collection.meta["report"]["problems"]) == 1


def test_a_key_that_is_not_in_its_tar_is_counted(tmp_path):
    shard = as_img2dataset(tmp_path / "root" / "00000.tar", [101, 102])
    as_tar(shard, [tar_member("000000001.jpg", picture(102))])
    collection = prepared(tmp_path, tmp_path / "root", [101, 102])
    assert of_photos(collection) == {102: picture(102)}
    assert collection.meta["report"]["notes"] == {picture_index.LACKING: 1}


# ---- hostile shards


def reasons_in(path: Path) -> dict[str, str | None]:
    return {member.name: member.why_not for member in members(path)}


def test_members_of_a_zip_that_are_not_what_they_seem_are_refused(tmp_path):
    names = ["good.jpg", "large.jpg", "secret.jpg", "strange.jpg", "over.jpg", "last.jpg"]
    path = as_zip(tmp_path / "a.zip", {name: b"picture" * 9 for name in names} | {"a.txt": b"x"})
    data = bytearray(path.read_bytes())
    entry = {name: data.rindex(name.encode()) - 46 for name in names}  # in the directory
    struct.pack_into("<L", data, entry["large.jpg"] + 24, pictures.MAX_BYTES + 1)
    data[entry["secret.jpg"] + 8] |= 1
    struct.pack_into("<H", data, entry["strange.jpg"] + 10, 14)  # LZMA
    struct.pack_into("<L", data, entry["over.jpg"] + 20, 300)
    path.write_bytes(data)
    assert reasons_in(path) == {
        "good.jpg": None,
        "large.jpg": shard_members.LARGE,
        "secret.jpg": shard_members.ENCRYPTED,
        "strange.jpg": shard_members.COMPRESSION,
        "over.jpg": shard_members.OVERLAPPING,
        "last.jpg": None,
    }


def test_many_members_of_a_zip_over_the_same_bytes_are_refused(tmp_path):
    path = as_zip(tmp_path / "a.zip", {f"{i:02d}.jpg": bytes(500) for i in range(50)})
    data = bytearray(path.read_bytes())
    for i in range(50):
        struct.pack_into("<L", data, data.rindex(b"%02d.jpg" % i) - 4, 0)
    path.write_bytes(data)
    assert list(reasons_in(path).values()).count(shard_members.OVERLAPPING) == 49


def test_a_picture_that_unpacks_without_end_is_too_large_when_it_is_read(tmp_path):
    as_zip(tmp_path / "a.zip", {"1.jpg": bytes(pictures.MAX_BYTES + 1)}, zipfile.ZIP_DEFLATED)
    data = (tmp_path / "a.zip").read_bytes()
    packed = struct.unpack_from("<L", data, 18)[0]
    with pytest.raises(PictureError, match="bytes, at most") as raised:
        pictures.load_picture(picture_at(f"a.zip/1.jpg#0+{packed}+0", tmp_path))
    assert raised.value.reason == pictures.TOO_LARGE


def test_members_of_a_tar_that_are_not_what_they_seem_are_refused(tmp_path):
    sparse = tarfile.TarInfo("sparse.jpg")
    sparse.type = tarfile.GNUTYPE_SPARSE
    given = [
        tar_member("good.jpg", b"1"),
        tar_member("link.jpg", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        tar_member("hard.jpg", b"", type=tarfile.LNKTYPE, linkname="good.jpg"),
        tar_member("pipe.jpg", b"", type=tarfile.FIFOTYPE),
        tar_member("é" * 90 + ".jpg", b"2"),  # its name is in a pax header
        (sparse, b""),
        tar_member("../up.jpg", b"3"),
        tar_member("a.txt", b"4"),
    ]
    found = reasons_in(as_tar(tmp_path / "a.tar", given))
    assert [*found.values()] == [
        None, *[shard_members.NO_FILE] * 3, shard_members.RENAMED, shard_members.NO_FILE, None,
    ]  # fmt: skip
    found = reasons_in(as_tar(tmp_path / "b.tar", [given[0], given[4]], tarfile.GNU_FORMAT))
    assert [*found] == ["good.jpg"]  # the other's name is cut off in its own header


def test_a_tar_whose_headers_lie_is_read_up_to_there(tmp_path):
    path = as_tar(tmp_path / "a.tar", [tar_member(f"{i}.jpg", b"x" * 600) for i in range(4)])
    whole = path.read_bytes()

    def of(data: bytes) -> tuple[list[str], str]:
        path.write_bytes(data)
        found = []
        with pytest.raises(ShardError) as raised:
            found.extend(member.name for member in members(path))
        return found, str(raised.value)

    each = 2 * 512 + 512 + 1024  # an extra header with its data, a header, the data
    for cut in range(each + 1, each + 1536 + 600, 100):
        names, why = of(whole[:cut])
        assert names == ["0.jpg"] and "read up to there" in why
    huge = tarfile.TarInfo("huge.jpg")
    huge.size = 2**60
    names, why = of(huge.tobuf(tarfile.GNU_FORMAT) + whole)
    assert names == [] and "cut off" in why
    wide = tarfile.TarInfo("x")
    wide.pax_headers = {"path": "y.jpg"}
    names, why = of(wide.create_pax_global_header({"path": "y.jpg"}) + whole)
    assert names == [] and "names all members anew" in why
    assert of(b"")[0] == [] and of(b"\x89PNG" * 300)[0] == []


def test_a_directory_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = as_zip(tmp_path / "a.zip", {f"{i}.jpg": b"1" for i in range(50)})
    monkeypatch.setattr(shard_members, "MAX_DIRECTORY", 1000)
    with pytest.raises(ShardError, match="its directory has more than"):
        [*members(path)]
    path = as_tar(tmp_path / "a.tar", [tar_member(f"{i}.jpg", b"1") for i in range(5)])
    monkeypatch.setattr(shard_members, "MAX_MEMBERS", 3)
    with pytest.raises(ShardError, match="more than 3 members"):
        [*members(path)]


MANY = """
from pathlib import Path
from hashtag_core.prepare.picture_index import PictureIndex
PictureIndex(Path({root!r})).write(Path({out!r}))
"""


def test_memory_does_not_grow_with_the_number_of_shards(tmp_path):
    whole = as_zip(tmp_path / "a.zip", {f"{i:032x}.jpg": b"1" for i in range(5_000)}).read_bytes()
    added = []
    for shards in (4, 24):  # 20,000 and 120,000 pictures
        root = tmp_path / f"{shards}"
        root.mkdir()
        for number in range(shards):
            (root / f"{number:03x}.zip").write_bytes(whole)
        program = MANY.format(root=str(root), out=str(tmp_path / f"index{shards}"))
        added.append(bounded(program=program, imports=("pyarrow.parquet",)).megabytes)
        assert pq.read_metadata(tmp_path / f"index{shards}").num_rows == 5_000 * shards
    assert added[1] < added[0] + 40, added


def test_a_damaged_shard_is_named_and_its_photos_are_kept_for_their_hashtags(tmp_path):
    root = tmp_path / "root"
    as_zip(root / "000.zip", {member_of(101): picture(101)})
    as_zip(root / "001.zip", {member_of(102): picture(102)})
    (root / "001.zip").write_bytes((root / "001.zip").read_bytes()[:-30])
    (root / "002.zip").symlink_to(tmp_path / "out.zip")
    as_zip(tmp_path / "out.zip", {member_of(103): picture(103)})
    (root / "003.zip").write_bytes(b"")
    collection = prepared(tmp_path, root, [101, 102, 103])
    assert of_photos(collection) == {101: picture(101)}
    assert collection.meta["report"]["notes"] == {MISSING: 2}
    problems = {p["file"]: p["what"] for p in collection.meta["report"]["problems"]}
    assert problems["001.zip"] == problems["003.zip"] and "not a whole one" in problems["001.zip"]
    assert "leads out of the folder" in problems["002.zip"]
    source = Yfcc100m([tmp_path / "rows.tsv"], WORDS, with_images=True)
    images = Images(root, picture_paths, picture_names)
    with pytest.raises(ValueError, match=r"001.zip: not a zip"):
        ingest.prepare(source, tmp_path / "strict", Selection(), images, strict=True)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_shard_that_was_changed_since_gives_no_other_picture(kind, tmp_path, monkeypatch):
    root = tmp_path / "root"

    def write(photos) -> None:
        if kind == "zip":
            as_zip(root / "000.zip", {member_of(photo): picture(photo) for photo in photos})
        else:
            as_img2dataset(root / "00000.tar", photos)

    write([101, 102])
    collection = prepared(tmp_path, root, [101, 102])
    [shard] = [path for path in root.iterdir() if path.suffix in (".zip", ".tar")]
    data = bytearray(shard.read_bytes())
    photo_of = [int(photo) for photo in collection.table["photo_id"].to_pylist()]
    for change in (data[:-900], data[:300], b"", bytes(len(data)), b"x" * 100 + data):
        shard.write_bytes(change)
        for row in range(2):
            try:
                assert collection.picture(row) == picture(photo_of[row])
            except PictureError as error:
                assert error.reason == pictures.CHANGED
    monkeypatch.setattr(picture_shards, "EPOCH", picture_shards.EPOCH + 100)
    write([103, 102, 101])
    for row in range(2):
        with pytest.raises(PictureError, match="changed since"):
            collection.picture(row)
    shard.unlink()
    with pytest.raises(PictureError, match="no such file"):
        collection.picture(0)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.zip/1.jpg#0+5+3421846044",
        "a.zip/1.jpg#0+999999999+1",
        "a.zip/1.jpg#9999999999+5+1",
    ],
)
def test_places_that_leave_the_folder_or_the_shard_are_refused(path, tmp_path):
    (tmp_path / "root").mkdir()
    as_zip(tmp_path / "secret.zip", {"1.jpg": b"12345"})
    as_zip(tmp_path / "root" / "a.zip", {"1.jpg": b"12345"})
    with pytest.raises(PictureError) as raised:
        picture_at(path, tmp_path / "root")
    assert raised.value.reason in (pictures.OUTSIDE, pictures.TOO_LARGE, pictures.CHANGED)


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet"])
def test_mutated_shards_are_read_or_named_and_the_counts_add_up(kind, tmp_path):
    root, photos = tmp_path / "root", [101, 102, 103]
    if kind == "zip":
        path = as_zip(root / "000.zip", {member_of(photo): picture(photo) for photo in photos})
    else:
        path = as_img2dataset(root / "00000.tar", photos).with_suffix(f".{kind}")
    whole, good = path.read_bytes(), {picture(photo) for photo in photos}
    for seed in range(MUTATIONS):
        path.write_bytes(mutated(whole, seed))
        index = picture_index.PictureIndex(root)
        index.write(tmp_path / "index")
        for entry in pq.read_table(tmp_path / "index").to_pylist():
            assert (entry["path"] is None) != (entry["why_not"] is None)
            if entry["path"] is not None:
                try:
                    read = picture_at(entry["path"], root)
                    assert kind == "tar" or read in good  # a tar has no checksum of its members
                except PictureError as error:
                    assert error.reason in pictures.REASONS
        if seed % 15 == 0:
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            prepared(tmp_path, root, photos)


# ---- the list of URLs


def test_the_urls_of_the_kept_photos_are_listed_in_the_collection_s_order(tmp_path, capsys):
    rows = metadata(tmp_path / "rows.tsv", range(1, 9))
    text = rows.read_text().replace(url_of(5), "javascript:x").replace("cat,dog", "", 1)
    rows.write_text(text)
    file, out = tmp_path / "urls.parquet", tmp_path / "out"
    command = ["prepare", "yfcc100m", str(rows), "--out", str(out), "--urls", str(file)]
    command += ["--min-photos", "3", "--min-kept-photos", "3"]
    assert cli.main(command) == 0
    listed = pq.read_table(file).to_pylist()
    kept = PhotoCollection.load(out)
    assert kept.table["photo_id"].to_pylist() == ["2", "5", "8"]  # the others' users have two
    assert listed == [
        {"photo_id": str(photo), "url": url_of(photo), "key": key_by_hand(photo)}
        for photo in (2, 8)
    ]  # fmt: skip
    assert kept.meta["report"]["notes"]["no download URL: not in the list of URLs"] == 1
    assert kept.meta["counts"]["pictures"] == 0
    assert "Written:" in capsys.readouterr().out
    file.unlink()
    assert cli.main(command) == 0 and pq.read_table(file).to_pylist() == listed
    file.write_bytes(b"my own")
    assert cli.main(command) == 2 and file.read_bytes() == b"my own"


def test_a_list_of_another_job_is_written_anew(tmp_path):
    urls = UrlList(tmp_path / "urls.parquet", key_of)
    for photos in ([1, 2], [3]):
        source = Yfcc100m([metadata(tmp_path / "rows.tsv", photos)], WORDS, with_images=True)
        for out in ("a", "b"):
            ingest.prepare(source, tmp_path / out, Selection(), urls=urls)
            assert pq.read_table(urls.path)["photo_id"].to_pylist() == [str(p) for p in photos]
