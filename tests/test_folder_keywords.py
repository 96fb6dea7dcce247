"""The habits of photo programs: paths, lists in one keyword, encodings, and what lies beside."""

import io
import json
from datetime import datetime

import pytest
from photo_files import UTF8, exif, iptc, jpeg, rows_of_folder, xmp

from hashtag_core.sources import (
    folder,
    folder_iptc,
    folder_keywords,
    folder_listing,
    folder_picasa,
)
from hashtag_core.sources.folder_metadata import read_metadata

TIME = "2020:01:02 03:04:05"
SPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "mediapro": "http://ns.iview-multimedia.com/mediapro/1.0/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "mwg-kw": "http://www.metadataworkinggroup.com/schemas/keywords/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "photomechanic": "http://ns.camerabits.com/photomechanic/1.0/",
}


def packet(**properties) -> bytes:
    """XMP with lists of keywords, or a text alone, in `dc_subject` and the like."""
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in SPACES.items())
    inside = ""
    for name, keywords in properties.items():
        name = name.replace("_", ":", 1)
        items = keywords
        if not isinstance(keywords, str):
            items = "".join(f"<rdf:li>{keyword}</rdf:li>" for keyword in keywords)
            items = f"\n<rdf:Bag>{items}</rdf:Bag>\n"
        inside += f"<{name}>{items}</{name}>"
    rdf = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    return f"<rdf:RDF {rdf}><rdf:Description{spaces}>{inside}</rdf:Description></rdf:RDF>".encode()


def told(xmp_packet=None, iptc_record=None, sidecars=()):
    return read_metadata(io.BytesIO(jpeg(exif(TIME), xmp_packet, iptc_record)), sidecars)


def understood(folder, **files):
    rows, report = rows_of_folder(folder, **files)
    return {photo: row["hashtags"] for photo, row in rows.items()}, report


# ---- XMP


@pytest.mark.parametrize(
    "properties, keywords",
    [
        ({"lr_hierarchicalSubject": ["Animals|Mammals|Cat"]}, ["Animals", "Mammals", "Cat"]),
        ({"digiKam_TagsList": ["Places/Italy/Rome"]}, ["Places", "Italy", "Rome"]),
        ({"MicrosoftPhoto_LastKeywordXMP": ["Places/Rome", "sea"]}, ["Places", "Rome", "sea"]),
        ({"mediapro_CatalogSets": ["Places|Rome"]}, ["Places", "Rome"]),
        (
            {"dc_subject": ["cat", "animals"], "lr_hierarchicalSubject": ["Animals|Cat"]},
            ["cat", "animals"],
        ),
        ({"dc_subject": ["Places/Italy/Rome"]}, ["Places", "Italy", "Rome"]),
        ({"dc_subject": ["Places|Rome"]}, ["Places", "Rome"]),
        ({"dc_subject": ["AC/DC", "24/7", "b/w", "1/125"]}, ["AC/DC", "24/7", "b/w", "1/125"]),
        ({"dc_subject": "snow"}, ["snow"]),
        ({"dc_subject": ["snow"], "lr_weightedFlatSubject": ["no"]}, ["snow"]),
    ],
)
def test_keywords_of_all_programs_and_paths_by_their_levels(properties, keywords):
    assert told(packet(**properties)).keywords == keywords


def test_a_keyword_may_stand_as_an_attribute():
    data = packet().replace(b"<rdf:Description", b'<rdf:Description dc:subject="snow"')
    assert told(data).keywords == ["snow"]


def test_what_darktable_writes_for_itself_is_left_out_and_counted(tmp_path):
    data = packet(
        dc_subject=["2024", "darktable", "format", "jpg", "mood", "changed"],
        lr_hierarchicalSubject=["darktable|format|jpg", "darktable|changed", "trip|changed"],
    )
    rows, report = understood(tmp_path, **{"a.jpg": jpeg(exif(TIME), data)})
    assert rows["a.jpg"] == ["2024", "mood", "changed", "trip"]
    assert report.hashtags_left_out == {folder_keywords.OF_PROGRAM: 3}
    only = packet(dc_subject=["darktable", "cat"])  # a keyword like any other
    assert told(only).keywords == ["darktable", "cat"]


