"""The doctor: each check sees what is wrong and says what to do, and none of them breaks it."""

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import tiny_vectors

from hashtag_core import cli, devices, repository
from hashtag_core.course import doctor
from hashtag_core.data import words
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.model import convnet

NAMES = ["python", "packages", "memory", "disk", "device", "data", "word vectors", "ConvNet"]
NAMES += ["kernel"]
GIB = 2**30


@pytest.fixture
def examined(monkeypatch, capsys):
    """Runs the command with one real check: (exit code, what the check says, what to do)."""

    def examined(check: str) -> tuple[int, str, str]:
        monkeypatch.setattr(doctor, "CHECKS", {check: doctor.CHECKS[check]})
        code = cli.main(["doctor"])
        printed = capsys.readouterr()
        assert printed.err == ""
        lines = printed.out.splitlines()
        assert len(lines) == (3 if code else 2)
        assert lines[-1] == ("1 to fix first." if code else "This machine can run the course.")
        if code:
            return code, lines[0], lines[1].removeprefix("       what to do: ")
        return code, lines[0], ""

    return examined


# ---- the whole


def all_well(monkeypatch) -> None:
    """Whatever machine runs the tests, it has what the course needs."""
    psutil = pytest.importorskip("psutil")
    pytest.importorskip("jupyter_client")
    enough = SimpleNamespace(available=8 * GIB, free=8 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: enough)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: enough)
    kernel(monkeypatch, sys.executable)
    monkeypatch.setattr(words, "load_word_vectors", lambda: WITH_HASHTAG)
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy", "torch>=2.0"])


WITH_HASHTAG = tiny_vectors()
WITH_HASHTAG.add_vectors(["hashtag"], [[0.0] * 8])


def test_where_all_is_well_the_exit_code_is_0(monkeypatch, capsys):
    all_well(monkeypatch)
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [f"[OK] {name}" for name in NAMES]
    assert lines[-1] == "This machine can run the course."
    assert "checksum right" in lines[5]
    assert lines[6] == "[OK] word vectors: 41 words of 8 numbers"


def test_every_check_that_breaks_is_counted_and_the_others_go_on(monkeypatch, capsys):
    def broken():
        raise RuntimeError("<broken>")

    mends = {name: mend for name, (_, mend) in doctor.CHECKS.items()}
    assert list(mends) == NAMES and all(mends.values())
    for name, mend in mends.items():
        monkeypatch.setitem(doctor.CHECKS, name, (broken, mend))
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0:-1:2] == [f"[FAIL] {name}: RuntimeError: <broken>" for name in NAMES]
    assert lines[1:-1:2] == [f"       what to do: {mend}" for mend in mends.values()]
    assert lines[-1] == "9 to fix first." and printed.err == ""


def test_checks_are_made_one_by_one(monkeypatch):
    made = []

    def look(name, ok):
        made.append(name)
        return ok, f"found {name}"

    checks = {name: (lambda n=name: look(n, n == "a"), f"mend {name}") for name in "abc"}
    monkeypatch.setattr(doctor, "CHECKS", checks)
    examined = doctor.examine()
    assert next(examined) == doctor.Check("a", True, "found a", "mend a") and made == ["a"]
    assert next(examined) == doctor.Check("b", False, "found b", "mend b") and made == ["a", "b"]


@pytest.mark.parametrize(
    ("check", "module"),
    [
        ("packages", "packaging.requirements"), ("memory", "psutil"), ("device", "torch"),
        ("word vectors", "hashtag_core.data.words"), ("kernel", "jupyter_client.kernelspec"),
    ],
)  # fmt: skip
def test_a_check_that_cannot_be_made_keeps_its_name_and_what_to_do(
    monkeypatch, examined, check, module
):
    monkeypatch.setitem(sys.modules, module, None)
    code, said, mend = examined(check)
    assert code == 1 and said.startswith(f"[FAIL] {check}: ModuleNotFoundError: ")
    assert mend == doctor.CHECKS[check][1]


