"""From what photo programs write to keywords: paths, lists in one text, and a program's own words.

Animals|Cat          Lightroom, Capture One, darktable   animals, cat
Places/Italy/Rome    digiKam, Windows                    places, italy, rome
Berlin; Travel       some write all in one               berlin, travel
darktable|format|jpg darktable, for itself               none
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

BAR, SLASH = "|", "/"
OWN = "darktable"  # the first word of the paths that it writes for itself
SHORTEST = 3  # characters between slashes: Places/Italy, but AC/DC and 24/7 are one word
LONGEST = 10_000  # characters of what is taken apart
SEVERAL = re.compile(r"\s*(?:[;；、，\n]|,(?!\d))\s*")

SPLIT = "a keyword that is several, with commas or semicolons between them: split"
LEVELS = "a keyword that is a path: each of its levels is one"
OF_PROGRAM = "a keyword that darktable writes for itself"


def keywords_of(
    plain: Iterable[str], paths: Iterable[tuple[str, str]] = ()
) -> tuple[list[str], Counter[str], int]:
    """The keywords of a photo.

    Args:
        plain: as they stand where no levels are meant.
        paths: (path, what stands between its levels), of places where they are.

    Returns:
        The keywords, each once; what was done to how many of them; and how many are none because a
        program wrote them for itself.
    """
    notes: Counter[str] = Counter()
    words: list[str] = []
    split_paths = [_levels(path, between) for path, between in paths]
    for keyword in plain:
        if len(keyword) > LONGEST:
            words.append(keyword)
            continue
        several = [one for one in SEVERAL.split(keyword) if one]
        notes[SPLIT] += len(several) > 1
        for one in several if len(several) > 1 else [keyword]:
            between = BAR if BAR in one else SLASH
            levels = _levels(one, between)
            if len(levels) > 1 and (between == BAR or min(map(len, levels)) >= SHORTEST):
                split_paths.append(levels)
                notes[LEVELS] += 1
            else:
                words.append(one)
    own = {_same(word) for levels in split_paths if _is_own(levels) for word in levels}
    levels = [word for levels in split_paths if not _is_own(levels) for word in levels]
    own -= set(map(_same, levels))
    kept: dict[str, str] = {}
    for word in words:
        if word.strip() and _same(word) not in own:
            kept.setdefault(word, _same(word))
    there = set(kept.values())
    for word in levels:
        if _same(word) not in there:
            there.add(_same(word))
            kept[word] = _same(word)
    return list(kept), +notes, len(own)


def _levels(path: str, between: str) -> list[str]:
    return [level for part in path.split(between) if (level := part.strip())]


def _is_own(levels: list[str]) -> bool:
    return len(levels) > 1 and _same(levels[0]) == OWN


def _same(word: str) -> str:
    return word.strip().casefold()
