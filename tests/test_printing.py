r"""What comes from outside does no harm where it is shown: terminals, plots, HTML, spreadsheets.

`ODD` clears the terminal, returns, deletes, turns the direction, and forges a line.
"""

import ast
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from helpers import D_I, D_W, WORDS, tiny_model
from html_reading import assert_harmless
from photo_tables import IMAGE
from picture_files import encode, red_and_blue

from hashtag_core import cli, prediction
from hashtag_core.commands.output import as_lines, write_csv, write_json
from hashtag_core.course import doctor, tutorial
from hashtag_core.course.explorer import Explorer
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError, printable
from hashtag_core.plots import diagrams, html_views, learning, numbers, pictures
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.prepare.report import Report
from hashtag_core.prepare.selection import Selected, Selection
from hashtag_core.prepare.staging import LINE_BITS
from hashtag_core.prepare.writing import write_collection
from hashtag_core.printing import progress_bar, say
from hashtag_core.study.figures import Example, Found
from hashtag_core.study.study import Study

LIBRARY = Path(__file__).parents[1] / "hashtag_core"
ODD = "\x1b[2J\r\x08\x9b31m\x1b]8;;x\x07\u202e\u061c\nFORGED"
SAFE = "\\x1b[2J\\r\\x08\\x9b31m\\x1b]8;;x\\x07\\u202e\\u061c\\nFORGED"


def assert_safe(text: str) -> None:
    """No control character but our own: newlines, and the returns of progress bars."""
    assert ODD not in text and ODD.lower() not in text
    for line in re.sub("\r|\x1b\\[A", "", text).split("\n"):  # the bars go up and to the left
        assert printable(line) == line
        assert not line.startswith("FORGED")


# ---- the source of the library


STREAMS = "stdout", "stderr"
MAY_NAME_THEM = "cli.py", "stopping.py"


