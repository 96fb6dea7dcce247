"""What all figures share: colours, fonts, legends, and how they are saved.

The colours are Okabe and Ito's, which any colour vision tells apart.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.errors import printable
from hashtag_core.files import whole_file

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6b6b6b"
SKY, LIGHT_GREY = "#56B4E9", "#b5b5b5"
STYLES = (  # colour and marker of up to eight lines or groups
    (BLUE, "o"), (ORANGE, "s"), ("#009E73", "^"), ("#CC79A7", "D"),
    ("#E69F00", "v"), (SKY, "P"), ("#000000", "X"), ("#F0E442", "*"),
)  # fmt: skip


@contextmanager
def figure_style() -> Iterator[None]:
    """Fonts that can be read from the last row; matplotlib's own settings come back after it."""
    import matplotlib as mpl

    style = {"font.size": 13, "axes.titlesize": 14, "axes.labelsize": 13, "figure.titlesize": 17}
    with mpl.rc_context({**style, "axes.spines.top": False, "axes.spines.right": False,
                         "axes.axisbelow": True, "figure.titleweight": "bold"}):  # fmt: skip
        yield


@contextmanager
def drawing(
    width: float, height: float, path: str | Path | None, title: str = ""
) -> Iterator[Figure]:
    """A figure of this size in inches to draw in with our fonts; at the end it is saved."""
    with figure_style():
        figure = new_figure(width, height)
        letters = int(7 * width)  # in a line
        lines = map(printable, textwrap.wrap(title, letters))
        figure.suptitle("\n".join(lines), parse_math=False)
        yield figure
        save(figure, path)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, whose parts make room for each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    return figure


def save(figure: Figure, path: str | Path | None, dpi: int = 120) -> None:
    """Write the figure whole or not at all, as PNG, SVG or PDF; None writes nothing.

    It says what it is, so that a later one may take its place (`files.refuse_others`).
    """
    if path is not None:
        kind = Path(path).suffix.lower().removeprefix(".") or "png"
        about = {"Software" if kind == "png" else "Creator": "hashtag-core figure"}
        with whole_file(Path(path)) as partial:
            figure.savefig(partial, dpi=dpi, format=kind, metadata=about)


def check_groups(number: int) -> None:
    """Raise a ValueError where so many groups cannot be told apart."""
    if number > len(STYLES):
        raise ValueError(f"{number} groups: at most {len(STYLES)} can be told apart.")


def legend(where: Figure | Axes, entries: dict[str, Artist], place: str, columns: int = 1) -> None:
    """A legend of these names, whatever they hold, in a figure or a panel."""
    if entries:
        handles, labels = list(entries.values()), list(map(printable, entries))
        made = where.legend(handles, labels, loc=place, ncols=columns, frameon=False)
        for text in made.get_texts():
            text.set_parse_math(False)
