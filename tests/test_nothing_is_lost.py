"""No file of the user's is lost, whatever lies where and wherever a command is killed."""

import io
import json
import os
import shutil
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from picture_files import encode, red_and_blue

from hashtag_core import cli
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.prepare.ingest import prepare
from hashtag_core.prepare.places import ABOUT
from hashtag_core.sources.table import Table

LAYOUTS = int(os.environ.get("HASHTAG_CORE_LAYOUTS", 100))
TABLE = "user,time,tags\nann,2001-01-01,cat\nbob,soon,dog\nbob,2001-01-01,dog\n"
COLUMNS = ["--user", "user", "--time", "time", "--hashtags", "tags"]
PICTURE = encode(red_and_blue(8, 8), "PNG")


class Killed(BaseException):
    """In place of SIGKILL: from now on nothing is written or removed, not even to tidy up."""


# ---- the cases of the report


def command(*arguments):
    return cli.main([str(argument) for argument in arguments])


def contents(folder):
    """Path -> bytes of every file, or where a link leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[path] = path.readlink()
        elif path.is_file():
            found[path] = path.read_bytes()
    return found


def run(arguments: list[str]) -> int | None:
    """The exit code, None where it was killed."""
    quiet = io.StringIO()
    with redirect_stdout(quiet), redirect_stderr(quiet):
        try:
            return cli.main(arguments)
        except Killed:
            return None
        except SystemExit as stopped:
            return stopped.code


@pytest.fixture
def pictures(tmp_path):
    """A folder of somebody's pictures, with a meta.json of another program's."""
    folder = tmp_path / "pics"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(PICTURE)
    (folder / "0.xmp").write_text("<x/>")
    (folder / "meta.json").write_text('{"album": "summer"}')
    return folder


@pytest.mark.parametrize("out", ["pics", "pics/inner", "."])
def test_a_folder_is_not_made_of_itself(pictures, out, capsys):
    before = contents(pictures.parent)
    assert command("prepare", "folder", pictures, "--out", pictures.parent / out) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and "Name another" in shown
    assert contents(pictures.parent) == before


@pytest.mark.parametrize("way", ["table", "simulated"])
@pytest.mark.parametrize(
    "said", [{}, {"format_version": 1}, {"format_version": 1, "counts": {"photos": 1}}, [1]]
)
def test_a_meta_json_of_another_program_makes_no_collection(way, said, tmp_path, capsys):
    site = tmp_path / "site"
    site.mkdir()
    (site / "meta.json").write_text(json.dumps(said))
    (site / "thesis.txt").write_text("years of work")
    (tmp_path / "t.csv").write_text(TABLE)
    before = contents(tmp_path)
    table = ["table", tmp_path / "t.csv", *COLUMNS]
    simulated = ["simulated", "--users", 10, "--photos", 10]
    assert command("prepare", *(table if way == "table" else simulated), "--out", site) == 2
    assert "something else than a photo collection" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_collection_with_something_else_in_it_is_not_replaced(tmp_path, capsys):
    table, out = tmp_path / "t.csv", tmp_path / "o"
    table.write_text(TABLE)
    assert command("prepare", "table", table, *COLUMNS, "--out", out) == 0
    table.write_text(TABLE + "cem,2002-02-02,cat\n")
    for name in ("thesis.txt", "words.txt", "sub/photos.parquet"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("years of work")
        before = contents(tmp_path)
        assert command("prepare", "table", table, *COLUMNS, "--out", out) == 2
        assert f"not the collection's: {name.split('/')[0]}" in capsys.readouterr().err
        assert contents(tmp_path) == before
        (out / name).unlink()
    (out / "sub").rmdir()
    assert command("prepare", "table", table, *COLUMNS, "--out", out) == 0
    assert len(PhotoCollection.load(out)) == 3
    assert command("prepare", "simulated", "--users", 10, "--photos", 10, "--out", out) == 0
    assert command("prepare", "table", table, *COLUMNS, "--out", out) == 0  # with its words.txt
    assert len(PhotoCollection.load(out)) == 3


def test_a_table_within_the_collection_that_it_would_replace_is_refused(tmp_path, capsys):
    table, out = tmp_path / "t.csv", tmp_path / "o"
    table.write_text(TABLE)
    assert command("prepare", "table", table, *COLUMNS, "--out", out) == 0
    before = contents(tmp_path)
    ways = "--user", "user", "--time", "time", "--hashtags", "hashtags"
    for file in (out / "photos.parquet", out / ".." / "o" / "photos.parquet"):
        assert command("prepare", "table", file, *ways, "--out", out) == 2
        with pytest.raises(InputError, match="may be replaced"):
            prepare(Table(file, "user", "time", "hashtags"), out)
    assert contents(tmp_path) == before


def test_a_finished_collection_that_lost_a_file_is_made_again(tmp_path, capsys):
    table, out = tmp_path / "t.csv", tmp_path / "o"
    table.write_text(TABLE)
    for name in ("photos.parquet", "features.npy", "report.json", "report.txt"):
        assert command("prepare", "table", table, *COLUMNS, "--out", out) == 0
        (out / name).unlink()
    assert command("prepare", "table", table, *COLUMNS, "--out", out) == 0
    assert f"Written: {out}" in capsys.readouterr().out
    assert len(PhotoCollection.load(out)) == 2


def test_features_of_somebody_else_s_are_neither_removed_nor_written_over(tmp_path, capsys):
    from hashtag_core.prepare.feature_files import FeatureFiles

    mine = tmp_path / "features.next.npy"
    np.save(mine, np.ones((2, 3)))
    before = contents(tmp_path)
    with pytest.raises(InputError, match="move it elsewhere"):
        FeatureFiles(mine).begin({"a": 1}, 2, 3)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("option", ["--json", "--rejected"])
@pytest.mark.parametrize("name", ["t.csv", "thesis.txt", "link.csv", "folder", "no/r.csv", "o/r"])
def test_what_a_command_writes_is_never_what_it_reads(option, name, tmp_path, capsys, monkeypatch):
    """Whatever is named, it is said before the work, and everything is as it was."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "image.png").write_bytes(PICTURE)
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "link.csv").symlink_to("t.csv")
    (tmp_path / "folder").mkdir()
    (tmp_path / "o").mkdir()
    before = contents(tmp_path)
    if option == "--json":
        arguments = ["predict", "--image", "image.png", "--history", "t.csv", "--run", "o"]
    else:
        arguments = ["prepare", "table", "t.csv", *COLUMNS, "--out", "o"]
    assert command(*arguments, option, name) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and (option in shown or "--rejected" in shown)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("option", "name", "content"),
    [
        ("--json", "family.json", b'[\n  {"my": "family tree"}\n]\n'),
        ("--json", "plot.py", b"import matplotlib.pyplot as plt\n"),
        ("--json", "table.csv", b"# command: hashtag-core table 1\n"),
        ("--figure", "mine.png", b"\x89PNG\r\n\x1a\n....tEXtSoftware\0Matplotlib version 3.9"),
        ("--figure", "mine.svg", b"<!-- Created with matplotlib -->"),
    ],
)
def test_only_results_of_the_same_kind_are_written_over(option, name, content, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)
    assert command("benchmark", "ranking", option, tmp_path / name) == 2
    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_figure_of_ours_is_known_again(kind, tmp_path):
    from matplotlib.figure import Figure

    from hashtag_core.files import refuse_others
    from hashtag_core.plots.style import save

    figure = Figure()
    figure.add_subplot().plot(range(1000))
    figure.savefig(tmp_path / f"mine.{kind}")
    save(figure, tmp_path / f"ours.{kind}")
    refuse_others(tmp_path / f"ours.{kind}", "figure")
    with pytest.raises(InputError, match="holds something else"):
        refuse_others(tmp_path / f"mine.{kind}", "figure")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--figure", "f.xyz"], "a .png, .svg or .pdf"),
        (["--figure", "f"], "a .png, .svg or .pdf"),
        (["--json", "x" * 245 + ".json"], "too long"),
    ],
)
def test_names_that_cannot_be_written_are_said_before_the_work(options, message, tmp_path, capsys):
    assert command("benchmark", "ranking", options[0], tmp_path / options[1]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError, Killed])
