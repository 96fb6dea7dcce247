"""The command line as a whole: help, version, pipes that nobody reads to the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hashtag_core
from hashtag_core import cli

PROGRAM = [sys.executable, "-m", "hashtag_core"]
QUIET = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}


def program(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, check=False, env=QUIET, **options
    )


def test_without_arguments_it_says_what_it_can_do():
    alone, asked = program(), program("--help")
    assert alone.returncode == 0 and alone.stdout == asked.stdout and not alone.stderr
    for command in ("quickstart", "prepare", "table", "predict", "notebooks", "doctor"):
        assert f"    {command}" in alone.stdout


def test_it_tells_its_version():
    assert program("--version").stdout == f"hashtag-core {hashtag_core.__version__}\n"


@pytest.mark.parametrize("command", ["prepare", "table", "figure", "predict"])
def test_a_command_that_misses_something_shows_its_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command])
    shown = capsys.readouterr()
    assert stopped.value.code == 2 and not shown.out
    assert "show this help message" in shown.err
    assert shown.err.count("error: ") == 1 and "arguments are required" in shown.err


def test_another_mistake_shows_the_usage_alone(capsys):
    with pytest.raises(SystemExit):
        cli.main(["table", "9"])
    assert "show this help message" not in capsys.readouterr().err


def unread(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run it where nobody reads a word: (exit code, what it says of errors)."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, *arguments], stdout=write, stderr=subprocess.PIPE, text=True, cwd=folder,
        check=False, env=QUIET | {"PYTHONUNBUFFERED": "1"},  # so that the first line fails
    )  # fmt: skip
    os.close(write)
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["data", "2"])
def test_what_nobody_reads_is_written_all_the_same(name, site, tmp_path):
    rows = [] if name == "data" else ["--models", "repeat recent"]
    line = ["table", name, "--data", str(site), "--out", "out", "--json", "rows.json", *rows]
    code, errors = unread(line, tmp_path)
    assert code == 141 and "Traceback" not in errors
    assert (tmp_path / "out" / f"table-{name}.csv").stat().st_size > 100
    assert json.loads((tmp_path / "rows.json").read_text())


def test_a_prediction_that_nobody_reads_is_written_too(tmp_path):
    from picture_files import encode, red_and_blue

    (tmp_path / "mine.png").write_bytes(encode(red_and_blue(), "PNG"))
    code, errors = unread(["predict", "--image", "mine.png", "--json", "best.json"], tmp_path)
    assert code == 141 and "Traceback" not in errors
    assert len(json.loads((tmp_path / "best.json").read_text())) == 10


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (["table", "data", "--words", "no-such-words"], "no-such-words"),
        (["predict", "--image", "no-such-picture.png"], "no-such-picture.png"),
        (["predict", "--image", "x.png", "--run", "no-such-run"], "no-such-run"),
        (["table", "1", "--data", "no-such-data"], "no-such-data"),
        (["prepare", "features", "no-such-data"], "no-such-data"),
        (["prepare", "yfcc100m", "no-such-file"], "no-such-file"),
        (["prepare", "folder", "no-such-folder"], "no-such-folder"),
        (["prepare", "flickr-export", "no-such.zip"], "no-such.zip"),
    ],
)
def test_an_error_names_what_it_is_about_once(line, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line) == 2
    (error,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("hashtag-core: ")]
    assert error.count(named) == 1, error
    assert "Errno" not in error and "damaged" not in error
