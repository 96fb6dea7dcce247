"""YFCC100M's metadata as it is published: tab-separated, no header, no quoting, percent-encoded.

The first release has 23 columns; the later one 25, with a line number in front and a hash behind
the photo id. Files may be compressed (.bz2, .gz, .xz), and there may be one or many.

A photo is kept with the user tags as its hashtags. Machine tags have a column of their own, which
is not read; those among the user tags are left out. The time is the date taken, or the date of
upload where the first is missing or cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from hashtag_core.data.words import load_vocabulary
from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import UNKNOWN, clean_encoded, decoded, has_word_vector, spelling
from hashtag_core.prepare.opening import (
    BLOCK,
    blocks_of_lines,
    check_files,
    file_states,
    opened,
    read_some,
)
from hashtag_core.prepare.staging import Piece, Understood
from hashtag_core.sources.yfcc100m_rows import COLUMNS, MALFORMED, Block

MOST_KNOWN_TAGS = 250_000  # asked for lately: kept in mind, cleaned
MAX_KNOWN_TAG = 300  # bytes of one of them


class Yfcc100m:
    """The published metadata as a `Source`; arguments as in the command.

    Args:
        paths: the metadata files.
        words: those that have a vector, or the file of vectors, or None for the installed ones.
            A hashtag without any of them is left out.
        with_images: whether the pictures' download URLs, or paths, are kept, too.

    Raises:
        InputError: where a file is missing, or its first lines have neither 23 nor 25 columns.
    """

    name = "yfcc100m"
    unit = "B"
    malformed = MALFORMED

    def __init__(
        self,
        paths: Sequence[str | Path],
        words: Sequence[str] | str | Path | None = None,
        with_images: bool = False,
    ) -> None:
        self.paths = [Path(path) for path in paths]
        check_files(self.paths)
        self.files = self.inputs = [str(path) for path in paths]
        self.sizes = [path.stat().st_size for path in self.paths]
        self.widths = [_width(path) for path in self.paths]
        self.words, self.with_images = words, with_images
        given = isinstance(words, str | Path)
        self.job = {
            "files": file_states(self.paths),
            "with images": with_images,
            "words": file_states([Path(words)]) if given else None if words is None else [*words],
        }
        self.meta = {
            "source": "YFCC100M (Thomee et al., Communications of the ACM 59(2), 2016)",
            "licence": "each photo its own, a Creative Commons one; see the metadata",
        }
        self._clean = lru_cache(MOST_KNOWN_TAGS)(self._hashtag)

    def pieces(self, number: int) -> Iterator[Piece | str]:
        """Blocks of lines."""
        for block in blocks_of_lines(self.paths[number], BLOCK):
            yield block if isinstance(block, str) else Piece(block.position, (number, block))

    def understand(self, data: Any, with_texts: bool) -> Understood:
        """One block of lines."""
        number, lines = data
        block = Block(number, lines, self.widths[number])
        return block.understand(self._cleaned, self.with_images, with_texts)

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


def _width(path: Path) -> int:
    """23 or 25: how many columns the first line has that has one of the two."""
    with opened(path) as (file, _):
        start, _ = read_some(file, 2**20)
    widths = [line.count(b"\t") + 1 for line in start.splitlines()]
    width = next((width for width in widths if width in COLUMNS), None)
    if width is None:
        seen = f"{widths[0]} columns in the first line" if widths else "no line"
        raise InputError(
            f"{path}: not YFCC100M's metadata, whose lines have 23 or 25 columns, separated by "
            f"tabs ({seen}). For other tables there is `hashtag-core prepare table`."
        )
    return width
