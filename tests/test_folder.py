"""A folder of one's own photos: every place of keywords and times, every reason, broken files."""

import json
import os
import random
from datetime import datetime

import pytest
from broken_files import mutated
from helpers import prepare
from photo_files import UTF8, exif, iptc, jpeg, png, xmp
from picture_files import NO_PICTURES, encode, red_and_blue

from hashtag_core.data import pictures
from hashtag_core.data.exif import exif_of
from hashtag_core.errors import InputError
from hashtag_core.prepare.ingest import Images, dry_run
from hashtag_core.prepare.report import Report
from hashtag_core.sources import folder as folder_module
from hashtag_core.sources import folder_listing
from hashtag_core.sources import folder_metadata as metadata
from hashtag_core.sources.folder import PhotoFolder
from hashtag_core.sources.folder_xmp import MAX_XMP

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 200))
TIME = "2020:01:02 03:04:05"
WHEN = datetime(2020, 1, 2, 3, 4, 5)
GOOD = jpeg(exif(TIME), xmp("cat"))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "photos"
    path.mkdir()
    return path


def understood(folder, **files):
    """({name: (hashtags, time)}, report of the only piece)."""
    write(folder, files)
    source = PhotoFolder(folder)
    photos, total = {}, Report()
    for piece in source.pieces(0):
        if isinstance(piece, str):
            total.problems.append((0, piece))
            continue
        found = source.understand(piece.data, True)
        found.report.check()
        total.add(found.report)
        assert len(found.rejected) == sum(e.count for e in found.report.rows_left_out.values())
        for row in found.table.to_pylist():
            assert row["user"] == "me" and row["image"] in (row["photo_id"], None)
            photos[row["photo_id"]] = row["hashtags"], row["time"]
    return photos, total


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def only(folder, data, name="a.jpg", **files):
    """(hashtags, time) of one picture, or the reason why it is left out."""
    photos, report = understood(folder, **{name: data}, **files)
    return photos[name] if photos else next(iter(report.rows_left_out))


# ---- keywords and times


@pytest.mark.parametrize("words", [["Black Cat", "sea"], ["кошка", "море"], ["東京", "猫"]])
@pytest.mark.parametrize("where", ["exif", "xmp", "iptc", "iptc utf-8", "png", "png behind"])
def test_keywords_are_found_wherever_programs_write_them(folder, words, where):
    in_utf8 = [word.encode() for word in words]
    data = {
        "exif": lambda: jpeg(exif(TIME, keywords=";".join(words))),
        "xmp": lambda: jpeg(exif(TIME), xmp(*words)),
        "iptc": lambda: jpeg(exif(TIME), None, iptc(*in_utf8)),
        "iptc utf-8": lambda: jpeg(exif(TIME), None, iptc(*in_utf8, charset=UTF8)),
        "png": lambda: png(xmp(*words), exif(TIME), behind=False),
        "png behind": lambda: png(xmp(*words), exif(TIME), behind=True),
    }[where]()
    assert only(folder, data) == ([word.lower() for word in words], WHEN)


def test_a_webp_has_exif_and_xmp(folder):
    data = encode(red_and_blue(), "WEBP", exif=exif(TIME).tobytes(), xmp=xmp("sea"))
    assert only(folder, data, "a.webp") == (["sea"], WHEN)


@pytest.mark.parametrize("name", ["a.xmp", "a.jpg.xmp", "A.XMP", "a.JPG.xmp"])
@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP"])
def test_sidecars_are_read_and_may_hold_the_time(folder, name, kind):
    write(folder, {name: xmp("sea", created="2020-01-02T03:04:05+05:00")})
    assert only(folder, encode(red_and_blue(), kind)) == (["sea"], WHEN)


def test_keywords_of_all_places_are_merged_each_once(folder):
    write(folder, {"a.xmp": xmp("sea", "sky")})
    data = jpeg(exif(TIME, keywords="cat;sea"), xmp("sea", "red"), iptc(b"cat", b"blue"))
    photos, report = understood(folder, **{"a.jpg": data})
    assert photos["a.jpg"][0] == ["cat", "sea", "red", "sky", "blue"]
    assert report.hashtags_read == 5


def test_iptc_without_a_charset_may_have_one_byte_a_character(folder):
    assert only(folder, jpeg(exif(TIME), None, iptc("café".encode("latin-1"))))[0] == ["café"]