def prints(source: str, streams: bool = False) -> list[str]:
    """Where a file shows something by another way than `say` and `progress_bar`.

    `streams`: it may name the program's streams, to flush them, say, and not write to them.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        text = ast.unparse(node).split("\n")[0] if hasattr(node, "lineno") else ""
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            tops = {name.partition(".")[0] for name in names}
            wrong = tops & {"tqdm", "logging", "traceback", "pprint", *STREAMS}
        elif isinstance(node, ast.Name):
            wrong = node.id in ("print", "pprint")
        elif isinstance(node, ast.Attribute):
            whose = ast.unparse(node.value)
            wrong = whose == "sys" and node.attr.strip("_") in STREAMS and not streams
            wrong |= whose in ("sys.stdout", "sys.stderr", "stream") and "write" in node.attr
            wrong |= whose in ("warnings", "builtins") and node.attr in ("warn", "print")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "argparse.ArgumentParser":
            wrong = not any(keyword.arg == "add_help" for keyword in node.keywords)
        else:
            wrong = False
        if wrong:
            found.append(f"line {node.lineno}: {text}")
    return found


FILES = sorted(path for path in LIBRARY.rglob("*.py") if path.name != "printing.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_one_place_prints(path):
    assert prints(path.read_text(encoding="utf-8"), path.name in MAY_NAME_THEM) == []


@pytest.mark.parametrize(
    "source",
    [
        "print(name)",
        "def f():\n    list(map(print, names))",
        "import builtins\nbuiltins.print(name)",
        "import sys\nsys.stdout.write(name)",
        "import sys\nsys.__stderr__.write(name)",
        "import sys\nstream = sys.stderr",
        "from sys import stdout",
        "def f():\n    from tqdm.auto import tqdm",
        "import tqdm",
        "import logging",
        "from pprint import pprint",
        "import traceback",
        "import warnings\nwarnings.warn(name)",
        "import argparse\nargparse.ArgumentParser(prog='x')",
    ],
)
def test_another_way_to_print_is_seen(source):
    assert len(prints(source)) >= 1


def test_main_may_prepare_its_streams_and_not_write_to_them():
    assert prints("for stream in (sys.stdout, sys.stderr): stream.flush()", streams=True) == []
    assert prints("sys.stderr.write(name)", streams=True) != []


# ---- say, and the bars


def test_each_argument_is_one_line(capsys):
    say("a", "", ODD, 3)
    say("half \udcff", Path("é 東 👩‍🎨"))
    assert capsys.readouterr().out.split("\n") == [
        "a", "", SAFE, "3", "half \\udcff", "é 東 👩‍🎨", "",
    ]  # fmt: skip


def test_a_line_is_said_above_the_bars(capsys):
    with progress_bar(total=2, desc="outer", leave=True) as bar:
        bar.update()
        say("between")
    printed = capsys.readouterr()
    assert printed.out == "between\n"
    cleared = printed.err.split("\r")
    assert any(part and not part.strip() for part in cleared)  # blanks over the bar
    assert "outer: " in cleared[-1]


def test_a_bar_shows_its_words_and_nothing_else():
    shown = io.StringIO()
    with progress_bar(range(3), f"a{ODD}", unit=f"b{ODD}", file=shown, ncols=400) as bar:
        bar.set_postfix_str(f"c{ODD}")
        for _ in bar:
            bar.set_description(f"d{ODD}")
    text = shown.getvalue()
    assert_safe(text)
    for word in "abcd":
        assert word + SAFE in text
    assert "3/3" in text


# ---- the commands


def spoilt(name: str) -> str:
    return f"{name} {ODD}"


@pytest.fixture(scope="module")
def odd_site(tmp_path_factory):
    """A collection in which every name is odd: users, hashtags, source, ConvNet, folder."""
    rng = np.random.default_rng(0)
    rows = [(user, t) for user in range(15) for t in range(14)]
    tags = [rng.choice(WORDS[:12], size=3, replace=False).tolist() for _ in rows]
    picture = encode(red_and_blue(9, 8), "PNG")
    table = pa.table(
        {
            "photo_id": [f"{n:03d}{ODD}" for n in range(len(rows))],
            "user": [spoilt(f"user{user:02d}") for user, _ in rows],
            "time": pa.array([86_400 * t for _, t in rows], pa.timestamp("s")),
            "hashtags": [list(map(spoilt, names)) for names in tags],
            "image": pa.array([{"bytes": picture, "path": None}] * len(rows), IMAGE),
        }
    )

    def extract(pictures, path):
        np.save(path, rng.normal(size=(len(rows), D_I)).astype(np.float16))
        vectors = rng.normal(size=(len(WORDS), D_W)).round(4).tolist()
        lines = [f"{w} {' '.join(map(str, v))}\n" for w, v in zip(WORDS, vectors, strict=True)]
        (path.parent / "words.txt").write_text("".join(lines), encoding="utf-8")

    meta = {"source": spoilt("source"), "licence": spoilt("licence"), "words": "words.txt"}
    meta["convnet"] = {"name": spoilt("net"), "weights": spoilt("weights")}
    folder = tmp_path_factory.mktemp("data") / spoilt("odd")
    write_collection(folder, table, meta, extract)
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Where all commands of these tests write, so that models are trained once."""
    return tmp_path_factory.mktemp("out") / spoilt("out")


@pytest.fixture
def run(capsys):
    """Run a command: what it printed, which does no harm."""

    def run(*arguments, code=0):
        capsys.readouterr()
        ended = cli.main(list(map(str, arguments)))
        printed = capsys.readouterr()
        assert ended == code, printed.err
        assert_safe(printed.out)
        assert_safe(printed.err)
        return printed.out + printed.err

    return run


