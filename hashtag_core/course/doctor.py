"""Can this machine run the course? One check after the other, and what to do where one fails."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from hashtag_core.errors import InputError

GIB = 2**30
MEMORY_NEEDED, DISK_NEEDED = 3.0, 1.0  # GiB free
INSTALL = 'pip install -e ".[notebooks]"'


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it is well, what was found, and what to do where it is not."""

    name: str
    ok: bool
    found: str
    mend: str


def examine() -> Iterator[Check]:
    """All checks, one by one; one that breaks has failed, and what it raised is what was found."""
    for name, (look, mend) in CHECKS.items():
        try:
            ok, found = look()
        except InputError as error:
            ok, found = False, str(error)
        except Exception as error:  # whatever is broken on that machine
            ok, found = False, f"{type(error).__name__}: {error}"
        yield Check(name, ok, found, mend)


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"Python {platform.python_version()}, {sys.executable}"


def _packages() -> tuple[bool, str]:
    from packaging.requirements import Requirement

    wrong, number = [], 0
    for line in requires("hashtag-core") or []:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": "notebooks"}):
            continue
        number += 1
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed}, needed {requirement.specifier}")
    return not wrong, "; ".join(wrong) or f"all {number} there"


def _memory() -> tuple[bool, str]:
    import psutil

    free = psutil.virtual_memory().available / GIB
    return free >= MEMORY_NEEDED, f"{free:.1f} GiB free, {os.cpu_count()} cores"


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    writable = os.access(Path.cwd(), os.W_OK)
    found = f"{free:.1f} GiB free in {Path.cwd()}" + ("" if writable else ", not writable")
    return writable and free >= DISK_NEEDED, found


def _device() -> tuple[bool, str]:
    import torch

    from hashtag_core.devices import choose_device

    device = choose_device()
    torch.ones(2, 2, device=device).matmul(torch.ones(2, 2, device=device))
    return True, f"{device.type}, torch {torch.__version__}, {torch.get_num_threads()} threads"


def _data() -> tuple[bool, str]:
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.repository import repository_folder
    from hashtag_core.sources.open_art import CHECKSUM

    photos = PhotoCollection.load(repository_folder("data/open_art"))
    photos.picture(0)
    intact = photos.checksum() == CHECKSUM
    return (
        intact,
        f"data/open_art, {len(photos):,} photos, checksum {'right' if intact else 'WRONG'}",
    )


def _words() -> tuple[bool, str]:
    from hashtag_core.data.words import load_word_vectors

    vectors = load_word_vectors()
    return "hashtag" in vectors, f"{len(vectors):,} words of {vectors.vector_size} numbers"


def _convnet() -> tuple[bool, str]:
    from hashtag_core.model.convnet import load_convnet

    return True, f"{load_convnet().name}, its weights load"


def _kernel() -> tuple[bool, str]:
    from jupyter_client.kernelspec import KernelSpecManager

    python = Path(KernelSpecManager().get_kernel_spec("python3").argv[0])
    own = not python.is_absolute() or python.parent.samefile(Path(sys.executable).parent)
    return own, "notebooks run with this Python" if own else f"the kernel python3 runs {python}"


CHECKS: dict[str, tuple[Callable[[], tuple[bool, str]], str]] = {  # name -> look, what to do
    "python": (_python, "install Python 3.11 or later"),
    "packages": (_packages, INSTALL),
    "memory": (_memory, f"close other programs: the course needs {MEMORY_NEEDED:g} GiB"),
    "disk": (_disk, f"free {DISK_NEEDED:g} GiB, or go to a folder where you may write"),
    "device": (_device, f"install torch again: {INSTALL}"),
    "data": (_data, "git checkout -- data/open_art"),
    "word vectors": (_words, INSTALL),
    "ConvNet": (_convnet, INSTALL),
    "kernel": (_kernel, f"{sys.executable} -m ipykernel install --sys-prefix"),
}
