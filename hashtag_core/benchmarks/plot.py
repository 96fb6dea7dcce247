"""The one figure of `hashtag-core benchmark`: ours over each alternative, in time and in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.plots.style import BLUE, GREY, ORANGE, figure_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    ("time_ratio", "time, ours / the alternative", "seconds", "s"),
    ("memory_ratio", "peak extra memory, ours / the alternative", "megabytes", "MB"),
)


def plot_benchmark(rows: list[dict], path: str | Path | None = None) -> Figure:
    """Draw the ratios of all comparisons as bars on a logarithmic axis; 1 is the alternative.

    Args:
        rows: of the benchmarks' `run`; those without an alternative are left out.
        path: where to save the figure; None for nowhere.
    """
    rows = [row for row in rows if row.get("time_ratio")]
    names = [f"{row['case']}\nagainst {row['against']}" for row in rows]
    with figure_style():
        figure = new_figure(11.5, 1.6 + 0.62 * len(rows))
        panels = figure.subplots(1, 2, sharey=True)
        for ax, (ratio, label, amount, unit) in zip(panels, PANELS, strict=True):
            values = [row.get(ratio) for row in rows]
            texts = [
                f"{_short(row[amount])} / {_short(row['against_' + amount])} {unit}" for row in rows
            ]
            _draw_ratios(ax, values, texts)
            ax.set_xlabel(label)
        panels[0].set_yticks(range(len(rows)), names)
        panels[0].invert_yaxis()
        devices = dict.fromkeys(f"({row['device']}, torch {row['torch']})" for row in rows)
        quick = " --quick: small sizes" if any(row.get("quick") for row in rows) else ""
        title = "\n".join([f"hashtag-core benchmark{quick}", *devices])
        figure.suptitle(title, x=0.01, ha="left", parse_math=False)
        save(figure, path)
    return figure


def _draw_ratios(ax: Axes, ratios: list[float | None], texts: list[str]) -> None:
    """Bars from 1 to each ratio, and beside them what was measured."""
    known = [ratio for ratio in ratios if ratio]
    ax.set_xscale("log")
    ax.set_xlim(0.5 * min([*known, 0.5]), 6 * max([*known, 1.0]))
    for y, (ratio, text) in enumerate(zip(ratios, texts, strict=True)):
        if ratio:
            left, right = sorted((1.0, ratio))
            ax.barh(y, right - left, left=left, color=BLUE if ratio < 1 else ORANGE, height=0.55)
            ax.text(1.08 * right, y, f"{ratio:.2g}   ({text})", va="center", fontsize=9)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}" if x >= 1 else f"1/{1 / x:g}")
    ax.axvline(1, color=GREY, linewidth=1)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
