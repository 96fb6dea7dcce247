"""How data/open_art is made: clean hashtags, one name for one artist, the same bytes again."""

import os
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from hashtag_core.cli import main
from hashtag_core.errors import InputError
from hashtag_core.sources.open_art import (
    PACKAGES,
    VERSION,
    artist_key,
    artist_name,
    clean_hashtags,
    is_suitable,
    prepare_open_art,
)
from hashtag_core.sources.open_art_packages import find_packages

# ---- hashtags


@pytest.mark.parametrize(
    ("keywords", "hashtags"),
    [
        (["Cat", "black  and\nwhite", " dog "], ["cat", "black and white", "dog"]),
        (["dog", "cat", "DOG", "dog "], ["dog", "cat"]),
        (["", " ", "unsorted", "Unsorted", "hash", "0x8963570", "HASH(0x8963570)"], []),
        (["hashtag", "hash browns", "0xyz"], ["hashtag", "hash browns", "0xyz"]),
        (["rock &amp; roll", "caf&#233;"], ["rock & roll", "café"]),
        (["", "unsorted", "cat"], ["cat"]),
        ([], []),
    ],
)
def test_keywords_become_clean_hashtags_in_their_order(keywords, hashtags):
    assert clean_hashtags(keywords) == hashtags


# ---- artists


@pytest.mark.parametrize(
    ("creator", "name"),
    [
        ("Jane Doe", "Jane Doe"),
        ("  Jane\n  Doe ", "Jane Doe"),
        ("Jane Doe <jane@example.com>", "Jane Doe"),
        ("Jane Doe (jane@example.com)", "Jane Doe"),
        ("Jane Doe [https://example.com]", "Jane Doe"),
        ("Jane Doe <jane@example.com", "Jane Doe"),  # a bracket that is never closed
        ("Jane Doe &lt;jane@example.com&gt;", "Jane Doe"),
        ("Jane Doe jane.doe@example.com", "Jane Doe jane.doe"),
        ("jane.doe@example.com", "jane.doe"),
        ("mailto:jane.doe@example.com", "jane.doe"),
        ("<jane@example.com>", ""),
        ("", ""),
    ],
)
def test_an_artists_name_is_without_addresses_and_brackets(creator, name):
    assert artist_name(creator) == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rollandin Francesco", "Architetto Francesco Rollandin"),
        ("A.J. Ashton", "AJ Ashton"),
        ("Sérgio Luiz Araújo Silva", "Sergio Luiz Araujo Silva"),
        ("Jean-Victor Balin", "JeanVictor Balin"),
        ("JANE DOE", "jane doe"),
        ("Jane Doe (the painter)", "Jane Doe"),
        ("jane.doe@example.com", "JaneDoe"),
        ("Doe, Jane", "Jane Doe"),
    ],
)
def test_two_spellings_of_one_artist_have_the_same_key(one, other):
    assert artist_key(artist_name(one)) == artist_key(artist_name(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Andy", "Andrew"),
        ("Andy", "Andy Fitzsimon"),
        ("Jane Doe", "John Doe"),
        ("jane", "jane2"),
        ("山田", "田中"),
    ],
)
def test_two_artists_have_two_keys(one, other):
    assert artist_key(one) != artist_key(other)


def test_no_two_shipped_artists_are_the_same_person(open_art):
    keys = {artist_key(user) for user in open_art.users}
    assert len(keys) == len(open_art.users)


# ---- the packages


def test_missing_packages_are_an_input_error_that_says_how_to_fetch_them(tmp_path):
    with pytest.raises(InputError, match="apt-get download openclipart-svg"):
        prepare_open_art(tmp_path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_there_twice_is_an_input_error(tmp_path):
    for name in ("openclipart-svg_1.deb", "openclipart-svg_2.deb"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"2 files openclipart-svg_\*\.deb"):
        prepare_open_art(tmp_path, tmp_path / "out")


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """The collection built anew from its packages; takes about five minutes."""
    folder = os.environ.get("HASHTAG_CORE_PACKAGES")
    if folder is None:
        pytest.skip(f"HASHTAG_CORE_PACKAGES names no folder with {', '.join(PACKAGES)}")
    return prepare_open_art(Path(folder), tmp_path_factory.mktemp("rebuilt") / "open_art")


def test_a_rebuild_gives_the_same_rows(rebuilt, open_art):
    assert rebuilt.table.equals(open_art.table)


@pytest.mark.parametrize("name", ["photos.parquet", "meta.json"])
def test_a_rebuild_gives_the_same_bytes(name, rebuilt, open_art):
    built_with = open_art.meta["built_with"]
    here = {package: version(package) for package in built_with}
    if here != built_with:
        pytest.skip(f"data/open_art was built with {built_with}, here is {here}")
    assert (rebuilt.folder / name).read_bytes() == (open_art.folder / name).read_bytes()


def test_a_rebuild_gives_the_same_features(rebuilt, open_art):
    shipped, anew = (np.asarray(c.features, dtype=np.float32) for c in (open_art, rebuilt))
    errors = np.linalg.norm(anew - shipped, axis=1) / np.linalg.norm(shipped, axis=1)
    assert errors.max() < 1e-2


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    monkeypatch.setitem(sys.modules, "debian", types.ModuleType("debian"))
    monkeypatch.setitem(sys.modules, "debian.debfile", types.ModuleType("debian.debfile"))
    for name in ("openclipart-svg_1.deb", "openclipart-png_1.deb", "openmoji-1.tgz"):
        (tmp_path / name).touch()
    assert main(["prepare", "open-art", str(tmp_path)]) == 2
    assert ".[prepare]" in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_command_that_fetches_it(tmp_path):
    with pytest.raises(InputError, match="apt-get download openclipart-svg"):
        find_packages(tmp_path, PACKAGES)


# ---- what does not belong into a class


@pytest.mark.parametrize(
    ("hashtags", "title", "suitable"),
    [
        (["people", "sex"], "a girl", False),
        (["people"], "Stripper_01", False),
        (["pin-up", "very sexy"], None, False),
        (["essex", "sextant", "unisex", "sexuality"], "asexual", True),
        (["cat"], "", True),
    ],
)
def test_a_word_of_the_list_leaves_a_picture_out(hashtags, title, suitable):
    assert is_suitable({"hashtags": hashtags, "title": title}) is suitable


def test_the_shipped_pictures_are_suitable_and_say_their_version(open_art):
    titles = open_art.column("title").to_pylist()
    for row in range(len(open_art)):
        assert is_suitable({"hashtags": open_art.hashtags_of(row), "title": titles[row]}), row
    assert open_art.meta["version"] == VERSION
    assert sum("does not belong" in why for why in open_art.meta["left_out"]) == 2  # of both sites
