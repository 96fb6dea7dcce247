"""The way from files to a collection: killed, resumed, on a full disk, and its account."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hashtag_core import cli
from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError, printable
from hashtag_core.files import enough_disk
from hashtag_core.prepare import ingest, staging
from hashtag_core.prepare.cleaning import clean_hashtag, clean_hashtags
from hashtag_core.prepare.ingest import Images, prepare
from hashtag_core.prepare.opening import blocks_of_lines
from hashtag_core.prepare.report import LeftOut, Report, report_text
from hashtag_core.prepare.selection import Selection
from hashtag_core.sources import yfcc100m
from hashtag_core.sources.table import Table
from hashtag_core.sources.yfcc100m import Yfcc100m

KILLS = int(os.environ.get("HASHTAG_CORE_KILLS", 3))
FILES = "photos.parquet", "features.npy", "meta.json", "report.json", "report.txt"


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_yfcc100m_sample(tmp_path_factory.mktemp("sample") / "sample.tsv", 4000)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(yfcc100m, "BLOCK", 200_000)


@pytest.fixture
def whole(tmp_path, sample, small_blocks):
    prepare(Yfcc100m([sample]), tmp_path / "whole")
    return contents(tmp_path / "whole")


class Stop(BaseException):
    """As sudden as ctrl-C."""


@pytest.mark.parametrize("blocks", range(0, 9, 2))
def test_a_run_stopped_between_two_blocks_goes_on_there(
    tmp_path, sample, whole, monkeypatch, blocks
):
    out, done = tmp_path / "out", []
    understand = Yfcc100m.understand

    def counted(self, data, with_texts):
        if len(done) == blocks:
            raise Stop
        done.append(data)
        return understand(self, data, with_texts)

    monkeypatch.setattr(Yfcc100m, "understand", counted)
    with pytest.raises(Stop):
        prepare(Yfcc100m([sample]), out)
    assert not out.exists()
    made = len(list(tmp_path.glob("out.hashtag-core/blocks/*.parquet")))
    again = []
    monkeypatch.setattr(
        Yfcc100m, "understand", lambda *args: again.append(args) or understand(*args)
    )
    prepare(Yfcc100m([sample]), out)
    assert contents(out) == whole
    total = len(list(blocks_of_lines(sample, 200_000)))
    assert made >= blocks - 1 and len(again) == total - made
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("step", ["_judge", "account", "_write", "number_of_users"])
def test_a_run_stopped_while_it_selects_or_writes_goes_on(
    tmp_path, sample, whole, monkeypatch, step
):
    out = tmp_path / "out"

    def stop(*args):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(f"hashtag_core.prepare.selection.Selected.{step}", stop)
        with pytest.raises(Stop):
            prepare(Yfcc100m([sample]), out)
    with monkeypatch.context() as patch:
        patch.setattr(Yfcc100m, "understand", stop)  # nothing is understood twice
        prepare(Yfcc100m([sample]), out)
    assert contents(out) == whole


def test_the_blocks_of_another_job_are_not_used(tmp_path, sample, whole, monkeypatch):
    other = tmp_path / "other.tsv"
    other.write_bytes(sample.read_bytes()[:300_000])
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("hashtag_core.prepare.selection.Selected._judge", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(Yfcc100m([other]), out)
    prepare(Yfcc100m([sample]), out)
    assert contents(out) == whole


def test_a_finished_collection_is_made_again_only_where_the_job_differs(tmp_path, sample, whole):
    out = tmp_path / "whole"
    before = (out / "photos.parquet").stat().st_mtime_ns
    prepare(Yfcc100m([sample]), out)
    assert (out / "photos.parquet").stat().st_mtime_ns == before
    photos = PhotoCollection.load(prepare(Yfcc100m([sample]), out, Selection(40, 150, 30)))
    assert len(photos) < json.loads(whole["meta.json"])["counts"]["photos"]


RUN = """
import sys
from hashtag_core import cli
from hashtag_core.sources import yfcc100m
yfcc100m.BLOCK = 100_000
sys.exit(cli.main(sys.argv[1:]))
"""


def test_kills_at_any_moment_change_nothing(tmp_path, sample):
    """SIGKILL at random moments of a run, again and again; then it is let finish."""
    arguments = ["prepare", "yfcc100m", str(sample), "--min-photos", "1", "--max-photos", "10000"]

    def start(out):
        command = [sys.executable, "-c", RUN, *arguments, "--out", str(out)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    begin = time.perf_counter()
    assert start(tmp_path / "whole").wait() == 0
    seconds = time.perf_counter() - begin
    whole = contents(tmp_path / "whole")
    rng = random.Random(0)
    for kill in range(KILLS):
        out = tmp_path / f"killed{kill}"
        process = start(out)
        moment = rng.uniform(0.3, 1.0) * seconds  # the first seconds go into imports
        if kill % 2:  # as soon as the first, second, … block is there
            wanted = rng.randrange(1, 12)
            while process.poll() is None:
                blocks = tmp_path.glob(f"{out.name}.hashtag-core/blocks/*.parquet")
                if len(list(blocks)) >= wanted:
                    break
                time.sleep(0.002)
        else:
            time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists() or contents(out) == whole
        assert start(out).wait() == 0
        assert contents(out) == whole
        assert sorted(path.name for path in tmp_path.glob(f"{out.name}*")) == [out.name]


# ---- a full disk


@pytest.mark.parametrize("place", ["block", "photos", "features", "message", "spill"])
def test_a_full_disk_is_one_clear_message_and_nothing_is_lost(
    tmp_path, sample, whole, monkeypatch, place
):
    out = tmp_path / "out"

    def full(*args, **options):
        if place == "message":
            raise RuntimeError("IO Error: Could not write: No space left on device")
        if place == "spill":
            raise RuntimeError("Out of Memory Error: … the 'max_temp_directory_size' of 1 GiB …")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if place == "block":
            written = []
            write = staging._write_table

            def some(table, path):
                full() if len(written) > 3 else written.append(path)
                write(table, path)

            patch.setattr(staging, "_write_table", some)
        elif place == "features":
            patch.setattr(ingest.np, "save", full)
        else:
            patch.setattr(ingest, "_write_photos", full)
        with pytest.raises(InputError, match="disk is full; what is understood so far is kept"):
            prepare(Yfcc100m([sample]), out)
    assert not out.exists()
    prepare(Yfcc100m([sample]), out)
    assert contents(out) == whole


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(PermissionError), enough_disk(tmp_path, "nothing"):
        raise PermissionError(errno.EACCES, "no")


# ---- where it writes


def test_a_folder_with_something_else_in_it_is_refused_at_once(tmp_path, sample, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    monkeypatch.setattr(Yfcc100m, "pieces", lambda *args: 1 / 0)
    with pytest.raises(InputError, match="something else than a photo collection"):
        prepare(Yfcc100m([sample]), tmp_path / "mine")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match="something else than a photo collection"):
        prepare(Yfcc100m([sample]), tmp_path / "file")


def test_a_folder_of_somebody_else_s_is_not_emptied_for_the_work(tmp_path, sample):
    (tmp_path / "out.hashtag-core").mkdir()
    (tmp_path / "out.hashtag-core" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"out.hashtag-core is needed for the work"):
        prepare(Yfcc100m([sample]), tmp_path / "out")
    assert (tmp_path / "out.hashtag-core" / "thesis.txt").read_text() == "years of work"


def test_paths_with_quotes_and_stars_are_only_names(tmp_path):
    folder = tmp_path / "it's [a] *folder*; DROP TABLE staged"
    folder.mkdir()
    path = folder / "t'.csv"
    path.write_text("user,time,tags\nann,2001-01-01,cat\nbob,x,dog\n")
    source = Table(path, "user", "time", "tags")
    photos = PhotoCollection.load(
        prepare(source, folder / "o'ut", rejected=folder / "re'jected.csv")
    )
    assert len(photos) == 1
    assert "a time that is not understood" in (folder / "re'jected.csv").read_text()


def test_features_follow_where_there_are_pictures(tmp_path, capsys):
    from PIL import Image

    for i in range(3):
        Image.new("RGB", (40, 40), (80 * i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_bytes(b"no picture")
    rows = [f"ann,200{i}-01-01,cat,{i}.png" for i in range(4)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["user,time,tags,file", *rows]))
    options = ["--user", "user", "--time", "time", "--hashtags", "tags", "--image", "file", "--out"]
    command = ["prepare", "table", str(path), *options, str(tmp_path / "out")]
    assert cli.main(command) == 0
    photos = PhotoCollection.load(tmp_path / "out")
    assert photos.features.shape == (4, 1280)
    assert np.isnan(photos.features[3]).all() and np.isfinite(photos.features[:3]).all()
    assert photos.meta["images"] == str(tmp_path) and photos.meta["counts"]["pictures"] == 4
    features = tmp_path / "out" / photos.meta["features"]
    before = features.stat().st_mtime_ns
    assert cli.main(command) == 0  # all is there
    assert features.stat().st_mtime_ns == before
    assert "4  rows read" in capsys.readouterr().out


# ---- the account


def test_a_report_adds_up_or_says_so():
    first, second = Report(), Report()
    first.rows_read, first.rows_kept = 5, 3
    first.leave_out("broken", 2, [(0, 1), (0, 4)])
    second.rows_read = 200
    second.leave_out("broken", 150, [(1, line) for line in range(1, 151)])
    second.leave_out("a video", 50, [(1, 151)])
    second.leave_out("nothing", 0, [])
    second.note("changed", 7)
    second.problems.append((1, "cut off"))
    first.add(Report.from_json(json.loads(json.dumps(second.to_json()))))
    first.check()
    assert first.rows_left_out["broken"] == LeftOut(
        152, [(0, 1), (0, 4), *((1, line) for line in range(1, 99))]
    )
    data = first.as_dict(["a.tsv", "b\x1b.tsv"], ["a.tsv", "b\x1b.tsv"])
    assert data["rows"]["left_out"]["a video"]["first"] == [{"file": "b\x1b.tsv", "line": 151}]
    text = report_text(data)
    assert "152  left out: broken  (a.tsv:1, a.tsv:4, b\\x1b.tsv:1, …)" in text
    assert "b\\x1b.tsv: cut off" in text and "\x1b" not in text
    data = first.as_dict(["a.tsv", "b.sql"], ["a.tsv", "b.sql"], ["line", "row_id"])
    assert data["rows"]["left_out"]["a video"]["first"] == [{"file": "b.sql", "row_id": 151}]
    assert "broken  (a.tsv:1, a.tsv:4, b.sql, row id 1, …)" in report_text(data)
    first.rows_kept += 1
    with pytest.raises(RuntimeError, match=r"205 rows .* accounted for 206"):
        first.check()


def test_what_came_from_data_does_no_harm_in_a_terminal():
    assert printable("a\x1b]0;b\x07\r\n\x9b\u202ec\tд東") == (
        "a\\x1b]0;b\\x07\\r\\n\\x9b\\u202ec\\tд東"
    )


@pytest.mark.parametrize(
    "typed, hashtag",
    [
        ("#Black  White", "black white"),
        ("##x", "x"),
        ("＃冬", "冬"),
        ("# x", "x"),
        ("CAFE\u0301", "café"),
        ("a\x00b\x1bc", "a b c"),
        ("\u3000東\u00a0京", "東 京"),
        ("10:30", "10:30"),
        ("a=b", "a=b"),
        ("x" * 200, "x" * 200),
        ("ｓｙｎｔｈ　ＷＡＶＥ", "synth wave"),
        ("ｶﾞﾀｶﾅ", "ガタカナ"),
        ("\u200fسفر", "سفر"),
        ("se\u200ba", "sea"),
        ("\ufeff#sea\u2060", "sea"),
        ("\u202e#sea", "sea"),
        ("İstanbul", "istanbul"),
        ("STRAẞE", "straße"),
        ("❤\ufe0f", "❤"),
        ("hash\u00adtag", "hashtag"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("نرم\u200cافزار", "نرم\u200cافزار"),
        ("\u200dsea\u200c", "sea"),
        ("x²", "x²"),  # another hashtag than x2
    ],
)
def test_hashtags_are_cleaned(typed, hashtag):
    assert clean_hashtag(typed) == (hashtag, None)
    assert clean_hashtag(hashtag) == (hashtag, None)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "#",
        "# #",
        "\u200b",
        "#\ufe0f",
        "geo:lat=1",
        " Upload:By=me",
        "x" * 201,
        "a\ufffd",
        "\ud800",
    ],
)
def test_what_is_no_hashtag_has_a_reason(typed):
    hashtag, why = clean_hashtag(typed)
    assert hashtag is None and why
    twice = "the same hashtag twice in a photo"
    assert clean_hashtags(["a", typed, "A"]) == ({"a": None}, [why, twice])


def test_blocks_are_whole_lines_in_their_order(tmp_path):
    rng = random.Random(1)
    path = tmp_path / "file"
    for _ in range(300):
        data = bytes(rng.choice(b"aaaaab\r\n") for _ in range(rng.randrange(80)))
        path.write_bytes(data)
        size = rng.choice([4, 9, 33])
        lines = data.splitlines(keepends=True)
        found = []
        for block in blocks_of_lines(path, size):
            assert block.first == len(found) + 1 and len(b"".join(block.lines)) <= 2 * size
            assert not block.is_cut or len(block.lines[0]) == size
            found += block.lines
        assert len(found) == len(lines)
        for line, part in zip(lines, found, strict=True):
            assert line == part or (len(line) >= size and line[:size] == part)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/hostname", "a\0b", "x" * 5000, "."])
def test_no_picture_is_taken_from_outside(tmp_path, path):
    (tmp_path / "root").mkdir()
    (tmp_path / "x").write_bytes(b"secret")
    found, why = Images(tmp_path / "root").find("1", path)
    assert found is None and why


def test_selections_that_make_no_sense_are_refused():
    for sizes in ((0, None, 1), (1, None, 0), (5, 4, 1)):
        with pytest.raises(InputError):
            Selection(*sizes)
    assert Selection.paper() == Selection(100, 200, 50)