def test_stopped_between_the_two_steps_the_older_collection_comes_back(stop, tmp_path, monkeypatch):
    """At once, or, after a kill, with the next start, even one that makes nothing."""
    table, out = tmp_path / "t.csv", tmp_path / "o"
    table.write_text(TABLE)
    simulated = "prepare", "simulated", "--users", "10", "--photos", "10", "--out", str(out)
    assert command("prepare", "table", table, *COLUMNS, "--out", out) == 0
    before = contents(out)
    replace = Path.replace

    def stopped(self, target):
        if self.name == "new":
            raise stop
        if stop is Killed and self.name == "old":
            raise stop  # nothing is tidied up
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopped)
        run([*simulated])
    if stop is Killed:
        assert not out.exists()
        nothing = "--min-photos", "9", "--max-photos", "9"
        assert command("prepare", "table", table, *COLUMNS, "--out", out, *nothing) == 2
    assert contents(out) == before
    assert command(*simulated) == 0 and len(PhotoCollection.load(out).users) == 10
    assert not (tmp_path / "o.hashtag-core").exists()


@pytest.mark.parametrize("name", ["new", "old", "blocks"])
def test_a_link_in_the_place_for_the_work_is_not_followed(name, tmp_path, capsys):
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "o.hashtag-core").mkdir()
    (tmp_path / "o.hashtag-core" / "README.txt").write_text(ABOUT)
    (tmp_path / "o.hashtag-core" / name).symlink_to("../mine")
    before = contents(tmp_path)
    assert command("prepare", "table", tmp_path / "t.csv", *COLUMNS, "--out", tmp_path / "o") == 2
    assert "is a link" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["r.csv", "r.json", "table-data.csv", "table-data.png"])
