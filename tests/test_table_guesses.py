"""Tables as people export them: what a cell holds is found out, or one is told what looks odd."""

import csv
import json

import pytest
from helpers import prepare

from hashtag_core import cli
from hashtag_core.errors import InputError
from hashtag_core.prepare.doubts import DOUBTS, doubt_about
from hashtag_core.prepare.ingest import dry_run
from hashtag_core.prepare.report import report_text
from hashtag_core.sources.table import Table
from hashtag_core.sources.table_decoding import decoded
from hashtag_core.sources.table_notations import is_list, list_items
from hashtag_core.sources.table_separators import guess_separator

USUAL = {"user": "user", "time": "time", "hashtags": "tags"}
DAY = "2014-01-01"


def table(path, rows, header=("user", "time", "tags")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def tags_of(path, **options):
    """(hashtags of each photo, report)."""
    photos = prepare(Table(path, **{**USUAL, **options}), path.with_suffix(".out"))
    report = json.loads((photos.folder / "report.json").read_text())
    return [photo["hashtags"] for photo in photos.table.to_pylist()], report


# ---- separators


@pytest.mark.parametrize(
    "usual, other, hashtags",
    [
        ("lake", "new york;sea", ["new york", "sea"]),
        ("lake", "new york|sea", ["new york", "sea"]),
        ("new york", "new york, sea", ["new york", "sea"]),
        ("lake", "長城、中國", ["長城", "中國"]),
        ("lake", "長城；中國", ["長城", "中國"]),
        ("lake", "بحر، شمس", ["بحر", "شمس"]),
        ("lake", 'c("new york", "sea")', ["new york", "sea"]),
        ("sea sun sand", "sea, sun sand", ["sea", "sun", "sand"]),  # here it is the blanks
    ],
)
def test_a_separator_that_few_photos_have_is_found(usual, other, hashtags):
    cells = [usual] * 850 + [other] * 150
    separator = guess_separator(cells)
    assert separator(other)[0] == hashtags
    assert separator(usual)[0] == (usual.split() if "sand" in usual else [usual])


def test_a_separator_is_found_that_only_later_rows_have(tmp_path):
    rows = [("ann", DAY, "lake")] * 1500 + [("ann", DAY, "new york, sea")] * 1500
    tags, report = tags_of(table(tmp_path / "t.csv", rows))
    assert tags == [["lake"]] * 1500 + [["new york", "sea"]] * 1500
    assert not report["doubts"]


def test_words_in_quotes_between_blanks_are_one_hashtag():
    separator = guess_separator(['sea "new york"', "sea sun"])
    assert separator('sea "new york" x" “so cold”') == (["sea", "new york", "x", "so cold"], False)


def test_captions_are_text_in_which_hashtags_stand():
    cells = ["A day at the sea #beach with #friends, so good!", "Nothing to say here today"]
    separator = guess_separator(cells * 10)
    assert separator.name == "caption"
    assert separator(cells[0])[0] == ["beach", "friends"] and separator(cells[1])[0] == []
    assert separator("a&#39;b see x.org/#top, issue #东京 #☀️！")[0] == ["东京", "☀️"]


# ---- lists


@pytest.mark.parametrize(
    "cell, hashtags",
    [
        ("[u'caf\\xe9', u'\\u6771\\u4eac']", ["café", "東京"]),
        ("('sea', 'new york')", ["sea", "new york"]),
        ("('sea',)", ["sea"]),
        ("{'sea', 'sun'}", ["sea", "sun"]),
        ("set(['sea', 'sun'])", ["sea", "sun"]),
        ("frozenset({'sea'})", ["sea"]),
        ("set()", []),
        ("array(['sea', 'sun'], dtype='<U3')", ["sea", "sun"]),
        ("array(['sea', 'sun'], dtype=object)", ["sea", "sun"]),
        ("['sea' 'sun'\n 'it']", ["sea", "sun", "it"]),
        ('c("sea", "new york")', ["sea", "new york"]),
        ("character(0)", []),
        ('{sea,"new york",NULL}', ["sea", "new york", ""]),
        ("WrappedArray(sea, new york)", ["sea", "new york"]),
        ("[b'sea', b'sun']", ["sea", "sun"]),
        ("[{'text': 'sea', 'indices': (0, 4)}, {'text': \"it's\"}]", ["sea", "it's"]),
        ('["\\ud83d\\ude00"]', ["😀"]),
        ("['\\ud83d\\ude00']", ["😀"]),
    ],
)
def test_lists_in_the_notation_of_any_language(cell, hashtags):
    assert is_list(cell) and list_items(cell) == (hashtags, False)
    assert guess_separator([cell])(cell) == (hashtags, False)


@pytest.mark.parametrize("cell", ["['sea' 'sun' ... 'x']", '["sea", "sun", "x", "y...'])
def test_a_list_that_was_cut_off_is_read_as_far_as_it_goes_and_told(tmp_path, cell):
    assert list_items(cell) == (["sea", "sun", "x"], True)
    tags, report = tags_of(table(tmp_path / "t.csv", [("ann", DAY, cell)]))
    assert tags == [["sea", "sun", "x"]]
    assert [n for what, n in report["notes"].items() if "cut off" in what] == [1]


def test_lists_are_not_evaluated_and_are_bounded():
    deep = "[" * 5000 + "'a'" + "]" * 5000
    for cell in ("[__import__('os'), ['a']]", deep, "[[" + "-" * 50_000 + "1]]", "[(" * 9):
        assert isinstance(list_items(cell)[0], list)


def test_smileys_and_words_in_brackets_are_no_lists():
    for cell in ("f(x)", ":-(", "(sea)", "set the table", "c", "[sea", "concert(live)"):
        assert not is_list(cell)


def test_mastodon_s_mentions_are_no_hashtags():
    tag = [{"type": "Mention", "name": "@bob"}, {"type": "Hashtag", "name": "#sea"}]
    assert guess_separator([tag])(tag) == (["#sea"], False)


# ---- a hashtag a row


TAGGED = [
    ("1", "7", "new york", "1445714996"),
    ("1", "8", "sea", "1445715207"),
    ("1", "7", "sun", "1445714994"),
    ("2", "9", "snow", "1445715051"),
    ("1", "7", "sand", "1445714996"),
    ("1", "7", "Sun", "1445714996"),
    ("2", "9", "ski", "1445715051"),
    ("3", "9", "x", "1445715051"),
]


def test_one_hashtag_a_row_with_the_photo_s_id_is_one_photo(tmp_path, capsys):
    path = table(tmp_path / "t.csv", TAGGED, ("user", "id", "tags", "time"))
    tags, report = tags_of(path, photo_id="id")
    assert tags == [["new york", "sun", "sand"], ["sea"], ["snow", "ski"]]
    left_out = {reason: entry["count"] for reason, entry in report["rows"]["left_out"].items()}
    assert left_out == {
        "joined with the first row of its photo": 4,
        "a photo whose id stood before": 1,
    }
    assert report["hashtags"]["left_out"] == {
        "of a photo left out": 1,
        "the same hashtag twice in a photo": 1,
    }
    options = ["--user", "user", "--time", "time", "--hashtags", "tags", "--photo-id", "id"]
    assert cli.main(["prepare", "table", str(path), *options, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "one in each row" in shown and "#new york #sun #sand" in shown
    with pytest.raises(InputError, match=r"--photo-id"):
        Table(path, **USUAL, separator="row")


def test_the_same_photo_twice_is_not_a_hashtag_a_row(tmp_path):
    rows = [("ann", f"p{i % 5}", "sea;sun", DAY) for i in range(10)]
    tags, report = tags_of(table(tmp_path / "t.csv", rows, ("user", "id", "tags", "time")),
                           photo_id="id")  # fmt: skip
    assert tags == [["sea", "sun"]] * 5
    assert list(report["rows"]["left_out"]) == ["a photo whose id stood before"]


# ---- what looks odd afterwards


ODD = {
    "https://x.org/a": "addresses",
    "a%20b": "%20",
    "nan": "nothing",
    "na": "nothing",
    "\\n": "nothing",
    "[sea": "brackets",
    "sun)": "brackets",
    "sea;sun": "; or |",
    "長城；中國": "; or |",
    "sea, sun": "comma",
    "sea,sun": "comma",
    "@bob": "people",
    "this is a whole long sentence": "five words",
}


@pytest.mark.parametrize("hashtag", ODD)
def test_what_looks_misread_is_doubted(hashtag):
    assert ODD[hashtag] in doubt_about(hashtag)


@pytest.mark.parametrize("hashtag", ["sea", "f/2,8", "10,000", "b&w", "nana", "new york", "c++"])
def test_usual_hashtags_are_not_doubted(hashtag):
    assert doubt_about(hashtag) is None


def test_the_report_and_a_dry_run_say_what_looks_misread(tmp_path, capsys):
    rows = [("ann", DAY, cell) for cell in ("sea;sun", "a;b", "c;d", "e;f", "lake", "a b")]
    path = table(tmp_path / "t.csv", rows)
    report, _ = dry_run(Table(path, **USUAL, separator=","))
    said = DOUBTS[r"[;|\t；؛｜]"]
    assert report["doubts"][said] == {"count": 4, "examples": ["sea;sun", "a;b", "c;d"]}
    line = f"           4  LOOK: {said}  (sea;sun, a;b, c;d)"
    assert line in report_text(report).split("\n")
    _, written = tags_of(path, separator=",")
    assert written["doubts"] == report["doubts"]
    options = ["--user", "user", "--time", "time", "--hashtags", "tags", "--separator", ","]
    assert cli.main(["prepare", "table", str(path), *options, "--dry-run"]) == 0
    assert line in capsys.readouterr().out


def test_doubts_of_several_blocks_are_added(tmp_path, monkeypatch):
    monkeypatch.setattr("hashtag_core.sources.table.ROWS_OF_PIECE", 2)
    path = table(tmp_path / "t.csv", [("ann", DAY, f"{i};x") for i in range(7)])
    _, report = tags_of(path, separator=",")
    assert list(report["doubts"].values()) == [{"count": 7, "examples": ["0;x", "1;x", "2;x"]}]


# ---- text that was encoded on its way


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("b%26w", "b&w"),
        ("sn%25C3%25B6", "snö"),
        ("100%", "100%"),
        ("50%de", "50%de"),
        ("a+b", "a+b"),
        ("b&amp;amp;w", "b&w"),
        ("rock&roll;", "rock&roll;"),
        ("caf\\u00e9", "café"),
        ("\\ud83d\\ude00", "😀"),
        ("cafÃ©", "café"),
        ("it\u00e2\u20ac\u2122s", "it’s"),
        ("ð\u0178\u02dc\u20ac", "😀"),
        ("ÃƒÂ©tÃƒÂ©", "été"),
        ("Ã", "Ã"),
        ("São Paulo", "São Paulo"),
        ("c:\\users", "c:\\users"),
    ],
)
def test_what_was_encoded_is_decoded_where_that_is_certain(typed, meant):
    notes = []
    assert decoded(typed, False, notes.append) == meant
    assert bool(notes) == (typed != meant)


def test_encoded_hashtags_come_decoded_and_are_counted(tmp_path):
    cells = ["a%26b,black+and+white", "caf%C3%A9,a%2Bb", "r&amp;b,x", "caf\\u00e9", "cafÃ©,sea"]
    tags, report = tags_of(table(tmp_path / "t.csv", [("ann", DAY, cell) for cell in cells]))
    assert tags == [["a&b", "black and white"], ["café", "a+b"], ["r&b", "x"], ["café"],
                    ["café", "sea"]]  # fmt: skip
    assert sorted(report["notes"].values()) == [1, 1, 1, 2]
    assert not report["doubts"]


def test_a_semicolon_of_an_entity_separates_nothing(tmp_path):
    cells = ["b&amp;w new", "r&#38;b x", "a &lt;3"] * 3
    tags, _ = tags_of(table(tmp_path / "t.csv", [("ann", DAY, cell) for cell in cells]))
    assert tags[:3] == [["b&w", "new"], ["r&b", "x"], ["a", "<3"]]


def test_a_list_with_its_quotes_as_entities_is_a_list():
    cell = "[&quot;new york&quot;, &quot;sea&quot;]"
    assert guess_separator([cell])(cell) == (["new york", "sea"], False)


FORMS = {  # cells -> hashtags; where + is a blank, and where it is a plus
    "one hashtag is encoded": ["caf%C3%A9,c++", "a+b,google+", "new york"],
    "plus at an end": ["caf%C3%A9", "a+b", "google+"],
    "%20 is the blank": ["new%20york,a%2Bb", "a+b"],
    "raw characters": ["caf%C3%A9,b&w", "a+b,rock'n'roll", "été,#x"],
    "form": ["caf%C3%A9,black+white", "a+b,sea"],
    "%2B is the plus": ["a%2Bb,b&w", "new york,a+b"],
    "form, in a row with c++ later": ["caf%C3%A9", *["a+b"] * 20_000, "c++,google+,x+y"],
}
MEANT = [
    [["café", "c++"], ["a+b", "google+"], ["new york"]],
    [["café"], ["a+b"], ["google+"]],
    [["new york", "a+b"], ["a+b"]],
    [["café", "b&w"], ["a+b", "rock'n'roll"], ["été", "x"]],
    [["café", "black white"], ["a b", "sea"]],
    [["a+b", "b&w"], ["new york", "a b"]],
    [["café"], *[["a b"]] * 20_000, ["c++", "google+", "x y"]],
]


@pytest.mark.parametrize("cells, meant", list(zip(FORMS.values(), MEANT, strict=True)), ids=FORMS)
def test_a_plus_is_a_blank_only_where_hashtags_are_encoded_as_forms_are(tmp_path, cells, meant):
    path = table(tmp_path / "t.csv", [("ann", DAY, cell) for cell in cells])
    assert tags_of(path, separator=",")[0] == meant
    is_blank = ["a", "b"] in [h.split() for hashtags in meant for h in hashtags]
    told = "\n".join(Table(path, **USUAL, separator=",").understood)
    assert ("+ between words of a hashtag is a blank" in told) == is_blank


def test_addresses_where_hashtags_should_be_are_left_out_and_counted(tmp_path):
    cells = ["sea", "https://x.org/a_b.jpg", "http://a.b/c, https://d.e/f?g=h", " www.x.org ",
             "sea,https://x.org"]  # fmt: skip
    tags, report = tags_of(table(tmp_path / "t.csv", [("ann", DAY, cell) for cell in cells]))
    assert tags == [["sea"], ["sea", "https://x.org"]]
    (reason, entry), = report["rows"]["left_out"].items()  # fmt: skip
    assert "address" in reason and entry["count"] == 3
    assert [doubt["count"] for doubt in report["doubts"].values()] == [1]


def test_hashtags_beyond_the_most_of_a_photo_are_counted_under_their_own_reason(tmp_path):
    rows = [("1", "7", f"t{i}", "1445714996") for i in range(1003)]
    rows += [("1", "7", "t1", "1445714996"), ("2", "8", "x", "1445714996")]
    path = table(tmp_path / "t.csv", rows, ("user", "id", "tags", "time"))
    tags, report = tags_of(path, photo_id="id", separator="row")
    assert tags == [[f"t{i}" for i in range(1000)], ["x"]]
    assert report["hashtags"] == {
        "read": 1005,
        "kept": 1001,
        "left_out": {
            "the same hashtag twice in a photo": 1,
            "more than the first 1,000 hashtags of a photo": 3,
        },
    }
