"""`hashtag-core reproduce`: the whole paper as one plan, which runs or goes on step by step.

Each step is a command of this program and is printed as one: any can be run by hand instead.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands.output import NOT_LEARNED
from hashtag_core.commands.paths import Read, ReadSome, WrittenFolder
from hashtag_core.commands.reproduction_plan import SAMPLE_EPOCHS, USERS_PER_BATCH, Plan, Step
from hashtag_core.errors import InputError
from hashtag_core.files import refuse_others, write_whole
from hashtag_core.printing import say

if TYPE_CHECKING:
    from hashtag_core.data.photos import PhotoCollection

ABOUT = (
    "Say what is missing and what each step costs on this machine; then select the photos, extract "
    "features, make Tables 1 to 5 and Figure 3 at the paper's sizes, and write a page with the "
    "paper's numbers beside ours. Stopped, it goes on where it was."
)
PAGE = "reproduction.html"
Run = Callable[[list[str]], None]  # a command of this program


def add_command(commands: argparse._SubParsersAction, run: Run) -> None:
    """Add the command to the command line; `run` runs the others."""
    parser = commands.add_parser(
        "reproduce",
        help="the whole paper on YFCC100M: a plan with its costs, then all of it",
        description=ABOUT,
    )
    parser.add_argument(
        "--metadata", metavar="FILE", type=Read, nargs="+", help="as `prepare yfcc100m` reads them"
    )
    parser.add_argument("--images", metavar="DIR", type=ReadSome, help="their pictures")
    parser.add_argument(
        "--without-pictures", action="store_true", help="the rows that need metadata alone"
    )
    parser.add_argument(
        "--words", metavar="FILE", type=Read, help="GloVe; the paper's is glove.42B.300d.txt"
    )
    parser.add_argument(
        "--convnet",
        metavar="NAME",
        help="default: whose features are there, or resnet50, with --sample efficientnet_lite0",
    )
    parser.add_argument(
        "--sample",
        metavar="SHARE",
        type=float,
        default=1.0,
        help="of the users, with small models; 0.004 is for a laptop",
    )
    parser.add_argument("--epochs", type=int, help=f"default: 20, with --sample {SAMPLE_EPOCHS}")
    parser.add_argument(
        "--users-per-batch", type=int, help=f"default: {USERS_PER_BATCH}, with --sample 4"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, default=0, help="that decode pictures; default: none"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu or cuda; the best there is where not given")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=WrittenFolder,
        default="runs/reproduce",
        help="default: %(default)s",
    )
    parser.add_argument("--plan", action="store_true", help="say what it costs, and do no more")
    parser.set_defaults(command=lambda options: _reproduce(options, run))


def _reproduce(options: argparse.Namespace, run: Run) -> None:
    plan = Plan(options)
    refuse_others(plan.out / PAGE, "page")
    steps = _tell(plan)
    missing = plan.missing()
    for what in missing:
        say(f"Missing: {what}.")
    if options.plan:
        return
    if missing:
        raise InputError("something is missing (above).")
    if plan.photos is None:  # only the photos tell what is left to do
        _run(steps[0], run)
        plan = Plan(options)
        steps = _tell(plan)[1:]
    for step in steps:
        if not step.is_done:
            _run(step, run)
    plan = Plan(options)  # anew: it reads the features, too
    if plan.photos is not None:
        say("", f"Page:   {_write_page(plan, plan.photos)}")


def _run(step: Step, run: Run) -> None:
    say("", f"hashtag-core {shlex.join(step.arguments)}", flush=True)
    run(step.arguments)


def _tell(plan: Plan) -> list[Step]:
    """Print each step as soon as its cost is known, and the sums."""
    of = "the photos that were selected" if plan.photos else "the paper, until photos are selected"
    say("", f"The plan, with the sizes of {of}, by what was measured here, about:")
    steps, seconds, disk, memory = [], 0.0, 0.0, 0.0
    for step in plan.steps():
        steps.append(step)
        cost = step.cost
        seconds, disk, memory = seconds + cost.seconds, disk + cost.disk, max(memory, cost.memory)
        say(_line(step.what, cost.seconds, cost.disk, cost.memory), flush=True)
    say(_line("all that is left", seconds, disk, memory))
    return steps


def _line(what: str, seconds: float, disk: float, memory: float) -> str:
    if not seconds:
        return f"  {what:<48} done, or little to do"
    sizes = f"{disk / 1e9:8,.1f} GB disk {memory / 1e9:6.1f} GB memory"
    return f"  {what:<48} {duration(seconds):>12} {sizes}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for size, unit, most in ((1, "s", 100), (60, "min", 100), (3600, "h", 100)):
        if seconds < most * size:
            return f"{seconds / size:.{1 if unit == 'h' else 0}f} {unit}"
    return f"{seconds / 86400:,.0f} days"


def _write_page(plan: Plan, photos: PhotoCollection) -> Path:
    """The page of what is there."""
    import pandas as pd

    from hashtag_core.plots.comparison import reproduction_page
    from hashtag_core.sources.yfcc100m_facts import beside_the_paper, facts
    from hashtag_core.study.reproduction import TABLES, differences

    options = plan.options
    files = {f"Table {name}": plan.tables / f"table-{name}.csv" for name in TABLES}
    files["Figure 3: the size of the user representation"] = plan.tables / "figure-3.csv"
    files = {name: path for name, path in files.items() if path.is_file()}
    tables = {name: pd.read_csv(path, comment="#") for name, path in files.items()}
    heads = {name: path.read_text(encoding="utf-8").splitlines() for name, path in files.items()}
    begins = f"# {NOT_LEARNED}"
    notes = {n: [line[2:] for line in head if line.startswith(begins)] for n, head in heads.items()}
    figure = plan.tables / "figure-3.png"
    share = photos.meta.get("share of users", options.sample)  # older ones do not say it
    command = heads["Table 1"][:2]
    about = [f"{len(photos):,} photos of {len(photos.users):,} users, {photos.meta.get('source')}."]
    about += [line.removeprefix("# ") for line in command]
    page = reproduction_page(
        "A reproduction of Durand, CVPR 2020",
        about,
        differences(photos, plan.convnet, options.words, plan.sizes, share, plan.training),
        beside_the_paper(facts(plan.collection, options.seed)),
        tables,
        notes,
        {"Figure 3": figure.read_bytes()} if figure.is_file() else {},
    )
    path = plan.out / PAGE
    write_whole(path, page.encode("utf-8", "backslashreplace"))
    return path
