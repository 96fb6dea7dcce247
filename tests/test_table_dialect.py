r"""How cells of CSV files are told apart: quotes written `\"`, hashtags without quotes, `sep=`."""

import json
from pathlib import Path

import pytest
from helpers import prepare

from hashtag_core.errors import InputError
from hashtag_core.prepare.ingest import dry_run
from hashtag_core.prepare.report import report_text
from hashtag_core.sources.table import Table
from hashtag_core.sources.table_csv import GOES_ON
from hashtag_core.sources.table_dialect import find_dialect
from hashtag_core.sources.table_suggestion import suggest

USUAL = {"user": "user", "time": "time", "hashtags": "tags"}
TITLES = ["plain", 'He said "hi, there"', 'ends with "', 'two\nlines, "quoted"', "a, b", '"',
          "C:\\", '\\"', "\\\\server\\x", "a\\nb", '","', ""]  # fmt: skip


def read(path, text, **options):
    """([(user, hashtags)] in the file's order, report, what was understood)."""
    path.write_text(text, encoding="utf-8", newline="")
    source = Table(path, **{**USUAL, **options})
    photos = prepare(source, path.with_suffix(".out"))
    report = json.loads((photos.folder / "report.json").read_text())
    rows = sorted(photos.table.to_pylist(), key=lambda photo: photo["time"])
    left_out = sum(entry["count"] for entry in report["rows"]["left_out"].values())
    assert report["rows"]["read"] == report["rows"]["kept"] + left_out
    return [(row["user"], row["hashtags"]) for row in rows], report, "\n".join(source.understood)


def as_spark(cells):
    r"""A row as Spark and MySQL write it: a quote in quotes is `\"`, a backslash `\\`."""
    return ",".join('"' + c.replace("\\", "\\\\").replace('"', '\\"') + '"' for c in cells) + "\n"


# ---- backslashes


def test_quotes_with_backslashes_are_found_and_no_row_is_lost_or_shifted(tmp_path):
    header = "user,title,time,tags\n"
    lines = [
        as_spark([f"u{i}", title, f"2014-01-{i + 1:02d}", f"sea,t{i}"])
        for i, title in enumerate(TITLES)
    ]
    rows, report, understood = read(tmp_path / "t.csv", header + "".join(lines))
    assert rows == [(f"u{i}", ["sea", f"t{i}"]) for i in range(len(TITLES))]
    assert not report["rows"]["left_out"] and not report["notes"]
    assert 'a quote in a cell is written \\"' in understood
    titles = Table(tmp_path / "t.csv", **{**USUAL, "user": "title"}).opened.rows()
    assert [cells[1] for _, _, cells, _ in titles] == TITLES


def test_a_backslash_that_escapes_nothing_stays(tmp_path):
    text = "user,title,time,tags\n" + '"C:\\new","a \\"b\\", c",2014-01-01,"x\\y"\n' * 3
    rows, _, _ = read(tmp_path / "t.csv", text)
    assert rows == [("C:\\new", ["x\\y"])] * 3


def test_quotes_with_backslashes_far_behind_are_found(tmp_path):
    plain = [f'ann,plain,2014-01-01T00:{i // 60:02d}:{i % 60:02d},"sea,sun"\n' for i in range(3000)]
    odd = 'bob,"a \\"b\\", c",2014-01-02,"x,y"\n'
    rows, _, _ = read(tmp_path / "t.csv", "user,title,time,tags\n" + "".join(plain) + odd)
    assert len(rows) == 3001 and rows[-1] == ("bob", ["x", "y"])


@pytest.mark.parametrize(
    "cell", ['"C:\\photos\\"', '"C:\\"', '"a\\",""', '"12"" \\"', '"\\""x"', '"\\\\"']
)
def test_a_cell_of_a_usual_file_may_end_with_a_backslash(tmp_path, cell):
    """Written by a spreadsheet, or Python: a quote is written twice, a backslash is nothing."""
    header = "user,title,time,tags\n" if cell.count(",") == 0 else "user,title,more,time,tags\n"
    lines = [f'u{i},{cell},2014-01-{i + 1:02d},"sea,t{i}"\n' for i in range(9)]
    rows, report, understood = read(tmp_path / "t.csv", header + "".join(lines))
    assert rows == [(f"u{i}", ["sea", f"t{i}"]) for i in range(9)]
    assert "written" not in understood and not report["notes"]


def test_paths_that_end_with_a_backslash_among_broken_rows(tmp_path):
    """One broken row is no evidence that backslashes escape."""
    lines = [f'u{i},"C:\\p{i}\\",2014-01-{i + 1:02d},"sea,sun"\n' for i in range(9)]
    broken = 'x,"a"b,2014-02-01,sea\n'
    rows, report, understood = read(
        tmp_path / "t.csv", "user,title,time,tags\n" + "".join(lines) + broken
    )
    assert rows == [*((f"u{i}", ["sea", "sun"]) for i in range(9)), ("x", ["sea"])]
    assert "written" not in understood and len(report["notes"]) == 1


# ---- hashtags without quotes


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_hashtags_without_quotes_are_all_read(tmp_path, delimiter):
    lines = ["user,time,tags", "a,2014-01-01,sea,sun,new york", "b,2014-01-02,snow",
             "c,2014-01-03,", "d,2014-01-04,NA", "e,2014-01-05,x,,y,",
             "f,2014-01-06,x,X"]  # fmt: skip
    text = "\n".join(lines).replace(",", delimiter)
    rows, report, understood = read(tmp_path / "t.csv", text)
    assert rows == [("a", ["sea", "sun", "new york"]), ("b", ["snow"]), ("e", ["x", "y"]),
                    ("f", ["x"])]  # fmt: skip
    assert report["rows"]["left_out"]["no hashtags"]["count"] == 2
    assert report["notes"][GOES_ON] == 3 and "further cells" in understood