def test_bad_input_found_by_a_check_is_a_failure_with_its_message(monkeypatch, examined):
    def missing(name):
        raise InputError(f"{name}: no photos.parquet.")

    monkeypatch.setattr(repository, "repository_folder", missing)
    code, said, mend = examined("data")
    assert (code, said) == (1, "[FAIL] data: data/open_art: no photos.parquet.") and mend


# ---- python and packages


@pytest.mark.parametrize(("found", "well"), [((3, 10, 9), False), ((3, 11, 0), True)])
def test_an_old_python(monkeypatch, examined, found, well):
    monkeypatch.setattr(sys, "version_info", found)
    monkeypatch.setattr(platform, "python_version", lambda: "3.x.y")
    code, said, mend = examined("python")
    assert (code == 0) == well and ("3.11" in mend) != well
    assert said.endswith(f"python: Python 3.x.y, {sys.executable}")


@pytest.mark.parametrize(
    ("requirements", "said"),
    [
        (["numpy>=1.0"], "all 1 there"),
        (["nosuchpackage>=1.0", "numpy"], "nosuchpackage is missing"),
        (["numpy>=99", "torch", "pillow<2"], "numpy {numpy}, needed >=99; pillow {pillow}, n"),
        (['nosuch; extra == "notebooks"'], "nosuch is missing"),
        (['nosuch; extra == "prepare"', "numpy"], "all 1 there"),
        (['nosuch; python_version < "3"', "numpy", "torch"], "all 2 there"),
        (None, "all 0 there"),
    ],
)
def test_packages_that_are_missing_or_too_old_are_named(monkeypatch, examined, requirements, said):
    asked = []
    monkeypatch.setattr(doctor, "requires", lambda name: asked.append(name) or requirements)
    code, found, mend = examined("packages")
    version = importlib.metadata.version
    said = said.format(numpy=version("numpy"), pillow=version("pillow"))
    assert found.split(": ", 1)[1].startswith(said) and asked == ["hashtag-core"]
    assert (code, mend) == ((0, "") if said.startswith("all") else (1, doctor.INSTALL))


def test_a_version_before_the_release_counts_too(monkeypatch, examined):
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy>=2.0"])
    monkeypatch.setattr(doctor, "version", lambda name: "3.0.0rc1")
    assert examined("packages")[0] == 0


# ---- memory and disk


@pytest.mark.parametrize(("free", "well"), [(2.9, False), (3.0, True), (0.0, False)])
def test_little_memory(monkeypatch, examined, free, well):
    psutil = pytest.importorskip("psutil")
    found = SimpleNamespace(available=free * GIB, free=99 * GIB, total=99 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: found)
    code, said, mend = examined("memory")
    assert (code == 0) == well and f"{free} GiB free" in said and ("3 GiB" in mend) != well


@pytest.mark.parametrize(
    ("free", "writable", "well"),
    [(0.9, True, False), (1.0, True, True), (5.0, False, False)],
)
def test_a_full_disk_or_a_folder_where_one_may_not_write(
    monkeypatch, examined, tmp_path, free, writable, well
):
    monkeypatch.chdir(tmp_path)
    usage = SimpleNamespace(free=free * GIB, total=99 * GIB)
    monkeypatch.setattr(shutil, "disk_usage", {tmp_path: usage}.get)
    monkeypatch.setattr(os, "access", lambda path, mode: writable and mode == os.W_OK)
    code, said, mend = examined("disk")
    assert (code == 0) == well and ("free 1 GiB" in mend) != well
    assert f"{free} GiB free in {tmp_path}" in said and ("not writable" in said) != writable


# ---- device, data, word vectors, ConvNet


def test_a_device_that_does_not_compute(monkeypatch, examined):
    monkeypatch.setattr(devices, "choose_device", lambda: SimpleNamespace(type="cuda"))
    code, said, _ = examined("device")
    assert code == 1 and said.startswith("[FAIL] device: TypeError: ")


def test_the_device_is_the_one_that_computes(examined):
    code, said, _ = examined("device")
    assert code == 0 and said.split()[2] == f"{devices.choose_device().type},"


