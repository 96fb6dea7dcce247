"""The words of a hashtag: `#BlackAndWhite`, `don’t`, `t-rex`, `strawhat`.

A hashtag is read in the first of these ways that gives words with a vector:

1. its parts, where capitals inside begin them and all are known: `TheRapist` is no therapist;
2. as a whole: `t-rex`, `e-mail`, `+1`;
3. its parts, between blanks, `+`, `_` and dashes of all kinds, each as a whole: `black+white`;
4. a part that is no word itself is taken apart: at an apostrophe, as text with word vectors is
   (`woman's` is woman and 's); where its capitals say so (`iPhonePhoto`); into the words that are
   most likely together (`strawhat`), of which short ones have to be frequent (`selfie` is not *sel*
   and *fie*); as a word whose hyphen was left out (`tshirt`); and before and after digits.

A word is looked for as it is written in small letters, then in Unicode's compatible form, without
punctuation around it, and without accents. How frequent it is, the order of the vectors tells.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote

BETWEEN_WORDS = re.compile(r"[\s+_\-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]+")
APOSTROPHES = re.compile("[\u2018\u2019\u201b\u02bc\u00b4`\uff07]")
SUFFIX = re.compile(r"(.+?)('s|n't|'re|'ve|'ll|'m|'d)")  # words of their own in English vectors
PUNCTUATION = "!\"#$%&'()*,./:;<=>?@[\\]^`{|}~«»“”‘’…"
LONGEST_HASHTAG = 1000  # characters; a longer one has no words
LONGEST_PIECE = 24  # letters
RARE = {1: 100, 2: 300, 3: 11_000, 4: 30_000}  # letters -> a piece is among so many first words
RAREST = 150_000  # longer pieces are
HAS_DIGIT = re.compile(r"\d")
WORD_ENDS = re.compile("(?<=[aA])(?:a(?=A)|A(?=Aa[aA]))")  # behind its first letter; `by_capitals`

KINDS = ("whole", "summed", "split", "in part", "approximated")  # how psi of a hashtag is made


def normal_form(hashtag: str) -> str:
    """One spelling of what is the same hashtag: decoded, compatible, case-folded."""
    return unicodedata.normalize("NFKC", unquote(hashtag)).casefold().strip(" #")


def words_of(hashtag: str, known: Mapping[str, int]) -> tuple[list[str], str | None]:
    """The words of a hashtag that have a vector, in their order, and how they were found.

    Args:
        hashtag: as it is written; percent-encoding is undone.
        known: word -> its place in the order of frequency, 0 first.

    Returns:
        (words, kind): "whole" where the hashtag is one word, "summed" where it is several that
        stand apart in it, "split" where a part had to be taken apart, "in part" where a part has
        no known word at all; ([], None) where nothing has one.
    """
    text = unquote(hashtag).strip() if len(hashtag) <= LONGEST_HASHTAG else ""
    if len(pieces := by_capitals(text)) > 1:
        words, kind = words_of(" ".join(pieces), known)
        if kind not in (None, "in part"):
            return words, "split"
    if (whole := _form(text, known)) is not None:
        return [whole], "whole"
    words, found = [], []
    for part in filter(None, BETWEEN_WORDS.split(text)):
        own, how = _words_of_part(part, known)
        words += own
        if own or any(map(str.isalnum, part)):  # a smiley between words is no missing word
            found.append(how)
    if not words:
        return [], None
    if "in part" in found:
        return words, "in part"
    if "split" in found:
        return words, "split"
    return words, "whole" if len(words) == 1 else "summed"


def _words_of_part(part: str, known: Mapping[str, int]) -> tuple[list[str], str]:
    """The words of a part without blanks and dashes, and how they were found."""
    if (word := _form(part, known)) is not None:
        return [word], "whole"
    text = APOSTROPHES.sub("'", part).strip(PUNCTUATION)
    match = SUFFIX.fullmatch(text.lower())
    if match and match[2] in known and (stem := _form(match[1], known)) is not None:
        return [stem, match[2]], "summed"
    for pieces in (by_capitals(text), _by_punctuation(text)):
        forms = [form for piece in pieces if (form := _form(piece, known))]
        if len(pieces) > 1 and len(forms) == len(pieces):
            return forms, "split"
    letters = _plain(text.replace("'", ""))
    if letters in known:
        return [letters], "whole"
    if words := likeliest_split(letters, known):
        return words, "split"
    hyphened = [f"{letters[:i]}-{letters[i:]}" for i in range(1, len(letters))]
    if hyphened := [word for word in hyphened if word in known]:
        return [min(hyphened, key=known.__getitem__)], "whole"
    for cut in (by_capitals, _by_punctuation, _by_digits):
        if len(pieces := cut(text)) > 1:
            parts = [_words_of_part(piece, known) for piece in pieces]
            if words := [word for own, _ in parts for word in own]:
                return words, "in part" if any(how == "in part" for _, how in parts) else "split"
    return [], "in part"


def _form(text: str, known: Mapping[str, int]) -> str | None:
    """The first way to write a word that has a vector; None where none has."""
    return next((form for form in _forms(text) if form in known), None)


def _forms(text: str) -> Iterator[str]:
    lower = unicodedata.normalize("NFC", text).lower()
    yield lower
    straight = APOSTROPHES.sub("'", unicodedata.normalize("NFKC", text).casefold())
    yield straight
    bare = lower.strip(PUNCTUATION)
    if bare:
        yield bare
        yield straight.strip(PUNCTUATION)
        yield _plain(bare)


def _plain(text: str) -> str:
    """Compatible, case-folded, without accents, punctuation around it and invisible marks."""
    if text.isascii():  # it has none of them, and this is faster
        return text.lower().strip(PUNCTUATION)
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = (c for c in letters if unicodedata.category(c) not in ("Mn", "Cf"))
    return unicodedata.normalize("NFC", "".join(kept)).strip(PUNCTUATION)


def with_capitals(text: str) -> str | None:
    """Small letters but for capitals that begin a word inside: TheRapist -> theRapist.

    None where there is no such capital. `words_of` finds the same words in it.
    """
    first, *others = by_capitals(text)
    return first.lower() + "".join(p[0] + p[1:].lower() for p in others) if others else None


def by_capitals(text: str) -> list[str]:
    """BlackAndWhite -> Black And White; HTMLPage -> HTML Page; iPhonePhoto -> iPhone Photo."""
    if not any(map(str.isupper, text[1:])):
        return [text]
    return _cut(text, [m.start() + 1 for m in WORD_ENDS.finditer("".join(map(_shape, text)))])


def _shape(character: str) -> str:
    if character.isupper():
        return "A"
    return "a" if character.isalnum() or unicodedata.combining(character) else "-"


def _by_digits(text: str) -> list[str]:
    """summer2015 -> summer 2015."""
    digits = "".join("0" if c.isdigit() else "a" for c in text)
    return _cut(text, [m.start() + 1 for m in re.finditer("a(?=0)|0(?=a)", digits)])


def _by_punctuation(text: str) -> list[str]:
    return [piece for piece in re.split(r"[\W_]+", text) if piece]


def _cut(text: str, at: list[int]) -> list[str]:
    return [text[i:j] for i, j in zip([0, *at], [*at, len(text)], strict=True)]


def likeliest_split(letters: str, known: Mapping[str, int]) -> list[str]:
    """The known words that `letters` is most likely made of; empty where it is not made of any.

    Words are as likely as Zipf's law says: the word in place r weighs 1 / (r + 1), and those of a
    split multiply. Scripts that write no blanks (Chinese, Japanese, Thai) have short words of any
    frequency; in others short pieces have to be frequent, or everything would be made of them.
    """
    best: dict[int, tuple[float, list[str]]] = {0: (0.0, [])}  # up to a position: cost, words
    total = math.log(max(len(known), 2))
    rare = _rarest(letters)
    for end in range(1, len(letters) + 1):
        splits = []
        for start in range(max(0, end - LONGEST_PIECE), end):
            piece = letters[start:end]
            place = known.get(piece) if start in best else None
            if place is not None and place < rare(piece, start, end == len(letters)):
                cost, words = best[start]
                splits.append((cost + math.log(place + 1) + math.log(total), [*words, piece]))
        if splits:
            best[end] = min(splits)
    words = best[len(letters)][1] if len(letters) in best else []
    return words if len(words) > 1 else []


def _rarest(letters: str) -> Callable[[str, int, bool], int]:
    """(piece, where it begins, is it the last one) -> the place that it has to be in front of."""
    if any(unicodedata.name(c, "").startswith(UNSPACED) for c in letters):
        return lambda piece, start, last: 2**62

    def rarest(piece: str, start: int, last: bool) -> int:
        if piece.isdigit():
            return RAREST
        if len(piece) == 1 and (last or (start > 0 and piece != "a")):
            return 0  # "i" begins a sentence, "a" does not end one
        return RARE[4] if HAS_DIGIT.search(piece) else RARE.get(len(piece), RAREST)

    return rarest


UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
