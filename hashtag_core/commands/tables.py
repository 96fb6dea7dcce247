"""`hashtag-core table …` and `hashtag-core figure …`: one experiment, its numbers, its plot."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands.options import (
    chosen_models,
    open_study,
    result_path,
    study_options,
    tell_fixed,
    whole_numbers,
)
from hashtag_core.commands.output import as_lines, tell_failed, write_csv, write_json
from hashtag_core.printing import say

if TYPE_CHECKING:
    import pandas as pd

    from hashtag_core.study.study import Study

NUMBERED = ("1", "2", "3", "4", "5")
TABLES = (*NUMBERED, "encoders", "words", "retrieval", "beyond", "data", "observations", "orders")
FIGURES = ("3", "history", "predictions", "retrieval", "users", "reliability")
LENGTHS = "0,1,2,5,10,20,50,100"  # photos of the history
WITH_FIXED = ("1", "3", "5", "observations", "orders")  # tables with the fixed vocabulary
DIFFERENT = "The paper's numbers are of other photos and features: they do not compare with ours."


def add_commands(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """Add the two commands to the command line."""
    shared = study_options()
    table = commands.add_parser("table", parents=[common, shared], help="a table of the paper")
    table.add_argument("name", choices=TABLES)
    table.add_argument("--history", type=int, default=20, help="table 5: photos of each history")
    table.set_defaults(command=_table)

    figure = commands.add_parser("figure", parents=[common, shared], help="a figure of the paper")
    figure.add_argument("name", choices=FIGURES)
    sizes = "figure 3: d_u; default: 32 to 1024, with --paper to 8192"
    figure.add_argument("--sizes", metavar="A,B,…", help=sizes)
    figure.add_argument("--lengths", default=LENGTHS, help="figure history: photos")
    figure.set_defaults(command=_figure)


def _table(options: argparse.Namespace) -> None:
    make_table(options)


def _figure(options: argparse.Namespace) -> None:
    make_figure(options)


def make_table(options: argparse.Namespace) -> pd.DataFrame:
    """Measure, print and write a table."""
    from hashtag_core.data.describe import describe, distributions
    from hashtag_core.plots import numbers as plots
    from hashtag_core.plots.beyond import plot_differences
    from hashtag_core.study import beyond, observations, tables

    study, name = open_study(options), options.name
    path = result_path(study, f"table-{name}")
    if name in WITH_FIXED:
        tell_fixed(study)
    history = {"history": options.history} if name in ("5", "orders") else {}
    if name == "data":
        table = describe(study.photos, study.vectors, study.seed)
        plots.plot_data(distributions(study.photos), path)
    elif name == "beyond":
        table = beyond.table_beyond(study, chosen_models(options))
        plot_differences(table, path)
    elif name in ("observations", "orders"):
        table = getattr(observations, name)(study, **history)
        path.unlink(missing_ok=True)
    else:
        table = tables.TABLES[name](study, chosen_models(options), **history)
        metrics = [m for m in ("A@1", "A@10", "R@10", "MR") if m in table]
        readings = ", " + table["reading"] if name == "retrieval" else ""
        plots.plot_table(table.assign(model=table["model"] + readings), metrics, path)
    return _finish(options, study, table, path, beyond_lines if name == "beyond" else as_lines)


def beyond_lines(table: pd.DataFrame) -> list[str]:
    """What of `table_beyond` fits on a screen: each case, and how far above copying."""
    lines = []
    for (case, which), rows in table.groupby(["case", "candidates"], sort=False):
        if case not in ("every photo", "the other half") and which != "all":
            continue
        shown = rows[["model"]].copy()
        for metric in ("A@1", "R@10"):
            shown[metric] = [f"{x:.1f}" for x in rows[metric]]
            numbers = rows[[f"{metric} {part}" for part in ("diff", "low", "high", "ahead")]]
            shown[f"{metric} above copying"] = [
                f"{diff:+.1f} [{low:+.1f}, {high:+.1f}], {ahead:.0f} of {folds}"
                for (diff, low, high, ahead), folds in zip(
                    numbers.to_numpy(), rows["folds"], strict=True
                )
            ]
        photos, users = rows[["photos", "users"]].iloc[0]
        lines += [f"{case}, {which} hashtags ({photos:,} photos of {users} users):"]
        lines += [*as_lines(shown), ""]
    return lines


def make_figure(options: argparse.Namespace) -> pd.DataFrame | None:
    """Measure, draw and write a figure; None where it shows pictures."""
    import pandas as pd

    from hashtag_core.plots import numbers as plots
    from hashtag_core.plots import pictures as picture_plots
    from hashtag_core.plots.beyond import plot_reliability
    from hashtag_core.study import beyond, figures
    from hashtag_core.study import tables as experiments
    from hashtag_core.study.rows import main_row

    study, name = open_study(options), options.name
    path = result_path(study, f"figure-{name}")
    if name == "3":
        sizes = None if options.sizes is None else whole_numbers(options.sizes, "--sizes", 1)
        table = experiments.figure_3(study, sizes)
        table["model"] = main_row(study.photos)
        plots.plot_curve(table, "d_u", ["R@10"], path, "d_u", size="ms per photo")
    elif name == "history":
        lengths = whole_numbers(options.lengths, "--lengths", 0)
        table = experiments.figure_history(study, chosen_models(options), lengths)
        plots.plot_curve(table, "photos of history", ["A@1", "R@10"], path, "photos of the history")
    elif name == "reliability":
        table = beyond.figure_reliability(study)
        plot_reliability(table, path)
    elif name == "users":
        users = figures.user_map(study)
        plots.plot_users(users.points, users.groups, path)
        x, y = users.points.T
        table = pd.DataFrame({"user": users.users, "x": x, "y": y, "group": users.groups})
    else:
        if name == "predictions":
            sections = figures.predictions(study)
            picture_plots.plot_examples(sections, path)
            shown = [({"section": title}, x) for title, part in sections.items() for x in part]
            kept = ("user", "history_length", "true", "predicted")
        else:
            rows = figures.retrieval(study)
            picture_plots.plot_retrieval(rows, path)
            shown, kept = [({}, row) for row in rows], ("hashtag", "user", "has_it", "own")
        write_json(options, [head | {k: getattr(x, k) for k in kept} for head, x in shown])
        say(f"Figure: {path}")
        return None
    return _finish(options, study, table, path, as_lines if name != "users" else None)


def _finish(
    options: argparse.Namespace,
    study: Study,
    table: pd.DataFrame,
    path: Path,
    lines: Callable[[pd.DataFrame], list[str]] | None,
) -> pd.DataFrame:
    """Write a table, then print it by `lines`, and return it; `path` is its plot's, if it has one.

    First of all it is written: who reads the beginning alone (`| head`) has the files all the same.
    """
    write_csv(table, study, path.with_suffix(".csv"), options.line)
    write_json(options, json.loads(table.to_json(orient="records")))  # NaN becomes null
    if lines:
        say("", *lines(table), "")
        if any(column.endswith(" paper") for column in table):
            say(DIFFERENT)
        if study.order != "time":
            say("Each user's photos stood in random order.")
    if "ECE" in table.attrs:
        say(
            f"Expected calibration error: {table.attrs['ECE']:.1f} points, of "
            f"{table.attrs['photos']:,} photos of validation users."
        )
    tell_failed(table)
    if others := [maker for maker in study.makers if maker != study.made_with]:
        say("Kept from earlier, made with:", *others)
    say(f"Table:  {path.with_suffix('.csv')}")
    if path.exists():
        say(f"Figure: {path}")
    return table
