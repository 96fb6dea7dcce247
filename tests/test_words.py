"""psi(hashtag) is the sum of its words' vectors; this is how its words are found."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st

from hashtag_core.data.splitting import PUNCTUATION, _plain, words_of
from hashtag_core.data.words import (
    WordVectors,
    approximate_psi,
    known_words,
    load_word_vectors,
    psi,
)
from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import clean_hashtag, has_word_vector

WORDS = ["sun", "set", "the", "black", "white", "cat", "ting", "cafe", "ab", "naïve", "sunset"]


def vectors_of(words: list[str], size: int = 4) -> KeyedVectors:
    """Random vectors for these words, the most frequent word first."""
    vectors = KeyedVectors(size, count=0)
    rows = np.random.default_rng(0).normal(size=(len(words), size)).astype(np.float32)
    vectors.add_vectors(words, rows)
    return vectors


@pytest.fixture
def vectors() -> KeyedVectors:
    return vectors_of(WORDS)


# ---- which words a hashtag is made of


@pytest.mark.parametrize(
    ("hashtag", "words"),
    [
        ("cat", ["cat"]),
        ("Cat", ["cat"]),
        ("black+white", ["black", "white"]),
        ("black%2Bwhite", ["black", "white"]),
        ("black white", ["black", "white"]),
        ("black%20white", ["black", "white"]),
        ("black_white", ["black", "white"]),
        ("black-white", ["black", "white"]),
        ("  black _-+ white ", ["black", "white"]),
        ("black+black", ["black", "black"]),
        ("black+xyzzy", ["black"]),
        ("#cat", ["cat"]),
        ("“cat”!", ["cat"]),
        ("café", ["cafe"]),
        ("CAFE%CC%81", ["cafe"]),  # e and the accent as two characters
        ("naïve", ["naïve"]),  # the word as it is written comes first
        ("(naïve)", ["naïve"]),
        ("blackcat", ["black", "cat"]),
        ("blackcafé", ["black", "cafe"]),
        ("sunsetting", ["sun", "set", "ting"]),  # the likeliest: sunset is the rarest word here
        ("cat+blackcat", ["cat", "black", "cat"]),
    ],
)
def test_the_words_of(hashtag, words, vectors):
    assert known_words(hashtag, vectors) == words


@pytest.mark.parametrize(
    "hashtag",
    ["xyzzy", "", " ", "+", "%", "%2B", "...", "catx", "xcat", "日本", "a" * 500],
)
def test_a_hashtag_without_known_words_has_no_psi(hashtag, vectors):
    assert known_words(hashtag, vectors) == []
    assert psi(hashtag, vectors) is None


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (["the", "retire", "there", "tire"], ["the", "retire"]),
        (["there", "tire", "the", "retire"], ["there", "tire"]),
    ],
)
def test_of_two_equal_splits_the_more_frequent_words_win(order, words):
    assert known_words("theretire", vectors_of(order)) == words


def kinds_of(hashtag: str, words: list[str]):
    return words_of(hashtag, {word: place for place, word in enumerate(words)})


@pytest.mark.parametrize(
    ("hashtag", "found"),
    [
        ("t-rex", (["t-rex"], "whole")),  # not t and rex
        ("T-REX", (["t-rex"], "whole")),
        ("rex-t", (["rex", "t"], "summed")),
        ("rex–t", (["rex", "t"], "summed")),  # the en dash, as every dash
        ("rex\u2010t", (["rex", "t"], "summed")),
        ("+1", (["+1"], "whole")),
        ("-1", (["1"], "whole")),
        ("rex's", (["rex", "'s"], "summed")),
        ("rex’s", (["rex", "'s"], "summed")),
        ("don't", (["do", "n't"], "summed")),
        ("don’t+rex", (["do", "n't", "rex"], "summed")),
        ("RexDo", (["rex", "do"], "split")),
        ("rexDO", (["rex", "do"], "split")),
        ("rexdo", (["rex", "do"], "split")),
        ("rex2015", (["rex", "2015"], "split")),
        ("covid-1", (["1"], "in part")),  # and not silently 1
        ("covid", ([], None)),
        ("trex", (["t-rex"], "whole")),  # the hyphen left out
        ("rex :)", (["rex"], "whole")),  # a smiley is no missing word
        ("北京大学", (["北京", "大学"], "split")),
        ("straße", (["straße"], "whole")),
        ("STRASSE", ([], None)),
        ("ｒｅｘ", (["rex"], "whole")),  # full-width letters
        ("re\u200bx", (["rex"], "whole")),  # a zero-width space
    ],
)
def test_how_a_hashtag_becomes_words(hashtag, found):
    words = ["'s", "n't", "do", "1", "rex", "2015", "+1", "t-rex", "北京", "大学", "straße"]
    rare = [f"word{number}" for number in range(100)]  # so that t is none of the first words
    assert kinds_of(hashtag, [*words, *rare, "t"]) == found


def test_a_word_with_capitals_inside_is_itself_where_it_is_known():
    assert kinds_of("iPhone", ["i", "phone", "iphone"]) == (["iphone"], "whole")
    assert kinds_of("iPhonePhoto", ["i", "phone", "iphone", "photo"])[0] == ["iphone", "photo"]


def table_of_hashtags() -> list[list[str]]:
    lines = (Path(__file__).parent / "hashtag_words.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("# ")]


def test_the_words_of_two_hundred_hashtags_are_those_that_a_person_reads(glove):
    """The table was written by hand. Nearly all are right; those that are not are known."""
    rows = table_of_hashtags()
    assert len(rows) >= 200 and len({hashtag for hashtag, _ in rows}) == len(rows)
    wrong = {
        hashtag: found
        for hashtag, wanted in rows
        if (found := " ".join(known_words(hashtag, glove)) or "-") != wanted
    }
    assert wrong == {
        "cdplayer": "cdp layer",
        "newyorkcity": "newyork city",
        "ilovenewyork": "i love newyork",
        "YouTubeVideo": "you tube video",
    }


def test_every_hashtag_that_is_a_word_keeps_its_vector(glove):
    draw = np.random.default_rng(1)
    for word in draw.choice(glove.index_to_key, size=2000):
        if "%" not in word:  # which is decoded
            assert known_words(word, glove) == [word]


# ---- psi of hashtags without a known word


def test_an_approximate_psi_tells_hashtags_apart_and_is_the_same_everywhere(vectors):
    erna, karl = (approximate_psi(name, vectors) for name in ("oma_erna", "opa_karl"))
    assert erna.dtype == np.float32 and erna.shape == (4,)
    assert not np.allclose(erna, karl)
    assert np.array_equal(erna, approximate_psi("Oma_Erna", vectors))
    assert np.array_equal(erna, approximate_psi("#oma%5Ferna", vectors))
    code = (
        "from test_words import *; v = vectors_of(WORDS);"
        "print(approximate_psi('oma_erna', v).tolist())"
    )
    where = Path(__file__).parent
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=where)
    assert run.stdout.strip() == str(erna.tolist())


def test_an_approximate_psi_is_as_long_as_frequent_words_are(glove):
    length = np.linalg.norm(glove.vectors[:1000], axis=1).mean()
    for name in ("omaerna", "日本", "ξ", "", "a" * 5000):
        assert np.linalg.norm(approximate_psi(name, glove)) == pytest.approx(length, rel=1e-4)


def test_hashtags_that_share_letters_are_more_alike(glove):
    def cosine(a, b):
        a, b = approximate_psi(a, glove), approximate_psi(b, glove)
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine("omaernas", "omaerna") > cosine("omaerna", "xyzzyq") + 0.2


# ---- psi


def test_psi_of_one_word_is_its_vector(vectors):
    assert np.array_equal(psi("cat", vectors), vectors["cat"])


def test_psi_of_black_and_white_is_the_sum(vectors):
    expected = vectors["black"] + vectors["white"]
    for hashtag in ("black+white", "black%2Bwhite", "White_Black", "blackwhite"):
        assert np.allclose(psi(hashtag, vectors), expected)


def test_psi_is_float32_of_the_vectors_size(vectors):
    assert psi("black+white", vectors).dtype == np.float32
    assert psi("black+white", vectors).shape == (4,)


def test_psi_does_not_change_the_word_vectors(vectors):
    before = vectors.vectors.copy()
    psi("black+white", vectors)[:] = 0
    psi("cat", vectors)[:] = 0
    assert np.array_equal(vectors.vectors, before)


def test_psi_of_a_sum_is_the_sum_of_psi(glove):
    draw = np.random.default_rng(0)
    frequent = [word for word in glove.index_to_key[:20_000] if word.isalpha()]
    for a, b in draw.choice(frequent, size=(50, 2)):
        assert np.allclose(psi(f"{a}+{b}", glove), psi(a, glove) + psi(b, glove), atol=1e-5)


# ---- files of word vectors


def written(tmp_path, text: str):
    path = tmp_path / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_glove_file_is_read_in_its_order(tmp_path):
    loaded = load_word_vectors(written(tmp_path, "the 1 2.5\ncat -3 4e-1\n"))
    assert loaded.index_to_key == ["the", "cat"]
    assert np.allclose(loaded.vectors, [[1, 2.5], [-3, 0.4]])


def test_a_word2vec_header_is_skipped(tmp_path):
    loaded = load_word_vectors(written(tmp_path, "2 3\nthe 1 2 3\ncat 4 5 6\n"))
    assert loaded.index_to_key == ["the", "cat"]
    assert np.allclose(loaded["cat"], [4, 5, 6])


def test_a_word_with_blanks_inside_is_read(tmp_path):  # GloVe 840B has some
    loaded = load_word_vectors(written(tmp_path, "the 1 2\n. . . 3 4\nat name@domain.com 5 6\n"))
    assert loaded.index_to_key == ["the", ". . .", "at name@domain.com"]
    assert np.allclose(loaded[". . ."], [3, 4])


def test_of_a_word_that_comes_twice_the_first_counts(tmp_path):
    loaded = load_word_vectors(written(tmp_path, "the 1 2\nthe 3 4\ncat 5 6\n"))
    assert loaded.index_to_key == ["the", "cat"]
    assert np.allclose(loaded["the"], [1, 2])


def test_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"the 1 2\r\ncat 3 4\r\n")
    assert np.allclose(load_word_vectors(path)["cat"], [3, 4])


@pytest.mark.parametrize("size", [2, 7, 300])
def test_vectors_of_a_file_are_the_numbers_that_stand_there(size, tmp_path):
    rows = np.random.default_rng(size).normal(size=(500, size)).astype(np.float32)
    lines = (f"word{i} {' '.join(map(str, row))}\n" for i, row in enumerate(rows.tolist()))
    loaded = load_word_vectors(written(tmp_path, "".join(lines)))
    assert loaded.vectors.dtype == np.float32 and loaded.vector_size == size
    assert np.array_equal(loaded.vectors, rows)
    assert loaded.key_to_index == {f"word{i}": i for i in range(500)}


# ---- a KeyedVectors that is filled from outside, and what is there without gensim


@pytest.mark.parametrize("installed", [False, True])
def test_loaded_vectors_are_whole_keyed_vectors(installed, tmp_path):
    """As if gensim had filled it: everything it can do works, and more words can be added."""
    path = written(tmp_path, "the 1 2.5\ncat -3 4e-1\nsun 1 2.4\n")
    loaded = load_word_vectors(None if installed else path)
    assert isinstance(loaded, KeyedVectors)
    filled = KeyedVectors(loaded.vector_size, count=0)
    filled.add_vectors(loaded.index_to_key[:50], loaded.vectors[:50])
    for word in filled.index_to_key:
        assert np.array_equal(loaded[word], filled[word])
        assert loaded.get_index(word) == filled.get_index(word)
    nearest = [loaded.most_similar("the", topn=1)[0][0]]
    assert installed or nearest == ["sun"] == [filled.most_similar("the", topn=1)[0][0]]
    words = len(loaded)
    loaded.add_vectors(["a new word"], np.ones((1, loaded.vector_size)))
    assert len(loaded) == len(loaded.vectors) == words + 1
    assert loaded.get_index("a new word") == words and (loaded["a new word"] == 1).all()


def test_what_is_written_into_the_installed_vectors_stays_in_memory(glove):
    loaded = load_word_vectors()
    loaded.vectors[loaded.key_to_index["cat"]] = 0
    assert not psi("cat", loaded).any()
    assert psi("cat", glove).any() and psi("cat", load_word_vectors()).any()


def test_word_vectors_without_gensim_are_those_with_it(glove, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gensim.models", None)  # importing it fails
    plain = load_word_vectors()
    assert isinstance(plain, WordVectors)
    assert (len(plain), plain.vector_size) == (len(glove), glove.vector_size)
    assert plain.index_to_key == glove.index_to_key and plain.key_to_index == glove.key_to_index
    assert np.array_equal(plain.vectors, glove.vectors)
    assert "hashtag" in plain and "xyzzyxyzzy" not in plain
    for hashtag in ("cat", "black+white", "jumpingspiderphoto", "xyzzyxyzzy"):
        assert np.array_equal(psi(hashtag, plain), psi(hashtag, glove))
    assert repr(plain) == "WordVectors: 400,000 words of 50 numbers"
    of_file = load_word_vectors(written(tmp_path, "the 1 2.5\ncat -3 4e-1\n"))
    assert of_file.index_to_key == ["the", "cat"] and "cat" in of_file


LOADED = """
import re, sys
import gensim.models, numpy, pyarrow.parquet
from pathlib import Path
from hashtag_core.data.words import load_vocabulary, load_word_vectors

