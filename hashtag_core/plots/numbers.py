"""Figures of the numbers: tables as bars, curves, what is in the data, users on a map.

Each function returns its figure, and writes it to a file where it is given a path.
"""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.errors import printable
from hashtag_core.plots.style import (
    BLUE,
    GREY,
    LIGHT_GREY,
    ORANGE,
    SKY,
    STYLES,
    check_groups,
    drawing,
    legend,
)
from hashtag_core.study.rows import RULES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIAMOND = {"ls": "", "marker": "D", "mfc": "none", "mec": "black", "mew": 1.6, "markersize": 7}
GREY_ROWS = {"oracle": LIGHT_GREY} | dict.fromkeys(RULES, GREY)  # the paper does not have them


def plot_table(
    table: pd.DataFrame, metrics: list[str], path: str | Path | None = None, title: str = ""
) -> Figure:
    """Draw a table of results (Tables 1 to 5) as bars, the models from top to bottom.

    Args:
        table: a row per model, in the order to draw. Columns: model; the metrics, in per cent
            ("MR", the median rank, in ranks), NaN where there is no result. They may be followed
            by "<metric> std", the error bars; "<metric> paper", the paper's numbers, drawn as
            hollow diamonds; and vocabulary ("fixed", "open") or candidates ("seen", "unseen",
            "all") or both, which make a row of panels for each of their values.
        metrics: the columns to draw, one column of panels each; its panels have the same scale.
        path: where to save the figure, a .png, .svg or .pdf; None for nowhere.
        title: above the figure.
    """
    numbers = [f"{metric}{kind}" for metric in metrics for kind in ("", " std", " paper")]
    table = table.assign(**table.reindex(columns=numbers).astype(float))  # NaN where missing
    nouns = {"vocabulary": "vocabulary", "candidates": "hashtags"}
    split = [column for column in nouns if column in table]
    blocks = {}
    for values, block in table.groupby(split, sort=False) if split else [((), table)]:
        heading = ", ".join(f"{x} {nouns[column]}" for x, column in zip(values, split, strict=True))
        blocks[heading.replace("transductive vocabulary", "the same users, later photos")] = block

    lengths = [len(block) for block in blocks.values()]
    width = max(9.0, 0.5 + 0.11 * table["model"].str.len().max() + 2.4 * len(metrics))
    with drawing(width, 1.9 + sum(0.38 * n + 0.5 for n in lengths), path, title) as figure:
        panels = figure.subplots(len(blocks), len(metrics), squeeze=False, height_ratios=lengths)
        for row, (heading, block) in zip(panels, blocks.items(), strict=True):
            for ax, metric in zip(row, metrics, strict=True):
                _draw_bars(ax, block, metric, _largest(table, metric))
            names = list(map(printable, block["model"]))
            row[0].set_yticks(range(len(block)), names, parse_math=False)
            row[0].set_title(heading, loc="left", weight="bold")
        for ax, metric in zip(panels[-1], metrics, strict=True):
            ax.set_xlabel(_axis_label(metric))
        _legend_of_table(figure, table, metrics)
    return figure


def plot_curve(
    table: pd.DataFrame,
    x: str,
    metrics: list[str],
    path: str | Path | None = None,
    xlabel: str = "",
    log: bool = True,
    size: str | None = None,
    title: str = "",
) -> Figure:
    """Draw metrics against a number, one panel a metric: Figure 3, or the length of the history.

    Args:
        table: a row per point. Columns: `x`; the metrics, in per cent; it may have model (a line
            for each, at most 8) and "<metric> std" (a band around the line).
        x: the column along the horizontal axis.
        metrics: the columns to draw.
        path: where to save the figure; None for nowhere.
        xlabel: what x is; the column's name where not given.
        log: logarithmic to base 2; where there is an x of 0, linear between 0 and 1.
        size: a column, such as the computing time, that the widths of circles show; its value is
            written at each.
        title: above the figure.

    Raises:
        ValueError: where there are more than 8 models.
    """
    lines = list(table.groupby("model", sort=False)) if "model" in table else [("", table)]
    check_groups(len(lines))
    ticks = np.unique(table[x])
    names = [name for name, _ in lines]
    width = max(7.0, max(5.4, 0.72 * len(ticks)) * len(metrics)) + 0.11 * max(map(len, names))
    with drawing(width, 5.2, path, title) as figure:
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for ax, metric in zip(panels, metrics, strict=True):
            for (_, points), (colour, marker) in zip(lines, STYLES, strict=False):
                points = points.sort_values(x)
                at, y = points[x].to_numpy(), points[metric].to_numpy()
                ax.plot(at, y, color=colour, marker=marker, markersize=7, lw=2)
                if f"{metric} std" in points:
                    std = points[f"{metric} std"].to_numpy()
                    ax.fill_between(at, y - std, y + std, color=colour, alpha=0.18, lw=0)
                if size:
                    _draw_circles(ax, at, y, points[size].to_numpy(), table[size].max(), colour)
            if log:
                scale = {"value": "log"} if ticks[0] > 0 else {"value": "symlog", "linthresh": 1}
                ax.set_xscale(**scale, base=2)
                ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                ax.minorticks_off()
            ax.margins(x=0.12 if size else 0.04, y=0.22 if size else 0.08)
            ax.grid(color="#e4e4e4")
            ax.set(xlabel=xlabel or x, ylabel=_axis_label(metric))
        if size:
            note = f"width of a circle, and number at it: {size}"
            figure.supxlabel(note, color=GREY, fontsize=12, parse_math=False)
        if "model" in table:
            entries = dict(zip(names, panels[0].lines, strict=True))
            legend(figure, entries, "outside center right")
    return figure


