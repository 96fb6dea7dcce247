"""Pictures, their metadata and zips made to cost memory or time, and what a host program keeps."""

import ast
import io
import json
import os
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bounded import bounded
from hostile_pictures import (
    REFUSED,
    SEEDS,
    SMALL_JPEG,
    SMALL_PNG,
    XMP,
    app1,
    chunk,
    gif,
    jpeg_with,
    png_with,
    turned,
)
from photo_files import described, description, jpeg, xmp, zip_bytes, zip_of
from photo_files import exif as exif_with
from picture_files import encode, noise, red_and_blue
from PIL import Image, ImageFile, ImageOps

from hashtag_core.data import pictures
from hashtag_core.data.pictures import PictureError, load_picture
from hashtag_core.model.fusion import linear
from hashtag_core.prepare.ingest import dry_run
from hashtag_core.sources import flickr_export, flickr_zips
from hashtag_core.sources.flickr_export import FlickrExport
from hashtag_core.sources.folder import PhotoFolder
from hashtag_core.sources.folder_metadata import read_metadata

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 200))
PILLOW = ("PIL.Image", "defusedxml.sax")
SECONDS = 60  # none of the cases takes three; before, most had not ended by then

# ---- files that cost memory or time

LOAD = """
from hostile_pictures import REFUSED
from hashtag_core.data.pictures import PictureError, load_picture
data = REFUSED[{name!r}]()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(load_picture(data, "x"))
except PictureError as error:
    print(error.reason, error, sep="\\n")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("name", REFUSED)
def test_a_picture_that_would_cost_much_is_refused_at_the_door(name):
    ran = bounded(program=LOAD.format(name=name), imports=PILLOW, seconds=SECONDS)
    reason, message, megabytes = ran.out.strip().splitlines()
    assert reason == pictures.TOO_LARGE and message.startswith("x: ")
    assert int(megabytes) < 100


@pytest.mark.parametrize("kind", ["progressive", "baseline"])
def test_scans_are_counted_where_the_decoder_meets_them(kind):
    data = encode(noise(), "JPEG", progressive=kind == "progressive")
    scan = b"\xff\xda\0\2"
    inside = jpeg_with(b"\xff\xfe\0\xff" + scan * 63 + b"\0", app1(b"x" + scan * 500))
    behind = data + scan * 500  # a film behind the picture, say
    for harmless in (data, inside, behind):
        assert load_picture(harmless).mode == "RGB"
    with pytest.raises(PictureError, match="scans"):
        load_picture(data[:-2] + scan * 500 + data[-2:])
    table = b"\xff\xc4\0\6" + b"\xff\xda\0\0"  # what looks like a scan in a table is none
    with pytest.raises(PictureError, match="scans"):
        load_picture(data[:-2] + (table + scan) * 500 + data[-2:])


def test_what_is_cut_off_behind_the_pixels_does_no_harm():
    text = chunk(b"tEXt", b"a\0" + b"b" * 100)
    with_text = SMALL_PNG[:-12] + text + SMALL_PNG[-12:]
    for cut in (len(with_text) - 5, len(with_text) - 50, len(SMALL_PNG) - 12):
        assert load_picture(with_text[:cut]).tobytes() == load_picture(SMALL_PNG).tobytes()
    pixels = SMALL_PNG.index(b"IDAT") - 4
    longer = SMALL_PNG[:pixels] + b"\0\1" + SMALL_PNG[pixels + 2 :]  # than the file, as it says
    assert load_picture(longer).tobytes() == load_picture(SMALL_PNG).tobytes()


def test_a_picture_far_beyond_its_screen_is_refused():
    for place in ((65_000, 0, 1_000, 2_000), (0, 65_000, 2_000, 1_000)):
        data = bytearray(gif((2_000, 2_000), (8, 8)))
        at = data.index(b",") + 1
        data[at : at + 8] = struct.pack("<4H", *place)
        with pytest.raises(PictureError, match="screen") as raised:
            load_picture(bytes(data))
        assert raised.value.reason == pictures.TOO_LARGE


def test_parts_between_a_files_own_do_no_harm():
    padded = jpeg_with(b"\xff" * 100, b"\xff\xfe\0\2" * 100)
    plain = encode(red_and_blue(), "GIF")
    frame = plain.index(b",", 13)
    assert load_picture(padded).tobytes() == load_picture(SMALL_JPEG).tobytes()
    with_comment = plain[:frame] + b"!\xfe" + b"\1a" * 100 + b"\0" + plain[frame:]
    assert load_picture(with_comment).tobytes() == load_picture(plain).tobytes()
    many = png_with(chunk(b"teSt", b"x") * 100)
    assert load_picture(many).tobytes() == load_picture(SMALL_PNG).tobytes()


@pytest.mark.parametrize("name", XMP)
def test_xmp_is_read_within_bounds(name):
    ran = bounded(
        program=f"""
