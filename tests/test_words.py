"""psi(hashtag) is the sum of its words' vectors; this is how its words are found."""

import numpy as np
import pytest
from gensim.models import KeyedVectors

from hashtag_core.data.words import known_words, load_word_vectors, psi
from hashtag_core.errors import InputError

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
        ("sunsetting", ["sunset", "ting"]),  # two words, though sun and set are more frequent
        ("cat+blackcat", ["cat", "black", "cat"]),
    ],
)
def test_the_words_of(hashtag, words, vectors):
    assert known_words(hashtag, vectors) == words


@pytest.mark.parametrize(
    "hashtag",
    ["xyzzy", "", " ", "+", "%", "%2B", "...", "catx", "xcat", "abcat", "日本", "a" * 500],
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
