"""`hashtag-core notebooks | tutorial | doctor`: the course, on this machine."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from hashtag_core.commands.paths import Read, WrittenFolder
from hashtag_core.errors import InputError
from hashtag_core.printing import say


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the three commands to the command line."""
    lab = commands.add_parser("notebooks", help="open the course in JupyterLab")
    lab.add_argument("--no-browser", action="store_true", help="print the address alone")
    lab.add_argument("--port", type=int, help="of the server; default: JupyterLab's own, 8888")
    lab.add_argument(
        "--for-students",
        metavar="DIR",
        type=WrittenFolder,
        help="open nothing: write copies without the solutions into this folder",
    )
    lab.set_defaults(command=_notebooks)

    tutorial = commands.add_parser("tutorial", help="run the whole course, write HTML pages")
    tutorial.add_argument("names", nargs="*", help="only these, such as 03 07; default: all")
    tutorial.add_argument(
        "--out", type=WrittenFolder, default="runs/tutorial", help="default: %(default)s"
    )
    tutorial.add_argument(
        "--in-place", action="store_true", help="also write the outputs into the notebooks"
    )
    tutorial.add_argument(
        "--data", metavar="DIR", type=Read, help="another photo collection, where one is read"
    )
    tutorial.add_argument("--seed", type=int, help="another seed of splits and training")
    tutorial.set_defaults(command=_tutorial)

    doctor = commands.add_parser("doctor", help="can this machine run the course?")
    doctor.set_defaults(command=_doctor)


def _notebooks(options: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from hashtag_core.repository import repository_folder

    if options.for_students is not None:
        from hashtag_core.course.students import write_copies

        copies = write_copies(options.for_students)
        say(f"{len(copies)} notebooks without solutions: {options.for_students}")
        return 0
    folder = repository_folder("notebooks")
    if find_spec("jupyterlab") is None:
        raise InputError('jupyterlab is not there: `pip install -e ".[notebooks]"`.')
    first = sorted(path.name for path in folder.glob("[0-9]*.ipynb"))[:1]
    how = ["--no-browser"] if options.no_browser else []
    how += [] if options.port is None else [f"--port={options.port}"]
    return subprocess.call([sys.executable, "-m", "jupyterlab", *how, *first], cwd=folder)


def _tutorial(options: argparse.Namespace) -> None:
    from hashtag_core.course.tutorial import run_tutorial
    from hashtag_core.data.photos import PhotoCollection

    values: dict[str, object] = {}
    if options.data is not None:
        PhotoCollection.load(options.data)  # an error now, in one line, not in a notebook
        values["data"] = str(Path(options.data).resolve())
    if options.seed is not None:
        values["seed"] = options.seed
    done = run_tutorial(options.out, options.names or None, options.in_place, values)
    for row in done:
        say(f"{row['seconds']:4d} s  {row['notebook']:32s} {row['page']}")
    say(f"{sum(row['seconds'] for row in done):4d} s  in all")


def _doctor(options: argparse.Namespace) -> int:
    from hashtag_core.course.doctor import examine

    failed = 0
    for check in examine():
        say(f"[{'OK' if check.ok else 'FAIL'}] {check.name}: {check.state}", flush=True)
        if not check.ok:
            failed += 1
            say(f"       what to do: {check.mend}", flush=True)
    say(f"{failed} to fix first." if failed else "This machine can run the course.")
    return 1 if failed else 0