from hostile_pictures import SMALL_JPEG, XMP
from hashtag_core.sources.folder_metadata import read_metadata
import io
told = read_metadata(io.BytesIO(SMALL_JPEG), [XMP[{name!r}][0]()])
print(told.unread)
print(told.keywords)
""",
        imports=PILLOW,
        seconds=SECONDS,
    )
    unread, keywords = ran.out.strip().splitlines()
    assert unread == str([] if XMP[name][1] else ["a sidecar"])
    assert keywords in ("[]", "['cat']")
    assert ran.megabytes < 100


def test_of_nested_items_the_text_before_an_element_is_taken():
    li = "<rdf:li>{}</rdf:li>"
    nested = xmp("cat").replace(
        li.format("cat").encode(),
        ("<dc:subject>" + li.format("a " + li.format("b<x/>c") + " d") + "</dc:subject>").encode(),
    )
    title = li.format("no subject").encode()
    told = read_metadata(io.BytesIO(SMALL_JPEG), [nested.replace(b"</rdf:RDF>", title)])
    assert told.unread == ["a sidecar"]  # what is broken is not read by half
    told = read_metadata(io.BytesIO(SMALL_JPEG), [nested])
    assert told.keywords == ["a ", "b"]


def test_names_of_xmp_are_those_of_their_namespaces():
    packet = b"""<r xmlns:d="http://purl.org/dc/elements/1.1/" xmlns:dc="other"
      xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
      xmlns:e="http://ns.adobe.com/exif/1.0/"><dc:subject><li>no</li></dc:subject>
      <d:subject><li>yes</li><li xmlns="other">no</li>
      <a e:DateTimeOriginal="2020-01-02" DateCreated="2019-01-01"/></d:subject></r>"""
    told = read_metadata(io.BytesIO(SMALL_JPEG), [packet])
    assert (told.keywords, told.time.year, told.unread) == (["yes"], 2020, [])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_that_points_to_its_own_bytes_many_times(kind):
    program = """
from hostile_pictures import exif_of_keywords, exif_of_one_value
from picture_files import encode, red_and_blue
from hashtag_core.data.pictures import load_picture
from hashtag_core.sources.folder_metadata import read_metadata
import io
for exif in (exif_of_one_value(65_535, 900_000), exif_of_keywords(60_000_000)):
    if {kind!r} == "JPEG":
        exif = exif[:65_000]
    data = encode(red_and_blue(), {kind!r}, exif=exif)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(load_picture(data).size, len(read_metadata(io.BytesIO(data)).keywords) < 5)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    out = bounded(program=program.format(kind=kind), imports=PILLOW, seconds=SECONDS).out
    assert [line for line in out.splitlines() if "(" in line] == ["(40, 20) True"] * 2
    assert max(int(line) for line in out.split("\n")[1::2] if line) < 300


