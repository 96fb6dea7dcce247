"""The archive of a member of Flickr: what is in it, every reason, and zips as they break."""

import io
import json
import os
import random
import struct
import zipfile
from datetime import datetime

import pytest
from broken_files import mutated
from helpers import prepare
from photo_files import described, description, zip_bytes, zip_of
from picture_files import NO_PICTURES, encode, lying_on_its_side, noise, red_and_blue
from PIL import Image

from hashtag_core.errors import InputError
from hashtag_core.prepare import cleaning
from hashtag_core.prepare.ingest import dry_run
from hashtag_core.prepare.selection import TWICE
from hashtag_core.sources import flickr_export, flickr_zips
from hashtag_core.sources.flickr_export import FlickrExport

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 200))
JPEG = encode(red_and_blue(), "JPEG")
ID = "5123456789"
NAME = f"photo_{ID}.json"
MANY = {f"photo_{i}.json": description(str(i)) for i in range(100, 200)}


def rows(*paths, user=None):
    """(photos, report) of zips, understood piece by piece."""
    source = FlickrExport(paths, user)
    photos = []
    for number in range(len(source.inputs)):
        for piece in source.pieces(number):
            if not isinstance(piece, str):
                found = source.understand(piece.data, True)
                found.report.check()
                photos += found.table.to_pylist()
    return photos, dry_run(source)[0]


def only(folder, data, name=NAME, **more):
    """The photo of one description, or the reason why it is left out."""
    photos, report = rows(zip_of(folder / "part1.zip", {name: data, **more}))
    return photos[0] if photos else next(iter(report["rows"]["left_out"]))


# ---- descriptions


def test_a_photo_is_what_its_description_says(tmp_path):
    tags = ["Black White", "東京", "море", "geo:lat=48.2", "black white", "rock &amp; roll"]
    profile = json.dumps({"real_name": "Ida", "nsid": "30302697@N00", "screen_name": "ida"})
    path = zip_of(
        tmp_path / "72157_abc_part1.zip",
        {
            NAME: description(tags=described(tags)),
            "albums.json": b"{}",
            "account_profile.json": profile,
        },
    )
    photos, report = rows(path)
    assert photos == [
        {
            "ord": 0,
            "photo_id": ID,
            "user": "30302697@N00",
            "time": datetime(2012, 5, 4, 12, 31, 2),
            "hashtags": ["black white", "東京", "море", "rock & roll"],
            "capitals": None,
            "image": None,
            "picture": None,
        }
    ]
    assert report["hashtags"]["left_out"] == {cleaning.MACHINE: 1, cleaning.TWICE: 1}
    assert report["notes"] == {flickr_export.NO_PICTURE: 1}


def test_tags_may_be_texts_alone(tmp_path):
    assert only(tmp_path, description(tags=["a b", "c"]))["hashtags"] == [
        "a b",
        "c",
    ]


def test_tags_that_are_no_text_are_counted(tmp_path):
    tags = [{"tag": "cat"}, {"tag": 7}, {}, None, 3.5, ["x"], {"tag": "\ud800"}]
    photos, report = rows(zip_of(tmp_path / "a.zip", {NAME: description(tags=tags)}))
    assert photos[0]["hashtags"] == ["cat"]
    assert report["hashtags"]["left_out"] == {flickr_export.NO_TEXT_TAG: 5, cleaning.BROKEN: 1}


@pytest.mark.parametrize(
    "taken", ["0000-00-00 00:00:00", "1899-12-31 23:59:59", "", None, 0, "yesterday", [], "9" * 99]
)
def test_the_import_counts_where_the_date_taken_cannot_be(tmp_path, taken):
    path = zip_of(tmp_path / "a.zip", {NAME: description(date_taken=taken)})
    photos, report = rows(path)
    assert photos[0]["time"] == datetime(2012, 5, 5, 8)
    assert report["notes"][flickr_export.IMPORT_DATE] == 1