def test_xmp_in_another_encoding_and_as_attributes(folder):
    packet = xmp("море", created="2020-01-02 03:04").decode().split("\n", 1)[1]
    write(folder, {"a.xmp": packet.rsplit("\n", 1)[0].encode("utf-16")})
    assert only(folder, jpeg()) == (["море"], datetime(2020, 1, 2, 3, 4))


def test_only_dc_subject_holds_keywords(folder):
    rest = "<exif:subject><rdf:Bag><rdf:li>no</rdf:li></rdf:Bag></exif:subject>"
    assert only(folder, jpeg(exif(TIME), xmp("cat", rest=rest)))[0] == ["cat"]


@pytest.mark.parametrize("nonsense", [None, "0000:00:00 00:00:00", "    :  :     :  :  ", "", "x"])
def test_times_are_asked_in_their_order_and_nonsense_is_passed_over(folder, nonsense):
    bad = nonsense
    created = "2017-01-01T00:00:00"
    rest = f"<xmp:CreateDate>{'2016-01-01'}</xmp:CreateDate>"
    record = iptc(b"cat", date=b"20150101", clock=b"020304+0100")

    def year(*times, packet=None, iptc_record=None):
        return only(folder, jpeg(exif(*times), packet or xmp("cat"), iptc_record))[1].year

    assert year("2020:01:01 00:00:00", "2019:01:01 00:00:00", "2018:01:01 00:00:00") == 2020
    assert year(bad, "2019:01:01 00:00:00", "2018:01:01 00:00:00") == 2019
    assert year(bad, bad, "2018:01:01 00:00:00", packet=xmp("cat", created=created)) == 2018
    assert year(bad, bad, bad, packet=xmp("cat", created=created, rest=rest)) == 2017
    assert year(bad, packet=xmp("cat", rest=rest), iptc_record=record) == 2016
    assert only(folder, jpeg(exif(bad), None, record))[1] == datetime(2015, 1, 1, 2, 3, 4)


@pytest.mark.parametrize(
    "time", ["1700:01:01 00:00:00", "2020:02:30 00:00:00", "2020:01:01 25:00:00", "20200101", "²"]
)
def test_times_that_cannot_be_are_no_times(folder, time):
    write(folder, {"a.xmp": xmp("cat", created=time)})
    assert only(folder, jpeg()) == folder_module.NO_TIME


# ---- left out


def test_the_date_of_the_file_is_not_asked(folder):
    assert only(folder, jpeg(None, xmp("cat"))) == folder_module.NO_TIME


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jpeg(), folder_module.NO_KEYWORD),
        (jpeg(exif(TIME), xmp(" ", "")), folder_module.NO_KEYWORD),
        (jpeg(exif(TIME), xmp("###")), folder_module.NO_HASHTAG),
        (jpeg(exif(TIME), xmp(*map(str, range(1001)))), folder_module.MANY_HASHTAGS),
        (jpeg(exif(TIME), b"<x:xmpmeta"), folder_module.UNREAD),
        (jpeg(exif(TIME), b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), folder_module.UNREAD),
        (jpeg(exif(TIME), None, b"\x1c\x02\x19\xff\xff"), folder_module.UNREAD),
        (NO_PICTURES["empty"], pictures.BROKEN),
        (NO_PICTURES["text"], pictures.BROKEN),
        (NO_PICTURES["bomb"], pictures.TOO_LARGE),
        (NO_PICTURES["strip"], pictures.TOO_LARGE),
        (encode(red_and_blue(), "PPM"), pictures.BROKEN),
    ],
    ids=range(12),
)
def test_every_reason_to_leave_a_picture_out(folder, data, reason):
    assert only(folder, data) == reason


def test_a_picture_with_one_broken_place_is_kept_and_told(folder):
    write(folder, {"a.xmp": b"\0" * 10 + b"<", "b.xmp": b" " * (MAX_XMP + 2)})
    photos, report = understood(folder, **{"a.jpg": GOOD, "b.jpg": GOOD})
    assert list(photos) == ["a.jpg", "b.jpg"]
    assert report.notes["a sidecar cannot be read: kept with the other metadata"] == 2