def test_a_link_to_a_result_stays_one_and_what_it_leads_to_is_written(name, site, tmp_path):
    """Nor is a file of the user's in the way that a library would choose by itself: tmp_r.csv."""
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / f"tmp_{name}").write_text("years of work")
    (tmp_path / "results").mkdir()
    target = tmp_path / "results" / "there"
    target.touch()
    (tmp_path / name).symlink_to(target)
    if name == "r.csv":
        out = "--out", tmp_path / "o", "--rejected", tmp_path / name
        assert command("prepare", "table", tmp_path / "t.csv", *COLUMNS, *out) == 0
    else:
        told = "--json", tmp_path / "r.json"
        assert command("table", "data", "--data", site, "--out", tmp_path, *told) == 0
    assert (tmp_path / name).readlink() == target and target.stat().st_size
    assert (tmp_path / f"tmp_{name}").read_text() == "years of work"


def test_the_folder_that_one_is_in_is_not_replaced(tmp_path, monkeypatch, capsys):
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "o").mkdir()
    monkeypatch.chdir(tmp_path / "o")
    assert command("prepare", "table", "../t.csv", *COLUMNS, "--out", ".") == 2
    assert "the folder you are in" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["table-data.csv", "table-data.png"])
def test_results_are_not_written_over_what_is_no_result(name, site, tmp_path, capsys):
    arguments = "table", "data", "--data", site, "--out", tmp_path
    (tmp_path / name).write_text("years of work")
    before = contents(tmp_path)
    assert command(*arguments) == 2
    assert f"{name} is there, and holds something else" in capsys.readouterr().err
    assert contents(tmp_path) == before
    (tmp_path / name).unlink()
    for _ in range(2):  # its own are written over
        assert command(*arguments, "--json", tmp_path / "r.json") == 0
    assert len(contents(tmp_path)) == 3


