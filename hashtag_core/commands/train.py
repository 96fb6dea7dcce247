"""`hashtag-core train`: train models where the tables find them; also under `torchrun`."""

from __future__ import annotations

import argparse
from itertools import product

from hashtag_core.commands.options import chosen_models, open_study, study_options
from hashtag_core.commands.output import as_lines, write_json
from hashtag_core.printing import say


def add_command(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line."""
    commands.add_parser(
        "train",
        parents=[common, study_options()],
        help="train models for the tables, on one or several GPUs",
        description="Several GPUs: torchrun --nproc-per-node 8 -m hashtag_core.cli train …",
    ).set_defaults(command=_train)


def _train(options: argparse.Namespace) -> None:
    import pandas as pd

    from hashtag_core.study.rows import MODELS, main_row, rows_for

    study = open_study(options)
    models = chosen_models(options) or [main_row(study.photos)]
    rows_for(study.photos, {"open": tuple(MODELS)}, models)  # are there such rows?
    together, device = study.processes.number, study.device.type
    say(f"{together} process(es), {device}: {len(study.photos):,} photos.")
    rows = []
    for number, name in product(study.numbers, models):
        about = {"fold": number + 1, "model": name}
        rows += [about | row for row in study.prediction(number, "open", name)]
        say(f"Trained: {study.path(number, 'open', name)}")
    write_json(options, rows)
    say("", *as_lines(pd.DataFrame(rows)), "")
