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
    mend: str = ""


def examine() -> Iterator[Check]:
    """All checks, one by one; none of them raises."""
    for check in (_python, _packages, _memory, _disk, _device, _data, _words, _convnet, _kernel):
        yield _guarded(check)


def _guarded(check: Callable[[], Check]) -> Check:
    """A check that breaks has failed: what it raised is what was found."""
    try:
        return check()
    except InputError as error:
        return Check(check.__name__.strip("_"), False, str(error), "see the message")
    except Exception as error:  # whatever is broken on that machine
        found = f"{type(error).__name__}: {error}"
        return Check(check.__name__.strip("_"), False, found, f"install again: {INSTALL}")


def _python() -> Check:
    found = f"Python {platform.python_version()}, {sys.executable}"
    return Check("python", sys.version_info >= (3, 11), found, "install Python 3.11 or later")


def _packages() -> Check:
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
    return Check("packages", not wrong, "; ".join(wrong) or f"all {number} there", INSTALL)


def _memory() -> Check:
    import psutil  # comes with JupyterLab

    free = psutil.virtual_memory().available / GIB
    found = f"{free:.1f} GiB free, {os.cpu_count()} cores"
    mend = f"close other programs: the course needs {MEMORY_NEEDED:g} GiB"
    return Check("memory", free >= MEMORY_NEEDED, found, mend)


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    writable = os.access(Path.cwd(), os.W_OK)
    found = f"{free:.1f} GiB free in {Path.cwd()}" + ("" if writable else ", not writable")
    mend = f"free {DISK_NEEDED:g} GiB, or go to a folder where you may write"
    return Check("disk", writable and free >= DISK_NEEDED, found, mend)


def _device() -> Check:
    import torch

    from hashtag_core.training import choose_device

    device = choose_device()
    torch.ones(2, 2, device=device).matmul(torch.ones(2, 2, device=device))
    found = f"{device.type}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    return Check("device", True, found)


def _data() -> Check:
    from hashtag_core.photos import PhotoCollection
    from hashtag_core.sources.open_art import CHECKSUM, open_art_folder

    photos = PhotoCollection.load(open_art_folder())
    photos.picture(0)
    intact = photos.checksum() == CHECKSUM
    found = f"data/open_art, {len(photos):,} photos, checksum " + ("right" if intact else "WRONG")
    return Check("data", intact, found, "git checkout -- data/open_art")


def _words() -> Check:
    from hashtag_core.words import load_word_vectors

    vectors = load_word_vectors()
    found = f"{len(vectors):,} words of {vectors.vector_size} numbers"
    return Check("word vectors", "hashtag" in vectors, found, INSTALL)


def _convnet() -> Check:
    from hashtag_core.convnet import load_convnet

    return Check("ConvNet", True, f"{load_convnet().name}, its weights load")


def _kernel() -> Check:
    from jupyter_client.kernelspec import KernelSpecManager

    python = KernelSpecManager().get_kernel_spec("python3").argv[0]
    own = not Path(python).is_absolute() or Path(python).samefile(sys.executable)
    found = "notebooks run with this Python" if own else f"the kernel python3 runs {python}"
    mend = f"{sys.executable} -m ipykernel install --sys-prefix"
    return Check("kernel", own, found, mend)
