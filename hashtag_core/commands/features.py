"""`hashtag-core prepare features`: image features for a collection; also under `torchrun`."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

from hashtag_core.commands.paths import Read
from hashtag_core.files import locked
from hashtag_core.printing import say

SHOWN = 5  # rows that are named of each reason


def add_command(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to `hashtag-core prepare`."""
    command = subparsers.add_parser(
        "features",
        help="extract a collection's image features with a ConvNet",
        description=(
            "Extract the features of a collection's pictures; stopped, it goes on where it was. "
            "Several GPUs: torchrun --nproc-per-node 8 -m hashtag_core.cli prepare features DIR"
        ),
    )
    command.add_argument("folder", metavar="DIR", type=Read, help="a photo collection")
    add_options(command)
    command.set_defaults(command=_features)


def add_options(parser: argparse.ArgumentParser) -> None:
    """How features are extracted."""
    parser.add_argument(
        "--convnet",
        metavar="NAME",
        help="a classifier of torchvision (the paper's is resnet50); default: efficientnet_lite0",
    )
    parser.add_argument(
        "--query-convnet",
        metavar="NAME",
        help="a second one, for the pictures to predict (§3.2.1); default: one for both",
    )
    parser.add_argument(
        "--batch-size", metavar="N", type=int, default=32, help="default: %(default)s"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, default=0, help="that decode pictures; default: none"
    )
    parser.add_argument("--device", help="cpu, cuda or mps; the best there is where not given")


def _features(options: argparse.Namespace) -> None:
    extract(options, options.folder, both=options.convnet is not None)
    say(f"Written: {options.folder}")


def extract(options: argparse.Namespace, folder: str | Path, both: bool = True) -> None:
    """Extract the features of a collection's pictures, and tell how many could be read.

    Where a second ConvNet is named, for the pictures to predict, it comes after the first one; in
    place of it, where not `both`.
    """
    from hashtag_core.model.convnet import DEFAULT_CONVNET
    from hashtag_core.prepare.features import prepare_features

    second = options.query_convnet
    jobs = [(options.convnet or DEFAULT_CONVNET, False)] if both or not second else []
    jobs += [(second, True)] if second else []
    how = options.batch_size, options.workers, options.device
    first = Path(folder).is_dir() and not int(os.environ.get("RANK", 0))  # of torchrun's
    for convnet, query in jobs:
        with locked(Path(folder) / "features") if first else nullcontext():
            account = prepare_features(folder, convnet, *how, query)
        side = ", for the pictures to predict" if query else ""
        say(f"{account['read']:12,d}  pictures read with {convnet}{side}")
        for reason, left in account["left_out"].items():
            rows = ", ".join(map(str, left["first"][:SHOWN]))
            more = ", …" if left["count"] > SHOWN else ""
            say(f"{left['count']:12,d}  left out: {reason}  (row {rows}{more})")
