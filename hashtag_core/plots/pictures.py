"""Figures with pictures: predicted hashtags (A.4), and pictures found for a hashtag (A.5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.data.pictures import load_picture
from hashtag_core.errors import printable
from hashtag_core.plots.style import BLUE, GREY, LIGHT_GREY, ORANGE, save
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
        _write(label, 0, 0.6, f"#{_short(row.hashtag, 18)}", 14, weight="bold")
        reading = "as everyone means it" if row.user is None else f"as {_short(row.user, 18)} does"
        _write(label, 0, 0.3, reading, 11, color=GREY)
        results = zip(row.pictures, row.has_it, row.own, strict=True)
        for column, (picture, has_it, own) in enumerate(results, start=1):
            colour = (ORANGE if own else BLUE) if has_it else LIGHT_GREY
            _draw_picture(figure.add_subplot(grid[line, column]), picture, colour, 3)
    save(figure, path, dpi=110)
    return figure


def plot_examples(sections: dict[str, list[Example]], path: str | Path | None = None) -> Figure:
    """Draw examples, one a row, under the heading of their section; `path` saves the figure."""
    from matplotlib.figure import Figure

    lines: list[str | Example] = []
    for heading, examples in sections.items():
        lines += [heading, *examples]
    heights = [0.34 if isinstance(line, str) else 1.0 for line in lines]
    height = 1.72 * heights.count(1.0) + 0.6 * len(sections)
    figure = Figure(figsize=(13, height), layout="constrained")
    widths = [5.2, 1.15, 5.4]
    grid = figure.add_gridspec(len(heights), 3, width_ratios=widths, height_ratios=heights)
    note = "✓ posted with this hashtag.   Blue frame: the user's own next picture.   "
    note += "Orange frame: somebody else's picture, as this user would label it."
    figure.supxlabel(note, fontsize=10, color=GREY)
    for number, line in enumerate(lines):
        if isinstance(line, str):  # a heading
            title = figure.add_subplot(grid[number, :])
            title.axis("off")
            _write(title, 0, 0.25, line, 14, weight="bold", va="bottom")
        else:
            history, picture, hashtags = (figure.add_subplot(grid[number, i]) for i in range(3))
            _draw_history(history, line)
            _draw_picture(picture, line.picture, BLUE if line.true else ORANGE, 2)
            _draw_hashtags(hashtags, line)
    save(figure, path, dpi=110)
    return figure


def _draw_history(ax: Axes, example: Example) -> None:
    shown = example.history
    ax.axis("off")
    ax.set(xlim=(0, max(6, len(shown))), ylim=(-0.42, 1.22), aspect="equal", anchor="W")
    last = f"the last {len(shown)} of {example.history_length} photos so far"
    heading = f"{_short(example.user, 30)}: {last}"
    _write(ax, 0, 1.2, heading, 10, color=GREY, va="top")
    for i, (picture, hashtags) in enumerate(shown):
        ax.imshow(load_picture(picture), extent=(i + 0.05, i + 0.95, 0.05, 0.95))
        for j, hashtag in enumerate(hashtags[:2]):
            name = _short(hashtag, 11)
            _write(ax, i + 0.5, -0.08 - 0.17 * j, name, 7.5, color=GREY, ha="center")


def _draw_picture(ax: Axes, picture: bytes, frame: str, width: int) -> None:
    ax.imshow(load_picture(picture))
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(color=frame, linewidth=width)


def _draw_hashtags(ax: Axes, example: Example) -> None:
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    text = "posted with  " + "  ".join(f"#{_short(h, 22)}" for h in example.true[:7])
    if len(example.true) > 7:
        text += f"  (+{len(example.true) - 7})"
    elif not example.true:
        text = "this user did not post the picture; it is another's"
    _write(ax, 0, 0.9, text, 10, color=GREY)
    for i, hashtag in enumerate(example.predicted[:10]):
        hit = hashtag in example.true
        column, row = divmod(i, 5)
        text = f"{i + 1}  {'✓ ' if hit else ''}{_short(hashtag, 26)}"
        look = {"color": BLUE, "weight": "bold"} if hit else {}
        _write(ax, 0.5 * column, 0.7 - 0.165 * row, text, 10.5, **look)


def _write(ax: Axes, x: float, y: float, text: str, size: float, **look: str) -> None:
    look = {"fontsize": size, "va": "center", "parse_math": False, **look}
    ax.text(x, y, printable(text), **look)


def _short(text: str, letters: int) -> str:
    text = printable(text)
    return text if len(text) <= letters else text[: letters - 1] + "…"