def test_every_option_that_names_a_path_is_looked_at():
    """An option of a FILE or DIR has a type of `commands.paths`."""
    from hashtag_core.commands.paths import Read, Written, WrittenFolder

    def actions(parser):
        for action in parser._actions:
            if isinstance(action.choices, dict):  # the commands of a command
                for inner in action.choices.values():
                    yield from actions(inner)
            else:
                yield action

    paths = [a for a in actions(cli._parser()) if a.metavar in ("FILE", "DIR", "ZIP", "TABLE")]
    assert len(paths) > 20
    for action in paths:
        assert issubclass(action.type, Read | Written | WrittenFolder), action.dest
    for action in actions(cli._parser()):
        assert action.dest not in ("out", "json") or action in paths or action.type, action.dest


# ---- any layout, any command, killed anywhere

NAMES = [
    "t.csv", "o", "o/meta.json", "o/photos.parquet", "o/features.npy", "o/report.txt", "o/pic.png",
    "o/words.txt", "o/sub/thesis.txt", "o/meta.json.partial", "o/.meta.json.hashtag-core.partial",
    "o.partial", "o.partial/thesis.txt", "o.replaced/thesis.txt", "o.staging/job.json",
    "o.staging/blocks/000000-000000.parquet", "o.lock", "o.hashtag-core",
    "o.hashtag-core/thesis.txt", "o.hashtag-core/README.txt", "o.hashtag-core/job.json",
    "o.hashtag-core/new/thesis.txt", ".o.hashtag-core.lock", "r.csv", "pics/a.png", "pics/a.xmp",
    "pics/meta.json", "pics/o/b.png", "table-data.csv", "o/table-data.png", "runs/table-data.csv",
]  # fmt: skip
TEXTS = [
    b"years of work",
    b"",
    b"{}",
    b'{"made_by": "somebody"}',
    b'{"format_version": 1, "counts": {"photos": 2, "users": 2}}',
    TABLE.encode(),
    PICTURE,
]
WAYS = ["table", "folder", "simulated", "data"]
OUTS = ["o", "o/inner", "pics", "pics/o", "t.csv", ".", "runs", "o.partial", "o.hashtag-core"]

layouts = st.fixed_dictionaries(
    {
        "files": st.dictionaries(st.sampled_from(NAMES), st.sampled_from(TEXTS), max_size=8),
        "links": st.dictionaries(
            st.sampled_from(["o", "o/link", "r.csv", "o.partial", "o.hashtag-core"]),
            st.sampled_from(["pics", "t.csv", "nowhere", "o.staging"]),
            max_size=1,
        ),
        "collection": st.sampled_from([None, "o", "o/inner", "pics"]),
        "way": st.sampled_from(WAYS),
        "source": st.sampled_from(["input", "input", "input", "t.csv", "o/t.csv", "pics", "o"]),
        "out": st.sampled_from(OUTS),
        "rejected": st.sampled_from([None, *NAMES]),
        "json": st.sampled_from([None, None, *NAMES]),
        "killed": st.none() | st.integers(0, 80),
    }
)


