"""The model in one drawing: the way from a history and a picture to the score of a hashtag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.plots import GREY, figure_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE, HASHTAG, USER, JOINT = "#cfe4f2", "#f9d9c9", "#fdf0b0", "#cdebdf"
BOXES = {  # name -> (x, y), text, colour
    "I": ((0, 3), "picture of\nphoto t", PICTURE),
    "H": ((0, 2), "hashtags of\nphoto t", HASHTAG),
    "im": ((2, 3), "ConvNet, f$^{im}$\nEq. 2", PICTURE),
    "tag": ((2, 2), "sum of ψ, f$^{tag}$\nEq. 3", HASHTAG),
    "pair": ((4, 2.5), "product: pair x$_t$\nEq. 4", USER),
    "gru": ((6, 2.5), "GRU: user u\nEq. 5", USER),
    "new": ((4, 1), "ConvNet: v of a\nnew picture", PICTURE),
    "mutan": ((6, 1), "MUTAN: z\nEq. 6", JOINT),
    "space": ((8.4, 1), "inner product in the\njoint space, Eq. 7", JOINT),
    "y": ((8.4, 2.5), "ψ of any\nhashtag y", HASHTAG),
}
ARROWS = {  # from, to -> label
    ("I", "im"): "", ("H", "tag"): "", ("im", "pair"): "", ("tag", "pair"): "",
    ("pair", "gru"): "", ("gru", "mutan"): "", ("new", "mutan"): "",
    ("mutan", "space"): "φ$^{iu}$", ("y", "space"): "φ$^{tag}$",
}  # fmt: skip


def draw_model(path: str | Path | None = None) -> Figure:
    """Draw the model: the upper row reads a user's history, the lower answers for a new picture.

    Args:
        path: where to save the figure; None for nowhere.
    """
    with figure_style():
        figure = new_figure(12, 4.4)
        ax = figure.subplots()
        drawn = {}
        for name, ((x, y), text, colour) in BOXES.items():
            bbox = {"boxstyle": "round,pad=0.5", "fc": colour, "ec": GREY}
            box = ax.text(x, y, text, ha="center", va="center", fontsize=12, bbox=bbox)
            drawn[name] = box.get_bbox_patch()
        style = {"arrowstyle": "-|>", "color": GREY, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
        for (start, end), label in ARROWS.items():
            (x0, y0), (x1, y1) = BOXES[start][0], BOXES[end][0]
            ends = {"patchA": drawn[start], "patchB": drawn[end]}  # from edge to edge
            ax.annotate("", (x1, y1), (x0, y0), arrowprops=style | ends)
            x = (x0 + x1) / 2 + (0.1 if x0 == x1 else 0)
            ax.text(x - (0.15 if y0 == y1 else 0), (y0 + y1) / 2 + 0.08, label)
        again = style | {"connectionstyle": "arc3,rad=0.8"}
        ax.annotate("", (5.6, 2.75), (6.4, 2.75), arrowprops=again)
        ax.text(6, 3.3, "photo after photo", ha="center")
        ax.set(xlim=(-0.6, 9.2), ylim=(0.6, 3.5))
        ax.axis("off")
        save(figure, path)
    return figure