def test_train_predict_and_figures_show_odd_names(odd_site, out, run, monkeypatch, tmp_path):
    study = "--data", odd_site, "--out", out, "--device", "cpu", "--epochs", "1"
    printed = run("train", *study)
    [trained] = re.findall("^Trained: (.*)$", printed, re.M)
    assert SAFE in trained
    assert f"Figure: {printable(str(out))}" in run("figure", "predictions", *study)

    def fake_convnet(name, device):
        return lambda pictures: torch.zeros(len(pictures), D_I)

    monkeypatch.setattr(prediction, "load_convnet", fake_convnet)
    picture, found = tmp_path / "a.png", tmp_path / "f.json"
    picture.write_bytes(encode(red_and_blue(9, 8), "PNG"))
    history = tmp_path / "h.csv"
    history.write_text("image,hashtags\na.png,sun sea\n")
    [folder] = {path.parent for path in out.rglob("run.json")}
    asked = "predict", "--image", picture, "--run", folder, "--device", "cpu"
    lines = run(*asked, "--history", history, "-k", "4", "--json", found).splitlines()
    assert sum(line.endswith(SAFE) for line in lines) >= 2  # beside the user's own two
    lines = run(*asked, "--paper", "--history", history, "-k", "3", "--json", found).splitlines()
    assert sum(line.endswith(SAFE) for line in lines) == 3
    assert all(row["hashtag"].endswith(ODD) for row in json.loads(found.read_text()))
    names = f"sun \udcff,sea {ODD}".lower()
    lines = run(*asked, "--hashtags", names, "--json", found).splitlines()
    assert sum(line.endswith(("sun \\udcff", f"sea {SAFE.lower()}")) for line in lines) == 2
    assert {row["hashtag"] for row in json.loads(found.read_text())} == set(names.split(","))


def test_a_table_of_odd_data_has_one_line_for_each_comment(odd_site, out, run):
    printed = run("table", "data", "--data", odd_site, "--out", out, "--device", "cpu")
    assert f"Table:  {printable(str(out))}" in printed
    text = (out / "table-data.csv").read_text(encoding="utf-8")
    head = [line for line in text.split("\n") if line.startswith("#")]
    assert len(head) == 4 and len(pd.read_csv(out / "table-data.csv", comment="#")) > 5
    assert_safe(text)
    assert SAFE in head[0] and f"data: source {SAFE}, sha256" in head[2]


def test_quickstart_shows_odd_names(odd_site, run, tmp_path, two_epochs):
    printed = run("quickstart", "--data", odd_site, "--out", tmp_path / spoilt("q"))
    assert f"from {printable(odd_site.name)}." in printed
    assert f"--run {printable(str(tmp_path / spoilt('q')))}" in printed
    assert "\nNext: " in printed


def test_what_prepare_reads_is_shown_line_by_line(run, tmp_path):
    path = tmp_path / f"{spoilt('t')}.csv"
    rows = [{"who": f"ann{ODD}", "when": "2001-01-02", "tags": f"cat\x1b[2J{n}"} for n in range(4)]
    rows.append({"who": "bob", "when": ODD, "tags": "dog"})
    pd.DataFrame(rows).to_csv(path, index=False)
    columns = "--user", "who", "--time", "when", "--hashtags", "tags"
    out = tmp_path / spoilt("o")
    for more in ((), ("--dry-run",)):
        printed = run("prepare", "table", path, *columns, "--out", out, "--no-features", *more)
        assert "5  rows read" in printed
    assert printable(path.name) in printed and "#cat" in printed  # in the dry run


def test_a_check_of_the_doctor_is_two_lines(run, monkeypatch):
    def look():
        raise OSError(ODD)

    checks = {"one": (look, ODD), "two": (lambda: (False, ODD), "mend")}
    monkeypatch.setattr(doctor, "CHECKS", checks)
    lines = run("doctor", code=1).splitlines()
    assert lines == [
        f"[FAIL] one: OSError: {SAFE}", f"       what to do: {SAFE}",
        f"[FAIL] two: {SAFE}", "       what to do: mend", "2 to fix first.",
    ]  # fmt: skip


def test_the_pages_of_the_tutorial_are_told_line_by_line(run, monkeypatch, tmp_path):
    done = [{"notebook": spoilt("01"), "seconds": 3, "page": spoilt("page")}]
    monkeypatch.setattr(tutorial, "run_tutorial", lambda *_: done)
    assert len(run("tutorial", "--out", tmp_path).splitlines()) == 2


def test_other_processes_of_torchrun_print_nothing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("who,when,tags\nann,2001-01-01,cat\n")
    command = [sys.executable, "-m", "hashtag_core.cli", "prepare", "table", str(path)]
    command += ["--user", "who", "--time", "when", "--hashtags", "tags", "--dry-run"]
    environment = {**os.environ, "RANK": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=LIBRARY.parent
    )
    assert (done.stdout, done.stderr) == ("", "")