class Killer:
    """Counts what is done to the file system, and ends the run at a certain number."""

    EVENTS = frozenset(
        {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link"}
    )

    def __init__(self) -> None:
        self.left: int | None = None
        self.root = ""
        sys.addaudithook(self)

    def __call__(self, name: str, arguments: tuple) -> None:
        if self.left is None or name not in self.EVENTS:
            return
        if not isinstance(arguments[0], str | Path) or self.root not in str(arguments[0]):
            return
        self.left -= 1
        if self.left < 0:
            raise Killed


@pytest.fixture(scope="module")
def killer():
    return Killer()


@pytest.fixture(scope="module")
def ours(tmp_path_factory, site):
    """Two collections as this program makes them, and one for studies."""
    folder = tmp_path_factory.mktemp("ours")
    (folder / "t.csv").write_text("user,time,tags\ndan,2003-01-01,bird\n")
    prepare(Table(folder / "t.csv", "user", "time", "tags"), folder / "made")
    return {"made": folder / "made", "site": site}


def lay_out(root: Path, layout: dict, ours: dict) -> None:
    """Make the files; what does not fit to what is there already is left out."""
    (root / "input").mkdir()  # what is read, more often than not
    (root / "input" / "t.csv").write_text(TABLE)
    (root / "input" / "a.png").write_bytes(PICTURE)
    (root / "input" / "a.txt").write_text("cat")
    if layout["collection"] is not None:
        shutil.copytree(ours["made"], root / layout["collection"])
    for name, target in layout["links"].items():
        path = root / name
        if not path.exists() and not path.is_symlink() and path.parent.is_dir():
            path.symlink_to(target)
    for name, text in layout["files"].items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() and not path.is_symlink():
                path.write_bytes(text)
        except OSError:  # a file is where a folder would be needed
            continue


def arguments_of(layout: dict, root: Path, ours: dict) -> list[str]:
    out, source = str(root / layout["out"]), root / layout["source"]
    if layout["way"] == "table" and source.is_dir():
        source /= "t.csv"
    rejected = [] if layout["rejected"] is None else ["--rejected", str(root / layout["rejected"])]
    if layout["way"] == "table":
        return ["prepare", "table", str(source), *COLUMNS, "--out", out, *rejected]
    if layout["way"] == "folder":
        return ["prepare", "folder", str(source), "--out", out, "--no-features", *rejected]
    if layout["way"] == "simulated":
        return ["prepare", "simulated", "--users", "10", "--photos", "10", "--out", out]
    told = [] if layout["json"] is None else ["--json", str(root / layout["json"])]
    return ["table", "data", "--data", str(ours["site"]), "--out", out, *told]


OF_OURS = "photos.parquet", "features.npy", "meta.json", "report.json", "report.txt"


def of_the_user(before: dict, root: Path, layout: dict, ours: dict) -> dict:
    """What must be there afterwards: all but a whole collection of ours that --out names."""
    out = (root / layout["out"]).resolve()
    made = {root / layout["collection"] / name for name in OF_OURS} if layout["collection"] else ()
    same = {p for p in made if before.get(p) == (ours["made"] / p.name).read_bytes()}
    inside = {p for p in before if out in (p, *p.parents)}
    replaceable = inside == same and layout["way"] != "data"
    nothing = {p for p, content in before.items() if content == b""}
    nothing |= {p for p, content in before.items() if left_by_a_run(p, content)}
    return {
        p: content
        for p, content in before.items()
        if not (replaceable and p in same) and p not in nothing and not may_be_ours(content)
    }


def left_by_a_run(path: Path, content: bytes | Path) -> bool:
    """A half-written file or an empty lock, of a name that nobody else gives."""
    lock = path.name.endswith(".hashtag-core.lock") and content == b""
    return lock or path.name.endswith(".hashtag-core.partial")


def may_be_ours(content: bytes | Path | None) -> bool:
    """A result or a mark that this very program left where it was killed."""
    begins = b"# command: hashtag-core", b"file,line,reason,text", ABOUT.encode()
    return isinstance(content, bytes) and content.startswith(begins)


@settings(
    max_examples=LAYOUTS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(layout=layouts)
def test_whatever_lies_where_nothing_is_lost(layout, killer, ours, monkeypatch):
    monkeypatch.setattr("hashtag_core.prepare.staging.WORKERS", 1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        lay_out(root, layout, ours)
        before = contents(root)
        kept = of_the_user(before, root, layout, ours)
        arguments = arguments_of(layout, root, ours)
        killer.root, killer.left = str(root), layout["killed"]
        try:
            code = run(arguments)
        finally:
            killer.left = None
        event(f"{layout['way']}: {'killed' if code is None else code}")
        after = contents(root)
        assert {path: after.get(path) for path in kept} == kept
        if code == 2 and layout["killed"] is None:
            assert (
                not [  # refused: as it was, but for the list of rows left out in an empty file
                    path
                    for path, text in before.items()
                    if after.get(path) != text
                    and not left_by_a_run(path, text)
                    and not (text == b"" and may_be_ours(after.get(path)))
                ]
            )
        code = run(arguments)  # and once more, to the end
        after = contents(root)
        assert {path: after.get(path) for path in kept} == kept
        if code == 0 and layout["way"] != "data":
            assert len(PhotoCollection.load(root / layout["out"]))
