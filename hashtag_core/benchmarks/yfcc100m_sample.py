"""Made-up metadata in YFCC100M's format, with every oddity of the real ones, to try things out.

The real files are to be had from their publisher only. These rows look like theirs: users with some
to many photos that lie scattered through the file, tags that repeat from photo to photo, words with
blanks and in other scripts, percent-encoded; videos, machine tags, dates that nobody believes, and
rows that are broken in all the ways that files break.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path
from urllib.parse import quote_plus

import numpy as np

from hashtag_core.errors import InputError
from hashtag_core.sources.yfcc100m_pictures import key_of

PHOTOS_OF_USER = 110  # the median; log-normal
VOCABULARY = 40_000  # of the most frequent words
ODD_SHARE = 0.02  # of the rows, one of `ODDITIES` each
FOREIGN = ["東京", "富士山", "さくら", "москва", "зима"]
FOREIGN += ["zürich", "café", "münchen", "서울", "αθήνα"]
BLOCK = 200  # users whose photos lie mixed in one part of the file
FIRST_UPLOAD = 1_080_000_000  # 2004, in epoch seconds
SECONDS = 300_000_000  # until 2013
MACHINE_TAGS = "geo:lat=48.2,geo:lon=16.3"


def write_yfcc100m_sample(path: str | Path, rows: int, columns: int = 23, seed: int = 0) -> Path:
    """Write about `rows` rows; the same arguments give the same bytes.

    Args:
        path: of the file.
        rows: how many; the last users' photos are cut off there.
        columns: 23 (the first release) or 25 (the later one: a line number in front, and a hash
            behind the photo id).
        seed: of everything.
    """
    if columns not in (23, 25) or rows < 1:
        raise InputError(f"{columns} columns, {rows} rows: 23 or 25 columns, and at least one row.")
    with Path(path).open("wb") as file:
        file.writelines(islice(chain.from_iterable(_blocks_of_users(columns, seed)), rows))
    return Path(path)


def _blocks_of_users(columns: int, seed: int) -> Iterator[list[bytes]]:
    """The lines of `BLOCK` users after the other, mixed within a block, without an end."""
    words = _vocabulary()
    for block in count():
        rng = np.random.default_rng([seed, block])
        lines = [
            line
            for user in range(block * BLOCK, (block + 1) * BLOCK)
            for line in _lines_of_user(rng, user, words, columns)
        ]
        yield [lines[i] for i in rng.permutation(len(lines))]


def _vocabulary() -> list[str]:
    """Frequent words, encoded as the format has them; some of two words."""
    from hashtag_core.data.words import load_vocabulary

    plain = [word for word in load_vocabulary() if word.isalpha() and len(word) > 2][:VOCABULARY]
    rng = np.random.default_rng(0)
    second = rng.choice(plain, len(plain))
    made = [
        f"{word}+{other}" if two else word
        for word, other, two in zip(plain, second, rng.random(len(plain)) < 0.08, strict=True)
    ]
    return [word.capitalize() if i % 7 == 0 else word for i, word in enumerate(made)]


def _lines_of_user(
    rng: np.random.Generator, user: int, words: list[str], columns: int
) -> Iterator[bytes]:
    number = int(np.clip(rng.lognormal(np.log(PHOTOS_OF_USER), 0.6), 1, 2000))
    nsid = f"{10_000_000 + 7 * user}@N{user % 10:02d}"
    # Zipf's law, cut off: a few words are everybody's, most are somebody's
    ranks = (len(words) ** rng.random(40)).astype(int) - 1
    own = [words[rank] for rank in ranks]
    own += [f"{quote_plus(FOREIGN[i])}" for i in rng.integers(len(FOREIGN), size=2)]
    own.append(f"zzq{user:x}")  # no word has a vector
    uploads = np.sort(FIRST_UPLOAD + rng.integers(SECONDS, size=number))
    taken = uploads - rng.integers(60, 3_000_000, size=number)
    taken_texts = np.datetime_as_string(taken.astype("datetime64[s]"))
    odd = rng.random(number) < ODD_SHARE
    which = rng.integers(len(ODDITIES), size=number)
    draws = rng.random((number, 3))
    counts = rng.integers(1, 9, size=number)
    picks = rng.integers(len(own), size=(number, 8))
    tags: list[str] = []
    for i in range(number):
        if draws[i, 0] > 0.5 or not tags:
            tags = list(dict.fromkeys(own[j] for j in picks[i, : counts[i]]))
        photo_id = str(2_000_000_000 + user * 2000 + i)
        cells = [
            photo_id, nsid, f"User+{user}", taken_texts[i].replace("T", " ") + ".0",
            str(uploads[i]), "Canon+PowerShot", f"IMG_{i:04d}", "A+description%2C+with+a+comma",
            "" if draws[i, 1] < 0.15 else ",".join(tags),
            MACHINE_TAGS if draws[i, 2] < 0.05 else "", "16.37", "48.21", "16",
            f"http://www.flickr.com/photos/{nsid}/{photo_id}/",
            f"http://farm1.staticflickr.com/{user % 1000}/{photo_id}_{i:010x}.jpg",
            "Attribution-NonCommercial License", "http://creativecommons.org/licenses/by-nc/2.0/",
            str(user % 1000), "1", f"{i:010x}", f"{i + 1:010x}", "jpg",
            "1" if draws[i, 2] > 0.99 else "0",
        ]  # fmt: skip
        line = "\t".join(cells).encode()
        if odd[i]:
            line = ODDITIES[which[i]](cells, line)
        for one in line.split(b"\n") if b"\n" in line else (line,):
            if columns == 25:
                first, _, rest = one.partition(b"\t")
                key = key_of(_url(one)).encode()
                one = b"\t".join([str(i).encode(), first, key, rest])
            yield one + b"\n"


def _url(line: bytes) -> str:
    """Where the picture of a line of the first release was; nothing where the line is broken."""
    return (line.split(b"\t") + [b""] * 15)[14].decode(errors="replace")


def _with(column: int, text: str):
    """The same line with another text in a column."""

    def change(cells: list[str], line: bytes) -> bytes:
        cells = list(cells)
        cells[column] = text
        return "\t".join(cells).encode("utf-8", "surrogateescape")

    return change


ODDITIES = [
    _with(3, "null"), _with(3, "1900-01-01 00:00:00.0"), _with(3, "0000-00-00 00:00:00"),
    _with(3, "2037-02-30 12:00:00.0"), _with(3, "2008-02-30 12:00:00.0"), _with(3, ""),
    _with(4, "null"), _with(8, "null,,+,%20"), _with(8, "%E9t%E9,%,%4,100%25,caf%C3%A9,CAF%C3%89"),
    _with(8, "Black+White,black%20white,black+white,black%2Bwhite"),
    _with(8, "geo:lon=1.5,upload:by=me,cat"), _with(8, "tab%09tag,line%0Atag,nul%00tag,cat"),
    _with(8, "<script>alert(1)</script>,cat,%1B%5B31mred"), _with(8, "x" * 3000 + ",cat"),
    _with(8, "a" * 70_000), _with(8, ",".join(f"tag{i}" for i in range(300))),
    _with(8, "%F0%9F%90%B1,%23kitten,%23,#"), _with(22, "2"), _with(22, ""), _with(22, "0\r"),
    _with(0, "not a number"), _with(0, ""), _with(1, "nobody"), _with(6, "nul \0 byte"),
    _with(6, "\udce9\udcff"), _with(8, "na\udcefve,cat"), _with(7, "one\ttab too many"),
    lambda cells, line: line[: len(line) // 2],
    lambda cells, line: line + b"\n" + line,  # the same photo twice
    lambda cells, line: line + b"\n",  # and a blank line
    lambda cells, line: b'"' + line,
]  # fmt: skip
