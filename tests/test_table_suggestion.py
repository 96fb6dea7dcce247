"""`prepare table` without columns: it shows what a file holds, and a command that works."""

import json
import shlex

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashtag_core import cli
from hashtag_core.errors import InputError
from hashtag_core.sources.table_suggestion import suggest

ROWS = [("ann", "2014-01-01 10:00", "sea;sun"), ("bob", "2014-01-02 11:30", "snow")]


def write(path, columns=("Owner_Name", "date taken", "User Tags"), mark=","):
    lines = [mark.join(columns), *(mark.join(row) for row in ROWS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("mark", [",", "\t", "|"])
def test_columns_cells_and_a_command_that_reads_them(mark, tmp_path, capsys):
    path = write(tmp_path / "my photos.csv", mark=mark)
    assert cli.main(["prepare", "table", str(path)]) == 2
    printed = capsys.readouterr()
    assert "3 columns, separated by" in printed.out
    for number, (name, cells) in enumerate(
        [("Owner_Name", "ann | bob"), ("date taken", "2014-01-01 10:00 | 2014-01-02 11:30")], 1
    ):
        assert f"{number}  {name}" in printed.out and cells in printed.out
    first, command = printed.err.splitlines()
    assert first == "hashtag-core: tell the columns (--user, --time, --hashtags). Perhaps:"
    program, *arguments = shlex.split(command)
    assert program == "hashtag-core" and cli.main(arguments) == 0
    assert "ann  2014-01-01 10:00:00  #sea #sun" in capsys.readouterr().out


def test_only_what_is_missing_is_asked_for_and_what_is_told_is_kept(tmp_path, capsys):
    path = write(tmp_path / "a.csv", mark="~")
    told = ["--user", "Owner_Name", "--delimiter", "~", "--encoding", "utf-8"]
    assert cli.main(["prepare", "table", str(path), *told]) == 2
    error = capsys.readouterr().err
    assert "(--time, --hashtags)" in error
    assert "--encoding utf-8 --delimiter '~'" in error


def test_objects_within_objects_and_parquet(tmp_path):
    rows = [
        {"owner": {"nsid": who}, "dates": {"taken": t}, "tags": h, "more": 1} for who, t, h in ROWS
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    lines, command = suggest(path)
    assert [line.split()[1] for line in lines[2:]] == ["owner.nsid", "dates.taken", "tags", "more"]
    assert "--user owner.nsid --time dates.taken --hashtags tags" in command
    table = pa.table({"who": ["ann"], "note": ["x"], "tags": [["sea", "sun"]]})
    pq.write_table(table, tmp_path / "a.parquet")
    lines, command = suggest(tmp_path / "a.parquet")
    assert "--user who --time COL --hashtags tags" in command
    assert any("['sea', 'sun']" in line for line in lines)


def test_a_table_of_many_columns_and_odd_names_stays_short_and_harmless(tmp_path):
    names = [f"c{n}" for n in range(100)]
    names[0], names[1] = "\x1b[31mred\u202e", "x" * 500
    path = tmp_path / "wide.csv"
    path.write_text(",".join(names) + "\n" + ",".join("y" * 300 for _ in names) + "\n")
    lines, command = suggest(path)
    assert lines[-1].strip() == "and 60 columns more"
    assert all(len(line) < 200 and line.isprintable() for line in lines)
    assert "--user COL --time COL --hashtags COL" in command


@pytest.mark.parametrize("content", ["", "user,time,tags\n"], ids=["empty", "a header alone"])
def test_a_table_without_rows_is_told(content, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"the file is empty|no row"):
        suggest(path)