def test_too_many_bytes(folder, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", len(GOOD) - 1)
    assert only(folder, GOOD) == pictures.TOO_LARGE


def test_other_files_are_counted_and_photos_of_other_formats_named(folder):
    others = {"b.HEIC": b"", "c.nef": b"", "d.mov": b"", "notes": b"", "lone.xmp": b"<"}
    hidden = {".thumbnails/a.jpg": GOOD, "._a.jpg": b"", "@eaDir/a.jpg": GOOD, "sub/.e.jpg": GOOD}
    photos, report = understood(folder, **{"sub/a.jpg": GOOD}, **others, **hidden)
    assert list(photos) == ["sub/a.jpg"]
    left_out = {reason: entry.count for reason, entry in report.rows_left_out.items()}
    assert left_out == {
        "HEIC is not read: `pip install pillow-heif`, or export it as JPEG": 1,
        "raw is not read: export it as JPEG": 1,
    }
    assert report.notes == {
        folder_listing.OTHER: 2,
        folder_listing.HIDDEN_FILE: 4,
        folder_listing.LONE_SIDECAR: 1,
    }


def test_links_out_of_the_folder_are_not_followed_and_pipes_not_opened(folder, tmp_path):
    write(tmp_path, {"elsewhere/b.jpg": GOOD})
    write(folder, {"a.jpg": GOOD, "deep/c.jpg": GOOD})
    (folder / "inside.jpg").symlink_to("a.jpg")
    (folder / "outside.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")
    (folder / "outside.xmp").symlink_to("/etc/passwd")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(folder)
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "nowhere.jpg").symlink_to("not there.jpg")
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "a.xmp")
    (folder / "named.jpg").mkdir()
    photos, report = understood(folder)
    assert list(photos) == ["a.jpg", "deep/c.jpg", "inside.jpg"]
    assert report.notes.pop(folder_listing.LINK) in (4, 5)  # the circle, by the version of Python
    left_out = {reason: entry.count for reason, entry in report.rows_left_out.items()}
    assert left_out[pictures.NO_FILE] == 1 and sum(left_out.values()) in (2, 3)
    assert report.notes == {"a sidecar cannot be read: kept with the other metadata": 1}