def test_data_that_are_not_the_shipped_ones(monkeypatch, examined, small_art):
    monkeypatch.setattr(repository, "repository_folder", lambda name: small_art)
    code, said, mend = examined("data")
    number = len(PhotoCollection.load(small_art))
    assert (code, mend) == (1, "git checkout -- data/open_art")
    assert said == f"[FAIL] data: data/open_art, {number} photos, checksum WRONG"


def test_the_shipped_data_are_right(examined, open_art):
    code, said, _ = examined("data")
    assert code == 0 and f"{len(open_art):,} photos, checksum right" in said


@pytest.mark.parametrize("name", ["photos.parquet", "features.npy", "meta.json"])
def test_broken_data(monkeypatch, examined, small_art, tmp_path, name):
    folder = tmp_path / "copy"
    shutil.copytree(small_art, folder)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(repository, "repository_folder", lambda name: folder)
    code, said, mend = examined("data")
    assert code == 1 and name in said and "damaged" in said and mend


def test_pictures_that_cannot_be_read(monkeypatch, examined, small_art):
    def broken(self, row):
        raise OSError("Corrupt snappy compressed data.")

    monkeypatch.setattr(repository, "repository_folder", lambda name: small_art)
    monkeypatch.setattr(PhotoCollection, "picture", broken)
    assert examined("data")[1] == "[FAIL] data: OSError: Corrupt snappy compressed data."


def test_word_vectors_of_something_else(monkeypatch, examined):
    monkeypatch.setattr(words, "load_word_vectors", tiny_vectors)
    code, said, mend = examined("word vectors")
    assert (code, said) == (1, "[FAIL] word vectors: 40 words of 8 numbers")
    assert mend == doctor.INSTALL


def test_a_convnet_that_does_not_load(monkeypatch, examined):
    def missing():
        raise ModuleNotFoundError("No module named 'timm'")

    monkeypatch.setattr(convnet, "load_convnet", missing)
    code, said, _ = examined("ConvNet")
    assert code == 1 and "ModuleNotFoundError: No module named 'timm'" in said


# ---- kernel


def kernel(monkeypatch, python: str | None) -> None:
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")

    def get_kernel_spec(self, name):
        assert name == "python3"
        if python is None:
            raise kernelspec.NoSuchKernel(name)
        return SimpleNamespace(argv=[python, "-m", "ipykernel_launcher"])

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", get_kernel_spec)


@pytest.mark.parametrize("python", [sys.executable, "python"])
def test_a_kernel_of_this_python(monkeypatch, examined, python):
    kernel(monkeypatch, python)
    assert examined("kernel")[:2] == (0, "[OK] kernel: notebooks run with this Python")


@pytest.mark.parametrize("same_base", [False, True])
def test_a_kernel_of_another_python(monkeypatch, examined, tmp_path, same_base):
    other = tmp_path / "python3"
    if same_base:  # of another environment that was made with the same Python
        other.symlink_to(Path(sys.executable).resolve())
    else:
        other.touch()
    kernel(monkeypatch, str(other))
    code, said, mend = examined("kernel")
    assert (code, said) == (1, f"[FAIL] kernel: the kernel python3 runs {other}")
    assert mend == f"{sys.executable} -m ipykernel install --sys-prefix"


def test_a_kernel_of_this_environment_by_another_name(monkeypatch, examined, tmp_path):
    folder = tmp_path / "bin"
    folder.symlink_to(Path(sys.executable).parent, target_is_directory=True)
    kernel(monkeypatch, str(folder / "python3"))
    assert examined("kernel")[0] == 0


def test_no_kernel_at_all(monkeypatch, examined):
    kernel(monkeypatch, None)
    code, said, mend = examined("kernel")
    assert code == 1 and "No such kernel named python3" in said
    assert mend == f"{sys.executable} -m ipykernel install --sys-prefix"


@pytest.mark.parametrize("name", ["gone", "gone/bin/python"])
def test_a_kernel_of_a_python_that_is_gone(monkeypatch, examined, tmp_path, name):
    kernel(monkeypatch, str(tmp_path / name))
    code, said, _ = examined("kernel")
    assert code == 1 and str((tmp_path / name).parent) in said