def test_most_rows_with_one_hashtag_hide_no_others(tmp_path):
    lines = [f"u{i},2014-01-01 10:{i:02d},sea" + ",sun,sand" * (i > 40) for i in range(60)]
    rows, report, _ = read(tmp_path / "t.csv", "user,time,tags\n" + "\n".join(lines))
    assert rows == [(f"u{i}", ["sea", "sun", "sand"] if i > 40 else ["sea"]) for i in range(60)]
    assert report["notes"] == {GOES_ON: 19}


def test_hashtags_without_quotes_where_no_row_names_columns(tmp_path):
    lines = [f"u{i},2014-01-01 10:{i:02d},sea" + f",t{i}" * (i % 3) for i in range(9)]
    numbers = {"user": "1", "time": "2", "hashtags": "3"}
    rows, _, _ = read(tmp_path / "t.csv", "\n".join(lines), **numbers)
    assert rows[0] == ("u0", ["sea"]) and rows[1] == ("u1", ["sea", "t1"]) and len(rows) == 9


def test_an_empty_cell_at_the_end_of_each_row_is_nothing(tmp_path):
    lines = [f"u{i},2014-01-0{i + 1},sea;t{i}," for i in range(5)]
    rows, report, _ = read(tmp_path / "t.csv", "user,time,tags\n" + "\n".join(lines))
    assert rows == [(f"u{i}", ["sea", f"t{i}"]) for i in range(5)] and not report["notes"]


def test_longer_rows_are_told_loudly_where_hashtags_do_not_come_last(tmp_path):
    text = "user,tags,time\n" + "a,sea,2014-01-01\n" * 6 + "b,sea,sun,2014-01-02\n" * 4
    (tmp_path / "t.csv").write_text(text)
    rows, report, _ = read(tmp_path / "t.csv", text)
    assert rows == [("a", ["sea"])] * 6
    (said, doubt), = report["doubts"].items()  # fmt: skip
    assert "more cells than the header has names" in said
    assert doubt == {"count": 4, "examples": ["b,sea,sun,2014-01-02"]}
    left_out, _ = dry_run(Table(tmp_path / "t.csv", **USUAL))
    assert "LOOK: more cells" in report_text(left_out)


def test_quotes_around_some_hashtags_say_that_longer_rows_are_broken(tmp_path):
    """Who puts quotes around hashtags has an unquoted comma elsewhere, in a title say."""
    text = "user,time,title,tags\n" + 'a,2014-01-01,t,"sea,sun"\n' * 6
    text += 'b,2014-01-02,so, so,"sea,sun"\n' * 4
    rows, report, _ = read(tmp_path / "t.csv", text)
    assert rows == [("a", ["sea", "sun"])] * 6 and len(report["doubts"]) == 1


def test_a_few_longer_rows_are_left_out_and_counted_as_before(tmp_path):
    text = "user,time,tags\n" + "a,2014-01-01,sea\n" * 20 + "b,2014-01-02,sea,sun\n"
    rows, report, understood = read(tmp_path / "t.csv", text)
    assert len(rows) == 20 and "further" not in understood and not report["doubts"]
    assert [entry["count"] for entry in report["rows"]["left_out"].values()] == [1]


# ---- sep=


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n", "\ufeffsep=;\n"])
def test_a_line_for_the_spreadsheet_is_no_row(tmp_path, first):
    text = first + "user;time;tags\na;2014-01-01;sea,sun\nb;2014-01-02;x,y\n"
    rows, report, understood = read(tmp_path / "t.csv", text)
    assert rows == [("a", ["sea", "sun"]), ("b", ["x", "y"])]
    assert report["rows"] == {"read": 2, "kept": 2, "left_out": {}}
    assert "separated by semicolons (line 1 says so)" in understood
    assert suggest(tmp_path / "t.csv")[1].count("COL") == 0
    rows, report, _ = read(tmp_path / "t.csv", text, delimiter=";")
    assert report["rows"]["read"] == 2


def test_a_line_that_says_another_delimiter_than_the_usual_ones(tmp_path):
    rows, _, _ = read(tmp_path / "t.csv", "sep=^\nuser^time^tags\na^2014-01-01^sea,sun\n")
    assert rows == [("a", ["sea", "sun"])]


def test_sep_is_a_row_where_it_is_not_the_first_line(tmp_path):
    _, report, _ = read(tmp_path / "t.csv", "user;time;tags\nsep=;\na;2014-01-01;sea\n" * 2)
    assert report["rows"]["read"] == 5


def test_a_wrong_delimiter_is_told():
    with pytest.raises(InputError, match="--delimiter"):
        find_dialect(Path("t.csv"), "a,b\nc\nd,e,f\ng,h,i,j\n\n")


def test_a_file_of_nothing_but_its_separator_is_empty(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sep=;\n")
    with pytest.raises(InputError, match="there is no row in it"):
        Table(path, "user", "time", "tags")


def test_blanks_before_quotes_count_for_nothing(tmp_path):
    text = 'user, time, tags\nann, 2014-01-01, "sea, sun"\nbob, 2014-01-02,   "snow"\n'
    rows, _, understood = read(tmp_path / "t.csv", text)
    assert rows == [("ann", ["sea", "sun"]), ("bob", ["snow"])]
    assert "blanks before a quote count for nothing" in understood
    text = 'user,time,title,tags\nann,2014-01-01,he said: "hi",sea\nbob,2014-01-02,a "b",sun\n'
    rows, _, understood = read(tmp_path / "u.csv", text)
    assert rows == [("ann", ["sea"]), ("bob", ["sun"])]
    assert "blanks" not in understood
