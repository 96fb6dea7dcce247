"""Every command that writes: killed or stopped at any moment, and on a full disk.

By default most commands are stopped once, by one of the three signals, and some have a full disk.
With HASHTAG_CORE_KILLS=20 each is killed 20 times, gets SIGTERM 10 times and ctrl-C 10 times, and
its disk is full at five sizes. A process begins with the libraries loaded, to be quick, but every
fourth begins from nothing.
"""

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from photo_files import description, exif, jpeg, xmp, zip_of
from picture_files import encode, noise, red_and_blue

from hashtag_core import cli
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.files import locked
from hashtag_core.prepare.ingest import prepare
from hashtag_core.prepare.selection import Selected
from hashtag_core.prepare.staging import Staging
from hashtag_core.sources import table as table_module
from hashtag_core.sources.simulated import prepare_simulated
from hashtag_core.sources.table import Table

KILLS = int(os.environ.get("HASHTAG_CORE_KILLS", 0))
SIGNALS = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
LIBRARIES = ["duckdb", "gensim.models", "matplotlib.pyplot", "nbclient", "nbconvert", "pandas"]
LIBRARIES += ["pyarrow.parquet", "torch", "torchvision", "timm", "hashtag_core.study.figures"]
TOKEN = "HASHTAG_CORE_TEST"
PAGE = 4096  # bytes: what a disk gives at least
SECONDS = 300  # nothing here takes so long: it hangs
OUT = ["--out", "out"]
CPU = ["--device", "cpu"]
COLUMNS = ["--user", "user", "--time", "time", "--hashtags", "tags"]
EVERYBODY = ["--min-photos", "1", "--max-photos", "10000", "--min-kept-photos", "1"]
SITE = ["--data", "{inputs}/site", *CPU, "--out", "runs"]
SMALL = ["--epochs", "2", "--fixed", "20"]
SIMULATED = ["prepare", "simulated", "--users", "60", "--photos", "10", "--hashtags", "400", *OUT]

COMMANDS = {
    "table": ["prepare", "table", "{inputs}/t.csv", *COLUMNS, "--rejected", "r.csv", *OUT],
    "folder": ["prepare", "folder", "{inputs}/pictures", "--no-features", *OUT],
    "flickr": ["prepare", "flickr-export", "{inputs}/export.zip", "--no-features", *OUT],
    "yfcc100m": ["prepare", "yfcc100m", "{inputs}/sample.tsv", *EVERYBODY, *OUT],
    "yfcc100m of SQLite": ["prepare", "yfcc100m", "{inputs}/sample.sql", *EVERYBODY, *OUT],
    "yfcc100m of JSON": ["prepare", "yfcc100m", "{inputs}/shards", *EVERYBODY, *OUT],
    "simulated": SIMULATED,
    "simulated by two": [*SIMULATED, "--workers", "2"],
    "features": ["prepare", "features", "out", "--batch-size", "2", *CPU],
    "features by a worker": [
        "prepare", "features", "out", "--batch-size", "2", "--workers", "1", *CPU,
    ],
    "train": ["train", *SITE, *SMALL, "--json", "rows.json"],
    "a table": ["table", "2", *SITE, *SMALL, "--json", "rows.json"],
    "a figure": ["figure", "history", *SITE, *SMALL, "--lengths", "0,2", "--json", "rows.json"],
    "quickstart": ["quickstart", *SITE, "--json", "rows.json"],
    "tutorial": ["tutorial", "--out", "pages"],
    "predict": [
        "predict", "--image", "{inputs}/mine.jpg", "--run", "{inputs}/run", "--json", "best.json",
        *CPU,
    ],
    "benchmark": [
        "benchmark", "ranking", "--hashtags", "300", "--repeats", "1", *CPU, "--json", "rows.json",
    ],
    "yfcc100m of the hub": ["prepare", "yfcc100m", "{inputs}/hub", *EVERYBODY, *OUT],
}  # fmt: skip
OLDER = {  # how the older collection was made that a command replaces
    "table": ["--min-photos", "30"],
    "folder": ["--user", "somebody"],
    "flickr": ["--user", "somebody"],
    "yfcc100m": ["--min-photos", "5"],
    "yfcc100m of SQLite": ["--min-photos", "5"],
    "yfcc100m of JSON": ["--min-photos", "5"],
    "yfcc100m of the hub": ["--min-photos", "5"],
    "simulated": ["--seed", "1"],
    "simulated by two": ["--seed", "1"],
}