# ---- what is read is what it was


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("order", "<>")
def test_a_picture_is_turned_as_pillow_turns_it(orientation, order):
    xmp_packet = f'<a tiff:Orientation="{orientation}"/>'.encode()
    for kind in (3, 4):
        exif = turned(orientation, order, kind)
        profile = f"\nexif\n{len(exif):8}\n" + (b"Exif\0\0" + exif).hex()
        for data in (
            jpeg_with(app1(b"Exif\0\0" + exif)),
            jpeg_with(app1(b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet)),
            png_with(chunk(b"eXIf", exif)),
            png_with(chunk(b"tEXt", b"Raw profile type exif\0" + profile.encode())),
            png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp_packet)),
            SMALL_PNG[:-12] + chunk(b"eXIf", exif) + SMALL_PNG[-12:],
            encode(red_and_blue(), "WEBP", exif=exif),
        ):
            expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            assert np.array_equal(load_picture(data), expected)


def test_the_first_picture_of_several_is_read():
    first, second = red_and_blue(), noise(40).resize((40, 20))
    for kind in ("PNG", "GIF", "WEBP", "MPO"):
        options = {"lossless": True} if kind == "WEBP" else {}
        several = encode(first, kind, save_all=True, append_images=[second], **options)
        alone = encode(first, "JPEG" if kind == "MPO" else kind, **options)
        assert np.array_equal(load_picture(several), load_picture(alone))


# ---- what belongs to the host program

