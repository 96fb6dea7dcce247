"""Are probabilities true: reliability and the expected calibration error."""

import numpy as np
import pytest
import torch

from hashtag_core import cli
from hashtag_core.evaluation.calibration import expected_calibration_error, reliability
from hashtag_core.plots.beyond import plot_reliability


def test_a_hand_worked_case():
    said, true = np.array([0.05, 0.15, 0.95, 0.95]), np.array([0.0, 0.5, 1.0, 0.0])
    table = reliability(said, true, bins=10)
    assert table["photos"].tolist() == [1, 1, 2]
    assert table["true"].tolist() == [0.0, 0.5, 0.5]
    error = 100 * (0.05 + 0.35 + 2 * 0.45) / 4
    assert expected_calibration_error(said, true, bins=10) == pytest.approx(error)


def test_it_is_that_of_a_loop_and_of_torchmetrics():
    from torchmetrics.functional.classification import binary_calibration_error

    rng = np.random.default_rng(0)
    said = rng.random(500)
    true = (rng.random(500) < said**2).astype(float)
    total = 0.0
    for b in range(15):
        inside = [i for i in range(500) if b / 15 <= said[i] < (b + 1) / 15]
        if inside:
            total += abs(np.mean(said[inside]) - np.mean(true[inside])) * len(inside) / 500
    found = expected_calibration_error(said, true)
    assert found == pytest.approx(100 * total)
    # torchmetrics' confidence is that of the likelier of two classes: said above 1/2 is the same
    high = said > 0.5
    theirs = binary_calibration_error(
        torch.tensor(said[high]), torch.tensor(true[high]).long(), n_bins=30
    )
    assert expected_calibration_error(said[high], true[high], 30) == pytest.approx(
        100 * float(theirs), rel=1e-5
    )


def test_what_is_always_right_or_said_with_certainty():
    assert expected_calibration_error(np.ones(3), np.ones(3)) == 0
    assert expected_calibration_error(np.ones(3), np.zeros(3)) == 100


def test_the_figure_is_drawn_written_and_adds_up(small_art, two_epochs, tmp_path, capsys):
    arguments = ["figure", "reliability", "--data", str(small_art), "--out", str(tmp_path)]
    assert cli.main([*arguments, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "Expected calibration error: " in printed
    assert (tmp_path / "figure-reliability.png").read_bytes().startswith(b"\x89PNG")
    lines = (tmp_path / "figure-reliability.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")][1:]
    photos = int(printed.split("points, of ")[1].split(" photos")[0].replace(",", ""))
    assert sum(int(row[2]) for row in rows) == photos
    assert all(0 <= float(row[0]) <= 100 and 0 <= float(row[1]) <= 100 for row in rows)


def test_the_axes_of_the_figure_are_per_cent():
    table = reliability(np.array([0.2, 0.9]), np.array([0.5, 1.0]))
    table[["said", "true"]] *= 100
    ax = plot_reliability(table).axes[0]
    assert ax.get_xlim() == (0, 100)
    assert "%" in ax.get_xlabel() and "%" in ax.get_ylabel()
