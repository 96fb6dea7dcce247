"""Pictures that stay outside of a collection: where those of its photos lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.data.shards import place_of
from hashtag_core.errors import InputError
from hashtag_core.prepare.picture_index import find_pictures
from hashtag_core.prepare.places import is_utf8

if TYPE_CHECKING:
    from hashtag_core.prepare.selection import Selected

LEAVES = "the picture's path leaves its folder: kept without it"
MISSING = "the picture's file is missing: kept without it"


def _as_given(photo_id: str, path: str | None) -> list[str]:
    return [] if path is None else [path]


@dataclass(frozen=True)
class Images:
    """Where the pictures lie that a collection names by their path.

    Attributes:
        root: the folder; what leaves it, by `..` or by a link, is not taken.
        candidates: (photo_id, image as the source has it) -> paths to try in turn.
        names: the same -> by what the picture may be called in zips, tars and numbered folders;
            they are not looked into where not given.
    """

    root: Path
    candidates: Callable[[str, str | None], list[str]] = _as_given
    names: Callable[[str, str | None], list[str]] | None = None

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder of pictures.")
        if not is_utf8(self.root.resolve()):
            raise InputError(f"{str(self.root)!r}: the folder's name is not UTF-8; rename it.")
        if self.names is not None and self._is_one_of_many():
            raise InputError(
                f"{self.root}: one of the folders that img2dataset made, where pictures have its "
                f"numbers, not their own. Name the folder above it: {self.root.resolve().parent}."
            )

    def _is_one_of_many(self) -> bool:
        root = self.root.resolve()
        return root.name.isdecimal() and root.with_name(f"{root.name}.parquet").is_file()

    def find(
        self, photo_id: str, given: str | None, found: str | None = None, why_not: str | None = None
    ) -> tuple[str | None, str | None]:
        """(path from the root, None), or (None, why there is no picture).

        Args:
            photo_id: of the photo.
            given: as the source has it.
            found: a path of the index.
            why_not: or why the index has none.
        """
        if found is not None and (place_of(found) or self._why_not(found) is None):
            return found, None
        why = None
        for path in self.candidates(photo_id, given):
            why = self._why_not(path)
            if why is None:
                return path, None
        return None, why_not or why

    def look_up(self, selected: Selected) -> list[dict[str, str]]:
        """Find pictures in zips, tars and numbered folders; returns what is wrong with those."""
        return [] if self.names is None else find_pictures(selected, self.root, self.names)

    def _why_not(self, path: str) -> str | None:
        try:
            picture = (self.root / path).resolve()
            if not picture.is_relative_to(self.root.resolve()):
                return LEAVES
            return None if picture.is_file() else MISSING
        except (OSError, RuntimeError, ValueError):  # too long, links in a circle, a NUL
            return MISSING