def most():  # bytes, of this process alone
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

path = sys.argv[1] if len(sys.argv) > 1 else None
load_vocabulary(path)
before = most()
vectors = load_word_vectors(path)
print((most() - before) / vectors.vectors.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
@pytest.mark.parametrize("installed", [False, True])
def test_vectors_are_in_memory_once(installed, tmp_path):
    """As multiples of the matrix: how much more memory than for the words alone is ever taken."""
    if not installed:
        row = " 0.25" * 300
        lines = (f"w{i}{row}\n" for i in range(10_000))
        path = written(tmp_path, "".join(lines))
    root, arguments = Path(__file__).parents[1], [] if installed else [str(path)]
    run = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, cwd=root
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < (1.0 if installed else 1.6)


def error_of(path) -> str:
    with pytest.raises(InputError) as raised:
        load_word_vectors(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("line", ["cat 1", "cat", "", "cat 1 two", "cat 1 nan", "cat inf 2"])
@pytest.mark.parametrize(("above", "number"), [("the 1 2\n", 2), ("3 2\nthe 1 2\n", 3)])
def test_a_broken_line_is_named_by_its_number(line, above, number, tmp_path):
    message = error_of(written(tmp_path, f"{above}{line}\nsun 5 6\n"))
    assert f"vectors.txt, line {number}:" in message


@pytest.mark.parametrize("text", ["", "2 3\n"])
def test_a_file_without_words_is_named(text, tmp_path):
    assert "no word vectors" in error_of(written(tmp_path, text))


@pytest.mark.parametrize("text", ["hello\nworld\n", "hello world\n", "\nthe 1 2\n", "\x89PNG\n\n"])
def test_a_file_of_something_else_is_named(text, tmp_path):
    assert "vectors.txt" in error_of(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    assert "nowhere.txt" in error_of(tmp_path / "nowhere.txt")


# ---- the installed vectors


def test_the_installed_glove_has_400000_words_of_50_numbers(glove):
    assert glove.vectors.shape == (400_000, 50)
    assert np.isfinite(glove.vectors).all()
    assert glove.index_to_key[:4] == ["the", ",", ".", "of"]  # by frequency


def test_king_is_near_queen(glove):
    near = [word for word, _ in glove.most_similar("king", topn=5)]
    assert "queen" in near
    assert glove.similarity("king", "queen") > 0.7 > glove.similarity("king", "lettuce")


def test_words_run_together_are_found_in_glove(glove):
    assert known_words("jumpingspiderphoto", glove) == ["jumping", "spider", "photo"]


# ---- short cuts


PIECES = st.sampled_from(
    [*WORDS, "'s", "n't", "q", "zz", "7", "2015", "a", "%41", "%", *PUNCTUATION]
)


@settings(max_examples=2000, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=3)), min_size=1, max_size=6).map("".join))
def test_whether_a_hashtag_has_a_word_is_told_as_its_words_are_found(text):
    words = [*WORDS, "'s", "n't", "a", "7", "e-mail", "3.5"]
    hashtag, _ = clean_hashtag(text)
    if hashtag is not None:
        assert has_word_vector(words)(hashtag) == (known_words(hashtag, vectors_of(words)) != [])


@settings(max_examples=500, deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_plain_text_of_ascii_is_what_the_long_way_makes_of_it(text):
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c for c in letters if unicodedata.category(c) not in ("Mn", "Cf"))
    assert _plain(text) == unicodedata.normalize("NFC", kept).strip(PUNCTUATION)