ODD = {
    "EXIF that points behind its end": jpeg_with(app1(b"Exif\0\0" + turned(6)[:-8] + b"\xff" * 8)),
    "EXIF that is cut off": jpeg_with(app1(b"Exif\0\0" + turned(6)[:15])),
    "EXIF that is none": jpeg_with(app1(b"Exif\0\0nothing of the kind")),
    "an animation of no pictures": png_with(chunk(b"acTL", bytes(8))),
    "two animations": png_with(chunk(b"acTL", b"\0\0\0\1\0\0\0\0") * 2),
    "several pictures that are not": jpeg_with(
        b"\xff\xe2" + struct.pack(">H", 30) + b"MPF\0" + bytes(24)
    ),
    "grey of 16 bits with a transparent one": encode(
        Image.fromarray(np.full((4, 4), 9, dtype=np.uint16)), "PNG", transparency=9
    ),
    "a GIF of a picture larger than its screen": REFUSED[
        "a GIF of a picture larger than its screen"
    ](),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("action", ["always", "error"])
def test_odd_files_are_read_without_a_warning_whatever_the_filters(name, action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        for read in (load_picture, lambda data: read_metadata(io.BytesIO(data))):
            if name.startswith("a GIF") and read is load_picture:
                with pytest.raises(PictureError, match="pixels"):
                    read(ODD[name])
            else:
                assert bool(getattr(read(ODD[name]), "refused", None)) == name.startswith("a GIF")
    assert caught == []


def test_the_filters_for_warnings_are_never_others(monkeypatch):
    """Not even for a moment: they are all threads', and two who change them undo each other."""
    before, during = list(warnings.filters), []

    class File(io.BytesIO):
        def read(self, *size):
            during.append(list(warnings.filters))
            return super().read(*size)

    def spy(owner, name):
        own = getattr(owner, name)

        def noted(*args, **options):
            during.append(list(warnings.filters))
            return own(*args, **options)

        monkeypatch.setattr(owner, name, noted)

    spy(ImageFile.ImageFile, "load")
    spy(linear.__globals__["nn"].init, "uniform_")
    load_picture(SMALL_JPEG)
    assert read_metadata(File(jpeg(exif_with("2020:01:02 03:04:05"), xmp("cat")))).keywords == [
        "cat"
    ]
    linear(0, 3)
    assert len(during) > 5 and all(filters == before for filters in during)


# settings of the whole program, which a library in it has no right to, and the open door
NOT_OURS = ("catch_warnings", "simplefilter", "filterwarnings", "MAX_IMAGE_PIXELS", "seterr")
NOT_OURS += ("LOAD_TRUNCATED_IMAGES", "setrecursionlimit", "setdefaulttimeout", "Image.open")


def test_no_part_of_the_library_changes_settings_of_the_program():
    library = Path(pictures.__file__).parents[1]
    for path in library.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {name.rsplit(".", 1)[-1] for name in names}
        assert names.isdisjoint(NOT_OURS), path


def test_a_layer_that_reads_nothing_draws_its_bias_as_torch_does():
    import torch

    torch.manual_seed(0)
    own, after = linear(0, 5), torch.rand(3)
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="zero-element"):
        torchs = torch.nn.Linear(0, 5)
    assert torch.equal(after, torch.rand(3)) and torch.equal(own.bias, torchs.bias)
    assert own(torch.ones(2, 0)).tolist() == [[0.0] * 5] * 2


# ---- folders and zips


def test_folders_within_one_another_a_thousand_times(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    (tmp_path / "a.jpg").write_bytes(SMALL_JPEG)
    try:
        assert [photo.path for photo in PhotoFolder(tmp_path).photos] == ["a.jpg"]
    finally:  # pytest could not remove them
        outer, inner = tmp_path / "d", tmp_path / "inner"
        while outer.exists():
            if (outer / "d").exists():
                (outer / "d").rename(inner)
            outer.rmdir()
            if inner.exists():
                inner.rename(outer)


def of(reports) -> dict:
    return {reason: entry["count"] for reason, entry in reports["rows"]["left_out"].items()}


def test_members_that_lie_over_one_another_are_not_read(tmp_path):
    """A small zip whose directory names the same large member a thousand times, and a good one."""
    large = description("7", name="x" * 900_000)
    data = zip_bytes([("photo_1.json", description("1")), ("photo_7.json", large)])
    at = data.rindex(b"PK\1\2")
    entry, end = data[at : data.rindex(b"PK\5\6")], data[data.rindex(b"PK\5\6") :]
    size, number = struct.unpack_from("<L", end, 12)[0] + 999 * len(entry), 1001
    end = end[:8] + struct.pack("<2HL", number, number, size) + end[16:]
    (tmp_path / "a.zip").write_bytes(data[:at] + entry * 1000 + end)
    report, _ = dry_run(FlickrExport([tmp_path / "a.zip"]))
    assert of(report) == {flickr_zips.OVERLAPPING: 1000} and report["rows"]["kept"] == 1


def test_a_directory_is_read_a_few_times_however_many_photos_there_are(tmp_path, monkeypatch):
    opened, own = [], zipfile.ZipFile._RealGetContents
    monkeypatch.setattr(
        zipfile.ZipFile, "_RealGetContents", lambda self: opened.append(1) or own(self)
    )
    zips = []
    for part in range(3):
        members = {}
        for i in range(part * 1000, part * 1000 + 200):
            members[f"photo_{i}.json"] = description(str(i))
            members[f"x_{i}_o.jpg"] = SMALL_JPEG
        zips.append(zip_of(tmp_path / f"{part}.zip", members))
    report, _ = dry_run(FlickrExport(zips))
    assert report["rows"]["kept"] == 600 and report["notes"] == {}
    assert len(opened) == 9  # for what lies where, for the descriptions, for the pictures


def test_few_zips_are_kept_open(tmp_path, monkeypatch):
    monkeypatch.setattr(flickr_zips, "MAX_OPEN", 2)
    paths = [
        zip_of(tmp_path / f"{i}.zip", {f"photo_{i}.json": description(str(i))}) for i in range(5)
    ]
    archives = flickr_zips.Archives(paths)
    for number in (0, 1, 2, 3, 4, 0, 4):
        assert json.loads(archives.read(number, 0, 10_000))["id"] == str(number)
        assert len(archives._open) <= 2
    monkeypatch.setattr(flickr_zips, "MAX_MEMBERS", 1)
    archives.read(1, 0, 10_000)
    assert list(archives._open) == [1]


def zip64(data: bytes) -> bytes:
    """The same zip, its sizes told in 64 bits as they are for large files."""
    at = data.rindex(b"PK\1\2")
    entry, end = data[at : data.rindex(b"PK\5\6")], data[data.rindex(b"PK\5\6") :]
    packed, size = struct.unpack_from("<2L", entry, 20)
    extra = struct.pack("<2H2Q", 1, 16, size, packed)
    entry = (
        entry[:20] + b"\xff" * 8 + entry[28:30] + struct.pack("<H", len(extra)) + entry[32:] + extra
    )
    return data[:at] + entry + end[:12] + struct.pack("<L", len(entry)) + end[16:]


ID = "5123456789"
NAME = f"photo_{ID}.json"
GOOD = zip_bytes({NAME: description(ID, tags=described(["cat"]))})


@pytest.mark.parametrize(
    ("data", "left_out"),
    [
        (zip64(GOOD), {}),
        (zip64(GOOD).replace(struct.pack("<2H", 1, 16), struct.pack("<2H", 1, 4)), None),
        (b"x" * 1000 + GOOD, {}),  # as programs make that unpack themselves
        (zip_bytes({NAME: GOOD}), {flickr_export.NO_OBJECT: 1}),
        (zip_bytes({NAME: b'{"tags": ' + b"[" * 500_000}), {flickr_export.NO_OBJECT: 1}),
        (
            zip_bytes({NAME: b'{"a":' * 100_000 + b"1" + b"}" * 100_000}),
            {flickr_export.NO_OBJECT: 1},
        ),
        (zip_bytes({NAME: b'{"tags": [' + b"[]," * 300_000 + b"[]]}"}), {flickr_export.NO_DATE: 1}),
        (zip_bytes({f"\udcff\0{NAME}".encode("utf-8", "replace").decode(): b"{}"}), None),
    ],
    ids=["zip64", "zip64 cut", "self-extracting", "nested", "deep", "deep objects", "wide", "name"],
)
def test_zips_of_other_kinds(tmp_path, data, left_out):
    (tmp_path / "a.zip").write_bytes(data)
    if left_out is None:
        with pytest.raises(pictures.InputError, match=r"a\.zip: no photo_"):
            FlickrExport([tmp_path / "a.zip"])
    else:
        report, _ = dry_run(FlickrExport([tmp_path / "a.zip"]))
        assert of(report) == left_out


# ---- broken files

FUZZ = """
import io, random
from broken_files import mutated
from hostile_pictures import SEEDS
from hashtag_core.data.pictures import PictureError, load_picture
from hashtag_core.sources.folder_metadata import read_metadata
counts = dict.fromkeys(SEEDS, 0)
longest = 0
for seed in range({mutations}):
    rng = random.Random(seed)
    for name, whole in SEEDS.items():
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):  # mostly numbers in the head
            at = min(int(rng.expovariate(1 / 60)), len(data) - 1)
            data[at] = rng.choice([0, 1, 2, 255, 128, rng.randrange(256)])
        data = bytes(data) if seed % 3 else mutated(whole, seed)
        began = time.perf_counter()
        for read in (load_picture, lambda data: read_metadata(io.BytesIO(data), [data])):
            try:
                counts[name] += getattr(read(data), "refused", None) is None
            except PictureError as error:
                assert str(error) and "\\n" not in str(error)
        longest = max(longest, time.perf_counter() - began)
print(json.dumps([counts, longest]))
"""


def test_broken_pictures_raise_picture_errors_alone():
    ran = bounded(program=FUZZ.format(mutations=MUTATIONS), imports=PILLOW, seconds=3600)
    counts, _ = json.loads(ran.out.strip().splitlines()[-1])
    for name in SEEDS:  # some are good still; of other formats none ever is
        assert (counts[name] > 0) == (name not in ("JPEG 2000", "ICO")), name
    assert ran.megabytes < 1500