def plot_data(
    distributions: dict[str, np.ndarray], path: str | Path | None = None, title: str = ""
) -> Figure:
    """Draw what is in a photo collection (A.1), in four panels.

    Args:
        distributions: from `describe.distributions`.
        path: where to save the figure; None for nowhere.
        title: above the figure.
    """
    from matplotlib.ticker import MaxNLocator

    with drawing(12.8, 8.2, path, title) as figure:
        users, photos, hashtags, repeated = figure.subplots(2, 2).flat

        values = distributions["photos per user"]
        first, last = np.log2([values.min(), values.max()]).astype(int)
        octaves = np.arange(first, last + 2)  # bars of 1, 2-3, 4-7, 8-15, …
        _draw_histogram(users, values, 2.0**octaves)
        users.set_xscale("log", base=2)
        users.xaxis.set_major_formatter("{x:,.0f}")
        users.set(xlabel="photos of the user (a bar for each doubling)", ylabel="users")

        values = distributions["hashtags per photo"]
        width = -(-int(values.max()) // 40)  # at most 40 bars
        _draw_histogram(photos, values, np.arange(0.5, values.max() + width + 0.5, width))
        photos.set(xlabel="hashtags of the photo", ylabel="photos")

        values = distributions["photos per hashtag"]
        hashtags.loglog(np.arange(1, len(values) + 1), values, color=BLUE, lw=2.5)
        hashtags.set(xlabel="rank of the hashtag, the most frequent first", ylabel="photos with it")

        values = distributions["repeated share"]
        repeated.plot(np.arange(1, len(values) + 1), values, color=BLUE, marker="o", lw=2)
        repeated.set(xlabel="position of the photo in its user's history", ylim=(-3, 103))
        repeated.set_ylabel("hashtags used before (%)")
        for ax in (photos, repeated):
            ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
        for ax in (users, photos):
            ax.yaxis.set_major_formatter("{x:,.0f}")
            ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        for ax, axis in zip(figure.axes, ("y", "y", "both", "both"), strict=True):
            ax.grid(axis=axis, color="#e4e4e4")
    return figure


def plot_users(
    points: np.ndarray,
    groups: list[str],
    path: str | Path | None = None,
    title: str = "",
    paths: dict[str, np.ndarray] | None = None,
) -> Figure:
    """Draw a map of users, such as UMAP makes of their representations (A.4), a colour a group.

    Args:
        points: (U, 2), where each user is.
        groups: the group of each of the U users, a hashtag say; at most 8 different ones. Users
            with the group "" are small grey dots.
        path: where to save the figure; None for nowhere.
        title: above the figure.
        paths: for some users, by name, (T, 2): where they were after each of their photos, the
            oldest first. Drawn as lines from a ring to an arrow head, with the name at its end.

    Raises:
        ValueError: where there are more than 8 groups.
    """
    groups = np.asarray(groups)
    by_size = [name for name, _ in Counter(groups.tolist()).most_common() if name]
    check_groups(len(by_size))
    width = 9 + 0.11 * max(map(len, by_size), default=0)
    with drawing(width, 7, path, title) as figure:
        ax = figure.subplots()
        ax.scatter(*points[groups == ""].T, s=14, color=LIGHT_GREY, lw=0)
        look = {"s": 75, "edgecolor": "black", "lw": 0.6, "alpha": 0.9}
        entries = {
            name: ax.scatter(*points[groups == name].T, color=colour, marker=marker, **look)
            for name, (colour, marker) in zip(by_size, STYLES, strict=False)
        }
        for (name, way), dashes in zip((paths or {}).items(), cycle(("-", "--", ":", "-."))):
            _draw_way(ax, name, way, dashes)
        ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
        ax.margins(0.06)
        legend(figure, entries, "outside center right")
    return figure


# ---- parts of the figures


def _axis_label(metric: str) -> str:
    if metric == "MR":
        return "median rank\n(lower is better)"
    return f"{metric} (%)" if "@" in metric else metric


def _legend_of_table(figure: Figure, table: pd.DataFrame, metrics: list[str]) -> None:
    from matplotlib.lines import Line2D

    entries = {}
    if any(table[f"{metric} std"].sum() for metric in metrics):
        entries["standard deviation over folds"] = Line2D([], [], color="black", lw=1.5)
    if any(table[f"{metric} paper"].notna().any() for metric in metrics):
        entries["paper (other data: does not compare)"] = Line2D([], [], **DIAMOND)
    legend(figure, entries, "outside lower center", len(entries))


def _largest(table: pd.DataFrame, metric: str) -> float:
    """The end of the longest bar, or the farthest diamond."""
    ends = table[metric] + table[f"{metric} std"].fillna(0)
    return float(np.nanmax([0.0, *ends, *table[f"{metric} paper"]])) or 1.0


def _draw_bars(ax: Axes, block: pd.DataFrame, metric: str, largest: float) -> None:
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(0, largest)
    ticks = ticks[: 1 + np.searchsorted(ticks, largest)]  # the last one is beyond all bars
    ticks = ticks[ticks <= 100] if "@" in metric else ticks  # there is no more than all
    width = max(ticks[-1], 1.4 * largest)  # with room for the numbers
    rows = block[["model", metric, f"{metric} std", f"{metric} paper"]]
    for y, (model, value, std, paper) in enumerate(rows.itertuples(index=False)):
        end, number = 0.0, "–"
        if not np.isnan(value):
            end, number = value, f"{value:.1f}"
            colour = GREY_ROWS.get(model, ORANGE if model.startswith("ours") else SKY)
            ax.barh(y, value, height=0.72, color=colour)
            if std > 0:
                end += std
                ax.errorbar(value, y, xerr=std, color="black", lw=1.5, capsize=3)
        if not np.isnan(paper):
            ax.plot(paper, y + 0.38, **DIAMOND)  # below the error bar and the number
        near = -0.05 * width < paper - end < 0.2 * width
        ax.text(end + 0.02 * width, y - 0.14 * near, number, va="center", fontsize=12)
    ax.spines["bottom"].set_bounds(0, ticks[-1])
    ax.set(xlim=(0, width), ylim=(len(block) - 0.4, -0.5))
    ax.set_xticks(ticks)
    ax.set_yticks([])
    ax.grid(axis="x", color="#e4e4e4")
    ax.tick_params(axis="y", length=0)


def _draw_circles(
    ax: Axes, x: np.ndarray, y: np.ndarray, sizes: np.ndarray, largest: float, colour: str
) -> None:
    widths = 56 * sizes / largest  # in points
    ax.scatter(x, y, s=widths**2, color=colour, alpha=0.25, lw=0)
    look = {"ha": "center", "va": "bottom", "fontsize": 11.5, "color": GREY}
    for at, value, size, width in zip(x, y, sizes, widths, strict=True):
        above = (0, max(width / 2, 4) + 3)
        ax.annotate(f"{size:.3g}", (at, value), above, textcoords="offset points", **look)


def _draw_histogram(ax: Axes, values: np.ndarray, edges: np.ndarray) -> None:
    median = np.median(values)
    ax.hist(values, edges, color=SKY, edgecolor="white")
    ax.axvline(median, color="black", lw=1.8, ls="--")
    above = {"ha": "center", "va": "bottom", "transform": ax.get_xaxis_transform()}
    ax.text(median, 1.01, f"median {median:g}", **above)


def _draw_way(ax: Axes, name: str, way: np.ndarray, dashes: str) -> None:
    line = {"color": "black", "lw": 1.3, "ls": dashes}
    ax.plot(*way.T, **line)
    ax.plot(*way[0], marker="o", mfc="white", mec="black", markersize=9)
    if len(way) > 1:
        ax.annotate("", way[-1], way[-2], arrowprops={"arrowstyle": "-|>", **line})
    ax.annotate(
        printable(name), way[-1], (6, 6), textcoords="offset points", fontsize=12, weight="bold",
        parse_math=False, bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 1.5},
    )  # fmt: skip