def test_names_that_are_not_utf8_are_left_out_and_named(folder, tmp_path):
    write(folder, {"a.jpg": GOOD, "東京 #1.jpg": GOOD, "new\nline.jpg": GOOD})
    (folder / os.fsdecode(b"\xe9t\xe9.jpg")).write_bytes(GOOD)
    (folder / os.fsdecode(b"\xe9")).mkdir()
    (folder / os.fsdecode(b"\xe9") / "c.jpg").write_bytes(GOOD)
    rejected = tmp_path / "rejected.csv"
    photos = prepare(PhotoFolder(folder), tmp_path / "out", None, Images(folder), rejected)
    assert sorted(photos.table["photo_id"].to_pylist()) == ["a.jpg", "new\nline.jpg", "東京 #1.jpg"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    first = report["rows"]["left_out"][folder_module.ODD_NAME]["first"]
    assert [place["file"] for place in first] == [r"\xe9/c.jpg", r"\xe9t\xe9.jpg"]
    assert r"\xe9t\xe9.jpg" in rejected.read_text()


def test_a_folder_that_cannot_be_read_is_a_problem(folder, monkeypatch):
    write(folder, {"a.jpg": GOOD, "closed/b.jpg": GOOD})
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    photos, report = understood(folder)
    assert list(photos) == ["a.jpg"]
    assert report.problems == [(0, "closed: the folder cannot be read (Permission denied)")]


def test_files_that_vanish_are_missing(folder):
    write(folder, {"a.jpg": GOOD, "a.xmp": xmp("sea"), "b.jpg": GOOD})
    source = PhotoFolder(folder)
    (folder / "a.xmp").unlink()
    (folder / "b.jpg").unlink()
    found = source.understand(next(source.pieces(0)).data, False)
    assert found.table["photo_id"].to_pylist() == ["a.jpg"]
    assert found.report.rows_left_out[pictures.MISSING].count == 1


@pytest.mark.parametrize("make", [lambda f: f / "none", lambda f: f, lambda f: f / "a.txt"])
def test_no_folder_and_no_picture_are_one_clear_error(folder, make):
    write(folder, {"a.txt": b"x"})
    with pytest.raises(InputError) as error:
        PhotoFolder(make(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("user", ["", " ", "x" * 201, "\ud800"])
def test_a_user_needs_a_name(folder, user):
    write(folder, {"a.jpg": GOOD})
    with pytest.raises(InputError, match="--user"):
        PhotoFolder(folder, user)


# ---- end to end


def test_a_collection_of_a_folder_has_its_pictures(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "PHOTOS_OF_PIECE", 2)
    names = [f"{i % 3}/{i}.jpg" for i in range(9)]
    for i, name in enumerate(names):
        time = f"2020:01:{9 - i:02d} 00:00:00"
        write(folder, {name: jpeg(exif(time), xmp("cat", f"word {i}"))})
    write(folder, {"x.jpg": b"", "y.txt": b""})
    photos = prepare(PhotoFolder(folder, "Ida"), tmp_path / "out", images=Images(folder))
    assert photos.table["photo_id"].to_pylist() == names[::-1]  # by their times
    assert photos.users == ["Ida"]
    for i, name in enumerate(names[::-1]):
        assert photos.picture(i) == (folder / name).read_bytes()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["rows"]["read"] == 10 and report["rows"]["kept"] == 9
    assert report["notes"] == {folder_listing.OTHER: 1}
    again = prepare(PhotoFolder(folder, "Ida"), tmp_path / "out", images=Images(folder))
    assert again.table["photo_id"].to_pylist() == names[::-1]


def test_the_job_is_another_when_a_file_changes(folder):
    write(folder, {"a.jpg": GOOD, "a.xmp": xmp("sea")})
    job = PhotoFolder(folder).job
    assert job == PhotoFolder(folder).job
    write(folder, {"a.xmp": xmp("sea", "sky")})
    assert job != PhotoFolder(folder).job
    assert PhotoFolder(folder).job != PhotoFolder(folder, "Ida").job


def test_strict_stops_at_what_is_broken_but_not_at_what_has_no_keyword(folder, tmp_path):
    write(folder, {"a.jpg": GOOD, "b.jpg": jpeg(exif(TIME)), "c.txt": b"", ".d": b""})
    prepare(PhotoFolder(folder), tmp_path / "out", images=Images(folder), strict=True)
    write(folder, {"e.jpg": b"x"})
    with pytest.raises(InputError, match=r"e\.jpg: not a picture"):
        prepare(PhotoFolder(folder), tmp_path / "out", images=Images(folder), strict=True)


# ---- broken files

WHOLE = {
    "a.jpg": jpeg(
        exif(TIME, TIME, TIME, "cat;sea"),
        xmp("cat", "東京", created="2020-01-02"),
        iptc(b"cat", "море".encode(), charset=UTF8, date=b"20200102", clock=b"030405+0000"),
    ),
    "b.png": png(xmp("cat"), exif(TIME), behind=True),
    "c.webp": encode(red_and_blue(), "WEBP", exif=exif(TIME).tobytes(), xmp=xmp("cat")),
    "d.gif": encode(red_and_blue(), "GIF"),
    "d.xmp": xmp("cat", created="2020-01-02"),
}


def test_broken_files_never_raise(folder):
    for seed in range(MUTATIONS):
        head = random.Random(seed).random() < 0.7  # the metadata stands in front
        for name, data in WHOLE.items():
            cut = 1500 if head and name == "a.jpg" else len(data)
            broken = mutated(data[:cut], seed) + data[cut:]
            write(folder, {f"{seed}{name}": broken})
    report, _ = dry_run(PhotoFolder(folder))
    rows = report["rows"]
    assert rows["read"] == 4 * MUTATIONS
    assert rows["kept"] > MUTATIONS / 2  # and some of them are still good


def test_one_changed_byte_of_the_metadata_never_raises(folder):
    data = WHOLE["a.jpg"]
    rng = random.Random(0)
    for i in range(MUTATIONS):
        at = rng.randrange(1200)
        write(folder, {f"{i}.jpg": data[:at] + rng.randbytes(1) + data[at + 1 :]})
    report, _ = dry_run(PhotoFolder(folder))
    assert report["rows"]["read"] == MUTATIONS


def test_deep_and_odd_xml(folder):
    deep = b"<a>" * 150_000 + b"</a>" * 150_000
    odd = xmp("cat").replace(b"<rdf:li>cat</rdf:li>", b"<rdf:li/><rdf:li><b>x</b></rdf:li>")
    write(folder, {"a.xmp": deep, "b.xmp": odd, "a.jpg": GOOD, "b.jpg": GOOD})
    photos, _ = understood(folder)
    assert {name: hashtags for name, (hashtags, _) in photos.items()} == {
        "a.jpg": ["cat"],
        "b.jpg": ["cat"],
    }


@pytest.mark.parametrize("value", [4_000_000_000, "text", (1, 2, 3), 1.5, b"\0\xd8a\0"])
def test_exif_of_strange_types(value):
    strange = exif()
    strange[0x9C9E] = value
    strange[0x0132] = 7
    metadata._exif(exif_of({"exif": strange.tobytes()}))