@pytest.mark.parametrize(
    "keyword, keywords",
    [
        ("hello,world", ["hello", "world"]),
        ("Capital Cities; Travel; Berlin", ["Capital Cities", "Travel", "Berlin"]),
        ("長城、中國", ["長城", "中國"]),
        ("f/2,8", ["f/2,8"]),
        ("cat;", ["cat;"]),
    ],
)
def test_several_words_in_one_keyword_are_split_and_told(keyword, keywords, tmp_path):
    found = told(packet(dc_subject=[keyword]))
    assert found.keywords == keywords
    assert found.notes[folder_keywords.SPLIT] == (len(keywords) > 1)
    _, report = understood(tmp_path, **{"a.jpg": jpeg(exif(TIME), packet(dc_subject=["a, b"]))})
    assert report.notes == {folder_keywords.SPLIT: 1}


def test_categories_of_acdsee_are_read_and_their_markup_is_none():
    marked = (
        '&lt;Categories&gt;&lt;Category Assigned="0"&gt;Animals&lt;Category Assigned="1"&gt;'
        "Cat &amp;amp; Dog&lt;/Category&gt;&lt;/Category&gt;&lt;Category/&gt;&lt;/Categories&gt;"
    )
    found = told(packet(acdsee_keywords=["sea", "snow"], acdsee_categories=marked))
    assert found.keywords == ["sea", "snow", "Animals", "Cat & Dog"]
    many = told(sidecars=[packet(acdsee_categories="&lt;" * 200_000)])  # no tag is ever closed
    assert many.unread == [] and len(many.keywords) <= 1


def test_the_hierarchy_of_the_metadata_working_group_is_read():
    inside = (
        "<mwg-kw:Hierarchy><rdf:Bag><rdf:li rdf:parseType='Resource'>"
        "<mwg-kw:Keyword>Animals</mwg-kw:Keyword><mwg-kw:Applied>False</mwg-kw:Applied>"
        "<mwg-kw:Children><rdf:Bag><rdf:li mwg-kw:Keyword='Cat' mwg-kw:Applied='True'/>"
        "<rdf:li rdf:parseType='Resource'><mwg-kw:Keyword>Dog</mwg-kw:Keyword></rdf:li>"
        "</rdf:Bag></mwg-kw:Children></rdf:li></rdf:Bag></mwg-kw:Hierarchy>"
    )
    assert told(packet(**{"mwg-kw_Keywords": inside})).keywords == ["Animals", "Cat", "Dog"]


def test_people_and_what_programs_note_are_no_keywords():
    face = (
        "<mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description mwg-rs:Name='Ann' "
        "mwg-rs:Type='Face'/></rdf:li></rdf:Bag></mwg-rs:RegionList>"
    )
    properties = {"Iptc4xmpExt_PersonInImage": ["Ann"], "mwg-rs_Regions": face}
    properties |= {"photomechanic_Prefs": "1:0:0:002345", "photomechanic_Tagged": "True"}
    assert told(packet(**properties)).keywords == []
    assert told(packet(**properties, dc_subject=["Ann"])).keywords == ["Ann"]


# ---- IPTC


@pytest.mark.parametrize(
    "values, encoding, charset",
    [
        (["Köln", "Straße"], "latin-1", None),
        (["Köln", "Straße"], "mac_roman", None),
        (["café"], "mac_roman", None),
        (["München", "Ähre", "à la carte", "mañana"], "mac_roman", None),
        (["rock ’n’ roll", "don’t", "œuvre"], "cp1252", None),
        (["škola", "Žižkov"], "cp1252", None),
        (["Köln"], "utf-8", None),
        (["Köln", "море", "猫"], "utf-8", UTF8),
    ],
)
def test_iptc_is_decoded_as_it_was_written(values, encoding, charset):
    record = iptc(*(value.encode(encoding) for value in values), charset=charset)
    assert told(None, record).keywords == values


def test_what_is_guessed_of_iptc_is_told():
    found = told(None, iptc("Köln".encode("mac_roman"), "Straße".encode("mac_roman")))
    assert found.notes == {folder_iptc.GUESSED: 1}
    assert told(None, iptc("Köln".encode("latin-1"))).notes == {}


@pytest.mark.parametrize("word", ["Köln", "naïve café", "море", "Straße"])
@pytest.mark.parametrize("charset", [None, UTF8])
def test_utf8_that_was_encoded_twice_is_undone_and_told(word, charset):
    twice = word.encode().decode("latin-1").encode()
    found = told(None, iptc(twice, charset=charset))
    assert (found.keywords, found.notes) == ([word], {folder_iptc.UNDONE: 1})