@pytest.mark.parametrize(
    ("profile", "user", "found"),
    [
        ({"nsid": "1@N00"}, None, "1@N00"),
        ({"nsid": "1@N00"}, "Ida", "Ida"),
        ({"nsid": ""}, None, "me"),
        ({"nsid": ["x"]}, None, "me"),
        ([1], None, "me"),
        (None, None, "me"),
    ],
)
def test_the_user_is_told_or_of_the_profile(tmp_path, profile, user, found):
    account = {} if profile is None else {"account_profile.json": json.dumps(profile)}
    photos, _ = rows(zip_of(tmp_path / "a.zip", {NAME: description(), **account}), user=user)
    assert photos[0]["user"] == found


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", flickr_export.NO_OBJECT),
        (b"[1]", flickr_export.NO_OBJECT),
        (b"\xff\xfe\x00", flickr_export.NO_OBJECT),
        (b"[" * 200_000, flickr_export.NO_OBJECT),
        (b'{"a": ' * 100_000, flickr_export.NO_OBJECT),
        (b'{"id": ' + b"1" * 5000 + b"}", flickr_export.NO_OBJECT),
        (b'{"id": NaN, "tags": ["x"]}', flickr_export.WRONG_ID),
        (description("../../x"), flickr_export.WRONG_ID),
        (description(["x"]), flickr_export.WRONG_ID),
        (description(tags=[]), flickr_export.NO_TAGS),
        (description(tags=None), flickr_export.NO_TAGS),
        (description(tags={"tag": "x"}), flickr_export.WRONG_TAGS),
        (description(tags="cat"), flickr_export.WRONG_TAGS),
        (description(tags=["x"] * 1001), flickr_export.MANY_HASHTAGS),
        (description(tags=described(["##", "a:b=c"])), cleaning.NO_HASHTAG),
        (description(date_taken=None, date_imported="0"), flickr_export.NO_DATE),
        (description(name="x" * flickr_export.MAX_JSON), flickr_zips.TOO_LARGE),
    ],
    ids=range(17),
)
def test_every_reason_to_leave_a_photo_out(tmp_path, data, reason):
    assert only(tmp_path, data) == reason


def test_the_id_is_the_files_where_the_description_has_none(tmp_path):
    assert only(tmp_path, description(None))["photo_id"] == ID


# ---- pictures


@pytest.mark.parametrize(
    "name",
    [f"a-title_{ID}_o.jpg", f"img_1234_{ID}_o.JPG", f"{ID}_a1b2c3d4e5_o.png",
     f"{ID}_1234567890_o.gif", f"20120504_{ID}_o.jpg", f"título_{ID}.jpeg",
     f"{ID}_o.jpg", f"photos/x_{ID}_o.jpg"],
)  # fmt: skip
def test_pictures_are_found_by_the_id_in_their_name_in_any_zip(tmp_path, name):
    first = zip_of(tmp_path / "data-download-1.zip", {name: JPEG})
    second = zip_of(tmp_path / "part1.zip", {NAME: description()})
    for paths in ((first, second), (second, first)):
        photos, report = rows(*paths)
        assert report["notes"] == {}
        picture = Image.open(io.BytesIO(photos[0]["picture"]))
        assert (picture.format, picture.size) == ("JPEG", (40, 20))


def test_copies_are_small_upright_and_rgb(tmp_path):
    large = noise(900).resize((900, 600))
    photos = [
        only(tmp_path, description(), **{f"x_{ID}_o.jpg": data})["picture"]
        for data in (encode(large, "JPEG"), lying_on_its_side(large), encode(large, "PNG"))
    ]
    for picture in map(Image.open, map(io.BytesIO, photos)):
        assert (picture.size, picture.mode, picture.format) == ((512, 341), "RGB", "JPEG")


@pytest.mark.parametrize("data", NO_PICTURES.values(), ids=NO_PICTURES)
def test_a_photo_whose_picture_is_broken_is_kept_without(tmp_path, data):
    path = zip_of(tmp_path / "a.zip", {NAME: description(), f"x_{ID}_o.jpg": data})
    photos, report = rows(path)
    assert photos[0]["picture"] is None
    assert report["notes"] == {flickr_export.WRONG_PICTURE: 1}


