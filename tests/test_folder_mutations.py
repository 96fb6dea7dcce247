"""Photo files and their sidecars with bytes changed at random: each is read, or its photo counted.

HASHTAG_CORE_MUTATIONS says how many; a few hundred stay in the suite.
"""

import json
import os
import random

import pytest
from photo_files import exif, iptc, jpeg, png, rows_of_folder, xmp
from picture_files import encode, heif, red_and_blue
from test_folder_keywords import TIME, packet

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 240))
PARTS = 12
TAGS = exif(TIME, file=TIME, keywords="sea;snow")
WORDS = [b"<", b">", b"&#x0;", b'"', b"]]>", b"\xff\xfe", b"\0" * 9, b"\xff" * 4]
WORDS += [b"[", b"{", b"=", b"|", b",", b"\n"]
CATEGORIES = "&lt;Category Assigned='1'&gt;Animals&lt;Category&gt;Cat&lt;/Category&gt;"
ALL = {"dc_subject": ["sea", "abc/bcd/efg"], "lr_hierarchicalSubject": ["a|b"]}
ALL |= {"acdsee_categories": CATEGORIES, "mwg_Keyword": "Cat"}


def files() -> dict[str, bytes]:
    """A folder with every place of keywords."""
    sidecar = {"XMP:Subject": ["sea", 2024], "EXIF:DateTimeOriginal": TIME, "TagsList": ["a/b"]}
    return {
        "a.jpg": jpeg(TAGS, packet(**ALL), iptc(b"K\xf6ln", b"sea", date=b"20200102")),
        "b.png": png(xmp("sea", created="2020-01-02"), TAGS, behind=True),
        "c.tif": encode(red_and_blue(), "TIFF", exif=TAGS),
        "d.webp": encode(red_and_blue(), "WEBP", exif=TAGS, xmp=xmp("sea")),
        "e.heic": heif(exif=TAGS.tobytes(), xmp=xmp("sea")),
        "a.xmp": packet(**ALL),
        "f.jpg": jpeg(TAGS),
        "f.jpg.json": json.dumps([sidecar]).encode(),
        ".picasa.ini": b"[f.jpg]\r\nkeywords=sea,snow\r\n[e.heic]\r\nkeywords=fog\r\n",
    }


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Cut off, or with some bytes changed, moved, or put in."""
    changed = bytearray(data)
    for _ in range(draw.choice([1, 2, 8, 40])):
        at = draw.randrange(len(changed) + 1)
        kind = draw.randrange(6)
        if kind == 0 and draw.random() < 0.2:
            del changed[at:]
        elif kind == 1:
            del changed[at : at + draw.randrange(1, 20)]
        elif kind == 2:
            changed[at:at] = changed[at // 2 : at // 2 + draw.randrange(1, 400)]
        elif kind == 3:
            changed[at:at] = draw.choice(WORDS)
        elif at < len(changed):
            changed[at] = draw.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore")  # Pillow's, at what is broken
def test_whatever_is_changed_in_a_file_the_photos_are_read_or_counted(part, tmp_path):
    whole = files()
    for seed in range(part, MUTATIONS, PARTS):
        draw = random.Random(seed)
        chosen = draw.sample(sorted(whole), draw.choice([1, 1, 3]))
        broken = {name: mutated(whole[name], draw) for name in chosen}
        rows, report = rows_of_folder(tmp_path, **(whole | broken))
        left_out = sum(entry.count for entry in report.rows_left_out.values())
        assert report.rows_read == 6 == len(rows) + left_out, seed
        assert all(row["hashtags"] and row["time"] for row in rows.values()), seed
        if not {"a.jpg", "a.xmp"} & set(chosen):
            wanted = ["sea", "snow", "köln", "a", "b", "abc", "bcd", "efg", "animals", "cat"]
            assert sorted(rows["a.jpg"]["hashtags"]) == sorted(wanted), seed


def test_every_place_is_read_when_nothing_is_changed(tmp_path):
    rows, _ = rows_of_folder(tmp_path, **files())
    assert len(rows) == 6
    assert rows["f.jpg"]["hashtags"] == ["sea", "snow", "2024", "a", "b"]
    assert set(rows["e.heic"]["hashtags"]) == {"sea", "snow", "fog"}