# ---- errors


def test_a_newline_in_an_error_forges_no_line(capsys, monkeypatch):
    for error in (InputError(f"{ODD}: bad."), PermissionError(13, "no", f"{ODD}: bad.")):
        monkeypatch.setattr(doctor, "examine", lambda error=error: (_ for _ in ()).throw(error))
        assert cli.main(["doctor"]) == 2
        shown = capsys.readouterr().err
        assert_safe(shown)
        assert shown.startswith(f"hashtag-core: {SAFE}: bad.") and shown.count("\n") == 1
    assert str(InputError(f"a{ODD}", "b", 3)) == f"a{SAFE}\nb\n3"
    assert str(InputError(f"{InputError('a', 'b')}")) == "a\\nb"


@pytest.mark.parametrize(
    "arguments", [["predict", "--what", ODD], ["table", ODD], ["figure", ODD, ODD]]
)
def test_arguments_that_are_refused_are_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([*arguments, "--image", "x"])
    assert left.value.code == 2
    shown = capsys.readouterr().err
    assert_safe(shown)
    assert "FORGED" in shown


# ---- plots and HTML


ODD_NAMES = [spoilt("$_$"), "$x^$" + ODD, "$\\frac$", "_a$b$", "東\x00"]


def texts_of(figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_plots_show_odd_names_as_they_are(recwarn):
    rng = np.random.default_rng(0)
    log = [{"epoch": n, "loss": 1.0, "valid A@1": 2.0, "valid R@10": 3.0} for n in (1, 2)]
    table = pd.DataFrame({"model": ODD_NAMES, "x": range(1, 6), "A@1": 5.0})
    picture = encode(red_and_blue(9, 8), "PNG")
    example = Example(ODD_NAMES[0], [(picture, ODD_NAMES)], 1, picture, ODD_NAMES, ODD_NAMES)
    found = Found(ODD_NAMES[0], ODD_NAMES[1], [picture], [True], [True])
    names = ["sun", *(f"{word}$_$\u061c" for word in WORDS[1:9])]
    hashtags = Hashtags(names, torch.eye(9, D_W), torch.ones(9).long())
    predictor = HashtagPredictor(tiny_model(), hashtags, device="cpu")
    ways = {name: rng.normal(size=(3, 2)) for name in ODD_NAMES}
    figures = (
        numbers.plot_table(table, ["A@1"], title=ODD_NAMES[0]),
        numbers.plot_curve(table, "x", ["A@1"], title=ODD_NAMES[0]),
        numbers.plot_users(rng.normal(size=(5, 2)), ODD_NAMES, paths=ways),
        learning.plot_learning(dict.fromkeys(ODD_NAMES, log)),
        pictures.plot_examples({ODD_NAMES[0]: [example]}),
        pictures.plot_retrieval([found]),
        diagrams.plot_joint_space(predictor, "sun"),
    )
    for figure in figures:
        figure.canvas.draw()  # parses what it takes for mathematics
        text = texts_of(figure)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u061c]|\nFORGED", text)
    assert "_a$b$" in texts_of(figures[3])  # also a name that matplotlib would hide
    for warning in recwarn:  # of letters that the fonts lack, by their names
        assert_safe(str(warning.message))


def test_html_shows_odd_names_on_one_line(odd_photos, odd_predictor):
    picture = encode(red_and_blue(9, 8), "PNG")
    name = f"<b>{ODD}"
    shown = [
        html_views.photo_cards([(picture, [name])]),
        html_views.ranked_hashtags([(name, 0.5)], [name]),
        html_views.hover_map(np.zeros((1, 2)), [name], [name], [[picture]], [[name] * 2]),
    ]
    for html in shown:
        assert_harmless(html)
        assert f"&lt;b&gt;{SAFE}" in html and not re.search("[\x00-\x1f\x9b\u202e]", html)
    explorer = Explorer(odd_predictor, odd_photos)
    with pytest.raises(InputError) as refused:
        explorer.look(ODD, 0)
    assert_safe(str(refused.value))


