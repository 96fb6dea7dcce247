"""TIFF, AVIF, HEIC and raw pictures: read as others are, or kept without pixels and told."""

import io
import warnings
from datetime import datetime

import numpy as np
import pytest
from hostile_pictures import exif_of_one_value, tiff, tiff_of_grey, turned
from photo_files import exif, iptc, jpeg, rows_of_folder, xmp
from picture_files import encode, heif, noise, red_and_blue
from PIL import Image, ImageOps, features
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from hashtag_core.data import picture_parts, pictures
from hashtag_core.data.picture_formats import format_of
from hashtag_core.data.pictures import PictureError, load_picture
from hashtag_core.prepare.ingest import Images, dry_run, prepare
from hashtag_core.sources import folder_listing
from hashtag_core.sources.folder import NO_KEYWORD, PhotoFolder
from hashtag_core.sources.folder_metadata import read_metadata

TIME, WHEN = "2020:01:02 03:04:05", datetime(2020, 1, 2, 3, 4, 5)
GOOD = jpeg(exif(TIME), xmp("cat"))
PACKED = ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"]
HEIC_HINT = "HEIC is not read: `pip install pillow-heif`, or export it as JPEG"
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")


@pytest.fixture
def without_heif(monkeypatch):
    for module in (picture_parts, pictures):
        monkeypatch.setattr(module, "reads_heic", lambda: False, raising=False)


# ---- pixels


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_tiff_is_read_as_pillow_reads_it(packed, mode):
    if packed == "jpeg" and mode not in ("L", "RGB"):
        return
    plain = Image.fromarray(np.arange(800, dtype=np.uint16).reshape(20, 40) * 80)
    picture = plain if mode == "I;16" else red_and_blue().convert(mode)
    loaded = load_picture(encode(picture, "TIFF", compression=packed))
    expected = load_picture(encode(picture, "PNG")) if mode != "CMYK" else red_and_blue()
    assert np.abs(np.array(loaded, int) - np.array(expected)).max() <= (
        2 if packed == "jpeg" else 0
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["TIFF", pytest.param("AVIF", marks=needs_avif)])
def test_tiff_and_avif_are_turned_upright_once(kind, orientation):
    told = Image.Exif()
    told[0x0112] = orientation
    packet = f'<a tiff:Orientation="{orientation}"/>'.encode()  # what says it again
    more = {"tiffinfo": {700: packet}} if kind == "TIFF" else {"xmp": packet}
    data = encode(red_and_blue(), kind, exif=told, **more)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(load_picture(data), expected)


def test_of_a_tiff_of_several_pages_the_first_is_read():
    data = encode(red_and_blue(), "TIFF", save_all=True, append_images=[noise(30)])
    assert np.array_equal(load_picture(data), red_and_blue())


@pytest.mark.parametrize(
    "data",
    [
        encode(Image.new("F", (9, 9), 0.5), "TIFF"),
        encode(red_and_blue(), "TIFF", compression="lzma"),
        tiff_of_grey(8, 8, (254, 4, 1, 1), (273, 4, 1, 8), data=bytes(64)),
        tiff_of_grey(8, 8, (50706, 1, 4, 1), (273, 4, 1, 8), data=bytes(64)),
        heif(b"crx "),
        encode(red_and_blue(), "JPEG2000"),
    ],
    ids=["heights", "lzma", "preview", "DNG", "CR3", "JPEG 2000"],
)
def test_a_format_that_is_not_read_is_named_with_what_to_do(data):
    with pytest.raises(PictureError, match=r"^x: .+ is not read: export it as JPEG\.$") as raised:
        load_picture(data, "x")
    assert raised.value.reason == pictures.FOREIGN


def test_heic_without_its_package_is_told_by_its_bytes(without_heif, tmp_path):
    (tmp_path / "a.jpg").write_bytes(heif())
    with pytest.raises(PictureError, match="pip install pillow-heif"):
        load_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "start, name",
    [
        (heif(b"heix"), "HEIC"),
        (heif(b"avif"), "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "a video"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"", None),
        (b"\0\0\0\x18ftyp", None),
        (GOOD, None),
    ],
)
def test_formats_are_told_by_their_first_bytes(start, name):
    assert format_of(start) == name


@needs_avif
def test_an_avif_with_hostile_exif_is_read_without_it():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, which writes it
        data = encode(red_and_blue(), "AVIF", exif=exif_of_one_value(5_000, 90_000))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load_picture(data).size == (40, 20)
        assert read_metadata(io.BytesIO(data)).refused is None
    assert caught == []


