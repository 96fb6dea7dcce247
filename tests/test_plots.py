"""Figures: written, whole, and with the numbers they were given."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import tiny_collection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer

from hashtag_core.data.describe import distributions
from hashtag_core.plots import numbers as plots

SEEN = pd.DataFrame(
    {
        "model": ["frequency", "ours (hashtag)", "repeat recent", "oracle"],
        "A@1": [8.0, 42.5, 74.8, 95.0],
        "A@1 std": [11.0, 9.0, 3.0, np.nan],
        "A@1 paper": [1.5, 47.0, np.nan, np.nan],
        "MR": [30.0, 3.0, np.nan, 1.0],
    }
)


def bars(ax) -> list[tuple[float, float, str]]:
    """(y, width, colour) of each."""
    found = [c.patches[0] for c in ax.containers if isinstance(c, BarContainer)]
    return [
        (b.get_y() + b.get_height() / 2, b.get_width(), to_hex(b.get_facecolor())) for b in found
    ]


def diamonds(ax) -> list:
    return [line for line in ax.lines if line.get_marker() == "D"]


def labels(texts) -> list[str]:
    return [text.get_text() for text in texts]


def assert_whole(figure, path) -> None:
    """It is on disk, and nothing sticks out of it."""
    assert path.stat().st_size > 1000
    figure.canvas.draw()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert drawn.x0 >= page.x0 and drawn.x1 <= page.x1
    assert drawn.y0 >= page.y0 and drawn.y1 <= page.y1
    assert all(ax.get_window_extent().width > 100 for ax in figure.axes)  # room for the drawing


# ---- tables


def test_a_table_has_a_bar_for_each_number_and_a_text_at_it(tmp_path):
    path = tmp_path / "new" / "table.png"
    figure = plots.plot_table(SEEN, ["A@1", "MR"], path, "Table 1")
    assert_whole(figure, path)
    first, rank = figure.axes
    grey, lighter = plots.GREY_ROWS["repeat recent"], plots.GREY_ROWS["oracle"]
    assert bars(first) == [
        (pytest.approx(0), 8.0, plots.SKY.lower()),
        (pytest.approx(1), 42.5, plots.ORANGE.lower()),
        (pytest.approx(2), 74.8, grey),
        (pytest.approx(3), 95.0, lighter),
    ]
    assert first.get_ylim()[0] > first.get_ylim()[1]  # the first model is on top
    assert labels(first.get_yticklabels()) == SEEN["model"].tolist()
    assert first.get_xticks().tolist() == [0, 25, 50, 75, 100]  # to the end of the longest bar
    assert first.spines["bottom"].get_bounds() == (0, 100) and rank.get_xticks()[-1] == 30
    assert labels(first.texts) == ["8.0", "42.5", "74.8", "95.0"]
    assert labels(rank.texts) == ["30.0", "3.0", "–", "1.0"]
    assert [width for _, width, _ in bars(rank)] == [30.0, 3.0, 1.0]
    assert first.get_xlabel() == "A@1 (%)"
    assert rank.get_xlabel() == "median rank\n(lower is better)"
    assert figure.get_suptitle() == "Table 1"


def test_a_table_has_error_bars_and_the_papers_numbers_where_there_are_some(tmp_path):
    figure = plots.plot_table(SEEN, ["A@1", "MR"], tmp_path / "table.png")
    first, rank = figure.axes
    errors = [c for c in first.containers if isinstance(c, ErrorbarContainer)]
    ends = [bar.lines[2][0].get_segments()[0][:, 0].tolist() for bar in errors]
    assert ends == [[-3.0, 19.0], [33.5, 51.5], [pytest.approx(71.8), pytest.approx(77.8)]]
    assert [line.get_xdata() for line in diamonds(first)] == [[1.5], [47.0]]
    assert [round(line.get_ydata()[0]) for line in diamonds(first)] == [0, 1]
    assert {line.get_markerfacecolor() for line in diamonds(first)} == {"none"}
    assert not diamonds(rank)
    assert labels(figure.legends[0].get_texts()) == [
        "standard deviation over folds",
        "paper (other data: does not compare)",
    ]


def test_a_table_of_one_fold_without_the_papers_numbers_has_no_legend(tmp_path):
    table = SEEN[["model", "A@1"]].assign(**{"A@1 paper": np.nan})
    path = tmp_path / "table.png"
    figure = plots.plot_table(table, ["A@1"], path, "A title that is too long for a line " * 3)
    assert_whole(figure, path)
    assert not figure.legends


def test_a_share_has_no_tick_beyond_all(tmp_path):
    table = SEEN[["model", "A@1", "MR"]].assign(**{"A@1": 97.0, "MR": 150.0})
    table = table.assign(
        **{f"{metric} {of}": np.nan for metric in ("A@1", "MR") for of in ("std", "paper")}
    )
    share, rank = plots.plot_table(table, ["A@1", "MR"], tmp_path / "table.png").axes
    assert share.get_xticks()[-1] == 100
    assert rank.get_xticks()[-1] >= 150


def test_numbers_are_in_their_panel_and_not_under_a_diamond(tmp_path):
    near = [SEEN.assign(**{"A@1 paper": SEEN["A@1"] + shift}) for shift in (-2, 0, 3, 10, 20)]
    table = pd.concat(near, ignore_index=True)
    table.loc[3, "A@1 std"] = 80.0  # the longest bar of all
    figure = plots.plot_table(table, ["A@1", "MR"], tmp_path / "table.png")
    figure.canvas.draw()
    for ax in figure.axes:
        for text in ax.texts:
            box = text.get_window_extent()
            assert box.x1 < ax.bbox.x1
            box = box.padded(2)  # pixels of air
            assert not any(box.overlaps(d.get_window_extent()) for d in diamonds(ax))


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        ({"candidates": ["seen", "all"]}, ["seen hashtags", "all hashtags"]),
        ({"vocabulary": ["fixed", "open"]}, ["fixed vocabulary", "open vocabulary"]),
        (
            {"candidates": ["seen", "unseen"], "vocabulary": ["open", "open"]},
            ["open vocabulary, seen hashtags", "open vocabulary, unseen hashtags"],
        ),
    ],
)
def test_a_table_is_split_into_rows_of_panels(tmp_path, columns, headings):
    parts = [
        part.assign(**{name: values[i] for name, values in columns.items()})
        for i, part in enumerate([SEEN, SEEN[1:]])
    ]
    path = tmp_path / "table.png"
    figure = plots.plot_table(pd.concat(parts), ["A@1", "MR"], path)
    assert_whole(figure, path)
    assert len(figure.axes) == 4
    assert [ax.get_title(loc="left") for ax in figure.axes[::2]] == headings
    assert [len(bars(ax)) for ax in figure.axes] == [4, 3, 3, 2]
    assert labels(figure.axes[2].get_yticklabels()) == SEEN["model"].tolist()[1:]
    assert figure.axes[0].get_xlim() == figure.axes[2].get_xlim()  # one scale for a metric


def test_a_table_without_any_result_is_still_drawn(tmp_path):
    path = tmp_path / "table.png"
    table = pd.DataFrame({"model": ["frequency"], "A@1": [np.nan]})
    assert labels(plots.plot_table(table, ["A@1"], path).axes[0].texts) == ["–"]


# ---- curves


def test_figure_3_has_a_circle_as_wide_as_the_time(tmp_path):
    sizes = 2 ** np.arange(5, 14)
    table = pd.DataFrame({"d_u": sizes, "R@10": np.linspace(50, 63, 9), "time (s)": sizes / 100})
    table["A@1"] = 1.2 * table["R@10"]
    path = tmp_path / "figure3.png"
    figure = plots.plot_curve(
        table[::-1], "d_u", ["R@10", "A@1"], path, "size d_u", size="time (s)", title="Figure 3"
    )
    assert_whole(figure, path)
    ax = figure.axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), table[["d_u", "R@10"]])
    widths = np.sqrt(ax.collections[0].get_sizes())
    np.testing.assert_allclose(widths / widths[-1], sizes / sizes[-1])
    assert labels(ax.texts)[-1] == "81.9"
    assert labels(ax.get_xticklabels()) == [str(size) for size in sizes]
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("size d_u", "R@10 (%)")
    assert "time (s)" in figure.get_supxlabel()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert all(a.x1 + 5 < b.x0 for a, b in pairwise(boxes))


def test_a_curve_shows_0_a_line_for_each_model_and_bands(tmp_path):
    x = np.array([0, 1, 2, 5, 10, 20, 50, 100])
    names = ["ours (hashtag)", "_a $1$ <b>"]
    parts = [
        pd.DataFrame({"model": name, "history": x, "A@1": x / 2 + 10 * i, "A@1 std": 3.0, "MR": x})
        for i, name in enumerate(names)
    ]
    path = tmp_path / "curve.png"
    figure = plots.plot_curve(pd.concat(parts), "history", ["A@1", "MR"], path, "photos so far")
    assert_whole(figure, path)
    first, rank = figure.axes
    assert len(first.lines) == len(rank.lines) == len(first.collections) == 2
    assert not rank.collections
    np.testing.assert_array_equal(first.lines[1].get_xydata(), parts[1][["history", "A@1"]])
    band = first.collections[1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (7.0, 63.0)
    places = first.transData.transform(np.c_[x, x])[:, 0]
    assert (np.diff(places) > 20).all()  # pixels
    assert labels(first.get_xticklabels()) == [str(value) for value in x]
    assert labels(figure.legends[0].get_texts()) == names
    assert not figure.legends[0].get_texts()[1].get_parse_math()


def test_a_linear_curve(tmp_path):
    table = pd.DataFrame({"epoch": [1, 2, 3], "A@1": [1.0, 2.0, 4.0]})
    figure = plots.plot_curve(table, "epoch", ["A@1"], tmp_path / "c.png", "epoch", log=False)
    assert figure.axes[0].get_xscale() == "linear"
    assert not figure.legends


def test_more_than_eight_lines_are_refused(tmp_path):
    table = pd.DataFrame({"model": list("abcdefghi"), "x": 1, "A@1": 1.0})
    with pytest.raises(ValueError, match="9 groups: at most 8"):
        plots.plot_curve(table, "x", ["A@1"], tmp_path / "c.png", "x")


# ---- data


def test_what_is_in_the_data(tmp_path, open_art):
    found = distributions(open_art)
    path = tmp_path / "data.png"
    figure = plots.plot_data(found, path, "open_art")
    assert_whole(figure, path)
    users, photos, hashtags, repeated = figure.axes
    assert sum(bar.get_height() for bar in users.patches) == len(open_art.users)
    heights = [bar.get_height() for bar in photos.patches]
    np.testing.assert_array_equal(heights, np.bincount(found["hashtags per photo"])[1:])
    np.testing.assert_array_equal(hashtags.lines[0].get_ydata(), found["photos per hashtag"])
    assert (hashtags.get_xscale(), hashtags.get_yscale()) == ("log", "log")
    np.testing.assert_array_equal(repeated.lines[0].get_ydata(), found["repeated share"])
    assert repeated.lines[0].get_xdata()[0] == 1
    assert labels(users.texts) == [f"median {np.median(found['photos per user']):g}"]
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)


def test_bars_of_photos_per_user_double(tmp_path):
    found = distributions(tiny_collection()) | {"photos per user": np.array([4, 7, 8, 15, 16, 40])}
    users = plots.plot_data(found, tmp_path / "data.png").axes[0]
    assert [(bar.get_x(), bar.get_height()) for bar in users.patches] == [
        (4, 2), (8, 2), (16, 1), (32, 1)
    ]  # fmt: skip


# ---- users


def test_a_map_of_users(tmp_path):
    points = np.random.default_rng(0).normal(size=(30, 2))
    groups = ["$x_1$"] * 8 + ["_b"] * 10 + ["<c>"] * 5 + [""] * 7
    ways = {"$u$ <v>": points[:4], "one": points[:1]}
    path = tmp_path / "users.png"
    figure = plots.plot_users(points, groups, path, "Users", ways)
    assert_whole(figure, path)
    (ax,) = figure.axes
    assert labels(figure.legends[0].get_texts()) == ["_b", "$x_1$", "<c>"]  # the largest first
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())
    rest, *shown = ax.collections
    np.testing.assert_array_equal(rest.get_offsets(), points[23:])
    np.testing.assert_array_equal(shown[0].get_offsets(), points[8:18])
    colours = [to_hex(group.get_facecolor()[0]) for group in shown]
    assert len(set(colours)) == 3
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), points[:4])
    names = [text for text in ax.texts if text.get_text()]
    assert labels(names) == ["$u$ <v>", "one"]
    assert not names[0].get_parse_math()
    assert not len(ax.get_xticks()) and not len(ax.get_yticks())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("UMAP 1", "UMAP 2")
    legend, panel = figure.legends[0].get_window_extent(), ax.get_window_extent()
    assert legend.x0 > panel.x1


def test_a_map_without_groups(tmp_path):
    figure = plots.plot_users(np.eye(2), ["", ""], tmp_path / "users.png")
    assert not figure.legends


def test_more_than_eight_groups_are_refused(tmp_path):
    with pytest.raises(ValueError, match="9 groups: at most 8"):
        plots.plot_users(np.ones((9, 2)), list("abcdefghi"), tmp_path / "users.png")


# ---- all


def test_eight_groups_differ_in_colour_and_in_marker():
    colours, markers = zip(*plots.STYLES, strict=True)
    assert len(set(colours)) == len(set(markers)) == 8


def test_matplotlibs_settings_are_as_before(tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plots.plot_table(SEEN, ["A@1"], tmp_path / "table.png")
    assert dict(mpl.rcParams) == before


def test_without_a_path_no_file_is_written(tmp_path, monkeypatch, open_art):
    monkeypatch.chdir(tmp_path)
    curve = pd.DataFrame({"x": [1, 2], "A@1": [1.0, 2.0]})
    drawn = [
        plots.plot_table(SEEN, ["A@1"], title="a"),
        plots.plot_curve(curve, "x", ["A@1"], title="b"),
        plots.plot_data(distributions(open_art), title="c"),
        plots.plot_users(np.eye(2), ["g", "g"], title="d"),
    ]
    assert [figure.get_suptitle() for figure in drawn] == list("abcd")
    assert drawn[1].axes[0].get_xlabel() == "x"
    assert list(tmp_path.iterdir()) == []


def test_importing_plots_and_statistics_imports_neither_matplotlib_nor_pandas():
    program = (
        "import sys, hashtag_core.plots.numbers, hashtag_core.plots.pictures;"
        "import hashtag_core.data.describe;"
        "assert not {'matplotlib', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[1])
