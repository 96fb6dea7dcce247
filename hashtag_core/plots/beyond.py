"""`ours+` in figures: how far rows are above copying, and whether probabilities hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.errors import printable
from hashtag_core.plots.style import BLUE, GREY, LIGHT_GREY, ORANGE, SKY, drawing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LEAST = -10.0  # per cent: what is further below copying is drawn as an arrow at the edge


def plot_differences(
    table: pd.DataFrame,
    path: str | Path | None = None,
    metrics: tuple[str, ...] = ("A@1", "R@10"),
    case: str = "every photo",
    candidates: str = "all",
) -> Figure:
    """Draw how far each model is above or below the best rule that copies, with its interval.

    Args:
        table: of `study.beyond.table_beyond`.
        path: where to save the figure; None for nowhere.
        metrics: a panel each.
        case: which photos.
        candidates: "seen", "unseen" or "all".
    """
    rows = table[(table["case"] == case) & (table["candidates"] == candidates)]
    with drawing(11, 1.6 + 0.4 * len(rows), path) as figure:
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for ax, metric in zip(panels, metrics, strict=True):
            parts = [f"{metric} {part}" for part in ("diff", "low", "high")]
            ax.axvline(0, color=GREY, lw=1.5)
            for y, (model, *numbers) in enumerate(rows[["model", *parts]].itertuples(index=False)):
                middle, low, high = numbers
                colour = ORANGE if model.startswith("ours+") else SKY
                if middle < LEAST:
                    ax.plot(LEAST, y, marker="<", color=LIGHT_GREY, ms=9)
                    ax.text(LEAST + 0.6, y, f"{middle:+.1f}", va="center", fontsize=12)
                    continue
                ax.plot([max(low, LEAST), high], [y, y], color=colour, lw=3)
                ax.plot(middle, y, "o", color=colour, ms=9)
            ax.set(xlim=(LEAST - 1, None), ylim=(len(rows) - 0.4, -0.6))
            ax.set_xlabel(f"{metric} above the best rule that copies (points)")
            ax.grid(axis="x", color="#e4e4e4")
            ax.set_yticks([])
        names = list(map(printable, rows["model"]))
        panels[0].set_yticks(range(len(rows)), names, parse_math=False)
    return figure


def plot_reliability(bins: pd.DataFrame, path: str | Path | None = None) -> Figure:
    """Draw how often the first hashtag was right against how probable it was said to be.

    Args:
        bins: of `study.beyond.figure_reliability`, in per cent.
        path: where to save the figure; None for nowhere.
    """
    with drawing(6.5, 6, path) as figure:
        ax = figure.subplots()
        ax.plot([0, 100], [0, 100], color=GREY, lw=1.5, ls="--", label="as said")
        sizes = 40 + 500 * np.sqrt(bins["photos"] / max(bins["photos"].sum(), 1))
        ax.scatter(bins["said"], bins["true"], s=sizes, color=BLUE, alpha=0.8)
        ax.set_xlabel("said: p of the first hashtag (%)")
        ax.set_ylabel("true: how often it was drawn (%)")
        ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
        ax.grid(color="#e4e4e4")
        ax.legend(frameon=False, loc="upper left")
    return figure
