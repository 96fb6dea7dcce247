"""YFCC100M's metadata: every oddity, against the slow and obvious reading of the same rows."""

import bz2
import csv
import gzip
import json
import lzma
import os
from collections import Counter
from datetime import datetime

import pyarrow as pa
import pytest
from broken_files import mutated
from helpers import prepare
from hypothesis import given, settings
from hypothesis import strategies as st

from hashtag_core import cli
from hashtag_core.benchmarks import yfcc100m_sample
from hashtag_core.benchmarks.ingest import csv_loop, photos_of
from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.words import load_vocabulary
from hashtag_core.errors import InputError
from hashtag_core.prepare import ingest
from hashtag_core.prepare.ingest import Images, NothingKept
from hashtag_core.prepare.selection import Selection
from hashtag_core.sources import yfcc100m, yfcc100m_rows
from hashtag_core.sources.yfcc100m import Yfcc100m
from hashtag_core.sources.yfcc100m_pictures import picture_paths

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 150))
EVERYBODY = (1, 10**9, 1)
WORDS = ("cat", "black", "white", "東京", "dog")


@pytest.fixture(scope="module")
def words():
    return load_vocabulary()[:3000]


@pytest.fixture
def odd_users(monkeypatch):
    """Few photos of each user, and a third of the rows is odd."""
    monkeypatch.setattr(yfcc100m_sample, "PHOTOS_OF_USER", 6)
    monkeypatch.setattr(yfcc100m_sample, "ODD_SHARE", 0.3)


def row(photo_id=1, user="1@N00", taken="2005-03-01 12:39:28.0", uploaded="1200000000", tags="cat",
        marker="0", extension="jpg", photo_hash=None):  # fmt: skip
    cells = [photo_id, user, "nick", taken, uploaded, "", "", "", tags, "", "", "", "", "", "", "",
             "", "", "", "", "", extension, marker]  # fmt: skip
    if photo_hash is not None:
        cells = [7, photo_id, photo_hash, *cells[1:]]
    return "\t".join(map(str, cells))


def write(path, *rows, end="\n"):
    path.write_bytes("".join(line + end for line in rows).encode("utf-8", "surrogateescape"))
    return path


def read(folder, *rows, words=WORDS, **options):
    """(photos, report) of some rows."""
    path = write(folder / "rows.tsv", *rows)
    try:
        photos = prepare(Yfcc100m([path], words), folder / "out", **options)
    except NothingKept as nothing:
        return [], nothing.report
    report = json.loads((photos.folder / "report.json").read_text())
    return list(photos_of(photos.folder)), report


def same_as_the_loop(folder, path, words, users=EVERYBODY):
    """Prepare a file, and compare every row and every count with `csv_loop`."""
    expected, left_out = csv_loop([path], words, users)
    selection = Selection(*users)
    try:
        photos = prepare(Yfcc100m([path], words), folder, selection)
    except NothingKept as nothing:
        found, report = [], nothing.report
    else:
        found, report = (
            list(photos_of(photos.folder)),
            json.loads((folder / "report.json").read_text()),
        )
    assert found == expected
    rows = report["rows"]
    assert {reason: entry["count"] for reason, entry in rows["left_out"].items()} == left_out
    assert rows["read"] == rows["kept"] + left_out.total() and rows["kept"] == len(found)
    hashtags = report["hashtags"]
    assert hashtags["read"] == hashtags["kept"] + sum(hashtags["left_out"].values())
    assert hashtags["kept"] == sum(len(photo[3]) for photo in found)
    return report


@pytest.mark.parametrize("columns", [23, 25])
def test_the_paper_s_selection_of_a_sample_is_what_the_loop_keeps(tmp_path, columns):
    path = write_yfcc100m_sample(tmp_path / "sample.tsv", 12_000, columns)
    report = same_as_the_loop(tmp_path / "out", path, None, (100, 200, 50))
    assert report["rows"]["read"] == 12_000 and report["rows"]["kept"] > 2000
    assert len(report["rows"]["left_out"]) >= 9 and len(report["hashtags"]["left_out"]) == 7
    lines = [entry["first"] for entry in report["rows"]["left_out"].values()]
    assert all(len(first) <= 100 and first[0]["file"] == str(path) for first in lines)
    assert all(first == sorted(first, key=lambda place: place["line"]) for first in lines)