def few(*names) -> list[str]:
    """The commands that are tried by default; all of them where there is time."""
    return [*COMMANDS] if KILLS else [*names]


def command_line(arguments, folder, log, notebooks):
    """A command in a process of its own, with small blocks, trainings and notebooks."""
    os.setsid()  # as a terminal has it: ctrl-C is for all of the group
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests ignore it
    os.chdir(folder)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
    os.environ[TOKEN] = str(log)
    sys.argv = ["hashtag-core", *arguments]
    if arguments[:2] == ["prepare", "table"]:
        table_module.ROWS_OF_PIECE = 100
    elif arguments[1] == "yfcc100m":
        from hashtag_core.sources import yfcc100m

        yfcc100m.BLOCK = 50_000
    elif arguments[0] == "tutorial":
        from hashtag_core.course import tutorial

        tutorial.repository_folder = {"notebooks": notebooks}.get
    elif arguments[0] == "quickstart":
        from hashtag_core.training.state import TrainConfig

        small = TrainConfig.small
        TrainConfig.small = lambda seed=0: small(seed).__class__(
            **{**vars(small(seed)), "epochs": 2}
        )
    sys.exit(cli.main())


class Program:
    """A command that runs; `arguments` may name `{inputs}`. Not `anew`, it has the libraries."""

    def __init__(self, arguments, folder, inputs, anew=False, log="log"):
        context = multiprocessing.get_context("spawn" if anew else "forkserver")
        if not anew:
            context.set_forkserver_preload(LIBRARIES)
        self.log = inputs / f"{folder.parent.name}-{folder.name}.{log}"
        arguments = [argument.format(inputs=inputs) for argument in arguments]
        self.process = context.Process(
            target=command_line, args=(arguments, folder, self.log, inputs / "notebooks")
        )
        self.process.start()
        self.begin = time.monotonic()

    def wait(self) -> int:
        """Its exit code, when it and all that it started are gone."""
        self.process.join(SECONDS)
        self.seconds = time.monotonic() - self.begin
        if self.process.exitcode is None:
            self.process.kill()
            pytest.fail(f"it hangs:\n{self.printed()}")
        end = time.monotonic() + 30  # torch's workers look every five seconds
        while left := self.started():
            assert time.monotonic() < end, f"left behind: {left}\n{self.printed()}"
            time.sleep(0.05)
        return self.process.exitcode

    def stop(self, number, after, times=1) -> None:
        """Send a signal, after so many seconds; SIGTERM and ctrl-C when Python itself has begun."""
        if number != signal.SIGKILL:
            self.await_ears()
        time.sleep(after)
        send = os.killpg if number == signal.SIGINT else os.kill
        for _ in range(times):
            with suppress(ProcessLookupError):
                send(self.process.pid, number)
            time.sleep(0.005)

    def started(self) -> dict[int, str]:
        """The command lines of the processes that it started, and that are still there."""
        mark, found = f"{TOKEN}={self.log}\0".encode(), {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
        return found

    def await_ears(self) -> None:
        """Wait until it listens to SIGTERM."""
        while self.process.is_alive() and not self.hears():
            time.sleep(0.001)

    def hears(self) -> bool:
        """Whether it listens to SIGTERM."""
        with suppress(FileNotFoundError):
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            caught = dict(line.split(":\t", 1) for line in lines if ":\t" in line)["SigCgt"]
            return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)
        return False

    def printed(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def errors(self) -> list[str]:
        """The lines that say what went wrong; nothing else may look like an error."""
        printed = self.printed()
        assert "Traceback" not in printed and "Exception ignored" not in printed, printed
        lines = printed.replace("\r", "\n").splitlines()
        return [line.partition("hashtag-core: ")[2] for line in lines if "hashtag-core: " in line]


def contents(folder) -> dict:
    """Path -> bytes of all files; of a benchmark, what is not a time.

    Features change between two names: a finished run begins anew.
    """
    files = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
    found = {name: path.read_bytes() for name, path in files.items()}
    if b'"time_ratio"' in found.get("rows.json", b""):
        rows = json.loads(found["rows.json"])
        found["rows.json"] = [sorted(row) for row in rows]
    if "out/features.next.npy" in found:
        found["out/features.npy"] = found.pop("out/features.next.npy")
        found["out/meta.json"] = found["out/meta.json"].replace(b".next.npy", b".npy")
    return found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What the commands read."""
    from hashtag_core.benchmarks.yfcc100m_forms import write_form
    from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample

    folder = tmp_path_factory.mktemp("inputs")
    rows = [f"u{i % 20},2001-01-{1 + i % 28:02d},cat{i % 90} dog{i % 7}" for i in range(2000)]
    (folder / "t.csv").write_text("\n".join(["user,time,tags", "u1,soon,cat", *rows, ""]))
    (folder / "pictures").mkdir()
    for i in range(12):
        picture = jpeg(exif(f"2020:01:{i + 1:02d} 03:04:05"), xmp("cat", f"word{i}"))
        (folder / "pictures" / f"{i}.jpg").write_bytes(picture)
    members = {f"photo_{i}.json": description(str(i)) for i in range(100, 140)}
    members |= {f"cat_{i}_o.jpg": encode(noise(), "JPEG") for i in range(100, 104)}
    zip_of(folder / "export.zip", members)
    sample = write_yfcc100m_sample(folder / "sample.tsv", 1500)
    write_form(sample, folder / "sample.sql", "sqlite")
    write_form(sample, folder / "shards", "shards")
    write_form(sample, folder / "hub", "hub")
    prepare_simulated(folder / "site", 24, 10, 400)
    write_pictures(folder / "to look at")
    (folder / "mine.jpg").write_bytes(encode(noise(), "JPEG"))
    write_run(folder / "run")
    write_tiny_notebook(folder / "notebooks")
    return folder


def write_pictures(folder):
    """A collection for `prepare features`."""
    import pyarrow as pa
    from photo_tables import IMAGE, table_of

    from hashtag_core.prepare.writing import write_collection

    images = [{"bytes": encode(red_and_blue(40 + n, 40), "PNG"), "path": None} for n in range(11)]
    rows = [(f"p{n:02d}", f"u{n // 4}", n) for n in range(11)]
    table = table_of(rows, image=pa.array([*images[:-1], None], IMAGE))
    write_collection(
        folder, table, {}, lambda pictures, path: np.save(path, np.ones((11, 3), np.float16))
    )


def write_run(folder):
    """A model that was never trained, for `predict`."""
    import torch

    from hashtag_core.data.hashtags import Hashtags
    from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
    from hashtag_core.training.runs import save_run
    from hashtag_core.training.state import TrainConfig

    torch.manual_seed(0)
    names = ["cat", "dog", "sky", "tree"]
    hashtags = Hashtags(names, torch.randn(4, 50), torch.arange(4, 0, -1))
    model = HashtagModel(ModelConfig.small(d_i=1280, d_w=50))
    about = {"convnet": "efficientnet_lite0"}
    save_run(folder, model, hashtags, TrainConfig.small(), log=[], provenance=about)


def write_tiny_notebook(folder):
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    folder.mkdir()
    cells = [new_code_cell(f"x = {i}\nprint(x)", id=f"cell{i}") for i in range(3)]
    nbformat.write(new_notebook(cells=cells), folder / "01_a.ipynb")


@pytest.fixture(scope="module")
def unkilled(inputs, tmp_path_factory):
    """Command -> (what it starts with, what it makes, the seconds it takes), each made once."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("unkilled")
            start, whole = folder / "start", folder / "whole"
            start.mkdir()
            if name in OLDER:
                program = Program([*COMMANDS[name], *OLDER[name]], start, inputs)
                assert program.wait() == 0, program.printed()
                (start / "r.csv").unlink(missing_ok=True)
            elif name.startswith("features"):
                shutil.copytree(inputs / "to look at", start / "out")
            shutil.copytree(start, whole)
            program = Program(COMMANDS[name], whole, inputs)
            assert program.wait() == 0, program.printed()
            made[name] = start, contents(whole), program.seconds
        return made[name]

    return get


def said_when_stopped(command: list[str]) -> str:
    return cli.STOPPED + (cli.AGAIN if command[0] in cli.GO_ON else "")


def stops(name) -> list[signal.Signals]:
    """By which signals a command is stopped."""
    if not KILLS:
        return [SIGNALS[list(COMMANDS).index(name) % 3]]
    return [signal.SIGKILL] * KILLS + [*SIGNALS[1:]] * (KILLS // 2)


@pytest.mark.parametrize(
    "name",
    few("table", "simulated by two", "features", "train"),
)
def test_stopped_at_any_moment_and_started_again_it_makes_the_same(
    name, inputs, unkilled, tmp_path
):
    start, whole, seconds = unkilled(name)
    rng = random.Random(name)
    for number, signal_ in enumerate(stops(name)):
        here = tmp_path / str(number)
        shutil.copytree(start, here)
        program = Program(COMMANDS[name], here, inputs, anew=number % 4 == 3)
        program.stop(signal_, rng.uniform(0, seconds), times=1 + number % 2)
        code, stopped = program.wait(), said_when_stopped(COMMANDS[name])
        about = f"{number}: {signal_!r}, exit code {code}\n{program.printed()}"
        if code == 128 + signal_:
            assert program.errors() == [stopped], about
        else:  # at its very end, or when it comes again, a signal just ends it
            assert code in (0, -signal_), about
            assert signal_ == signal.SIGKILL or program.errors() in ([], [stopped]), about
        if name in OLDER and (here / "out").exists():
            out = {(n, data) for n, data in contents(here).items() if n.startswith("out/")}
            assert out <= contents(start).items() or out <= whole.items(), about
        again = Program(COMMANDS[name], here, inputs)
        assert again.wait() == 0, about + again.printed()
        assert not again.errors() and contents(here) == whole, about
        shutil.rmtree(here)


# ---- disks that are full, or cannot be written, or vanish


@pytest.fixture
def disk(tmp_path):
    """A folder on a disk of its own, in memory, and a function that changes its mount options."""
    root = tmp_path / "disk"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(root)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")

    def change(options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(root)], check=True)

    (root / "page").write_bytes(bytes(PAGE))  # a size of 0 means any size
    yield root / "here", change
    subprocess.run(["umount", "--lazy", str(root)], check=True)


def used(folder) -> int:
    about = os.statvfs(folder)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


SHARES = (0, 0.05, 0.25, 0.5, 0.75)  # of what a command will write in the end


@pytest.mark.parametrize("name", few("folder", "simulated", "train"))
def test_on_a_full_disk_one_line_and_what_was_there_is_still_there(name, inputs, unkilled, disk):
    start, whole, _ = unkilled(name)
    here, change = disk
    size = sum(map(len, whole.values()))
    rooms = [int(share * size) // PAGE * PAGE for share in SHARES]
    number = list(COMMANDS).index(name) % len(rooms)
    for room in dict.fromkeys(rooms if KILLS else rooms[number:][:1]):
        change("size=64m")
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(start, here)
        change(f"size={used(here) + room}")
        program = Program(COMMANDS[name], here, inputs)
        assert program.wait() == 2, f"{room} bytes: {program.printed()}"
        [line] = program.errors()
        assert "disk is full" in line or "No space left" in line, line
        kept = contents(here)
        assert contents(start).items() <= kept.items()
        assert not [n for n in kept if n.endswith((".partial", ".lock"))]
        change("size=64m")
        again = Program(COMMANDS[name], here, inputs)
        assert again.wait() == 0, again.printed()
        assert contents(here) == whole


@pytest.mark.parametrize("name", few("folder", "train"))
def test_what_cannot_be_written_is_one_line(name, inputs, unkilled, disk):
    here, change = disk
    shutil.copytree(unkilled(name)[0], here)
    change("ro")
    program = Program(COMMANDS[name], here, inputs)
    assert program.wait() == 2, program.printed()
    [line] = program.errors()
    assert "Read-only file system" in line, line


@pytest.mark.parametrize("name", few("yfcc100m", "train"))
def test_a_folder_that_vanishes_is_one_line(name, inputs, unkilled, tmp_path):
    start, _, seconds = unkilled(name)
    rng = random.Random(name)
    for number in range(max(1, KILLS // 4)):
        here = tmp_path / str(number)
        shutil.copytree(start, here)
        program = Program(COMMANDS[name], here, inputs)
        program.await_ears()
        time.sleep(rng.uniform(0, 0.9) * seconds)
        for path in here.iterdir():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        code = program.wait()
        assert (code, len(program.errors())) in ((0, 0), (2, 1)), program.printed()


# ---- processes that work for another one


def processes_of(program, text) -> list[int]:
    """Those that a program has started, whose command line has this text; waits for them."""
    end = time.monotonic() + SECONDS
    while not (found := [pid for pid, line in program.started().items() if text in line]):
        assert time.monotonic() < end and program.process.is_alive(), program.printed()
        time.sleep(0.01)
    return found


LARGE = [*SIMULATED, "--users", "20000", "--workers", "2"]  # the last one counts


@pytest.mark.parametrize("after", [0, 0.2, 1])
def test_a_killed_worker_is_one_line(after, inputs, tmp_path):
    program = Program(LARGE, tmp_path, inputs)
    workers = processes_of(program, "spawn_main")
    time.sleep(after)
    os.kill(workers[-1], signal.SIGKILL)
    assert program.wait() == 2, program.printed()
    [line] = program.errors()
    assert "a worker process was killed" in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize("signal_", SIGNALS)
def test_workers_end_with_the_one_that_started_them(signal_, inputs, tmp_path):
    program = Program(LARGE, tmp_path, inputs)
    processes_of(program, "spawn_main")
    program.stop(signal_, 1)
    assert program.wait() in (-signal_, 128 + signal_)  # it waits for them
    assert program.errors() in ([], [said_when_stopped(LARGE)])


# ---- two at a time


def test_two_tables_at_once_in_one_folder(inputs, unkilled, tmp_path):
    """The second one is refused where they meet, or finds what the first one has made."""
    _, whole, _ = unkilled("a table")
    two = [Program(COMMANDS["a table"], tmp_path, inputs, log=i) for i in ("first", "second")]
    codes = sorted(program.wait() for program in two)
    errors = [line for program in two for line in program.errors()]
    assert (codes, len(errors)) in (([0, 2], 1), ([0, 0], 0))
    assert all("another run is writing to it" in line for line in errors)
    again = Program(COMMANDS["a table"], tmp_path, inputs)
    assert again.wait() == 0 and contents(tmp_path) == whole


def test_what_another_run_trains_or_computes_is_refused(tmp_path, site):
    from hashtag_core.study.study import Study

    study = Study(PhotoCollection.load(site), tmp_path, device="cpu")
    folder = study.path(0, "open", "user agnostic")
    for busy in (folder / "checkpoint.pt", folder / "prediction.json"):
        refused = pytest.raises(InputError, match=f"{busy}: another run is writing to it")
        with locked(busy), refused:
            study.prediction(0, "open", "user agnostic")
    assert not [*tmp_path.rglob("*.lock")]


def test_a_second_site_in_one_place_is_refused(tmp_path):
    with locked(tmp_path / "out"), pytest.raises(InputError, match="another run is writing to it"):
        prepare_simulated(tmp_path / "out", 10, 10, 400)
    assert not [*tmp_path.iterdir()]


def test_a_lock_is_never_somebody_s_own_file(tmp_path):
    (tmp_path / ".out.hashtag-core.lock").write_text("mine")
    with pytest.raises(InputError, match="is needed as a lock"), locked(tmp_path / "out"):
        pass
    assert (tmp_path / ".out.hashtag-core.lock").read_text() == "mine"


# ---- after a power cut


@pytest.mark.parametrize("damage", ["empty", "zeros", "cut off", "gone"])
@pytest.mark.parametrize("name", ["blocks/*-000001.parquet", "*.done", "job.json"])
def test_what_a_power_cut_left_of_the_work_is_made_again(name, damage, tmp_path, monkeypatch):
    monkeypatch.setattr(table_module, "ROWS_OF_PIECE", 10)
    rows = [f"u{i % 3},{'soon' if i == 2 else '2001-01-01'},cat dog{i}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["user,time,tags", *rows, ""]))

    def make(out, rejected):
        source = Table(tmp_path / "t.csv", "user", "time", "tags")
        return contents(prepare(source, tmp_path / out, rejected=tmp_path / rejected))

    whole = make("whole", "whole.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Selected, "account", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make("out", "r.csv")
    [path] = (tmp_path / "out.hashtag-core").glob(name)
    data = path.read_bytes()
    left = {"empty": b"", "zeros": bytes(len(data)), "cut off": data[: len(data) // 2]}
    path.write_bytes(left[damage]) if damage in left else path.unlink()
    assert make("out", "r.csv") == whole
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_block_that_is_spoilt_meanwhile_is_told_with_the_folder(tmp_path, monkeypatch):
    rows = [f"u{i % 3},2001-01-01,cat{i * 7919 % 997}" for i in range(3000)]
    (tmp_path / "t.csv").write_text("\n".join(["user,time,tags", *rows, ""]))
    source = Table(tmp_path / "t.csv", "user", "time", "tags")
    run = Staging.run

    def spoilt(staging):
        report = run(staging)
        [path] = (staging.folder / "blocks").iterdir()
        data = path.read_bytes()
        path.write_bytes(data[:100] + bytes(2000) + data[2100:])
        return report

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "run", spoilt)
        with pytest.raises(InputError, match=r"out.hashtag-core: damaged.*Remove that folder"):
            prepare(source, tmp_path / "out")
    prepare(source, tmp_path / "out")  # which finds that it is not as it was written
    prepare(source, tmp_path / "again")
    one, other = (tmp_path / name / "photos.parquet" for name in ("out", "again"))
    assert one.read_bytes() == other.read_bytes()


# ---- the program itself


def test_signals_are_the_program_s_not_the_library_s(capsys):
    before = [signal.getsignal(number) for number in SIGNALS[1:]]
    assert cli.main(["prepare", "table", "nowhere.csv", *COLUMNS, *OUT]) == 2
    assert [signal.getsignal(number) for number in SIGNALS[1:]] == before


@pytest.mark.parametrize("to", ["nobody", "a full disk"])
def test_what_is_printed_to_nobody_or_a_full_disk_is_no_traceback(to, tmp_path):
    line = [sys.executable, "-m", "hashtag_core.cli", *SIMULATED]
    reader, writer = os.pipe()
    os.close(reader)
    out = writer if to == "nobody" else os.open("/dev/full", os.O_WRONLY)
    ran = subprocess.run(line, cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, text=True)
    errors = [text for text in re.split(r"[\r\n]+", ran.stderr) if text and "users:" not in text]
    full = (2, ["hashtag-core: No space left on device."])
    assert (ran.returncode, errors) == ((141, []) if to == "nobody" else full)