def test_pictures_of_nobody_are_counted(tmp_path):
    lone = {"a_77777_o.jpg": JPEG, "no-id.jpg": JPEG, "b_88888.mp4": b""}
    _, report = rows(zip_of(tmp_path / "a.zip", {NAME: description(), **lone}))
    assert report["notes"] == {flickr_export.LONE_PICTURE: 3, flickr_export.NO_PICTURE: 1}


@pytest.mark.parametrize("name", [f"clip_{ID}.mp4", f"clip_{ID}_o.MOV", f"{ID}_abc_o.avi"])
def test_videos_are_left_out(tmp_path, name):
    assert only(tmp_path, description(), **{name: b"x"}) == flickr_export.VIDEO


# ---- zips


def patched(data: bytes, signature: bytes, at: int, value: bytes, count: int = -1) -> bytes:
    """The same zip with some bytes after each such signature changed."""
    parts = data.split(signature)
    change = len(parts) if count < 0 else count
    for i in range(1, min(len(parts), change + 1)):
        parts[i] = parts[i][: at - 4] + value + parts[i][at - 4 + len(value) :]
    return signature.join(parts)


LOCAL, CENTRAL = b"PK\3\4", b"PK\1\2"
WHOLE = zip_bytes({NAME: description()})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (patched(WHOLE, CENTRAL, 8, b"\1\0"), flickr_zips.ENCRYPTED),
        (patched(WHOLE, CENTRAL, 10, b"\x63\0"), flickr_zips.COMPRESSION),
        (zip_bytes({NAME: description()}, zipfile.ZIP_BZIP2), flickr_zips.COMPRESSION),
        (zip_bytes({NAME: description()}, zipfile.ZIP_LZMA), flickr_zips.COMPRESSION),
        (patched(WHOLE, CENTRAL, 16, b"\0\0\0\0"), flickr_zips.DAMAGED),
        (patched(WHOLE, CENTRAL, 24, struct.pack("<L", 10)), flickr_zips.DAMAGED),
        (patched(WHOLE, CENTRAL, 42, struct.pack("<L", 9)), flickr_zips.DAMAGED),
        (patched(WHOLE, LOCAL, 30, b"other"), flickr_zips.DAMAGED),
        (patched(WHOLE, CENTRAL, 24, struct.pack("<L", 2**31)), flickr_zips.TOO_LARGE),
    ],
    ids=range(9),
)
def test_members_that_cannot_be_read_are_left_out(tmp_path, data, reason):
    (tmp_path / "a.zip").write_bytes(data)
    _, report = rows(tmp_path / "a.zip")
    assert list(report["rows"]["left_out"]) == [reason]


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    read = []
    whole = zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile, "read", lambda self, n=-1: read.append(n) or whole(self, n)
    )
    bomb = bytes(50 * 2**20)
    small = struct.pack("<L", 1000)  # what the directory says
    data = patched(zip_bytes({NAME: bomb, f"x_{ID}_o.jpg": bomb}), CENTRAL, 24, small)
    (tmp_path / "a.zip").write_bytes(data)
    _, report = rows(tmp_path / "a.zip")
    assert list(report["rows"]["left_out"]) == [flickr_zips.DAMAGED]
    assert set(read) == {flickr_export.MAX_JSON + 1}


def test_names_that_lead_elsewhere_and_doubled_names_do_no_harm(tmp_path):
    members = [
        (f"../../{NAME}", description()),
        ("/photo_2.json", description("2")),
        (NAME, description(tags=["again"])),
        (NAME, description(tags=["and again"])),
        ("C:\\photo_3.json", description("3")),
        ("dir/", b""),
        (f"/../x_{ID}_o.jpg", JPEG),
    ]
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_of(tmp_path / "a.zip", members)
    photos = prepare(FlickrExport([path]), tmp_path / "out")
    assert photos.table["photo_id"].to_pylist() == ["2", ID]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["rows"]["read"] == 4  # the last name does not begin with photo_
    assert report["rows"]["left_out"][TWICE]["count"] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]


