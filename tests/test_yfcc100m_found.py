"""What somebody who had not written it broke: places, databases and files as people have them."""

import bz2
import gzip
import json
import lzma
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from picture_shards import as_img2dataset, as_zip, member_of, metadata, picture, url_of
from yfcc100m_files import PHOTO, WORDS, database, json_lines, photo, read

from hashtag_core import cli
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.picture_store import Pictures
from hashtag_core.data.pictures import PictureError
from hashtag_core.errors import InputError
from hashtag_core.prepare.images import Images
from hashtag_core.prepare.ingest import NothingKept, dry_run, prepare
from hashtag_core.prepare.selection import Selection
from hashtag_core.prepare.url_list import UrlList
from hashtag_core.sources.yfcc100m import Yfcc100m
from hashtag_core.sources.yfcc100m_facts import facts
from hashtag_core.sources.yfcc100m_pictures import key_of, picture_names, picture_paths

COLUMNS = ", ".join(PHOTO)
PLACES = ", ".join("?" for _ in PHOTO)


def images(root):
    return Images(root, picture_paths, picture_names)


def with_pictures(root, out, photos=range(1, 4), **options):
    path = metadata(root.parent / "photos.tsv", photos)
    folder = prepare(Yfcc100m([path], WORDS, True), out, images=images(root), **options)
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize(
    "folder", ["user=bob", "time=3", "photo_id=1", "hashtags=1", "why=1", "more=1", "number=1"]
)
def test_a_folder_with_an_equals_sign_is_only_a_name(tmp_path, folder):
    path = metadata(tmp_path / "photos.tsv", range(1, 7))
    (tmp_path / "pictures").mkdir()
    as_zip(tmp_path / "pictures" / "000.zip", {member_of(n): picture(n) for n in range(1, 7)})
    written = []
    for place in ("plain", folder):
        (tmp_path / place).mkdir()
        options = {"images": images(tmp_path / "pictures"), "rejected": tmp_path / place / "r.csv"}
        out = prepare(Yfcc100m([path], WORDS, True), tmp_path / place / "out", **options)
        assert len(PhotoCollection.load(out).users) == facts(out)["users"] == 3
        names = "photos.parquet", "report.json", "../r.csv"
        written.append([(out / name).read_bytes() for name in names])
    assert written[0] == written[1]


