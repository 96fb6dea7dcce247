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
        "--batch-size", metavar="N", type=int, default=32, help="default: %(default)s"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, default=0, help="that decode pictures; default: none"
    )
    parser.add_argument("--device", help="cpu, cuda or mps; the best there is where not given")


def _features(options: argparse.Namespace) -> None:
    extract(options, options.folder)
    say(f"Written: {options.folder}")


def extract(options: argparse.Namespace, folder: str | Path) -> None:
    """Extract the features of a collection's pictures, and tell how many could be read."""
    from hashtag_core.model.convnet import DEFAULT_CONVNET
    from hashtag_core.prepare.features import prepare_features

    convnet = options.convnet or DEFAULT_CONVNET
    first = Path(folder).is_dir() and not int(os.environ.get("RANK", 0))  # of torchrun's
    with locked(Path(folder) / "features") if first else nullcontext():
        account = prepare_features(
            folder, convnet, options.batch_size, options.workers, options.device
        )
    say(f"{account['read']:12,d}  pictures read with {convnet}")
    for reason, left in account["left_out"].items():
        first = ", ".join(map(str, left["first"][:SHOWN]))
        more = ", …" if left["count"] > SHOWN else ""
        say(f"{left['count']:12,d}  left out: {reason}  (row {first}{more})")
