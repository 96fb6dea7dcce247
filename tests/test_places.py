"""Where a way in writes: refused before the work, one run at a time, never over something else."""

import json
import subprocess
import sys

import numpy as np
import pytest

from hashtag_core import cli
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.files import locked
from hashtag_core.prepare import ingest, places
from hashtag_core.prepare.feature_files import DONE, FeatureFiles
from hashtag_core.prepare.ingest import dry_run, prepare
from hashtag_core.prepare.places import errors_in_one_line
from hashtag_core.prepare.selection import Selected
from hashtag_core.prepare.writing import write_json
from hashtag_core.sources.table import Table

TEXT = "user,time,tags\nann,2001-01-01,cat\nbob,soon,dog\nbob,2001-01-01\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(TEXT)
    return path


def source(table):
    return Table(table, "user", "time", "tags")


def command(table, out, *options):
    columns = ["--user", "user", "--time", "time", "--hashtags", "tags"]
    return cli.main(["prepare", "table", str(table), *columns, "--out", str(out), *options])


def test_rejected_rows_are_written_over_nothing_else(table, tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "thesis.txt").write_text("years of work")
    for place, message in (
        (table, "holds something else"),
        (tmp_path / "thesis.txt", "holds something else"),
        (tmp_path / "none" / "r.csv", "there is no folder"),
        (tmp_path, "no plain file"),
        (out / "r.csv", "there is no folder"),
    ):
        assert command(table, out, "--rejected", str(place)) == 2
        assert message in capsys.readouterr().err
    assert table.read_text() == TEXT
    rejected = tmp_path / "r.csv"
    for _ in range(2):  # an older one of ours is written over
        assert command(table, out, "--rejected", str(rejected)) == 0
        (out / "meta.json").write_text(
            '{"format_version": 1, "made_by": "hashtag_core"}'
        )  # of another job
        text = rejected.read_text()
        assert "a time that is not understood,\"['bob', 'soon', 'dog']\"" in text
        assert 'most rows,"bob,2001-01-01"' in text
    assert command(table, out, "--rejected", str(out / "r.csv")) == 2
    assert "in the collection's folder" in capsys.readouterr().err


def test_places_that_cannot_be_written_are_one_line(table, tmp_path, capsys):
    for out in ("/", table / "x", f"{tmp_path}/o\udce9", "/proc/x", tmp_path / ("x" * 300)):
        assert command(table, out) == 2
        shown = capsys.readouterr().err
        assert shown.startswith("hashtag-core: ") and shown.count("\n") == 1
    with (
        pytest.raises(InputError, match=r"^/x: Permission denied\.$"),
        errors_in_one_line(tmp_path),
    ):
        raise PermissionError(13, "Permission denied", "/x")


def test_no_permission_is_one_line(table, monkeypatch, capsys):
    def refuse(*args):
        raise PermissionError(13, "Permission denied", str(table))

    monkeypatch.setattr("hashtag_core.sources.table.check_files", refuse)
    assert command(table, "out") == 2
    assert capsys.readouterr().err == f"hashtag-core: {table}: no permission.\n"


HOLD = """
import sys
from pathlib import Path
from hashtag_core.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_run_at_a_time_writes_to_a_folder(table, tmp_path):
    out = tmp_path / "out"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    for kill in (False, True):
        with subprocess.Popen([sys.executable, "-c", HOLD, str(out)], **pipes) as other:
            assert other.stdout.readline()
            with pytest.raises(InputError, match="another run is writing to it"):
                prepare(source(table), out)
            if kill:
                other.kill()
    prepare(source(table), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "t.csv"]
    with locked(out), pytest.raises(InputError, match="another run"):
        prepare(source(table), out)


def test_one_run_at_a_time_extracts_features(folder, capsys):
    with locked(folder / "features"):
        assert cli.main(["prepare", "features", str(folder)]) == 2
    assert "another run is writing" in capsys.readouterr().err
    assert not list(folder.glob("*.lock"))


def test_a_collection_is_not_replaced_while_features_are_extracted_in_it(table, tmp_path):
    out = prepare(source(table), tmp_path / "out")
    table.write_text(TEXT + "cem,2002-02-02,cat\n")
    with locked(out / "features"), pytest.raises(InputError, match="another run is writing to it"):
        prepare(source(table), out)
    prepare(source(table), out)
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("how", ["begun", "done", "of a second ConvNet"])
def test_features_that_took_long_are_not_replaced(table, tmp_path, monkeypatch, how):
    out = prepare(source(table), tmp_path / "out")
    table.write_text(TEXT + "cem,2002-02-02,cat\n")
    if how == "begun":
        features = FeatureFiles(out / "features.next.npy")
        features.begin({}, 2, 4)
        with features.writer() as write:
            write(0, np.ones((1, 4)), np.array([DONE], np.uint8))
    else:
        pictures = "pictures" if how == "done" else "query_pictures"
        meta = json.loads((out / "meta.json").read_text())
        write_json(out / "meta.json", meta | {pictures: {"read": 1, "left_out": {}}})
    before = {path: path.read_bytes() for path in out.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(places, "COSTLY", 0)
        with pytest.raises(InputError, match="holds the features of 1 pictures, which took long"):
            prepare(source(table), out)
    assert before == {path: path.read_bytes() for path in out.iterdir()}
    prepare(source(table), out)  # of few pictures they are
    assert len(PhotoCollection.load(out)) == 2


@pytest.mark.parametrize("made", ["nothing", "blocks", "all"])
def test_strict_is_strict_whatever_lies_there(table, tmp_path, monkeypatch, made):
    out = tmp_path / "out"
    if made == "blocks":
        with monkeypatch.context() as patch:
            patch.setattr(Selected, "account", lambda *args: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                prepare(source(table), out)
    elif made == "all":
        prepare(source(table), out)
    with pytest.raises(InputError, match=r"t.csv, line [34]: .* Without --strict"):
        prepare(source(table), out, strict=True)
    monkeypatch.setattr(Table, "malformed", frozenset())
    prepare(source(table), out, strict=True)


def test_ctrl_c_in_the_database_is_ctrl_c(table, tmp_path, monkeypatch, capsys):
    def interrupted(*args):
        raise RuntimeError("Query interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(Selected, "account", interrupted)
        assert command(table, tmp_path / "out") == 130
        assert "stopped." in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            dry_run(source(table))
    assert command(table, tmp_path / "out") == 0


def test_what_was_there_is_told_from_what_is_written(table, tmp_path, capsys, monkeypatch):
    out = tmp_path / "my photos"
    assert command(table, out) == 0
    shown = capsys.readouterr().out
    assert f"Written: {out}" in shown and f"--history '{out}'" in shown
    monkeypatch.setattr(ingest, "_write_photos", lambda *args: 1 / 0)
    monkeypatch.chdir(tmp_path)
    assert command(table.name, "my photos/") == 0  # the same, from elsewhere
    shown = capsys.readouterr().out
    assert "It was there, made of the same files" in shown and "Written" not in shown


def test_one_user_s_photos_are_a_history(table, tmp_path, capsys):
    table.write_text("user,time,tags\nann,2001-01-01,cat\n")
    assert command(table, tmp_path / "out") == 0
    assert f"predict --image YOUR.jpg --history {tmp_path / 'out'}" in capsys.readouterr().out