@pytest.mark.parametrize("columns", [23, 25])
def test_broken_files_never_stop_a_run_and_keep_what_the_loop_keeps(
    tmp_path, words, odd_users, columns
):
    whole = write_yfcc100m_sample(tmp_path / "whole.tsv", 60, columns).read_bytes()
    seen = Counter()
    for seed in range(MUTATIONS // 2):
        path = tmp_path / f"{seed}.tsv"
        path.write_bytes(mutated(whole, seed + columns))
        report = same_as_the_loop(tmp_path / f"{seed}", path, words)
        seen.update(report["rows"]["left_out"].keys())
    assert seen[f"not {columns} columns"] > MUTATIONS // 10 and len(seen) >= 6


CELLS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n"), max_size=12),
    st.text("%+,#:=ce41a 09éÉ東ß", max_size=12),
    st.sampled_from(["0", "1", "null", "12@N00", "2005-03-01 12:39:28.0", "1200000000", "cat,dog"]),
    st.sampled_from(["0001-01-01 00:00:00", "9999-12-31 23:59:59", "9999999999", "%F0%9F%90", "%"]),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(CELLS, min_size=23, max_size=23),
            st.lists(CELLS, max_size=26),
            st.builds(
                lambda *cells: row(*cells).split("\t"),
                st.integers(0, 5), st.sampled_from(["1@N00", "2@N01"]), CELLS, CELLS, CELLS,
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_rows_are_read_as_the_loop_reads_them(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    path = write(folder / "rows.tsv", row("1"), *("\t".join(cells) for cells in rows))
    same_as_the_loop(folder / "out", path, WORDS)


def test_tags_by_hand(tmp_path):
    tags = (
        "black+white,Black%20White,%23cat,CAT,geo:lat=1.5,upload:by=me,%E6%9D%B1%E4%BA%AC,,+,%23,"
        "na%EFve,x%09dog,unknownword," + "cat" * 70 + ",%252C"
    )
    (photo,), report = read(tmp_path, row(tags=tags))
    assert photo[3] == ("black white", "cat", "東京", "x dog")
    assert report["hashtags"] == {
        "read": 15,
        "kept": 4,
        "left_out": {
            "the same hashtag twice in a photo": 2,
            "a machine tag": 2,
            "an empty hashtag": 3,
            "a hashtag of broken characters": 1,
            "a hashtag without a word vector": 2,
            "a hashtag of more than 200 characters": 1,
        },
    }


@pytest.mark.parametrize(
    "taken, uploaded, expected",
    [
        ("2005-03-01 12:39:28.0", "1200000000", "2005-03-01 12:39:28"),
        ("2005-03-01 12:39:28", "null", "2005-03-01 12:39:28"),
        ("null", "1200000000", "2008-01-10 21:20:00"),
        ("1900-01-01 00:00:00.0", "1200000000", "2008-01-10 21:20:00"),
        ("2008-02-30 12:00:00.0", "1200000000", "2008-01-10 21:20:00"),
        ("2008-02-29 12:00:00.0", "1300000000", "2008-02-29 12:00:00"),
        ("2037-01-01 00:00:00.0", "1200000000", "2008-01-10 21:20:00"),
        ("2008-01-11 21:20:00.0", "1200000000", "2008-01-11 21:20:00"),
        ("2008-01-11 21:20:01.0", "1200000000", "2008-01-10 21:20:00"),
        ("2008-01-01 24:00:00.0", "1200000000", "2008-01-10 21:20:00"),
        ("", "0", "1970-01-01 00:00:00"),
        ("1989-12-31 23:59:59", "", None),
        ("null", "12000000000", None),
    ],
)
def test_dates_by_hand(tmp_path, taken, uploaded, expected):
    photos, report = read(tmp_path, row(taken=taken, uploaded=uploaded))
    assert [str(photo[1]) for photo in photos] == ([expected] if expected else [])
    assert bool(report["notes"]) == (expected is not None and not taken.startswith(expected))
    if expected is None:
        assert list(report["rows"]["left_out"]) == ["no date, neither taken nor uploaded"]


def test_every_day_is_the_calendar_s():
    days = [f"{y}-{m:02d}-{d:02d}" for y in range(1988, 2101) for m in range(14) for d in range(33)]
    clocks = ["00:00:00", "23:59:59", "07:08:09.5"]
    texts = [f"{day} {clocks[i % 3]}" for i, day in enumerate(days)]

    def seconds(text):
        try:
            time = datetime.strptime(text[:19], "%Y-%m-%d %H:%M:%S")
        except ValueError:
            return yfcc100m_rows.NEVER
        since = int((time - datetime(1970, 1, 1)).total_seconds())
        return since if time.year >= 1990 else yfcc100m_rows.NEVER

    found, _ = yfcc100m_rows._times(pa.array(texts, pa.binary()), pa.array([b""] * len(texts)))
    assert found.tolist() == [*map(seconds, texts)]
    assert yfcc100m_rows._times(pa.array([], pa.binary()), pa.array([], pa.binary()))[0].size == 0


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"photo_id": "x1"}, "the photo id is not a number"),
        ({"photo_id": "1" * 21}, "the photo id is not a number"),
        ({"user": "1@N0"}, "the user is not like 30302697@N00"),
        ({"marker": ""}, "the marker is neither 0 (photo) nor 1 (video)"),
        ({"marker": "1"}, "a video"),
        ({"tags": ""}, "no user tags"),
        ({"tags": "a" * 65_537}, "user tags of more than 65,536 bytes"),
        ({"tags": ",,"}, "no hashtag among the tags"),
        ({"tags": "geo:lat=1"}, "no hashtag among the tags"),
        ({"tags": "unknownword"}, "no hashtag with a word vector"),
        ({"photo_id": 1}, "a photo whose id stood before"),
        ({"tags": "cat\tcat"}, "not 23 columns"),
        ({"extension": "jpg\x00"}, None),
    ],
)
def test_each_reason_is_counted_with_its_line(tmp_path, change, reason):
    photos, report = read(tmp_path, row(1), row(2), row(**{"photo_id": 3, **change}))
    left_out = report["rows"]["left_out"]
    where = {"file": str(tmp_path / "rows.tsv"), "line": 3}
    assert left_out == ({} if reason is None else {reason: {"count": 1, "first": [where]}})
    assert len(photos) == (3 if reason is None else 2)


