"""Can this machine run the course? One check after the other, and what to do where one fails."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

from hashtag_core.errors import InputError

GIB = 2**30
MEMORY_NEEDED, DISK_NEEDED = 3.0, 1.0  # GiB free
INSTALL = 'pip install -e ".[notebooks]"'


class Check(NamedTuple):
    """What was looked at, whether it is well, in what state, and what to do where it is not."""

    name: str
    ok: bool
    state: str
    mend: str


def examine() -> Iterator[Check]:
    """All checks, one by one; one that breaks has failed, and what it raised is the state."""
    for name, (look, mend) in CHECKS.items():
        try:
            ok, state = look()
        except Exception as error:  # whatever is broken on that machine
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            ok, state = False, f"{kind}{error}"
        yield Check(name, ok, state, mend)


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"Python {platform.python_version()}, {sys.executable}"


def _packages() -> tuple[bool, str]:
    from packaging.requirements import Requirement

    every = map(Requirement, requires("hashtag-core") or [])
    needed = [r for r in every if not r.marker or r.marker.evaluate({"extra": "notebooks"})]
    wrong = []
    for requirement in needed:
        try:
            installed = version(requirement.name)
            if not requirement.specifier.contains(installed, prereleases=True):
                wrong.append(f"{requirement.name} {installed}, needed {requirement.specifier}")
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
    return not wrong, "; ".join(wrong) or f"all {len(needed)} there"


def _memory() -> tuple[bool, str]:
    import psutil

    free = psutil.virtual_memory().available / GIB
    return free >= MEMORY_NEEDED, f"{free:.1f} GiB free, {os.cpu_count()} cores"


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    writable = os.access(Path.cwd(), os.W_OK)
    state = f"{free:.1f} GiB free in {Path.cwd()}" + ("" if writable else ", not writable")
    return writable and free >= DISK_NEEDED, state


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
    checksum = "right" if intact else "WRONG"
    return intact, f"data/open_art, {len(photos):,} photos, checksum {checksum}"


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
