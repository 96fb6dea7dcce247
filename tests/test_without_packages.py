"""What a machine with a GPU has to be able to do, on which half of the packages are not installed.

The commands run in a process of their own that cannot find them, as on such a machine: neither to
import nor to ask whether they are there.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hashtag_core.data.words import load_word_vectors, psi
from hashtag_core.training.runs import load_run

ROOT = Path(__file__).parents[1]
NOT_INSTALLED = ("gensim", "duckdb", "ijson", "defusedxml", "umap", "timm", "sklearn")

# Python imports a module of this name when it starts, in worker processes, too.
SITECUSTOMIZE = f"""
import sys
from importlib.machinery import PathFinder


class WithoutThem(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {NOT_INSTALLED} else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutThem
"""

COMMAND = "import sys; from hashtag_core import cli; sys.exit(cli.main(sys.argv[1:]))"

# Each measurement in this process, since starting one takes longer than so small a measurement; and
# without "crowded" and "epoch", which are about busy processes and this machine's full speed.
BENCHMARK = """
from hashtag_core.benchmarks import batching, measure, reading, training
from hashtag_core.commands import benchmark
here = lambda case, device, repeats, **more: next(measure._measure(case, device, repeats, more))
measure.measure, training.PHOTOS = here, 10
batching.QUICK = {**batching.QUICK, "users": 2}
reading.QUICK = {**reading.QUICK, "users": 4}
left_out = "crowded", "epoch"
benchmark.BENCHMARKS = tuple(name for name in benchmark.BENCHMARKS if name not in left_out)
"""


@pytest.fixture
def run(tmp_path):
    """Runs code without those packages; returns the process when it is over."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def run(code, *arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, env=environment,
        )  # fmt: skip

    return run


def rows_of(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [*NOT_INSTALLED, "numpy"])
def test_they_are_really_not_there(run, name):
    found = run(f"import importlib.util as u; print(u.find_spec({name!r}) is None); import {name}")
    there = name == "numpy"
    assert found.stdout.strip() == str(not there)
    assert (found.returncode == 0) == there
    assert there or f"No module named {name!r}" in found.stderr


def test_the_papers_training_runs(run, site, tmp_path):
    """`train --paper`, at the paper's sizes; psi is what gensim's word vectors make of it."""
    line = ["train", "--paper", "--epochs", 1, "--users-per-batch", 16, "--device", "cpu"]
    out = ["--out", tmp_path / "out", "--json", tmp_path / "rows.json"]
    found = run(COMMAND, *line, "--data", site, *out)
    assert found.returncode == 0, found.stderr
    rows = rows_of(tmp_path / "rows.json")
    assert [row["candidates"] for row in rows] == ["seen", "unseen", "all"]
    assert rows[0]["photos"] > 0 and 0 <= rows[0]["R@10"] <= 100
    [weights] = tmp_path.rglob("model.safetensors")
    model, hashtags, about = load_run(weights.parent)
    assert model.config.d_u == 1024 and math.isfinite(about["log"][0]["loss"])
    vectors = load_word_vectors(site / "words.txt")
    assert type(vectors).__module__.startswith("gensim") and len(hashtags) > 20
    for name, ours in zip(hashtags.names, hashtags.psi, strict=True):
        np.testing.assert_array_equal(ours, psi(name, vectors))


@pytest.mark.parametrize("file", [None, "words.txt"])
def test_word_vectors_are_those_of_gensim(run, site, tmp_path, file, request):
    code = """
import sys, numpy as np
from hashtag_core import load_word_vectors
vectors = load_word_vectors(sys.argv[2] if len(sys.argv) > 2 else None)
assert type(vectors).__module__.startswith("hashtag_core")
np.savez(sys.argv[1], vectors=vectors.vectors, words=list(vectors.key_to_index),
         places=list(vectors.key_to_index.values()), size=vectors.vector_size)
"""
    found = run(code, tmp_path / "found.npz", *([site / file] if file else []))
    assert found.returncode == 0, found.stderr
    wanted = load_word_vectors(site / file) if file else request.getfixturevalue("glove")
    with np.load(tmp_path / "found.npz") as kept:
        assert kept["words"].tolist() == wanted.index_to_key
        assert kept["places"].tolist() == list(range(len(wanted)))
        assert kept["size"] == wanted.vector_size == wanted.vectors.shape[1]
        np.testing.assert_array_equal(kept["vectors"], wanted.vectors)


def test_the_benchmark_leaves_out_what_needs_them(run, tmp_path):
    path = tmp_path / "rows.json"
    line = ["benchmark", "all", "--quick", "--hashtags", 300, "--device", "cpu", "--json", path]
    found = run(BENCHMARK + COMMAND, *line)
    assert found.returncode == 0, found.stderr
    done = {row["benchmark"] for row in rows_of(path)}
    assert done == {"loss", "batching", "ranking", "reading", "training"}
    assert "ingest: left out" in found.stdout and "duckdb" in found.stdout
