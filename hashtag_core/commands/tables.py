"""`hashtag-core table …` and `hashtag-core figure …`: one experiment, its numbers, its plot."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from hashtag_core.study.study import Study

TABLES = ("1", "2", "3", "4", "5", "encoders", "retrieval", "data", "observations", "orders")
FIGURES = ("3", "history", "predictions", "retrieval", "users")
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
    figure.add_argument("--sizes", default="32,64,128,256,512,1024", help="figure 3: d_u")
    figure.add_argument("--lengths", default="0,1,2,5,10,20,50,100", help="figure history: photos")
    figure.set_defaults(command=_figure)


def study_options() -> argparse.ArgumentParser:
    """Options of a study, for commands that read them with `open_study`."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", metavar="DIR", help="a photo collection; default: data/open_art")
    shared.add_argument("--out", metavar="DIR", help="default: runs/tables/NAME OF DATA")
    shared.add_argument("--folds", type=int, default=1, help="user folds; default: one split")
    shared.add_argument("--seed", type=int, default=0)
    shared.add_argument("--models", metavar="A,B,…", help="only these rows, named as in the table")
    shared.add_argument("--words", metavar="FILE", help="GloVe vectors; default: 6B, 50 dimensions")
    shared.add_argument("--epochs", type=int, help="default: 20")
    shared.add_argument("--users-per-batch", type=int, help="default: 4")
    shared.add_argument("--paper", action="store_true", help="the paper's sizes and training (§4)")
    shared.add_argument("--fixed", type=int, default=1000, help="hashtags of the fixed vocabulary")
    return shared


def open_study(options: argparse.Namespace) -> Study:
    """The study that the options of `study_options` describe; says if it has no pictures."""
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.sources.open_art import open_art_folder
    from hashtag_core.study.rows import notice
    from hashtag_core.study.study import Study
    from hashtag_core.training.loop import TrainConfig

    least = {"epochs": 1, "users_per_batch": 1, "fixed": 1, "history": 1, "seed": 0}
    for name, bound in least.items():
        value = getattr(options, name, None)
        if value is not None and value < bound:
            raise InputError(f"--{name.replace('_', '-')} {value}: at least {bound}.")
    photos = PhotoCollection.load(options.data or open_art_folder())
    training = TrainConfig.small(options.seed)
    if options.paper:
        training = replace(TrainConfig.paper(), seed=options.seed)
    for name in ("epochs", "users_per_batch"):
        value = getattr(options, name)
        if value is not None:
            training = replace(training, **{name: value})
    out = Path(options.out) if options.out else Path("runs/tables") / photos.folder.name
    study = Study(
        photos, out, options.folds, options.seed, options.device, options.words, training,
        options.fixed, "paper" if options.paper else "small",
    )  # fmt: skip
    if said := notice(study):
        print(said)
    return study


def chosen_models(options: argparse.Namespace) -> list[str] | None:
    """The rows that --models names, None for all."""
    return None if options.models is None else [m.strip() for m in options.models.split(",")]


def _numbers(text: str, option: str, least: int) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: whole numbers, separated by commas.") from None
    if min(numbers) < least:
        raise InputError(f"{option} {text}: at least {least}.")
    return list(dict.fromkeys(numbers))


def _table(options: argparse.Namespace) -> None:
    from hashtag_core.plots import numbers as plots
    from hashtag_core.study import tables as e

    study, models, name = open_study(options), chosen_models(options), options.name
    stem = study.folder / f"table-{name}"
    if name == "data":
        from hashtag_core.data.describe import describe, distributions

        table = describe(study.photos, study.vectors, study.seed)
        plots.plot_data(distributions(study.photos), stem.with_suffix(".png"))
    elif name in ("observations", "orders"):
        from hashtag_core.study import observations

        if name == "orders":
            table = observations.orders(study, options.history)
        else:
            table = observations.observations(study)
        stem.with_suffix(".png").unlink(missing_ok=True)
    else:
        functions = {
            "1": e.table_1, "2": e.table_2, "3": e.table_3, "4": e.table_4,
            "encoders": e.table_encoders, "retrieval": e.table_retrieval,
        }  # fmt: skip
        if name == "5":
            table = e.table_5(study, models, options.history)
        else:
            table = functions[name](study, models)
        metrics = [m for m in ("A@1", "A@10", "R@10", "MR") if m in table]
        drawn = table
        if name == "retrieval":
            drawn = table.assign(model=table["model"] + ", " + table["reading"])
        plots.plot_table(drawn, metrics, stem.with_suffix(".png"))
    _finish(options, study, table, stem)


