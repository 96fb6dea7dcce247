"""The house: which part of the library may know which, read from every import in it."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "hashtag_core"
FILES = sorted(LIBRARY.rglob("*.py"))
STEPS = (  # no part knows one that comes later, nor another one on its own step
    ("errors",),
    ("files", "devices", "printing", "repository", "stopping", "threads", "typed", "workers"),
    ("formats",),
    ("data",),
    ("model",),
    ("evaluation", "prepare"),
    ("training", "sources"),
    ("beyond", "pretrained"),
    ("prediction",),
    ("plus_prediction",),
    ("study",),
    ("plots",),
    ("course", "benchmarks"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
STEP_OF = {part: number for number, parts in enumerate(STEPS) for part in parts}
FACES = ("data", "model", "training", "evaluation", "study")  # rooms that hand on names


def module_of(path: Path) -> str:
    """hashtag_core/data/photos.py -> "data.photos"; a room's __init__.py -> "data"; "" on top."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_of(path): path for path in FILES}


def imports(source: str) -> set[str]:
    """The modules of the library that a file imports, anywhere in it, also for annotations."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole way: from hashtag_core.…"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "hashtag_core":
                # of a.b.c, the longest part that is a module: the rest is a name in it
                parts = rest.split(".")
                ends = range(len(parts), -1, -1)
                found.add(next(m for e in ends if (m := ".".join(parts[:e])) in MODULES))
    return found


GRAPH = {name: imports(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def part(module: str) -> str:
    return module.partition(".")[0]


def test_every_part_has_its_place():
    assert {part(name) for name in MODULES} - {""} == set(STEP_OF)


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_a_part_knows_only_parts_before_it(name):
    own = part(name)
    for other in {part(module) for module in GRAPH[name]} - {own, ""}:
        assert STEP_OF[other] < STEP_OF[own], f"{name} imports from {other}"


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_the_library_imports_from_files_and_not_from_faces(name):
    """So that one sees where a name lives, and no import goes in a circle."""
    faces = {module for module in GRAPH[name] if module in FACES}
    assert faces == set()
    if name not in ("study.study", "training.loop", "cli"):  # they tell the version
        assert "" not in GRAPH[name]


def test_no_import_goes_in_a_circle():
    tuple(TopologicalSorter(GRAPH).static_order())  # raises CycleError, and names the circle


def test_rooms_are_not_deeper_than_one():
    assert max(name.count(".") for name in MODULES) == 1


@pytest.mark.parametrize("room", [name for name in MODULES if (LIBRARY / name).is_dir() and name])
def test_looking_into_a_room_that_hands_on_no_names_imports_nothing(room):
    if room not in FACES:
        tree = ast.parse(MODULES[room].read_text(encoding="utf-8"))
        assert [type(node) for node in tree.body] == [ast.Expr]  # its docstring


@pytest.mark.parametrize("room", ["", *FACES])
def test_a_face_hands_on_names_that_are_there_and_hides_no_file(room):
    face = import_module(f"hashtag_core.{room}".rstrip("."))
    assert face.__all__ == sorted(face.__all__) and face.__all__
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert ".".join(filter(None, (room, name))) not in MODULES, name
    stub = ast.parse((LIBRARY / room / "__init__.pyi").read_text(encoding="utf-8"))
    listed = next(node for node in stub.body if isinstance(node, ast.Assign))  # for editors
    assert set(ast.literal_eval(listed.value)) == set(face.__all__) <= set(dir(face))


@pytest.mark.parametrize("room", ["data", "errors", "model", "prediction", "training"])
def test_a_room_is_there_after_importing_the_package_alone(room):
    program = f"import hashtag_core; print(hashtag_core.{room}.__name__, dir(hashtag_core))"
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.startswith(f"hashtag_core.{room} ") and f"'{room}'" in out.stdout


def test_imports_are_found_wherever_they_stand():
    source = (
        "import hashtag_core.cli\n"
        "if TYPE_CHECKING:\n    from hashtag_core.data.photos import PhotoCollection\n"
        "def f():\n    from hashtag_core.model import loss, HashtagModel\n"
        "    from hashtag_core import __version__\n    import torch.nn\n"
    )
    assert imports(source) == {"cli", "data.photos", "model.loss", "model", ""}