def test_a_link_to_a_database_does_not_hide_what_waits_beside_it(tmp_path):
    (tmp_path / "real").mkdir()
    path = database(tmp_path / "real" / "a.db", photo())
    (tmp_path / "link.db").symlink_to(path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=wal")
        writer.execute(f"INSERT INTO photos VALUES ({PLACES})", [*photo(photoid=2).values()])
        writer.commit()
        with pytest.raises(InputError, match=r"a\.db-wal beside it holds changes"):
            read(tmp_path / "link.db", tmp_path / "out")
    assert len(read(tmp_path / "link.db", tmp_path / "out")[0]) == 2


def test_a_journal_that_is_done_with_holds_no_changes(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=persist")
        writer.execute(f"CREATE TABLE photos ({COLUMNS})")
        writer.execute(f"INSERT INTO photos VALUES ({PLACES})", [*PHOTO.values()])
        writer.commit()
    assert (tmp_path / "a.db-journal").stat().st_size
    assert len(read(path, tmp_path / "out")[0]) == 1


@pytest.mark.parametrize("computed", ["INTEGER AS (photoid % 3 + 1)", "TEXT AS ('x' || photoid)"])
def test_a_computed_column_is_not_taken_for_the_row_id(tmp_path, computed):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute(f"CREATE TABLE photos ({COLUMNS}, rowid {computed})")
        rows = [[*photo(photoid=i).values()] for i in range(1, 10)]
        writer.executemany(f"INSERT INTO photos ({COLUMNS}) VALUES ({PLACES})", rows)
        writer.commit()
    photos, report = read(path, tmp_path / "out")
    assert len(photos) == 9
    assert not report["problems"]


def test_a_table_without_row_ids_is_copied_as_the_message_says(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as writer:
        rows = COLUMNS.replace("photoid", "photoid PRIMARY KEY")
        writer.execute(f"CREATE TABLE yfcc100m_dataset ({rows}) WITHOUT ROWID")
        writer.execute(f"INSERT INTO yfcc100m_dataset VALUES ({PLACES})", [*PHOTO.values()])
        writer.commit()
        with pytest.raises(InputError, match=r"has no row ids\. Copy it: ") as error:
            Yfcc100m([path])
        writer.execute(str(error.value).partition("Copy it: ")[2])
        writer.commit()
    assert len(read(path, tmp_path / "out")[0]) == 1


def test_rows_in_whose_place_another_page_stands_are_told(tmp_path):
    path = database(tmp_path / "a.db", *(photo(photoid=i) for i in range(1, 100)), page=512)
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master").fetchone()
    data = bytearray(path.read_bytes())
    page = memoryview(data)[512 * (root - 1) :][:512]
    first, second = (int.from_bytes(page[12 + i : 14 + i], "big") for i in (0, 2))
    assert page[0] == 5  # inside the tree: (page, up to which row id) of those below
    page[second : second + 4] = page[first : first + 4]
    path.write_bytes(data)
    ends = [page[at + 4] for at in (first, second)]
    photos, report = read(path, tmp_path / "out")
    kept = *range(1, ends[0] + 1), *range(ends[1] + 1, 100)
    assert {found[2] for found in photos} == {*map(str, kept)}
    (problem,) = report["problems"]
    assert f"with a row id from {ends[0] + 1} to {ends[1]}" in problem["what"]


def test_a_table_without_rows_is_an_empty_report(tmp_path):
    source = Yfcc100m([database(tmp_path / "a.db")], WORDS)
    with pytest.raises(NothingKept, match="no photo is left") as nothing:
        prepare(source, tmp_path / "out", rejected=tmp_path / "r.csv")
    assert nothing.value.report["rows"] == {"read": 0, "kept": 0, "left_out": {}}
    assert dry_run(source)[0]["rows"]["read"] == 0


def test_a_mark_at_the_beginning_of_json_lines_costs_no_photo(tmp_path):
    path = json_lines(tmp_path / "a", photo(), photo(photoid=2))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    photos, report = read(path, tmp_path / "out")
    assert len(photos) == 2
    assert not report["rows"]["left_out"]


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("form", ["text", "JSON"])
def test_text_of_16_bits_is_told(tmp_path, order, form):
    path = metadata(tmp_path / "photos.tsv", range(1, 4))
    path = json_lines(tmp_path / "photos.json", PHOTO) if form == "JSON" else path
    path.write_bytes(("\ufeff" + path.read_text(encoding="utf-8")).encode(order))
    with pytest.raises(InputError, match=r"photos.*: UTF-16, as PowerShell"):
        Yfcc100m([path], WORDS)
    json_lines(tmp_path / "more.json", PHOTO)
    assert path in Yfcc100m([tmp_path], WORDS).passed_over  # as a desktop.ini is


def test_the_first_json_line_may_lack_its_address(tmp_path):
    first = {name: value for name, value in PHOTO.items() if name != "downloadurl"}
    path = json_lines(tmp_path / "a", first, photo(photoid=2, downloadurl=url_of(2)))
    urls = UrlList(tmp_path / "urls.parquet", key_of)
    prepare(Yfcc100m([path], WORDS, True), tmp_path / "out", urls=urls)
    assert pq.read_table(urls.path)["url"].to_pylist() == [url_of(2)]


def test_the_first_json_line_may_be_broken_and_other_files_may_lie_in_the_folder(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    lines = ['{"photoid": 1, "uid": tru', json.dumps(photo(photoid=2)), ""]
    (folder / "000.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (folder / "state.json").write_text('{"done": 5}\n')
    with closing(sqlite3.connect(folder / "log.db")) as writer:
        writer.execute("CREATE TABLE log (line)")
        writer.commit()
    source = Yfcc100m([folder], WORDS)
    assert [path.name for path in source.paths] == ["000.gz"]
    assert [path.name for path in source.passed_over] == ["log.db", "state.json"]
    photos, report = read(folder, tmp_path / "out")
    assert len(photos) == 1
    assert report["rows"]["read"] == 2


def test_metadata_beside_the_hub_s_folder_is_read_too(tmp_path):
    (tmp_path / "metadata").mkdir()
    files = [
        json_lines(tmp_path / "metadata_001.jsonl", PHOTO),
        json_lines(tmp_path / "metadata" / "metadata_000.jsonl", PHOTO),
    ]
    (tmp_path / "README.md").write_text("what this is")
    source = Yfcc100m([tmp_path], WORDS)
    assert source.paths == files and source.passed_over == [tmp_path / "README.md"]


def test_a_damaged_shard_of_a_folder_is_told_and_what_is_passed_over_is_named(tmp_path, capsys):
    folders = tmp_path / "a", tmp_path / "b"
    for number, folder in enumerate(folders):
        folder.mkdir()
        lines = "".join(json.dumps(photo(photoid=10 * number + i)) + "\n" for i in range(9))
        (folder / "000.gz").write_bytes(gzip.compress(lines.encode()))
        (folder / "001.gz").write_bytes((folder / "000.gz").read_bytes()[:12])
        (folder / "002.gz").touch()
    arguments = ["prepare", "yfcc100m", *map(str, folders), "--out", str(tmp_path / "out")]
    arguments += ["--min-photos", "1", "--min-kept-photos", "1"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    for folder in folders:
        assert f"{folder}: 1 file in it is no metadata: 002.gz" in printed
        assert f"{folder / '001.gz'}: the compressed file ends too early" in printed


def test_the_list_of_urls_is_not_put_into_the_collection(tmp_path):
    path = metadata(tmp_path / "photos.tsv", range(3))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(InputError, match=r"cannot be in the collection's folder"):
        prepare(Yfcc100m([path], WORDS, True), out, urls=UrlList(out / "urls.parquet", key_of))
    assert not any(out.iterdir())
    assert not (tmp_path / "out.hashtag-core").exists()


def test_a_folder_of_pictures_that_cannot_be_named_is_refused(tmp_path):
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/pictures\xff"))
    try:
        root.mkdir()
    except OSError:
        pytest.skip("this disk has no such names")
    with pytest.raises(InputError, match="not UTF-8; rename it"):
        images(root)


def test_links_in_circles_and_folders_without_permission_are_told(tmp_path, monkeypatch):
    root, out = tmp_path / "pictures", tmp_path / "out"
    as_zip(root / "000.zip", {member_of(n): picture(n) for n in (1, 2)})
    (root / "lost+found").mkdir()
    for name in ("loop", "loop.zip"):
        (root / name).symlink_to(root / name)
    outside = as_img2dataset(tmp_path / "elsewhere" / "00000.tar", [3]).parent
    (root / "link").symlink_to(outside)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "lost" not in str(path) and real(path, 4))
    report = with_pictures(root, out)
    assert report["notes"] == {"the picture's file is missing: kept without it": 1}
    wrong = "its name is not UTF-8, or it leads out of the folder"
    assert {(p["file"], p["what"]) for p in report["problems"]} == {
        ("lost+found", "no permission to read it: not looked into"),
        ("link", wrong),
        ("loop.zip", wrong),
    }


@pytest.mark.parametrize("shard", ["x" * 300, "x/" * 3000])
def test_a_shard_with_a_name_that_is_too_long_costs_its_photo_alone(tmp_path, shard):
    root = tmp_path / "pictures"
    as_zip(root / "000.zip", {member_of(1): picture(1)})
    with_pictures(root, tmp_path / "out", [1])
    table = pq.read_table(tmp_path / "out" / "photos.parquet")
    place = table["image"][0].as_py()["path"].replace("000.zip", f"{shard}.zip")
    kind = table.schema.field("image").type
    column = pa.array([{"bytes": None, "path": place}], kind)
    table = table.drop_columns("image").append_column("image", column)
    pq.write_table(table, tmp_path / "photos.parquet")
    with pytest.raises(PictureError):
        Pictures(tmp_path / "photos.parquet", root)[0]


def test_one_folder_of_img2dataset_is_not_taken_for_all_pictures(tmp_path):
    (tmp_path / "12345").mkdir()
    (tmp_path / "12345.parquet").write_bytes(b"")
    with pytest.raises(InputError, match="Name the folder above it"):
        images(tmp_path / "12345")
    images(tmp_path)


def test_archives_that_are_not_looked_into_are_told(tmp_path):
    root = tmp_path / "pictures"
    as_zip(root / "000.zip", {member_of(1): picture(1)})
    (root / "001.ZIP").write_bytes((root / "000.zip").read_bytes())
    (root / "00000.tar.gz").write_bytes(b"")
    path = metadata(tmp_path / "photos.tsv", range(1, 4))
    out = prepare(Yfcc100m([path], WORDS, True), tmp_path / "out", images=images(root))
    problems = json.loads((out / "report.json").read_text())["problems"]
    assert [problem["file"] for problem in problems] == ["00000.tar.gz", "001.ZIP"]
    assert all("not looked into" in problem["what"] for problem in problems)


@pytest.mark.parametrize("seed", range(10))
def test_a_block_that_is_damaged_inside_is_made_again(tmp_path, seed):
    path = metadata(tmp_path / "photos.tsv", range(2000))
    path.write_bytes(path.read_bytes() + b"one more\n" * 50)
    out = tmp_path / "out"
    options = {"rejected": tmp_path / "rejected.csv"}
    with pytest.raises(NothingKept) as nothing:
        prepare(Yfcc100m([path], WORDS), out, Selection(99_999, None, 1), **options)
    rejected = options["rejected"].read_bytes()
    blocks = tmp_path / "out.hashtag-core" / "blocks"
    (block,) = blocks.glob(f"*.{('parquet', 'rejected')[seed % 2]}")
    data, rng = bytearray(block.read_bytes()), random.Random(seed)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    start = rng.randrange(4, footer)
    for place in range(start, min(start + rng.choice([1, 10, 500]), footer)):
        data[place] ^= rng.randrange(1, 256)
    block.write_bytes(data)
    with pytest.raises(NothingKept) as again:
        prepare(Yfcc100m([path], WORDS), out, Selection(99_999, None, 1), **options)
    assert again.value.report == nothing.value.report
    assert options["rejected"].read_bytes() == rejected


@pytest.mark.parametrize("pack", [bz2.compress, gzip.compress, lzma.compress])
def test_a_damaged_stream_behind_others_is_not_the_end_of_the_file(tmp_path, pack):
    lines = [json.dumps(photo(photoid=i)).encode() + b"\n" for i in range(9)]
    streams = [pack(b"".join(lines[i : i + 3])) for i in (0, 3, 6)]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(streams))
    assert len(read(path, tmp_path / "whole")[0]) == 9
    streams[1] = b"<html>" + streams[1][6:]
    path.write_bytes(b"".join(streams))
    photos, report = read(path, tmp_path / "out")
    assert len(photos) == 3
    assert ["ends too early, or is damaged" in p["what"] for p in report["problems"]] == [True]
    with pytest.raises(InputError, match="is damaged"):
        read(path, tmp_path / "strict", strict=True)


def test_the_first_json_line_may_lack_what_is_null_in_it(tmp_path):
    lacking = {"usertags", "datetaken", "key", "ext"}
    first = {name: value for name, value in PHOTO.items() if name not in lacking}
    path = json_lines(tmp_path / "a", first, photo(photoid=2, key="abcdef0123456789"))
    root = tmp_path / "pictures"
    (root / "abc" / "def").mkdir(parents=True)
    (root / "abc" / "def" / "abcdef0123456789.jpg").write_bytes(picture(2))
    out = prepare(Yfcc100m([path], WORDS, True), tmp_path / "out", images=images(root))
    report = json.loads((out / "report.json").read_text())
    assert [*report["rows"]["left_out"]] == ["no user tags"]
    assert Pictures(out / "photos.parquet", root)[0] == picture(2)


def test_pictures_may_lie_in_the_folder_itself_by_the_key_of_the_list_of_urls(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    path = metadata(tmp_path / "photos.tsv", range(1, 4))
    urls = UrlList(tmp_path / "urls.parquet", key_of)
    prepare(Yfcc100m([path], WORDS, True), tmp_path / "listed", urls=urls)
    for row in pq.read_table(urls.path).to_pylist():
        (root / f"{row['key']}.jpg").write_bytes(picture(int(row["photo_id"])))
    assert not with_pictures(root, tmp_path / "out")["notes"]
    photos = Pictures(tmp_path / "out" / "photos.parquet", root)
    assert {photos[row] for row in range(3)} == {picture(n) for n in (1, 2, 3)}