def _figure(options: argparse.Namespace) -> None:
    from hashtag_core.plots import numbers as plots
    from hashtag_core.plots import pictures as picture_plots
    from hashtag_core.study import figures
    from hashtag_core.study import tables as experiments
    from hashtag_core.study.rows import main_row

    study, name = open_study(options), options.name
    stem = study.folder / f"figure-{name}"
    path = stem.with_suffix(".png")
    if name == "3":
        table = experiments.figure_3(study, _numbers(options.sizes, "--sizes", 1))
        table["model"] = main_row(study)
        plots.plot_curve(table, "d_u", ["R@10"], path, "d_u", size="ms per photo")
        _finish(options, study, table, stem)
    elif name == "history":
        lengths = _numbers(options.lengths, "--lengths", 0)
        table = experiments.figure_history(study, chosen_models(options), lengths)
        plots.plot_curve(table, "photos of history", ["A@1", "R@10"], path, "photos of the history")
        _finish(options, study, table, stem)
    elif name == "users":
        import pandas as pd

        users = figures.user_map(study)
        plots.plot_users(users.points, users.groups, path)
        x, y = users.points.T
        rows = {"user": users.users, "x": x, "y": y, "group": users.groups}
        _finish(options, study, pd.DataFrame(rows), stem, show=False)
    elif name == "predictions":
        sections = figures.predictions(study)
        picture_plots.plot_examples(sections, path)
        shown = [(title, example) for title, examples in sections.items() for example in examples]
        kept = ("user", "history_length", "true", "predicted")
        write_json(options, [{"section": t} | {k: getattr(x, k) for k in kept} for t, x in shown])
        print(f"Figure: {path}")
    else:
        found = figures.retrieval(study)
        picture_plots.plot_retrieval(found, path)
        kept = ("hashtag", "user", "has_it", "own")
        write_json(options, [{k: getattr(x, k) for k in kept} for x in found])
        print(f"Figure: {path}")


def _finish(
    options: argparse.Namespace, study: Study, table: pd.DataFrame, stem: Path, show: bool = True
) -> None:
    if show:
        print("\n" + as_text(table) + "\n")
        if any(column.endswith(" paper") for column in table):
            print(DIFFERENT)
    write_csv(table, study, stem.with_suffix(".csv"), options.line)
    print(f"Table:  {stem.with_suffix('.csv')}")
    if stem.with_suffix(".png").exists():
        print(f"Figure: {stem.with_suffix('.png')}")
    write_json(options, json.loads(table.to_json(orient="records")))  # NaN becomes null


def write_json(options: argparse.Namespace, rows: list[dict]) -> None:
    """Write what a command printed as plain data, where --json names a file."""
    if options.json:
        text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
        Path(options.json).write_text(text, encoding="utf-8")


def as_text(table: pd.DataFrame) -> str:
    """A table to read: mean ± standard deviation, the paper's number in brackets beside it."""
    import pandas as pd

    shown = pd.DataFrame()
    for column in table:
        beside = column.removesuffix(" std").removesuffix(" paper")
        if (beside != column and beside in table) or column == "left_out":
            continue
        values = table[column]
        if f"{column} std" not in table and f"{column} paper" not in table:
            shown[column] = [f"{v:,.4g}" if isinstance(v, float) else f"{v}" for v in values]
            continue
        digits = 0 if column == "dim" else 1
        texts = [f"{v:.{digits}f}" for v in values]
        if f"{column} std" in table:
            stds = table[f"{column} std"]
            texts = [
                t if pd.isna(s) else f"{t} ± {s:.1f}" for t, s in zip(texts, stds, strict=True)
            ]
        if f"{column} paper" in table:
            paper = table[f"{column} paper"]
            texts = [t if pd.isna(p) else f"{t} ({p:g})" for t, p in zip(texts, paper, strict=True)]
        shown[column] = texts
    return shown.to_string(index=False)


def write_csv(table: pd.DataFrame, study: Study, path: Path, command: str) -> None:
    """Write a table with what made it in front: lines that begin with `#`.

    Read it with `pandas.read_csv(path, comment="#")`.
    """
    from hashtag_core import __version__

    made = study.provenance
    lines = [
        f"command: hashtag-core {command}",
        f"hashtag_core {__version__}, torch {made['torch']}, threads {_threads()}",
        f"data: {made['source']}, sha256 {made['sha256']}",
        f"seed {made['seed']}, folds {len(study.splits)}, training {made['training']}, "
        f"fixed vocabulary {made['fixed_size']}",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {line}\n" for line in lines)
        quoted = csv.QUOTE_NONNUMERIC  # a name may begin with `#`
        table.round(4).to_csv(file, index=False, lineterminator="\n", quoting=quoted)


def _threads() -> int:
    import torch

    return torch.get_num_threads()
