"""`hashtag-core notebooks | tutorial`: which notebooks run, how, and what stops them."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hashtag_core import cli
from hashtag_core import repository as results
from hashtag_core.course import tutorial
from hashtag_core.errors import InputError
from hashtag_core.sources.simulated import prepare_simulated


@pytest.fixture
def run(capsys):
    """Run a command: (exit code, lines printed, lines of errors that are the command's)."""

    def run(*arguments):
        capsys.readouterr()
        code = cli.main(list(arguments))
        printed = capsys.readouterr()
        assert "Traceback (most recent call last)" not in printed.err.partition("---\n")[0]
        return code, printed.out.splitlines(), printed.err

    return run


# ---- tutorial: which notebooks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder in the place of notebooks/."""
    made = tmp_path / "notebooks"
    made.mkdir()
    monkeypatch.setattr(tutorial, "repository_folder", {"notebooks": made}.get)
    return made


def test_the_notebooks_come_in_their_order_and_can_be_picked(folder):
    for name in ("10_last.ipynb", "02_b.ipynb", "01_a.ipynb", "scratch.ipynb", "03_text.md"):
        (folder / name).touch()

    def names(*given):
        return [path.name for path in tutorial.notebooks(*given)]

    assert names() == ["01_a.ipynb", "02_b.ipynb", "10_last.ipynb"]
    assert names(["10", "01"]) == ["01_a.ipynb", "10_last.ipynb"]
    assert names(["02_b"]) == ["02_b.ipynb"] and names(["1"]) == ["10_last.ipynb"]
    there = r"There are: 01_a\.ipynb, 02_b\.ipynb, 10_last\.ipynb\."
    for given, unknown in {("99", "b"): "99", ("01", "99"): "99", ("02", "b", "10"): "b"}.items():
        with pytest.raises(InputError, match=rf"no notebook {unknown}\. {there}"):
            tutorial.notebooks(given)


def test_an_unknown_notebook_is_bad_input(folder, run, tmp_path):
    (folder / "01_a.ipynb").touch()
    pytest.importorskip("nbclient")
    code, printed, errors = run("tutorial", "7", "--out", str(tmp_path / "pages"))
    assert code == 2 and printed == [] and "no notebook 7. There are: 01_a.ipynb." in errors
    assert not (tmp_path / "pages").exists()


@pytest.mark.parametrize("package", ["nbclient", "nbconvert", "nbformat"])
def test_without_the_notebook_packages_the_error_says_what_to_install(
    folder, run, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    code, printed, errors = run("tutorial")
    assert (code, printed) == (2, [])
    assert errors == f'hashtag-core: {package} is not there: `pip install -e ".[notebooks]"`.\n'


# ---- tutorial: runs


def write_notebook(path: Path, *sources: str) -> Path:
    """A notebook of a heading and these code cells."""
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# A heading"), *map(v4.new_code_cell, sources)]
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def outputs(notebook) -> list[str]:
    return [o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", ())]


def sources(path: Path) -> list[str]:
    import nbformat

    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


WHERE = "import os\nprint('in', os.getcwd())"
PYTHON = "import sys\nprint(sys.executable)"


def test_notebooks_run_in_order_and_become_pages(folder, run, tmp_path):
    log = f"with open({str(tmp_path / 'log')!r}, 'a') as file:\n    file.write("
    second = write_notebook(folder / "02_b.ipynb", log + "'b')", "print(1 + 1)", "")
    write_notebook(folder / "01_a.ipynb", log + "'a')", WHERE, PYTHON)
    before = second.read_bytes()
    code, printed, _ = run("tutorial", "--out", str(tmp_path / "new" / "pages"))
    assert code == 0 and (tmp_path / "log").read_text() == "ab"
    pages = [tmp_path / "new" / "pages" / f"{name}.html" for name in ("01_a", "02_b")]
    assert [line.split()[2:] for line in printed[:2]] == [
        [f"{page.stem}.ipynb", str(page)] for page in pages
    ]
    seconds = [int(line.split()[0]) for line in printed]
    assert len(printed) == 3 and seconds[2] == sum(seconds[:2]) and printed[2].endswith("in all")
    first, other = (page.read_text(encoding="utf-8") for page in pages)
    assert f"in {folder}" in first and sys.executable in first
    assert "A heading" in other and "<pre>2\n</pre>" in other
    assert second.read_bytes() == before  # only with --in-place


def test_in_place_the_outputs_go_into_the_notebook_and_nothing_else(folder, run, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    path = write_notebook(folder / "01_a.ipynb", "x = 20", "print(x + 1)")
    untouched = write_notebook(folder / "02_b.ipynb", "1 / 0").read_bytes()
    before = sources(path)
    assert run("tutorial", "01", "--in-place", "--out", str(tmp_path / "pages"))[0] == 0
    notebook = nbformat.read(path, as_version=4)
    assert outputs(notebook) == ["21\n"] and sources(path) == before
    assert notebook.cells[2].execution_count == 2
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    digest = hashlib.sha256(b"x = 20\0print(x + 1)").hexdigest()
    assert notebook.metadata["hashtag_core"]["code"] == digest == tutorial.code_digest(notebook)
    assert 0 <= notebook.metadata["hashtag_core"]["seconds"] < 60
    notebook.cells[0].source = "# Another heading"
    assert tutorial.code_digest(notebook) == digest
    notebook.cells[1].source = "x = 21"
    assert tutorial.code_digest(notebook) != digest
    assert (folder / "02_b.ipynb").read_bytes() == untouched


def test_a_failing_cell_stops_the_course_and_is_shown(folder, run, tmp_path):
    log = tmp_path / "log"
    paths = [
        write_notebook(folder / "01_a.ipynb", "1"),
        write_notebook(folder / "02_b.ipynb", "n = 0", "# the bad one\n1 / n", f"{WHERE}; x = 1"),
        write_notebook(folder / "03_c.ipynb", f"open({str(log)!r}, 'w')"),
    ]
    before = [path.read_bytes() for path in paths]
    code, printed, errors = run("tutorial", "--in-place", "--out", str(tmp_path / "pages"))
    assert code == 2 and printed == []
    message = errors[errors.index("hashtag-core: ") :]
    assert message.startswith(
        "hashtag-core: 02_b.ipynb stopped at cell 3:\n# the bad one\n1 / n\n---\n"
    )
    assert "ZeroDivisionError: division by zero" in message and "\x1b" not in message
    assert "nbclient" not in message  # the notebook's traceback, not this program's
    assert not log.exists()
    assert [page.name for page in (tmp_path / "pages").iterdir()] == ["01_a.html"]
    after = [path.read_bytes() for path in paths]
    assert before[0] != after[0] and before[1:] == after[1:]


@pytest.mark.parametrize(
    ("source", "seconds", "said"),
    [
        ("import time; time.sleep(60)", 6, "timed out .*, after 6 seconds"),
        ("import os; os._exit(1)", 60, "Kernel died"),
    ],
    ids=["too slow", "dead kernel"],
)
def test_a_cell_that_never_ends_or_kills_its_kernel_is_an_input_error(
    folder, monkeypatch, source, seconds, said
):
    path = write_notebook(folder / "01_a.ipynb", "x = 1", source, "y = 2")
    monkeypatch.setattr(tutorial, "CELL_SECONDS", seconds)
    start = re.escape(f"01_a.ipynb stopped at cell 3:\n{source}\n---\n")
    with pytest.raises(InputError, match=rf"^{start}(?s:.)*{said}"):
        tutorial.execute(path)


def test_the_failing_cell_is_the_running_one_not_one_that_looks_like_it(folder):
    path = write_notebook(folder / "01_a.ipynb", "x = 1", "x -= 1; 1 / x", "", "x = 0; 1", "1 / x")
    with pytest.raises(InputError, match=r"stopped at cell 3:\nx -= 1; 1 / x\n---"):
        tutorial.execute(path)
    path = write_notebook(folder / "02_b.ipynb", "x = 2", "x -= 1; 1 / x", "", "x -= 1; 1 / x")
    with pytest.raises(InputError, match=r"stopped at cell 5:\nx -= 1; 1 / x\n---"):
        tutorial.execute(path)


@pytest.mark.parametrize("text", ["", "no JSON", '{"cells": [', "[1]", "{}"])
def test_a_file_that_is_no_notebook_is_an_input_error(folder, run, tmp_path, text):
    write_notebook(folder / "02_b.ipynb", "1")
    (folder / "01_a.ipynb").write_text(text)
    code, printed, errors = run("tutorial", "--in-place", "--out", str(tmp_path / "pages"))
    assert (code, printed) == (2, []) and "01_a.ipynb: damaged" in errors
    assert not (tmp_path / "pages").exists() and (folder / "01_a.ipynb").read_text() == text


@pytest.mark.parametrize("argv", [None, ["/bin/false"], ["/no/such/python"]], ids=repr)
def test_without_a_kernel_that_starts_the_error_says_so(folder, run, monkeypatch, tmp_path, argv):
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")
    write_notebook(folder / "01_a.ipynb", "1")

    def get_kernel_spec(self, name):
        if argv is None:
            raise kernelspec.NoSuchKernel(name)
        return kernelspec.KernelSpec(argv=argv, display_name="-", language="python")

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", get_kernel_spec)
    code, printed, errors = run("tutorial", "--out", str(tmp_path / "pages"))
    assert (code, printed) == (2, []) and "kernel" in errors and "hashtag-core doctor" in errors


def test_a_file_in_the_place_of_the_folder_of_pages_is_refused_at_once(folder, run, tmp_path):
    log = tmp_path / "log"
    write_notebook(folder / "01_a.ipynb", f"open({str(log)!r}, 'w')")
    (tmp_path / "pages").write_text("mine")
    code, printed, errors = run("tutorial", "--out", str(tmp_path / "pages"))
    assert (code, printed) == (2, []) and f"{tmp_path / 'pages'} is a file" in errors
    assert (tmp_path / "pages").read_text() == "mine" and not log.exists()


def test_other_data_and_another_seed_go_to_the_notebooks_that_have_them(folder, run, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    told = "print('told', seed, str(data))"
    path = write_notebook(
        folder / "01_a.ipynb", "data = 'ours'  # any\nseed, more = 0, 1", told, "seed = 2\n" + told
    )
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, path)
    write_notebook(folder / "02_without.ipynb", "print('none')")
    site = prepare_simulated(tmp_path / "site", 10, 10).folder
    before = path.read_bytes()
    line = ["tutorial", "--out", str(tmp_path / "pages"), "--data", str(site), "--seed", "5"]
    assert run(*line)[0] == 0 and path.read_bytes() == before
    page = (tmp_path / "pages" / "01_a.html").read_text(encoding="utf-8")
    assert f"told 5 {site}" in page and f"told 2 {site}" in page
    assert run(*line, "--in-place")[0] == 2 and path.read_bytes() == before
    code, _, errors = run("tutorial", "--data", str(tmp_path / "nowhere"))
    assert code == 2 and "nowhere" in errors and not errors.count("\n") > 2


def test_in_place_a_notebook_is_replaced_only_when_it_is_written_whole(
    folder, monkeypatch, tmp_path
):
    nbformat = pytest.importorskip("nbformat")
    path = write_notebook(folder / "01_a.ipynb", "1")
    before = path.read_bytes()

    def write(notebook, to):
        Path(to).write_text("half a note")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(nbformat, "write", write)
        with pytest.raises(InputError, match=r"01_a.ipynb: the disk is full; what was written"):
            tutorial.run_tutorial(tmp_path / "pages", in_place=True)
    assert path.read_bytes() == before
    tutorial.run_tutorial(tmp_path / "pages", in_place=True)
    assert path.read_bytes() != before and list(folder.iterdir()) == [path]


def test_solutions_are_folded_in_the_page_and_nothing_else_changes(folder, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    path = write_notebook(folder / "01_a.ipynb", "question = 1", "solution = 2", "after = 3")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].metadata["tags"] = ["solution"]
    before = nbformat.writes(notebook)
    tutorial.write_page(notebook, tmp_path / "new" / "page.html")
    assert nbformat.writes(notebook) == before
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert page.count("<details>") == page.count("</details>") == 1
    outside, inside = page.split("<details><summary>Solution</summary>")
    inside, after = inside.split("</details>")
    assert [">question<" in text for text in (outside, inside, after)] == [True, False, False]
    assert [">solution<" in text for text in (outside, inside, after)] == [False, True, False]
    assert [">after<" in text for text in (outside, inside, after)] == [False, False, True]
    assert "folded-solution" not in page


# ---- notebooks


def test_notebooks_opens_jupyterlab_with_this_python_in_their_folder(run, monkeypatch):
    pytest.importorskip("jupyterlab")
    calls = []
    monkeypatch.setattr(subprocess, "call", lambda line, cwd: calls.append((line, cwd)) or 3)
    assert run("notebooks")[0] == 3
    ((line, cwd),) = calls
    assert line[:3] == [sys.executable, "-m", "jupyterlab"]
    assert cwd == Path(__file__).parents[1] / "notebooks"
    assert len(line) == 4 and line[3].startswith("01_") and (cwd / line[3]).is_file()
    run("notebooks", "--no-browser", "--port", "9999")
    assert calls[1][0] == [*line[:3], "--no-browser", "--port=9999", line[3]]


def test_copies_for_students_have_no_solution_and_all_else(run, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setattr(subprocess, "call", None)  # nothing is opened
    code, printed, _ = run("notebooks", "--for-students", str(tmp_path / "class"))
    assert code == 0 and printed == [f"10 notebooks without solutions: {tmp_path / 'class'}"]
    originals = tutorial.notebooks()
    assert sorted(path.name for path in (tmp_path / "class").iterdir()) == [
        path.name for path in originals
    ]
    for path in originals:
        original, copy = nbformat.read(path, 4), nbformat.read(tmp_path / "class" / path.name, 4)
        solutions = [c for c in original.cells if "solution" in c.metadata.get("tags", ())]
        assert len(solutions) == 3
        assert copy.cells == [cell for cell in original.cells if cell not in solutions]
        assert copy.metadata | {"hashtag_core": original.metadata.hashtag_core} == original.metadata
        text = (tmp_path / "class" / path.name).read_text(encoding="utf-8")
        for cell in solutions:
            longest = max(cell.source.splitlines(), key=len).strip()
            assert json.dumps(longest, ensure_ascii=False)[1:-1] not in text


def test_a_students_work_is_not_written_over(run, tmp_path):
    mine = tmp_path / tutorial.notebooks()[3].name
    mine.write_text("my answers")
    code, _, errors = run("notebooks", "--for-students", str(tmp_path))
    assert code == 2 and f"{mine} is there: somebody may have worked in it." in errors
    assert mine.read_text() == "my answers" and [*tmp_path.iterdir()] == [mine]


def test_without_jupyterlab_the_error_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "call", None)
    code, _, errors = run("notebooks")
    assert code == 2 and 'jupyterlab is not there: `pip install -e ".[notebooks]"`.' in errors


@pytest.mark.parametrize("command", ["notebooks", "tutorial"])
def test_without_the_repository_there_is_no_course(run, monkeypatch, command, tmp_path):
    pytest.importorskip("nbclient")
    monkeypatch.setattr(results, "__file__", str(tmp_path / "site-packages" / "x" / "results.py"))
    code, _, errors = run(command)
    assert code == 2 and "it comes with the repository" in errors and "Clone" in errors
