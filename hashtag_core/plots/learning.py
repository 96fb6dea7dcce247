"""Learning curves: drawn once, or in a notebook redrawn after each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.plots.style import STYLES, check_groups, drawing, legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hashtag_core.model.joint_embedding import HashtagModel

PANELS = {  # entry of the log -> what it is
    "loss": "training loss (Eq. 9)",
    "valid A@1": "A@1 (%), validation users",
    "valid R@10": "R@10 (%), validation users",
}


def plot_learning(logs: dict[str, list[dict]], path: str | Path | None = None) -> Figure:
    """Draw the loss, and the metrics of the validation users, against the epoch.

    Args:
        logs: name -> what `fit` returned as its log; one name, or up to 8 to compare.
        path: where to save the figure; None for nowhere.
    """
    from matplotlib.ticker import MaxNLocator

    check_groups(len(logs))
    with drawing(11, 3.9, path) as figure:
        panels = figure.subplots(1, 3)
        for ax, (key, label) in zip(panels, PANELS.items(), strict=True):
            for log, (colour, marker) in zip(logs.values(), STYLES, strict=False):
                points = [(entry["epoch"], entry[key]) for entry in log]
                ax.plot(*zip(*points, strict=True), color=colour, marker=marker, lw=2)
            ax.set(xlabel="epoch", ylabel=label)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            ax.grid(color="#e4e4e4")
        if len(logs) > 1:
            legend(panels[-1], dict(zip(logs, panels[-1].lines, strict=True)), "best")
    return figure


class LiveCurves:
    """One figure in a notebook that `fit(…, on_epoch=LiveCurves())` redraws after each epoch."""

    handle = None

    def __call__(self, model: HashtagModel, log: list[dict]) -> None:
        """Draw the log so far."""
        from IPython.display import display

        figure = plot_learning({"": log})
        if self.handle is None:
            self.handle = display(figure, display_id=True)
        else:
            self.handle.update(figure)