@pytest.mark.parametrize(
    "broken", [b"", b"PK", WHOLE[:-10], WHOLE[: len(WHOLE) // 2], b"x" * 10_000]
)
def test_a_broken_zip_is_a_problem_and_the_others_are_read(tmp_path, broken):
    (tmp_path / "a.zip").write_bytes(broken)
    photos, report = rows(tmp_path / "a.zip", zip_of(tmp_path / "b.zip", {NAME: description()}))
    assert len(photos) == 1
    assert [p["file"] for p in report["problems"]] == [str(tmp_path / "a.zip")]
    with pytest.raises(InputError, match=r"a\.zip: not a zip file"):
        source = FlickrExport([tmp_path / "a.zip", tmp_path / "b.zip"])
        prepare(source, tmp_path / "out", strict=True)


def test_a_directory_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(flickr_zips, "MAX_DIRECTORY", 1000)
    path = zip_of(tmp_path / "a.zip", MANY)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(flickr_zips.MemberError, match="its directory"):
        flickr_zips.open_zip(path)


def test_the_size_of_the_directory_is_zipfiles(tmp_path):
    plain = zip_bytes(MANY)
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        size = len(plain) - archive.start_dir - 22
    comment = plain[:-2] + struct.pack("<H", 40_000) + b"x" * 40_000
    at = len(plain) - 22
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 100, 100, size, 0)
    place = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    long = plain[:at] + record + place + plain[at : at + 12] + b"\xff" * 8 + plain[at + 20 :]
    for data in (plain, comment, long):
        assert flickr_zips.directory_size(data[-flickr_zips.LONGEST_END :]) == size
        assert len(zipfile.ZipFile(io.BytesIO(data)).infolist()) == 100


def test_no_photo_and_no_zip_are_one_clear_error(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"x_1_o.jpg": JPEG})
    text = tmp_path / "b.zip"
    text.write_text("no zip")
    for paths in ([path], [text], [tmp_path / "none.zip"], [path, path], [tmp_path]):
        with pytest.raises(InputError) as error:
            FlickrExport(paths)
        assert "\n" not in str(error.value)
    for user in ("", " ", "x" * 201):
        with pytest.raises(InputError, match="--user"):
            FlickrExport([zip_of(tmp_path / "c.zip", {NAME: description()})], user)


# ---- unpacked


def unpacked(folder, members):
    for name, data in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_an_unpacked_archive_is_read_like_its_zips(tmp_path):
    members = {f"meta/{NAME}": description(), f"media/título_{ID}_o.jpg": JPEG}
    members |= {"meta/account_profile.json": b'{"nsid": "1@N00"}', "media/b_88888.mp4": b""}
    members |= {"meta/photo_7.json": description("7"), "media/clip_7.mp4": b"x"}
    folder = unpacked(tmp_path / "flickr", members)
    photos, report = rows(folder)
    assert (photos, report["rows"]["left_out"].keys()) == (
        rows(zip_of(tmp_path / "a.zip", members))[0],
        {flickr_export.VIDEO},
    )
    assert photos[0]["user"] == "1@N00" and photos[0]["picture"]
    assert report["notes"] == {flickr_export.LONE_PICTURE: 1}
    split = [unpacked(tmp_path / name, members) for name in ("meta", "media")]
    with pytest.raises(InputError, match="twice"):
        FlickrExport([*split, split[0]])


def test_a_folder_of_zips_and_what_one_of_them_held(tmp_path):
    folder = unpacked(tmp_path / "flickr", {f"media/x_{ID}_o.jpg": JPEG})
    zip_of(folder / "part1.zip", {NAME: description()})
    photos, report = rows(folder)
    assert photos[0]["picture"] and report["notes"] == {}
    job = FlickrExport([folder]).job
    unpacked(folder, {"photo_7.json": description("7")})
    assert FlickrExport([folder]).job != job