def test_odd_tags_of_a_tiff_are_no_warning():
    data = bytes(64)
    odd = tiff_of_grey(8, 8, (273, 4, 1, 8), (305, 2, 10**9, 8), (347, 1, 10**9, 8), data=data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load_picture(odd).size == (8, 8)
        with pytest.raises(PictureError):
            load_picture(tiff([(256, 4, 2, 8), (257, 4, 1, 8), (273, 4, 1, 8)], data))
    assert caught == []


# ---- metadata, and photos without their picture


def in_tiff(*extra) -> bytes:
    found = ImageFileDirectory_v2()
    for tag, value in extra:
        found[tag] = value
    return encode(red_and_blue(), "TIFF", tiffinfo=found)


@pytest.mark.parametrize(
    "data",
    [
        in_tiff((0x0132, TIME), (700, xmp("cat"))),
        in_tiff((0x0132, TIME), (33723, iptc(b"cat"))),
        in_tiff((0x0132, TIME), (0x9C9E, "cat\0".encode("utf-16-le"))),
    ],
    ids=["XMP", "IPTC", "EXIF"],
)
def test_a_tiff_has_its_metadata(data, tmp_path):
    told = read_metadata(io.BytesIO(data))
    assert (told.keywords, told.time, told.unread) == (["cat"], WHEN, [])


@needs_avif
def test_an_avif_has_its_metadata():
    data = encode(red_and_blue(), "AVIF", exif=exif(TIME).tobytes(), xmp=xmp("cat"))
    told = read_metadata(io.BytesIO(data))
    assert (told.keywords, told.time, told.refused) == (["cat"], WHEN, None)


@pytest.mark.parametrize("name", ["a.jpe", "a.JFIF", "a.tif", "a.tiff", "a.avif"])
def test_these_names_are_of_pictures(name, tmp_path):
    rows, _ = rows_of_folder(tmp_path, **{name: GOOD})
    assert rows[name]["image"] == name


def test_a_heic_keeps_its_hashtags_without_a_decoder(without_heif, tmp_path):
    inside = heif(exif=exif(TIME).tobytes()[6:], xmp=xmp("cat"))
    beside = heif(exif=exif(TIME).tobytes()[6:])
    files = {"a.heic": inside, "b.jpg": beside, "b.jpg.xmp": xmp("sea"), "c.heic": beside}
    rows, report = rows_of_folder(tmp_path, **files)
    assert {name: (row["hashtags"], row["time"], row["image"]) for name, row in rows.items()} == {
        "a.heic": (["cat"], WHEN, None),
        "b.jpg": (["sea"], WHEN, None),
    }
    assert report.notes == {f"kept without its picture: {HEIC_HINT}": 2}
    assert report.rows_left_out[NO_KEYWORD].count == 1


def test_a_raw_picture_keeps_its_hashtags(tmp_path):
    dng = tiff_of_grey(
        8, 8, (254, 4, 1, 1), (273, 4, 1, 8), (306, 2, 20, 8), data=TIME.encode() + b"\0"
    )
    files = {
        "a.dng": dng,
        "a.xmp": xmp("cat"),
        "b.cr3": b"?",
        "b.xmp": xmp("sea", created="2020-01-02"),
    }
    rows, report = rows_of_folder(tmp_path, **files)
    assert {name: row["hashtags"] for name, row in rows.items()} == {
        "a.dng": ["cat"],
        "b.cr3": ["sea"],
    }
    assert report.notes == {"kept without its picture: raw is not read: export it as JPEG": 2}


def test_a_broken_picture_keeps_the_hashtags_of_its_sidecar(tmp_path):
    files = {"a.jpg": b"broken", "a.xmp": xmp("cat", created="2020-01-02"), "b.jpg": b"broken"}
    rows, report = rows_of_folder(tmp_path, **files)
    assert rows["a.jpg"]["hashtags"] == ["cat"] and rows["a.jpg"]["image"] is None
    assert report.notes == {f"kept without its picture: {pictures.BROKEN}": 1}
    assert report.rows_left_out[pictures.BROKEN].count == 1


def test_a_raw_file_beside_its_picture_is_one_photo_with_both_sidecars(tmp_path):
    files = {"a.JPG": jpeg(exif(TIME)), "a.NEF": b"?", "a.NEF.xmp": xmp("cat"), "a.xmp": xmp("sea")}
    rows, report = rows_of_folder(tmp_path, **files)
    assert {name: row["hashtags"] for name, row in rows.items()} == {"a.JPG": ["cat", "sea"]}
    assert report.notes == {folder_listing.TWIN: 1}


def test_a_collection_with_a_photo_without_its_picture_adds_up(without_heif, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(GOOD)
    (tmp_path / "in" / "b.heic").write_bytes(heif(exif=exif(TIME).tobytes()[6:], xmp=xmp("cat")))
    source = PhotoFolder(tmp_path / "in")
    prepare(source, tmp_path / "out", images=Images(tmp_path / "in"))
    report, photos = dry_run(source)
    assert report["rows"]["read"] == report["rows"]["kept"] == 2
    assert [photo["image"] for photo in photos] == ["a.jpg", None]


@pytest.mark.parametrize("cut", [0.1, 0.3, 0.6, 0.9])
def test_texts_of_a_file_that_breaks_off_are_none(cut, without_heif):
    whole = heif(exif=turned(6), xmp=xmp("cat"))
    told = read_metadata(io.BytesIO(whole[: int(len(whole) * cut)]))
    assert told.refused is not None
