"""Learning curves, the model in one drawing, and the bars of Table 3."""

from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from hashtag_core import cli
from hashtag_core.plots import diagrams
from hashtag_core.plots import learning as live
from hashtag_core.plots import numbers as plots
from hashtag_core.study import tables as experiments

# ---- learning curves

LOG = [
    {"epoch": n, "loss": 5.0 / n, "valid A@1": 10.0 * n, "valid R@10": 12.0 * n}
    for n in range(1, 5)
]


def test_learning_curves_show_the_log_and_write_no_file_unasked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    figure = live.plot_learning({"one": LOG, "$two$": LOG[:2]})
    assert list(tmp_path.iterdir()) == []
    for ax, key in zip(figure.axes, ("loss", "valid A@1", "valid R@10"), strict=True):
        shown = [line.get_xydata().tolist() for line in ax.lines]
        assert shown == [[[e["epoch"], e[key]] for e in log] for log in (LOG, LOG[:2])]
        assert len({line.get_color() for line in ax.lines}) == 2
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert "loss" in labels[0] and "A@1" in labels[1] and "R@10" in labels[2]
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert [text.get_text() for text in legends[0].get_texts()] == ["one", "$two$"]
    assert len(legends) == 1
    alone = live.plot_learning({"one": LOG}, tmp_path / "new" / "curves.png")
    assert not any(ax.get_legend() for ax in alone.axes)
    assert (tmp_path / "new" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_live_curves_are_one_figure_drawn_anew_each_epoch(monkeypatch):
    display = pytest.importorskip("IPython.display")
    shown, updates = [], []

    def fake_display(figure, display_id):
        shown.append((figure, display_id))
        return SimpleNamespace(update=updates.append)

    monkeypatch.setattr(display, "display", fake_display)
    curves = live.LiveCurves()
    for n in range(1, 4):
        curves(None, LOG[:n])
    assert [flag for _, flag in shown] == [True] and len(updates) == 2
    drawn = [len(f.axes[0].lines[0].get_xdata()) for f in (shown[0][0], *updates)]
    assert drawn == [1, 2, 3]


def test_up_to_eight_logs_are_drawn_and_can_be_told_apart():
    logs = {f"log {i}": [{**e, "loss": e["loss"] + i} for e in LOG] for i in range(8)}
    figure = live.plot_learning(logs)
    for ax in figure.axes:
        looks = {(to_hex(line.get_color()), line.get_marker()) for line in ax.lines}
        assert len(ax.lines) == len(looks) == 8
    losses = [line.get_ydata()[0] for line in figure.axes[0].lines]
    assert losses == [log[0]["loss"] for log in logs.values()]
    (legend,) = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert [text.get_text() for text in legend.get_texts()] == list(logs)


def test_nine_logs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="9 groups: at most 8"):
        live.plot_learning({f"log {i}": LOG for i in range(9)}, tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


# ---- the model


def test_the_model_is_drawn_with_all_its_boxes_and_written_only_with_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    figure = diagrams.draw_model()
    assert list(tmp_path.iterdir()) == []
    (ax,) = figure.axes
    in_boxes = [text for text in ax.texts if text.get_bbox_patch() is not None]
    assert [text.get_text() for text in in_boxes] == [
        text for _, text, _ in diagrams.BOXES.values()
    ]
    said = " ".join(text.get_text() for text in ax.texts)
    assert all(f"Eq. {number}" in said for number in range(2, 8))
    FigureCanvasAgg(figure).draw()
    places = [text.get_bbox_patch().get_window_extent() for text in in_boxes]
    assert not any(a.overlaps(b) for i, a in enumerate(places) for b in places[:i])
    page = figure.bbox
    assert all(page.x0 <= b.x0 and b.x1 <= page.x1 for b in places)
    assert all(page.y0 <= b.y0 and b.y1 <= page.y1 for b in places)
    again = diagrams.draw_model(tmp_path / "new" / "model.png")
    assert len(again.axes[0].texts) == len(ax.texts)
    assert (tmp_path / "new" / "model.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


# ---- Table 3

TABLE_3 = pd.DataFrame(
    {
        "vocabulary": "transductive",
        "model": ["ours-FH", "ours", "repeat recent"],
        "A@1": [40.0, 45.5, 70.0],
        "A@10": [60.0, 70.5, 80.0],
    }
)


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        ({}, ["the same users, later photos"]),
        ({"candidates": "all"}, ["the same users, later photos, all hashtags"]),
    ],
)
def test_the_heading_of_table_3_says_what_transductive_means(columns, headings):
    figure = plots.plot_table(TABLE_3.assign(**columns), ["A@1"])
    assert [ax.get_title(loc="left") for ax in figure.axes] == headings


def test_other_vocabularies_keep_their_heading_beside_table_3():
    table = pd.concat([TABLE_3.assign(vocabulary="fixed"), TABLE_3])
    figure = plots.plot_table(table, ["A@1"])
    headings = [ax.get_title(loc="left") for ax in figure.axes]
    assert headings == ["fixed vocabulary", "the same users, later photos"]


def test_the_command_draws_table_3_as_it_is(monkeypatch, site, tmp_path):
    drawn = []
    monkeypatch.setitem(experiments.TABLES, "3", lambda study, models: TABLE_3)
    monkeypatch.setattr(plots, "plot_table", lambda *given: drawn.append(given))
    command = ["table", "3", "--data", str(site), "--out", str(tmp_path), "--device", "cpu"]
    assert cli.main(command) == 0
    ((table, metrics, path),) = drawn
    pd.testing.assert_frame_equal(table, TABLE_3)
    assert metrics == ["A@1", "A@10"] and path.name == "table-3.png"