def test_of_a_folder_only_plain_files_within_bounds_are_read(tmp_path):
    long = description("3", name="x" * flickr_export.MAX_JSON)
    folder = unpacked(tmp_path / "flickr", {NAME: description(), "photo_3.json": long})
    (tmp_path / "outside.json").write_bytes(description("9"))
    (folder / "photo_9.json").symlink_to(tmp_path / "outside.json")
    (folder / "again").symlink_to(folder)
    os.mkfifo(folder / "photo_4.json")
    photos, report = rows(folder)
    assert [photo["photo_id"] for photo in photos] == [ID]
    left_out = {reason: entry["count"] for reason, entry in report["rows"]["left_out"].items()}
    assert left_out == {flickr_zips.TOO_LARGE: 1, flickr_zips.UNREADABLE: 1}


def test_files_of_the_archive_alone_are_sent_to_their_folder(tmp_path):
    unpacked(tmp_path, {NAME: description()})
    with pytest.raises(InputError, match="give the folder it lies in"):
        FlickrExport([tmp_path / NAME])


def test_what_was_typed_counts_before_what_flickr_made_of_it(tmp_path):
    tags = [{"raw": "Grapes of Wrath", "_content": "grapesofwrath"}, {"_content": "sea"}]
    assert only(tmp_path, description(tags=tags))["hashtags"] == ["grapes of wrath", "sea"]


# ---- end to end


def test_a_collection_of_an_archive_has_its_pictures(tmp_path):
    parts = [{}, {}]
    media = {}
    for i in range(100):
        name = f"{1000 + i}"
        taken = f"2012-05-{i % 28 + 1:02d} 12:00:00"
        parts[i % 2][f"photo_{name}.json"] = description(
            name, tags=described(["cat", f"t{i}"]), date_taken=taken
        )
        if i % 10:
            media[f"a_title_{name}_o.jpg"] = JPEG
    parts[1]["account_profile.json"] = json.dumps({"nsid": "1@N00"})
    paths = [zip_of(tmp_path / f"part{i}.zip", part) for i, part in enumerate(parts)]
    paths.insert(1, zip_of(tmp_path / "data-download-1.zip", media, zipfile.ZIP_STORED))
    photos = prepare(FlickrExport(paths), tmp_path / "out")
    assert (len(photos), photos.users) == (100, ["1@N00"])
    assert photos.meta["counts"]["pictures"] == 90
    assert all(
        Image.open(io.BytesIO(photos.picture(row))).size == (40, 20)
        for row, name in enumerate(photos.table["photo_id"].to_pylist())
        if int(name) % 10
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["rows"]["kept"] == 100
    assert report["notes"] == {flickr_export.NO_PICTURE: 10}


def test_rejected_rows_are_named_with_their_text(tmp_path):
    path = zip_of(tmp_path / "a.zip", {NAME: description(), "photo_2.json": b'{"tags": []}'})
    prepare(FlickrExport([path]), tmp_path / "out", rejected=tmp_path / "rejected.csv")
    assert "a.zip/photo_2.json,,no tags" in (tmp_path / "rejected.csv").read_text()


# ---- broken files


def test_broken_zips_never_raise(tmp_path):
    members = {NAME: description(), "photo_2.json": description("2"), f"a_{ID}_o.jpg": JPEG}
    members["account_profile.json"] = b'{"nsid": "1@N00"}'
    whole = zip_bytes(members), zip_bytes(members, zipfile.ZIP_STORED)
    understood = 0
    for seed in range(MUTATIONS):
        rng = random.Random(seed)
        data = whole[seed % 2]
        if seed % 4 < 2:  # one byte of the directory
            at = rng.randrange(data.index(CENTRAL), len(data))
            data = data[:at] + rng.randbytes(1) + data[at + 1 :]
        else:
            data = mutated(data, seed)
        path = tmp_path / "a.zip"
        path.write_bytes(data)
        try:
            report, _ = dry_run(FlickrExport([path]))
        except InputError:
            continue
        understood += report["rows"]["kept"] > 0
    assert understood > MUTATIONS / 5


def test_broken_descriptions_never_raise(tmp_path):
    members = {f"photo_{i}.json": mutated(description(str(i)), i) for i in range(100, 400)}
    _, report = rows(zip_of(tmp_path / "a.zip", members))
    assert report["rows"]["read"] == 300 and report["rows"]["kept"] > 10
