"""Figures with pictures: predicted hashtags (A.4), and pictures found for a hashtag (A.5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.data.pictures import load_picture
from hashtag_core.plots.numbers import BLUE, GREY, ORANGE, save
from hashtag_core.study.figures import Example, Found

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_retrieval(rows: list[Found], path: str | Path | None = None) -> Figure:
    """Draw the pictures found, a row for each hashtag and user; `path` saves the figure."""
    from matplotlib.figure import Figure

    columns = max(len(row.pictures) for row in rows)
    figure = Figure(figsize=(2.6 + 1.35 * columns, 1.5 * len(rows) + 0.5), layout="constrained")
    grid = figure.add_gridspec(len(rows), columns + 1, width_ratios=[2.0] + [1.0] * columns)
    note = "Frame: blue, posted with the hashtag; orange, posted with it by this very user; "
    figure.supxlabel(note + "grey, without the hashtag.", fontsize=11, color=GREY)
    for line, row in enumerate(rows):
        label = figure.add_subplot(grid[line, 0])
        label.axis("off")
        label.text(0, 0.6, f"#{_short(row.hashtag, 18)}", fontsize=14, weight="bold",
                   va="center", parse_math=False)  # fmt: skip
        reading = "as everyone means it" if row.user is None else f"as {_short(row.user, 18)} does"
        label.text(0, 0.3, reading, fontsize=11, color=GREY, va="center", parse_math=False)
        for column, picture in enumerate(row.pictures):
            ax = figure.add_subplot(grid[line, column + 1])
            ax.imshow(load_picture(picture))
            ax.set(xticks=[], yticks=[])
            colour = (ORANGE if row.own[column] else BLUE) if row.has_it[column] else "#b5b5b5"
            for spine in ax.spines.values():
                spine.set(color=colour, linewidth=3)
    save(figure, path, dpi=110)
    return figure


def plot_examples(sections: dict[str, list[Example]], path: str | Path | None = None) -> Figure:
    """Draw examples, one a row, under the heading of their section; `path` saves the figure."""
    from matplotlib.figure import Figure

    rows = sum(len(examples) for examples in sections.values())
    heights = []
    for examples in sections.values():
        heights += [0.34] + [1.0] * len(examples)
    figure = Figure(figsize=(13, 1.72 * rows + 0.6 * len(sections)), layout="constrained")
    grid = figure.add_gridspec(
        len(heights), 3, width_ratios=[5.2, 1.15, 5.4], height_ratios=heights
    )
    note = "✓ posted with this hashtag.   Blue frame: the user's own next picture.   "
    note += "Orange frame: somebody else's picture, as this user would label it."
    figure.supxlabel(note, fontsize=10, color=GREY)
    line = 0
    for heading, examples in sections.items():
        title = figure.add_subplot(grid[line, :])
        title.axis("off")
        title.text(0, 0.25, heading, fontsize=14, weight="bold", va="bottom")
        line += 1
        for example in examples:
            _draw_history(figure.add_subplot(grid[line, 0]), example)
            _draw_picture(figure.add_subplot(grid[line, 1]), example)
            _draw_hashtags(figure.add_subplot(grid[line, 2]), example)
            line += 1
    save(figure, path, dpi=110)
    return figure


def _draw_history(ax: Axes, example: Example) -> None:
    shown = example.history
    ax.axis("off")
    ax.set(xlim=(0, max(6, len(shown))), ylim=(-0.42, 1.22), aspect="equal", anchor="W")
    ax.text(
        0, 1.2, f"{example.user}: the last {len(shown)} of {example.history_length} photos so far",
        fontsize=10, color=GREY, va="top", parse_math=False,
    )  # fmt: skip
    for i, (picture, hashtags) in enumerate(shown):
        ax.imshow(load_picture(picture), extent=(i + 0.05, i + 0.95, 0.05, 0.95))
        for j, hashtag in enumerate(hashtags[:2]):
            ax.text(
                i + 0.5, -0.08 - 0.17 * j, _short(hashtag, 11),
                fontsize=7.5, color=GREY, ha="center", va="center", parse_math=False,
            )  # fmt: skip


def _draw_picture(ax: Axes, example: Example) -> None:
    ax.imshow(load_picture(example.picture))
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(color=BLUE if example.true else ORANGE, linewidth=2)


def _draw_hashtags(ax: Axes, example: Example) -> None:
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    if example.true:
        text = "posted with  " + "  ".join(f"#{_short(h, 22)}" for h in example.true[:7])
        if len(example.true) > 7:
            text += f"  (+{len(example.true) - 7})"
    else:
        text = "this user did not post the picture; it is another's"
    ax.text(0, 0.9, text, fontsize=10, color=GREY, va="center", parse_math=False)
    for i, hashtag in enumerate(example.predicted[:10]):
        hit = hashtag in example.true
        column, row = divmod(i, 5)
        ax.text(
            0.5 * column, 0.7 - 0.165 * row,
            f"{i + 1}  {'✓ ' if hit else ''}{_short(hashtag, 26)}",
            fontsize=10.5, va="center", parse_math=False,
            color=BLUE if hit else "black", weight="bold" if hit else "normal",
        )  # fmt: skip


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
