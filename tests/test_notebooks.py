"""The course: what is committed was run top to bottom, and every notebook runs afresh."""

import ast
import re
import shutil
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebooks extra is not installed")
pytest.importorskip("nbclient", reason="the notebooks extra is not installed")
pytest.importorskip("ipywidgets", reason="the notebooks extra is not installed")

from hashtag_core.course.tutorial import code_digest, execute, run_tutorial  # noqa: E402
from hashtag_core.errors import InputError  # noqa: E402
from hashtag_core.sources.simulated import prepare_simulated  # noqa: E402

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TITLES = ("data", "model", "training", "prediction", "unseen", "analysis", "user", "retrieval")
TITLES += ("scaling", "beyond")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook) -> list[str]:
    """What a reader sees as text: markdown, printed lines, results."""
    found = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell in code_cells(notebook):
        for output in cell.outputs:
            found.append(output.get("text", ""))
            found += [str(v) for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return found


def assert_clean(notebook) -> None:
    """No error and no warning that a student would see."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            where = f"cell {number}: {cell.source[:200]}"
            assert output.output_type != "error", where
            assert output.get("name") != "stderr", f"{where}\n{output.text}"


def test_the_course_is_complete():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{n:02d}" for n in range(1, 11)]
    for path, word in zip(NOTEBOOKS, TITLES, strict=True):
        assert word in path.stem
        title = nbformat.read(path, 4).cells[0].source.splitlines()[0]
        assert title.startswith(f"# {path.name[:2]} · ")


@every_notebook
def test_a_committed_notebook_was_run_top_to_bottom(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert notebook.metadata["hashtag_core"]["code"] == code_digest(notebook)
    assert notebook.metadata["hashtag_core"]["seconds"] <= 120
    assert_clean(notebook)
    assert path.stat().st_size < 1_500_000


@every_notebook
def test_a_notebook_keeps_to_the_template(path):
    notebook = nbformat.read(path, 4)
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    assert sum("parameters" in tag for tag in tags) == 1
    solutions = [
        cell for cell in code_cells(notebook) if "solution" in cell.metadata.get("tags", [])
    ]
    assert len(solutions) == 3
    assert all(cell.metadata["jupyter"]["source_hidden"] for cell in solutions)
    labels = [cell.source.splitlines()[0] for cell in solutions]  # what a folded cell shows
    assert labels == [f"# Solution of exercise {n}" for n in (1, 2, 3)]
    assert all(len(cell.source.splitlines()) <= 25 for cell in code_cells(notebook))
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for part in ("**You will learn**", "**Time and hardware**", "**The paper**", "## Exercises",
                 "*Hint", "## Where to read on"):  # fmt: skip
        assert part in words, part


SURE = {  # comparisons that no training decides: data, rules, committed results, rounding
    "01": 2, "02": 5, "03": 2, "04": 4, "05": 3, "06": 1, "07": 1, "08": 1, "09": 2, "10": 5,
}  # fmt: skip


@every_notebook
def test_no_cell_fails_where_a_training_ends_otherwise(path):
    """On another processor the same seed trains another model: what it is worth is no assertion."""
    sources = [cell.source for cell in code_cells(nbformat.read(path, 4))]
    trees = [ast.parse(re.sub(r"^%.*", "", source, flags=re.MULTILINE)) for source in sources]
    asserts = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    compared = [
        ast.unparse(node.test)
        for node in asserts
        if any(isinstance(part, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for part in ast.walk(node.test))
    ]
    assert len(compared) == SURE[path.name[:2]], (
        f"{compared}: would each hold after another training? Then count it in SURE."
    )


@every_notebook
def test_the_files_that_a_notebook_names_are_there(path):
    words = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown")
    for name in re.findall(r"`([\w/]+\.py)`", words):
        root = FOLDER.parent if name.startswith("tests/") else FOLDER.parent / "hashtag_core"
        assert (root / name).is_file(), name


@every_notebook
def test_a_notebook_names_no_place_of_the_machine_it_ran_on(path):
    for text in texts(nbformat.read(path, 4)):
        assert not re.search(r"/(home|tmp|work|root|Users)/", text), text


@every_notebook
def test_a_notebook_runs_from_a_fresh_kernel(path):
    assert_clean(execute(path))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """A course of its own, so that nothing of it is trained where the other one trains."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(FOLDER, folder / "notebooks")
    prepare_simulated(folder / "site", 60, 30)
    return folder


@every_notebook
def test_a_notebook_runs_with_another_seed_and_another_collection(path, elsewhere):
    values = {"seed": 1, "data": str(elsewhere / "site")}
    notebook = execute(elsewhere / "notebooks" / path.name, values)
    assert_clean(notebook)
    injected = [c.source for c in notebook.cells if "injected" in c.metadata.get("tags", ())]
    assert len(injected) == 1 and "seed = 1" in injected[0]
    assert path.name.startswith("09") or "data = " in injected[0]


def test_outputs_of_other_parameters_are_not_written_into_the_notebooks(tmp_path):
    with pytest.raises(InputError, match="their own parameters"):
        run_tutorial(tmp_path, ["01"], in_place=True, values={"seed": 1})
