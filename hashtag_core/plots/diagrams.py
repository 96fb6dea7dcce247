"""Drawings of the model: the way to the score of a hashtag, and the joint space around a word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.errors import printable
from hashtag_core.plots.style import BLUE, GREY, ORANGE, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hashtag_core.prediction import HashtagPredictor

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
    with drawing(12, 4.4, path) as figure:
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
    return figure


def plot_joint_space(
    predictor: HashtagPredictor, word: str, near: int = 9, path: str | Path | None = None
) -> Figure:
    """Draw a word among its nearest seen and unseen hashtags in the joint space.

    The two axes are the directions in which they differ most (PCA of the unit vectors).

    Args:
        predictor: a trained model in use.
        word: any hashtag, seen or not.
        near: how many seen, and how many unseen hashtags.
        path: where to save the figure; None for nowhere.

    Raises:
        InputError: where the word has no vector.
    """
    ids, seen = predictor.hashtags.ids, predictor.hashtags.num_seen
    similar = [name for name, _ in predictor.similar(word, len(ids))]
    groups = {  # label -> colour, marker, members
        "seen in training": (BLUE, "o", [n for n in similar if ids[n] < seen][:near]),
        "unseen": (ORANGE, "^", [n for n in similar if ids[n] >= seen][:near]),
        "the word": ("black", "*", [word]),
    }
    names = [name for _, _, members in groups.values() for name in members]
    points = predictor.tags(names).cpu().numpy()  # (n, d), of unit length
    u, s, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    at = u[:, :2] * s[:2]  # (n, 2)
    with drawing(10, 6, path) as figure:
        ax = figure.subplots()
        for label, (colour, marker, members) in groups.items():
            own = at[[names.index(name) for name in members]]
            size = 280 if marker == "*" else 70
            ax.scatter(*own.T, s=size, c=colour, marker=marker, label=label)
        _label(ax, at, names)
        share = 100 * (s[:2] ** 2).sum() / (s**2).sum()
        ax.set(xticks=[], yticks=[], xlabel="first direction", ylabel="second direction")
        ax.set_title(f"{share:.0f} % of the differences show in two dimensions")
        ax.margins(x=0.16, y=0.08)
        figure.legend(frameon=False, loc="outside lower center", ncols=3)
    return figure


def _label(ax: Axes, at: np.ndarray, names: list[str]) -> None:
    """Write the names beside their points; one moves up or down until it covers nothing."""
    letter, line = np.ptp(at[:, 0]) * 0.015, np.ptp(at[:, 1]) * 0.045
    taken = [(x - letter, y, x + letter / 2) for x, y in at.tolist()]
    for (x, y), name in zip(at.tolist(), names, strict=True):
        start, end, step = x + letter, x + letter * (len(name) + 1), 0
        while any(abs(y - b) < line and start < c and a < end for a, b, c in taken):
            step += 1
            y += step * (-1) ** step * line / 4  # in turn below and above
        taken.append((start, y, end))
        ax.text(start, y, printable(name), va="center", parse_math=False)