# ---- sidecars


def test_a_second_version_of_darktable_is_of_the_same_picture(tmp_path):
    files = {"a.jpg": jpeg(exif(TIME)), "a.jpg.xmp": xmp("sea"), "a_01.jpg.xmp": xmp("second")}
    own = {"b_01.jpg": jpeg(exif(TIME)), "b_01.jpg.xmp": xmp("own")}
    rows, report = understood(tmp_path, **files, **own, **{"c_01.jpg.xmp": xmp("lone")})
    assert rows == {"a.jpg": ["sea", "second"], "b_01.jpg": ["own"]}
    assert report.notes == {folder_listing.LONE_SIDECAR: 1}


@pytest.mark.parametrize("prefix", ["XMP:", "XMP-dc:", ""])
def test_json_of_exiftool_is_read(prefix, tmp_path):
    tags = {f"{prefix}Subject": ["sea", 2024], "IPTC:Keywords": "snow", "XMP:TagsList": ["a/Rome"]}
    sidecar = json.dumps([tags | {"EXIF:DateTimeOriginal": TIME, "SourceFile": "a.jpg"}])
    rows, report = understood(tmp_path, **{"a.jpg": jpeg(), "a.jpg.json": sidecar.encode()})
    assert rows == {"a.jpg": ["sea", "2024", "snow", "a", "rome"]}
    found = told(sidecars=[sidecar.encode()])
    assert found.time == datetime(2020, 1, 2, 3, 4, 5) and report.notes == {}


@pytest.mark.parametrize("broken", [b"[" * 200_000, b'{"a": ' * 50_000, b"[7]", b"{", b"{" * 2**21])
def test_broken_json_is_told_and_does_no_harm(broken):
    assert told(sidecars=[broken]).unread == ["a sidecar"]


@pytest.mark.parametrize("name", [".picasa.ini", "Picasa.ini"])
def test_the_file_of_picasa_has_keywords_of_its_folder_s_pictures(tmp_path, name):
    text = "[Picasa]\r\nname=Winter\r\n[B.JPG]\r\nkeywords=sea, Köln,,\r\nstar=yes\r\n"
    text += "faces=rect64(3f84),8e62\r\n[c.jpg]\r\nkeywords=fog\r\n[Contacts2]\r\n8e62=Ann;;\r\n"
    (tmp_path / "within").mkdir()
    (tmp_path / "within/c.jpg").write_bytes(jpeg(exif(TIME), xmp("own")))
    files = {"a.jpg": jpeg(exif(TIME), xmp("own")), "b.jpg": jpeg(exif(TIME), xmp("own"))}
    for encoding in ("utf-8", "utf-8-sig", "cp1252"):
        rows, report = understood(tmp_path, **files, **{name: text.encode(encoding)})
        own = {"a.jpg": ["own"], "within/c.jpg": ["own"]}
        assert rows == {**own, "b.jpg": ["own", "sea", "köln"]} and report.notes == {}


def test_a_file_of_picasa_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_picasa, "MAX_BYTES", 100)
    monkeypatch.setattr(folder, "MAX_BYTES", 100)
    files = {"a.jpg": jpeg(exif(TIME), xmp("own")), ".picasa.ini": b"[a.jpg]\nkeywords=sea\n" * 9}
    rows, report = understood(tmp_path, **files)
    assert rows == {"a.jpg": ["own"]}
    assert report.notes == {".picasa.ini cannot be read: kept with the other metadata": 1}


def test_takeout_is_named(tmp_path):
    long = "very_long_name_of_a_picture_that_goes_on_0001.jpg"
    takeout = json.dumps({"title": "a.jpg", "photoTakenTime": {"timestamp": "1432899863"}}).encode()
    files = {"a.jpg": jpeg(), "a.jpg.supplemental-metadata.json": takeout, long: jpeg()}
    more = {long[:46] + ".json": takeout, "b.jpg.suppl(1).json": b"", "album.json": b"{}"}
    _, report = understood(tmp_path, **files, **more)
    assert report.notes == {folder_listing.TAKEOUT: 3, folder_listing.OTHER: 1}
