"""YFCC100M's metadata in every form in which it is published: `hashtag-core prepare yfcc100m`.

- text of 23 columns, the first release, or of 25, the later one (`yfcc100m_text`);
- an SQLite file with the same columns in a table (`yfcc100m_sqlite`);
- JSON lines with the same names, in one file or in thousands (`yfcc100m_json`).

Which one a file is its content says. Text and JSON lines may be compressed (.bz2, .gz, .xz). The
same photos give the same collection in each form; `yfcc100m_rows` says what a row holds.

A photo is kept with the user tags as its hashtags. Machine tags have a column of their own, which
is not read; those among the user tags are left out. The time is the date taken, or the date of
upload where the first is missing or cannot be.
"""

from __future__ import annotations

import codecs
import json
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from hashtag_core.data.words import load_vocabulary
from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import UNKNOWN, clean_encoded, decoded, has_word_vector, spelling
from hashtag_core.prepare.opening import BLOCK, check_files, file_states, opened, read_some
from hashtag_core.prepare.sqlite import is_sqlite
from hashtag_core.prepare.staging import Piece, Understood
from hashtag_core.sources.yfcc100m_json import JsonLines
from hashtag_core.sources.yfcc100m_rows import MALFORMED, NAMES, OF_PICTURES, Block, Cells
from hashtag_core.sources.yfcc100m_sqlite import SqliteTable, has_photos
from hashtag_core.sources.yfcc100m_text import BOM, Text, check_names, layout_of

MOST_KNOWN_TAGS = 250_000  # asked for lately: kept in mind, cleaned
MAX_KNOWN_TAG = 300  # bytes of one of them
STARTS = 2**16, 2**20  # bytes of a file that are looked at to know its form; more if need be
FIRST_LINES = 100  # of JSON, of which one at least is not broken
ID = "photoid"
UTF_16 = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
OF_THE_HUB = "metadata"  # the folder with the metadata, beside the one with the pictures


class Form(Protocol):
    """A file of the metadata, of which blocks are read and columns made."""

    malformed: frozenset[str]  # reasons of its own to leave a row out
    numbered: str  # how its rows are: "line" or "row_id"

    def pieces(self, size: int) -> Iterator[Piece | str]:
        """Its blocks, of about so many bytes, and texts that say what is wrong with the file."""

    def cells(self, data: Any) -> Cells:
        """The columns of a block; called in threads."""