def test_users_are_selected_as_in_the_paper(tmp_path):
    """100 to 200 tagged photos, of which 50 have a hashtag with a word vector."""
    numbers = {"99@N00": (99, 0), "100@N00": (100, 50), "200@N00": (200, 0), "201@N00": (201, 0),
               "51@N00": (100, 51), "150@N01": (150, 100)}  # fmt: skip
    rows, number = [], 0
    for user, (photos, unknown) in numbers.items():
        for i in range(photos):
            number += 1
            rows.append(row(number, user, tags="unknownword" if i < unknown else "cat,dog"))
    photos, report = read(tmp_path, *rows, selection=Selection.paper())
    assert Counter(photo[0] for photo in photos) == {"100@N00": 50, "200@N00": 200, "150@N01": 50}
    left_out = {reason: entry["count"] for reason, entry in report["rows"]["left_out"].items()}
    assert left_out == {
        "of a user with fewer than 100 tagged photos": 99,
        "of a user with more than 200 tagged photos": 201,
        "no hashtag with a word vector": 50 + 51 + 100,
        "of a user with fewer than 50 photos left": 49,
    }


@pytest.mark.parametrize("columns", [23, 25])
def test_compressed_or_not_and_one_file_or_many(tmp_path, words, odd_users, columns):
    whole = write_yfcc100m_sample(tmp_path / "a.tsv", 90, columns)
    lines = whole.read_bytes().splitlines(keepends=True)
    expected = list(photos_of(ingest.prepare(Yfcc100m([whole], words), tmp_path / "one")))
    many = []
    for i, compress in enumerate((bytes, gzip.compress, bz2.compress, lzma.compress)):
        path = tmp_path / f"part{i}"  # the name does not matter
        path.write_bytes(compress(b"".join(lines[i * 25 : i * 25 + 25])))
        many.append(path)
    photos = prepare(Yfcc100m(many, words), tmp_path / "many")
    assert len(expected) > 20 and list(photos_of(photos.folder)) == expected
    first = json.loads((tmp_path / "many" / "report.json").read_text())["rows"]["left_out"]
    files = {place["file"] for entry in first.values() for place in entry["first"]}
    assert len(files) > 1 and all(
        place["line"] <= 25 for entry in first.values() for place in entry["first"]
    )


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path, words, odd_users, compress):
    lines = write_yfcc100m_sample(tmp_path / "a.tsv", 3000).read_bytes()
    cut = tmp_path / "cut"
    packed = compress(lines)
    cut.write_bytes(packed[: len(packed) * 2 // 3])
    if compress is bz2.compress:  # whose blocks are larger than this file
        cut.write_bytes(bz2.compress(lines) + packed[:1000])
    photos = prepare(Yfcc100m([cut], words), tmp_path / "out")
    report = json.loads((photos.folder / "report.json").read_text())
    assert len(photos) > 20 and "ends too early" in report["problems"][0]["what"]
    assert "ends too early" in (photos.folder / "report.txt").read_text()
    with pytest.raises(InputError, match="ends too early"):
        prepare(Yfcc100m([cut], words), tmp_path / "strict", strict=True)


def test_lines_end_in_every_way(tmp_path):
    for name, end in (("n", "\n"), ("rn", "\r\n"), ("r", "\r")):
        path = write(tmp_path / name, row(1), row(2, marker=1), row(3), end=end)
        path.write_bytes(path.read_bytes().removesuffix(end.encode()))
        photos = prepare(Yfcc100m([path], WORDS), tmp_path / f"{name}-out")
        assert len(photos) == 2 and photos.meta["report"]["rows"]["read"] == 3


def test_a_line_longer_than_a_block_is_one_rejected_row(tmp_path, monkeypatch):
    monkeypatch.setattr(yfcc100m, "BLOCK", 500)
    photos, report = read(tmp_path, row(1), row(2, tags="cat," * 1000), row(3), row(4))
    assert [photo[2] for photo in photos] == ["1", "3", "4"]
    (entry,) = report["rows"]["left_out"].values()
    assert entry["count"] == 1 and entry["first"][0]["line"] == 2
    assert report["rows"]["read"] == 4


def test_a_field_of_a_million_characters_and_nul_bytes(tmp_path):
    rows = row(1), row(2, tags="c" * 1_000_000), row(3, tags="\0cat,\0", user="1\0@N00"), row(4)
    photos, report = read(tmp_path, *rows, row(5, tags="\0cat\0,dog\0"))
    assert [photo[2:] for photo in photos] == [
        ("1", ("cat",)), ("4", ("cat",)), ("5", ("cat", "dog"))
    ]  # fmt: skip
    assert report["rows"]["read"] == 5


@pytest.mark.parametrize("size", [200, 1000, 5000])
def test_the_size_of_blocks_changes_nothing(tmp_path, words, odd_users, monkeypatch, size):
    path = write_yfcc100m_sample(tmp_path / "a.tsv", 150)
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if len(line) < 190]
    lines = [row(i, tags=f"cat,dog{i}").encode() + b"\n" for i in range(50)] + lines
    path.write_bytes(b"".join(lines))
    monkeypatch.setattr(yfcc100m, "BLOCK", size)
    same_as_the_loop(tmp_path / "out", path, words)


def test_rejected_rows_go_to_a_file_with_their_text(tmp_path):
    rows = row(1), row(2, tags=""), 'quote"s,\té\udcff\r', row(3, tags="unknownword"), row(1)
    file = tmp_path / "rejected.csv"
    read(tmp_path, *rows, rejected=file)
    with file.open(newline="", encoding="utf-8") as lines:
        found = list(csv.DictReader(lines))
    assert [line["line"] for line in found] == ["2", "3", "4", "5"]
    assert [line["reason"] for line in found] == [
        "no user tags", "not 23 columns", "no hashtag with a word vector",
        "a photo whose id stood before",
    ]  # fmt: skip
    assert found[0]["text"] == rows[1] and found[1]["text"] == 'quote"s,\té\\xff'


def test_strict_stops_at_the_first_malformed_row_and_not_at_a_video(tmp_path):
    good = row(1), row(2, marker=1), row(3, tags="")
    assert len(read(tmp_path, *good, strict=True)[0]) == 1
    with pytest.raises(InputError, match=r"rows.tsv, line 4: the user is not like"):
        read(tmp_path, *good, row(4, user="me"), row("x"), strict=True)


def test_pictures_are_found_by_hash_or_by_id_and_none_outside_the_folder(tmp_path):
    pictures = tmp_path / "pictures"
    (pictures / "abc" / "def").mkdir(parents=True)
    (pictures / "abc" / "def" / ("abcdef" + "0" * 26 + ".jpg")).write_bytes(b"by hash")
    (pictures / "2.jpg").write_bytes(b"by id")
    (tmp_path / "secret").write_bytes(b"secret")
    (pictures / "4.jpg").symlink_to(tmp_path / "secret")
    rows = [
        row(1, photo_hash="abcdef" + "0" * 26), row(2, photo_hash="b" * 32),
        row(3, photo_hash="c" * 32), row(4, photo_hash="d" * 32),
        row(5, photo_hash="../../../secret"), row(6, photo_hash="e" * 32, extension="../x"),
    ]  # fmt: skip
    path = write(tmp_path / "rows.tsv", *rows)
    photos = prepare(
        Yfcc100m([path], WORDS, with_images=True),
        tmp_path / "out",
        images=Images(pictures, picture_paths),
    )
    assert photos.picture(0) == b"by hash" and photos.picture(1) == b"by id"
    for number in range(2, 6):
        with pytest.raises(InputError, match="no picture"):
            photos.picture(number)
    assert photos.meta["counts"] == {"photos": 6, "users": 1, "pictures": 2}
    assert photos.meta["report"]["notes"]["the picture's file is missing: kept without it"] == 3
    assert any("leaves its folder" in note for note in photos.meta["report"]["notes"])


def test_what_is_not_the_format_is_said(tmp_path):
    path = write(tmp_path / "other.csv", "a,b,c", "1,2,3")
    with pytest.raises(InputError, match=r"not YFCC100M's metadata.*prepare table"):
        Yfcc100m([path])
    with pytest.raises(InputError, match="no such file"):
        Yfcc100m([tmp_path / "nothing"])
    good = write(tmp_path / "good", row())
    with pytest.raises(InputError, match="twice"):
        Yfcc100m([good, good])
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match="no line"):
        Yfcc100m([tmp_path / "empty"])
    for start in (b"\x1f\x8b\x08\0", b"BZh9", b"\xfd7zXZ\0"):
        (tmp_path / "damaged").write_bytes(start + b"garbage" * 5)
        with pytest.raises(InputError, match="no line"):
            Yfcc100m([tmp_path / "damaged"])


def test_the_command_has_the_paper_s_selection_and_tells_what_it_did(tmp_path, capsys):
    path = write_yfcc100m_sample(tmp_path / "s.tsv", 9000)
    arguments = ["prepare", "yfcc100m", str(path), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    photos = PhotoCollection.load(tmp_path / "out")
    assert photos.meta["selection"] == {"min_photos": 100, "max_photos": 200, "min_kept": 50}
    assert "9,000  rows read" in shown and f"{len(photos):,}  kept" in shown
    assert photos.features.shape == (len(photos), 0) and "no pictures" in shown
    assert cli.main([*arguments, "--min-photos", "1000", "--max-photos", "900"]) == 2
    assert cli.main([*arguments[:-1], str(tmp_path / "none"), "--min-photos", "200"]) == 2
    captured = capsys.readouterr()
    assert "no photo is left" in captured.err and "0  kept" in captured.out
    assert min(time.year for time in photos.table["time"].to_pylist()) >= 1990
    assert isinstance(photos.table["time"][0].as_py(), datetime)
