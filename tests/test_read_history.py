"""A user's history from a CSV file, as people and spreadsheets write it."""

import pytest

from hashtag_core.data.history_reading import read_history
from hashtag_core.errors import InputError


def read(tmp_path, content: str | bytes):
    path = tmp_path / "history.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_history(path)


@pytest.mark.parametrize(
    "content",
    [
        'image,hashtags\nmon.jpg,"cat,sofa"\nmore/tue.png,dog\n',
        "image,hashtags\nmon.jpg,cat;sofa\nmore/tue.png,dog\n",
        "\ufeffimage,hashtags\r\nmon.jpg,cat;sofa\r\nmore/tue.png,dog\r\n",
        "hashtags,image\ncat;sofa,mon.jpg\n\ndog;,more/tue.png",
    ],
    ids=["quoted commas", "semicolons", "byte order mark", "other order"],
)
def test_a_table_gives_pictures_beside_it_and_their_hashtags(content, tmp_path):
    assert read(tmp_path, content) == [
        (tmp_path / "mon.jpg", ["cat", "sofa"]),
        (tmp_path / "more" / "tue.png", ["dog"]),
    ]


def test_hashtags_in_other_alphabets_are_read(tmp_path):
    assert read(tmp_path, "image,hashtags\na.jpg,café;猫\n") == [
        (tmp_path / "a.jpg", ["café", "猫"])
    ]


BAD_TABLES = {  # what is wrong: (content, words of the error)
    "empty": ("", "line 1: no column hashtags and no column image"),
    "another column": ("image,tags\na.jpg,cat\n", "line 1: no column hashtags"),
    "columns by semicolons": ("image;hashtags\na.jpg;cat\n", "line 1: no column"),
    "empty hashtags": ("image,hashtags\na.jpg,cat\nb.jpg,\n", "line 3"),
    "missing hashtags": ("image,hashtags\na.jpg,cat\nb.jpg\n", "line 3"),
    "empty image": ("image,hashtags\n,cat\n", "line 2"),
    "only a semicolon": ("image,hashtags\na.jpg,;\n", "line 2"),
    "unquoted commas": ("image,hashtags\na.jpg,cat,sofa\n", "line 2: more than two cells"),
    "UTF-16": ("image,hashtags\na.jpg,cat\n".encode("utf-16"), "UTF-8"),
    "Latin-1": ("image,hashtags\na.jpg,café\n".encode("latin-1"), "UTF-8"),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_a_table_that_does_not_fit_is_named_with_its_line(what, tmp_path):
    content, words = BAD_TABLES[what]
    with pytest.raises(InputError) as raised:
        read(tmp_path, content)
    assert words in str(raised.value)
    assert "history.csv" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        read_history(tmp_path / "nowhere.csv")