class Yfcc100m:
    """The published metadata as a `Source`; arguments as in the command.

    Attributes:
        passed_over: the files in a folder that are no metadata.

    Args:
        paths: the metadata files; a folder stands for all of them in it, by their names.
        words: those that have a vector, or the file of vectors, or None for the installed ones.
            A hashtag without any of them is left out.
        with_images: whether the pictures' download URLs, or paths, are kept, too.
        sample: of the users, to read a share of them alone.
        seed: of the draw.

    Raises:
        InputError: where a file is missing, or is none of the forms, or lacks columns.
    """

    name = "yfcc100m"
    unit = "B"

    def __init__(
        self,
        paths: Sequence[str | Path],
        words: Sequence[str] | str | Path | None = None,
        with_images: bool = False,
        sample: float = 1.0,
        seed: int = 0,
    ) -> None:
        if not 0 < sample <= 1:
            raise InputError(f"--sample {sample:g}: a share above 0; 1 for all users.")
        self.words, self.with_images = words, with_images
        self.sample, self.seed = sample, seed
        self.passed_over: list[Path] = []
        self.paths: list[Path] = []
        self.forms: list[Form] = []
        wanted = NAMES | OF_PICTURES if with_images else NAMES
        for path in map(Path, paths):
            self._add(path, wanted)
        check_files(self.paths)
        self.files = self.inputs = [str(path) for path in self.paths]
        self.numbered = [form.numbered for form in self.forms]
        self.sizes = [path.stat().st_size for path in self.paths]
        self.malformed = MALFORMED.union(*(form.malformed for form in self.forms))
        given = isinstance(words, str | Path)
        self.job = {
            "files": file_states(self.paths),
            "with images": with_images,
            "sample": [sample, seed],
            "words": file_states([Path(words)]) if given else None if words is None else [*words],
        }
        self.meta = {
            "source": "YFCC100M (Thomee et al., Communications of the ACM 59(2), 2016)",
            "licence": "each photo its own, a Creative Commons one; see the metadata",
            "share of users": sample,
        }
        self._clean = lru_cache(MOST_KNOWN_TAGS)(self._hashtag)

    def _add(self, path: Path, wanted: dict[str, str]) -> None:
        """A file that was named, or all the metadata of a folder."""
        if not path.is_dir():
            check_files([path])
            self.paths.append(path)
            self.forms.append(_form(path, wanted))
            return
        folders = [folder for folder in (path, path / OF_THE_HUB) if folder.is_dir()]
        files = [file for folder in folders for file in sorted(folder.iterdir()) if file.is_file()]
        before = len(self.paths)
        for file in files:
            if file.name.startswith(".") or (form := _form(file, wanted, in_folder=True)) is None:
                self.passed_over.append(file)
            else:
                self.paths.append(file)
                self.forms.append(form)
        if len(self.paths) == before:
            raise InputError(
                f"{path}: none of the {len(files)} files in it is YFCC100M's metadata."
            )

    def pieces(self, number: int) -> Iterator[Piece | str]:
        """Blocks of rows."""
        for piece in self.forms[number].pieces(BLOCK):
            yield piece if isinstance(piece, str) else Piece(piece.position, (number, piece.data))

    def understand(self, data: Any, with_texts: bool) -> Understood:
        """One block of rows."""
        number, rows = data
        block = Block(number, self.forms[number].cells(rows))
        is_drawn = None if self.sample == 1 else self._is_drawn
        return block.understand(self._cleaned, self.with_images, with_texts, is_drawn)

    def _is_drawn(self, user: bytes) -> bool:
        """Whether a user is in the sample; that depends on nothing but the name and the seed."""
        digest = blake2b(user, digest_size=8, key=str(self.seed).encode()[:64]).digest()
        return int.from_bytes(digest, "big") < self.sample * 2**64

    @cached_property
    def _has_vector(self) -> Callable[[str], bool]:
        words = self.words
        listed = words is not None and not isinstance(words, str | Path)
        return has_word_vector(words if listed else load_vocabulary(words))

    def _cleaned(self, tag: bytes) -> tuple[str | None, str | None, str | None]:
        """`_hashtag`, which is asked for most tags once."""
        return self._clean(tag) if len(tag) <= MAX_KNOWN_TAG else self._hashtag(tag)

    def _hashtag(self, tag: bytes) -> tuple[str | None, str | None, str | None]:
        """(hashtag, None, its `spelling`), or (None, why not, None)."""
        hashtag, why = clean_encoded(tag)
        if hashtag is None or not self._has_vector(hashtag):
            return None, why or UNKNOWN, None
        return hashtag, None, spelling(decoded(tag), hashtag)


def _form(path: Path, wanted: dict[str, str], in_folder: bool = False) -> Form | None:
    """What a file's content says it is; None for what is none of the forms and lies in a folder."""
    start = b""
    for size in STARTS:
        with opened(path) as (file, raw):
            start, damaged = read_some(file, size)
            packed = file is not raw
        if is_sqlite(start) and packed:
            raise InputError(f"{path}: a compressed SQLite file. Unpack it first.")
        if is_sqlite(start):
            return None if in_folder and not has_photos(path) else SqliteTable(path, wanted)
        if start.startswith(UTF_16):
            if in_folder:
                return None
            raise InputError(
                f"{path}: UTF-16, as PowerShell's `>` writes. Unpack it by another way, or give it "
                "as it was downloaded: compressed files are read, too."
            )
        if (found := _json(start)) is not None and (ID in found or not in_folder):
            check_names([*found], path)
            return JsonLines(path, wanted, found)
        if (layout := layout_of(start, path)) is not None:
            return Text(path, layout, wanted)
    if in_folder:  # of a shard that is damaged from its beginning, the report says so
        return JsonLines(path, wanted, NAMES) if packed and damaged else None
    widths = [line.count(b"\t") + 1 for line in start.splitlines()]
    seen = f"{widths[0]} columns in the first line" if widths else "no line"
    raise InputError(
        f"{path}: not YFCC100M's metadata, which is an SQLite file, JSON lines, or lines of 23 or "
        f"25 columns, separated by tabs ({seen}). For other tables there is "
        "`hashtag-core prepare table`."
    )


def _json(start: bytes) -> dict | None:
    """What the first lines have of photos, all in one; where they have none, the first object.

    A writer may leave out of a line what is null in it: one line does not have all the names.
    """
    lines = start.removeprefix(BOM).split(b"\n")[:FIRST_LINES]
    if not start.lstrip(BOM + b" \t\r\n").startswith(b"{"):
        return None
    objects = []
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            objects.append(found)
    photos = [found for found in objects if ID in found]
    return dict(ChainMap(*photos)) if photos else objects[0] if objects else None