# ---- CSV


LIKE_FORMULAS = ["=1+1", "+1", "-1", "@ann", "\t=1", "\r=1", "\n=1", "-black+white", "'=1", "''-1"]
PLAIN = ["cat", "a=b", "1-2", "'s", "#3", "''", "", " =1", "ä@b", 'say "=x"', "a\n# b", "<b>"]


def as_it_was(texts: pd.Series) -> list[str]:
    """One ' in front of such a text is taken away, as data/README.md says."""
    readme = LIBRARY.with_name("data") / "README.md"
    [pattern] = re.findall(r'str\.replace\(r"(.*)", "", regex=True\)', readme.read_text("utf-8"))
    return texts.str.replace(pattern, "", regex=True).tolist()


def test_no_cell_of_a_table_is_a_formula_and_every_text_comes_back(site, tmp_path):
    study = Study(PhotoCollection.load(site), tmp_path, device="cpu")
    names = LIKE_FORMULAS + PLAIN
    values = np.linspace(-3, 3, len(names)).round(4)
    table = pd.DataFrame({"user": names, "x": values, "mixed": [-1, "-1"] * (len(names) // 2)})
    path = tmp_path / "t.csv"
    write_csv(table, study, path, f"table {ODD}\n# data: forged")
    assert path.read_text(encoding="utf-8").count("\n# data: ") == 1
    found = pd.read_csv(path, comment="#", keep_default_na=False)
    assert not found["user"].str.match(r"[=+\-@\t\r\n]").any()
    assert as_it_was(found["user"]) == names
    assert found["user"][len(LIKE_FORMULAS) :].tolist() == PLAIN
    assert found["x"].tolist() == values.tolist()  # negative numbers are numbers
    assert found["mixed"].tolist()[:2] == ["-1", "'-1"]
    assert table["user"].tolist() == names


def test_no_cell_of_the_rejected_rows_is_a_formula_and_every_text_comes_back(tmp_path):
    (tmp_path / "blocks").mkdir()
    fields = [("photo_id", pa.string()), ("user", pa.string()), ("time", pa.timestamp("s"))]
    fields += [("hashtags", pa.list_(pa.string())), ("ord", pa.int64())]
    fields += [("picture", pa.binary()), ("image", pa.string())]
    pq.write_table(pa.schema(fields).empty_table(), tmp_path / "blocks" / "0.parquet")
    texts = LIKE_FORMULAS + [text for text in PLAIN if text]
    rows = {"ord": [(n % 2) << LINE_BITS | n for n in range(1, 1 + len(texts))]}
    rows |= {"reason": texts[::-1], "text": texts}
    pq.write_table(pa.table(rows), tmp_path / "blocks" / "0.rejected")
    selected = Selected(tmp_path, Selection())
    selected.account(Report())
    selected.write_rejected(tmp_path / "r.csv", ["-a.csv", "b.csv"])
    selected.close()
    found = pd.read_csv(tmp_path / "r.csv", keep_default_na=False).sort_values("line")
    cells = found[["file", "reason", "text"]]
    assert not cells.apply(lambda column: column.str.match(r"[=+\-@\t\r\n]")).any(axis=None)
    assert as_it_was(found["text"]) == texts
    assert as_it_was(found["reason"]) == texts[::-1]
    assert set(found["file"]) == {"'-a.csv", "b.csv"}


def test_a_table_on_the_screen_has_one_line_for_each_row():
    lines = as_lines(pd.DataFrame({"model": [spoilt("a"), "b"], "A@1": [1.0, 2.0]}))
    assert len(lines) == 3 and SAFE in lines[1]
    assert len({len(line) for line in lines}) == 1  # still in columns


def test_json_of_a_name_that_is_not_utf_8_comes_back(tmp_path):
    rows = [{"hashtag": f"\udcff{ODD}é"}]
    write_json(SimpleNamespace(json=tmp_path / "f.json"), rows)
    assert json.loads((tmp_path / "f.json").read_text(encoding="utf-8")) == rows
