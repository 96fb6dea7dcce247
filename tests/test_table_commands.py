"""`hashtag-core table …` and `hashtag-core figure …`: numbers, plots, and errors of one line."""

import json
import re
import shlex
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from test_tables import all_previous, state_after

from hashtag_core import __version__, cli
from hashtag_core.commands.output import as_lines, write_csv
from hashtag_core.commands.tables import DIFFERENT, FIGURES, TABLES
from hashtag_core.data.histories import UserHistories, collate
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.plots import pictures as picture_plots
from hashtag_core.plus_prediction import PlusPredictor
from hashtag_core.study import figures
from hashtag_core.study import tables as e
from hashtag_core.study.study import Study
from hashtag_core.training.state import TrainConfig

OURS = "ours (image+hashtag)"
ROWS_OF = {
    "1": [*e.TABLE_1["fixed"], *e.TABLE_1["open"]],
    "2": [*e.TABLE_2["open"]] * 2,
    "3": [*e.TABLE_3["transductive"]],
    "4": [*e.TABLE_4["open"]],
    "5": [*e.TABLE_5["fixed"], *e.TABLE_5["open"]],
    "encoders": [*e.TABLE_ENCODERS["open"]],
    "words": [*e.TABLE_WORDS["open"]] * 3,
}
WITH_PAPER = ["1", "2", "3", "4", "5"]
SMALL = {  # more options, so that it is quick
    "5": ["--history", "4"],
    "3": ["--sizes", "4,8"],
    "history": ["--lengths", "0,2"],
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One folder for all commands that agree on their settings: models are trained once."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def run(site, out, capsys, tmp_path):
    """Run a command on the small site: (exit code, what it printed, errors)."""

    def run(*arguments, data=site, folder=out):
        given = ["--data", str(data), "--out", str(folder), "--device", "cpu", "--epochs", "1"]
        given = [option for i in range(0, len(given), 2) if given[i] not in arguments
                 for option in given[i : i + 2]]  # fmt: skip
        capsys.readouterr()
        code = cli.main([*arguments, *given, "--fixed", "14"])
        printed = capsys.readouterr()
        errors = [line for line in printed.err.splitlines() if line.startswith("hashtag-core:")]
        return code, printed.out, errors

    return run


def read(path) -> tuple[list[str], pd.DataFrame]:
    """(the lines in front, the table)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line[2:] for line in lines if line.startswith("# ")]
    assert lines[: len(head)] == [f"# {line}" for line in head]  # all of them in front
    return head, pd.read_csv(path, comment="#")


def assert_png(path) -> None:
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


# ---- tables


@pytest.mark.parametrize("name", TABLES[:10])
def test_every_table_is_printed_written_and_drawn(run, out, tmp_path, site, name):
    (out / f"table-{name}.png").unlink(missing_ok=True)
    found = tmp_path / "t.json"
    more = SMALL["5"] if name == "5" else []
    code, printed, errors = run("table", name, *more, "--folds", "2", "--json", str(found))
    assert code == 0 and errors == []
    assert_png(out / f"table-{name}.png")
    head, table = read(out / f"table-{name}.csv")
    assert f"Table:  {out / f'table-{name}.csv'}" in printed
    assert f"Figure: {out / f'table-{name}.png'}" in printed
    assert (DIFFERENT in printed) == (name in WITH_PAPER)
    if name in ROWS_OF:
        assert table["model"].tolist() == ROWS_OF[name]
        assert table["A@1"].between(0, 100).all() and (table["A@1 std"] >= 0).all()
        assert all(f"{value:.1f} ± " in printed for value in table["A@1"])
    assert ("A@1 paper" in table) == (name in WITH_PAPER)
    rows = json.loads(found.read_text(encoding="utf-8"))
    assert_same_numbers(table, rows)
    photos = PhotoCollection.load(site)
    text = "\n".join(head)
    assert f"sha256 {photos.checksum()}" in text and f"hashtag_core {__version__}" in text
    assert "seed 0, folds 2" in text and "'epochs': 1" in text and "fixed vocabulary 14" in text
    assert re.search(r"torch \d+\.\d+.*, threads \d+", text) and "data: site" in text


@pytest.mark.parametrize(("name", "rows"), [("observations", 17), ("orders", 16)])
def test_what_is_said_of_the_tables_is_printed_and_written(run, out, tmp_path, name, rows):
    found = tmp_path / "t.json"
    options = ["--folds", "2", "--history", "4", "--json", str(found)]
    code, printed, errors = run("table", name, *options)
    assert code == 0 and errors == []
    assert "Figure:" not in printed and not (out / f"table-{name}.png").exists()
    table = read(out / f"table-{name}.csv")[1]
    assert len(table) == rows == len(json.loads(found.read_text(encoding="utf-8")))


def assert_same_numbers(table: pd.DataFrame, rows: list[dict]) -> None:
    """The csv and the json: the csv has four digits after the point."""
    assert list(rows[0]) == table.columns.tolist() and len(rows) == len(table)
    for (_, line), row in zip(table.iterrows(), rows, strict=True):
        for column, value in row.items():
            if isinstance(value, str):
                assert line[column] == value
            elif pd.isna(value):  # null in the json
                assert pd.isna(line[column])
            else:
                assert line[column] == pytest.approx(value, abs=6e-5)


def test_the_tables_of_the_command_are_the_librarys(run, out, site, tmp_path):
    code, _, _ = run("table", "1", "--folds", "3", "--models", "frequency, repeat recent")
    assert code == 0
    study = Study(
        PhotoCollection.load(site), tmp_path, 3, device="cpu", fixed_size=14,
        training=TrainConfig(1, 1e-3, 4, 10),
    )  # fmt: skip
    table = e.table_1(study, ["frequency", "repeat recent"])
    assert_same_numbers(read(out / "table-1.csv")[1], table.to_dict("records"))


def test_the_csv_names_the_command_that_made_it(run, out):
    run("table", "1", "--models", "frequency,repeat recent")
    line = read(out / "table-1.csv")[0][0]
    command = shlex.split(line.removeprefix("command: "))
    assert command[:5] == ["hashtag-core", "table", "1", "--models", "frequency,repeat recent"]


def test_rows_can_be_picked_and_a_number_missing_in_the_paper_is_no_text(run, out, tmp_path):
    found = tmp_path / "t.json"
    _, printed, _ = run("table", "2", "--models", "repeat recent", "--json", str(found))
    rows = json.loads(found.read_text(encoding="utf-8"))
    assert [(row["candidates"], row["model"]) for row in rows] == [
        ("unseen", "repeat recent"), ("all", "repeat recent"),
    ]  # fmt: skip
    assert rows[0]["A@1 paper"] is None and "nan" not in printed.lower()


def test_table_5_takes_the_length_of_the_histories(run, out):
    run("table", "5", "--models", "used hashtags", "--history", "3")
    three = read(out / "table-5.csv")[1]
    run("table", "5", "--models", "used hashtags", "--history", "5")
    assert three["queries"][0] > read(out / "table-5.csv")[1]["queries"][0]


def test_the_numbers_of_epochs_users_and_seed_reach_the_training(run, tmp_path):
    options = ["--epochs", "2", "--users-per-batch", "3", "--seed", "2"]
    run("table", "4", "--models", "sum", *options, folder=tmp_path)
    path = tmp_path / "seed2-fold1of5" / "open" / "sum" / "run.json"
    training = json.loads(path.read_text())["training"]
    assert (training["epochs"], training["users_per_batch"], training["seed"]) == (2, 3, 2)
    assert training["learning_rate"] == 1e-3
    assert "seed 2, folds 1, " in "\n".join(read(tmp_path / "table-4.csv")[0])


def test_results_lie_by_default_in_a_folder_named_after_the_data(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["table", "1", "--data", str(site), "--models", "frequency", "--device", "cpu"]
    assert cli.main(command) == 0
    assert (tmp_path / "runs" / "tables" / "site" / "table-1.csv").is_file()


def test_without_a_collection_the_one_of_the_repository_is_taken(small_art, monkeypatch, tmp_path):
    from hashtag_core import repository

    monkeypatch.setattr(repository, "repository_folder", lambda name: small_art)
    assert cli.main(["table", "data", "--out", str(tmp_path)]) == 0
    head, table = read(tmp_path / "table-data.csv")
    photos = PhotoCollection.load(small_art)
    assert photos.checksum() in head[2]
    values = table.set_index("what")["value"]
    assert values["photos"] == len(photos) and values["users"] == len(photos.users) == 20


def test_real_photos_go_through_a_table(small_art, run, tmp_path):
    code, _, _ = run("table", "4", "--models", "sum", data=small_art, folder=tmp_path)
    assert code == 0 and read(tmp_path / "table-4.csv")[1]["photos"][0] > 20


# ---- figures


@pytest.mark.parametrize("name", ["3", "history"])
def test_every_curve_is_printed_written_and_drawn(run, out, tmp_path, name):
    found = tmp_path / "f.json"
    code, printed, errors = run("figure", name, *SMALL[name], "--json", str(found))
    assert code == 0 and errors == [] and DIFFERENT not in printed
    assert_png(out / f"figure-{name}.png")
    head, table = read(out / f"figure-{name}.csv")
    assert any("sha256" in line for line in head)
    assert_same_numbers(table, json.loads(found.read_text(encoding="utf-8")))
    if name == "3":
        assert table["d_u"].tolist() == [4, 8] and (table["ms per photo"] > 0).all()
    else:
        assert table["photos of history"].tolist() == [0, 2] * 2
        assert table["model"].tolist() == ["ours (hashtag)"] * 2 + [OURS] * 2


def test_figure_history_takes_models(run, out):
    run("figure", "history", "--lengths", "1", "--models", "ours (hashtag)")
    assert read(out / "figure-history.csv")[1]["model"].tolist() == ["ours (hashtag)"]


def test_figures_of_pictures_are_drawn(run, out):
    for name in ("predictions", "retrieval"):
        code, printed, errors = run("figure", name)
        assert code == 0 and errors == []
        assert_png(out / f"figure-{name}.png")
        assert f"Figure: {out / f'figure-{name}.png'}" in printed


@pytest.mark.parametrize("name", ["predictions", "retrieval"])
def test_figures_of_pictures_write_what_they_show_as_plain_data_too(run, tmp_path, name):
    found = tmp_path / "f.json"
    assert run("figure", name, "--json", str(found))[0] == 0
    assert json.loads(found.read_text(encoding="utf-8"))


@pytest.fixture
def quick_umap(monkeypatch):
    """UMAP takes its settings and the vectors, but compiles nothing: it cuts the vectors off."""
    umap = pytest.importorskip("umap")

    class Quick(umap.UMAP):
        def fit_transform(self, vectors):
            assert self.metric == "cosine" and self.random_state == 0
            assert self.n_neighbors == min(15, len(vectors) - 1)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
            return vectors[:, :2]

        def transform(self, vectors):
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
            return 3 * vectors[:, 2:4]  # other numbers, to tell the two apart

    monkeypatch.setattr(umap, "UMAP", Quick)


def test_the_map_of_users_has_everybody(run, out, site, tmp_path, quick_umap):
    found = tmp_path / "f.json"
    code, printed, errors = run("figure", "users", "--json", str(found))
    assert code == 0 and errors == []
    assert_png(out / "figure-users.png")
    assert "user05" not in printed  # a table of all users is too long to print
    photos = PhotoCollection.load(site)
    _, table = read(out / "figure-users.csv")
    users = [user for user in photos.users if user != "user22"]  # with no hashtag that counts
    assert table["user"].tolist() == users
    assert np.isfinite(table[["x", "y"]].to_numpy()).all()
    assert 1 < table["group"].nunique() <= 8
    assert_same_numbers(table, json.loads(found.read_text(encoding="utf-8")))


def test_the_map_is_of_the_users_after_all_their_photos(first_fold, quick_umap):
    photos, fold = first_fold.photos, first_fold.fold(0, "open")
    found = figures.user_map(first_fold, groups=4)
    points, groups, users = found.points, found.groups, found.users
    model = first_fold.model(0, "open", figures.MODEL)
    everybody = UserHistories(photos, fold.hashtags, range(len(photos.users)))
    assert users == [photos.users[user] for user in everybody.users]
    used = {}
    for user, rows, point in zip(users, everybody.rows, points, strict=True):
        with torch.inference_mode():
            state = state_after(model, everybody, rows, fold.hashtags.psi)
        torch.testing.assert_close(torch.tensor(point), (state / state.norm())[:2])
        tags = {name for row in rows for name in photos.hashtags_of(int(row))}
        used[user] = sorted(fold.hashtags.ids[name] for name in tags & fold.hashtags.ids.keys())
    assert len(set(groups)) == 4
    for group in set(groups):
        inside = [used[u] for u, g in zip(users, groups, strict=True) if g == group]
        outside = [used[u] for u, g in zip(users, groups, strict=True) if g != group]
        lift = {  # how much more often they are used inside
            i: sum(i in ids for ids in inside) / len(inside)
            - sum(i in ids for ids in outside) / len(outside)
            for ids in inside
            for i in ids
        }
        best = sorted(lift, key=lambda i: (-lift[i], i))[:3]
        assert group == ", ".join(fold.hashtags.names[i] for i in best)


def test_the_way_of_a_user_on_the_map_has_a_point_for_each_photo(first_fold, quick_umap):
    photos, fold = first_fold.photos, first_fold.fold(0, "open")
    follow = ["user05", "$_$", "user20"]  # the last one has a single photo
    found = figures.user_map(first_fold, groups=4, follow=iter(follow))  # can be read once
    without = figures.user_map(first_fold, groups=4)
    np.testing.assert_array_equal(found.points, without.points)
    assert (found.users, found.groups) == (without.users, without.groups)
    assert list(found.paths) == follow and without.paths == {}
    model = first_fold.model(0, "open", figures.MODEL)
    everybody = UserHistories(photos, fold.hashtags, range(len(photos.users)))
    for user, way in found.paths.items():
        rows = everybody.rows[found.users.index(user)]
        assert way.shape == (len(rows), 2)
        for t, point in enumerate(way, start=1):
            with torch.inference_mode():
                state = state_after(model, everybody, rows[:t], fold.hashtags.psi)
            expected = 3 * (state / state.norm())[2:4]
            torch.testing.assert_close(torch.tensor(point), expected, rtol=1e-4, atol=1e-5)
    assert len(found.paths["user20"]) == 1


@pytest.mark.parametrize("name", ["nobody_here", "user22"])  # user22 has no hashtag that counts
def test_a_user_who_is_not_on_the_map_cannot_be_followed(first_fold, quick_umap, name):
    with pytest.raises(InputError, match=f"not on the map: {name}"):
        figures.user_map(first_fold, groups=4, follow=iter(["user05", name]))


def test_a_user_who_was_not_drawn_cannot_be_followed(first_fold, quick_umap):
    drawn = figures.user_map(first_fold, groups=4, max_users=8).users
    left_out = sorted(set(first_fold.photos.users) - set(drawn))
    with pytest.raises(InputError, match="not on the map"):
        figures.user_map(first_fold, groups=4, max_users=8, follow=left_out[:1])
    way = figures.user_map(first_fold, groups=4, max_users=8, follow=drawn[:1]).paths
    assert list(way) == drawn[:1]


def test_without_umap_the_error_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)  # importing it fails
    code, _, errors = run("figure", "users")
    assert code == 2 and len(errors) == 1 and "notebooks" in errors[0]


def test_all_figures_are_known():
    assert FIGURES == ("3", "history", "predictions", "retrieval", "users", "reliability")
    assert TABLES[:9] == ("1", "2", "3", "4", "5", "encoders", "words", "retrieval", "beyond")
    assert TABLES[9:] == ("data", "observations", "orders")


# ---- what stands in the csv and on the screen


def test_a_name_that_begins_like_a_comment_comes_back_from_the_csv(site, tmp_path):
    study = Study(PhotoCollection.load(site), tmp_path, device="cpu")
    names = ["#3", "$_$", "a, b", 'say "#x"', "ä#b", "<b>"]
    table = pd.DataFrame({"user": names, "x": np.arange(6) / 3})
    write_csv(table, study, tmp_path / "new" / "t.csv", "table 1")
    head, found = read(tmp_path / "new" / "t.csv")
    assert len(head) == 4
    assert found["user"].tolist() == names
    assert found["x"].tolist() == table["x"].round(4).tolist()


def test_a_table_as_text_has_spreads_and_the_papers_numbers_in_brackets():
    table = pd.DataFrame(
        {
            "model": ["ours", "repeat recent"],
            "A@1": [12.345, 50.0], "A@1 std": [0.26, 1.0], "A@1 paper": [73.19, np.nan],
            "MR": [2.5, 10.0], "MR paper": [2.0, np.nan],
            "photos": [1234, 1234], "left_out": [5, 5], "ms per photo": [0.123456, 1234.5],
            "dim": [256, 18583], "dim paper": [1024.0, 18583.0],
        }
    )  # fmt: skip
    lines = [re.split(r"\s{2,}", line.strip()) for line in as_lines(table)]
    assert lines[0][0].split()[0] == "model" and "left_out" not in lines[0]
    text = "\n".join(as_lines(table))
    assert " std" not in text and " paper" not in text
    for cell in ("12.3 ± 0.3 (73.19)", "50.0 ± 1.0", "2.5 (2)", "10.0", "1234", "0.1235", "1,234"):
        assert cell in text, cell
    assert "256 (1024)" in text and "18583 (18583)" in text and "nan" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.0, "12,345"), (4081234.0, "4,081,234"), (999.96, "1,000"), (132.16, "132.2"),
     (0.123456, "0.1235"), (1000.0, "1,000"), (5.0, "5"), (float("nan"), "nan")],
)  # fmt: skip
def test_a_count_in_a_table_as_text_is_whole(value, text):
    table = pd.DataFrame({"what": ["photos"], "value": [value]})
    assert as_lines(table)[1].split() == ["photos", text]


# ---- errors


def broken(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    return str(folder)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table", "1", "--data", "nowhere"], ["nowhere", "prepare"]),
        (["figure", "3", "--data", "nowhere"], ["nowhere"]),
        (["table", "1", "--models", "ours"], ["'ours'", "ours (hashtag)", "repeat recent"]),
        (["table", "1", "--models", ""], ["no row ''", "frequency"]),
        (["table", "2", "--models", "frequency"], ["'frequency'", "hashtag sum"]),
        (["table", "retrieval", "--models", "repeat recent"], ["'repeat recent'"]),
        (["figure", "history", "--models", "x"], ["'x'"]),
        (["table", "1", "--epochs", "0"], ["--epochs 0", "at least 1"]),
        (["figure", "3", "--epochs", "-1"], ["--epochs -1"]),
        (["table", "1", "--users-per-batch", "0"], ["--users-per-batch 0", "at least 1"]),
        (["figure", "3", "--sizes", "x"], ["--sizes x"]),
        (["figure", "3", "--sizes", "8,,16"], ["--sizes 8,,16"]),
        (["figure", "3", "--sizes", ""], ["--sizes"]),
        (["figure", "history", "--lengths", "1.5"], ["--lengths 1.5"]),
        (["table", "5", "--history", "1000"], ["1000 photos"]),
        (["table", "1", "--folds", "1000"], ["too few", "1000 folds"]),
        (["table", "1", "--folds", "0"], ["0 folds"]),
        (["table", "1", "--device", "abacus"], ["abacus"]),
        (["table", "1", "--words", "nowhere.txt"], ["nowhere.txt"]),
        (["table", "1", "--json", "nowhere/t.json"], ["nowhere"]),
    ],
    ids=lambda given: " ".join(given) if given[0] in ("table", "figure") else "",
)
def test_bad_input_is_one_line_and_exit_code_2(run, arguments, words):
    code, _, errors = run(*arguments)
    assert code == 2 and len(errors) == 1
    assert all(word in errors[0] for word in words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["table", "5", "--history", "0"],
        ["table", "5", "--history", "-3"],
        ["figure", "3", "--sizes", "0"],
        ["figure", "3", "--sizes", "-8"],
        ["figure", "history", "--lengths", "-1"],
        ["table", "1", "--seed", "-1"],
        ["figure", "history", "--models", "mean pooling", "--lengths", "1"],
    ],
    ids=" ".join,
)
def test_numbers_that_make_no_sense_are_bad_input_too(run, arguments):
    code, _, errors = run(*arguments)
    assert code == 2 and len(errors) == 1


def test_a_fixed_vocabulary_of_nothing_is_bad_input(site, tmp_path, capsys):
    command = ["table", "1", "--data", str(site), "--out", str(tmp_path), "--fixed", "0"]
    assert cli.main([*command, "--models", "frequency", "--device", "cpu"]) == 2
    assert "--fixed 0" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["6", "", "Data"])
def test_an_unknown_table_or_figure_is_refused(name, capsys):
    for command in ("table", "figure"):
        with pytest.raises(SystemExit) as caught:
            cli.main([command, name])
        assert caught.value.code == 2
    assert "encoders" in capsys.readouterr().err


def test_stopping_is_exit_code_130(run, monkeypatch, tmp_path):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(e.TABLES, "1", stop)
    assert run("table", "1")[0] == 130
    assert not list(tmp_path.iterdir())


# ---- odd names, and what the pictures show


def test_names_with_dollars_and_brackets_are_drawn_as_they_are(tmp_path, site):
    photos = PhotoCollection.load(site)
    found = [
        figures.Found(
            hashtag=name, user=user, pictures=[photos.picture(0), photos.picture(1)],
            has_it=[True, False], own=[True, False],
        )
        for name, user in [("$_$", None), ("a<b", "$_$"), ("two_words", "<b>_user"), ("$^$", "#3")]
    ]  # fmt: skip
    path = tmp_path / "new" / "r.png"
    figure = picture_plots.plot_retrieval(found, path)
    assert_png(path)
    texts = [[text.get_text() for text in ax.texts] for ax in figure.axes if ax.texts]
    assert texts == [
        ["#$_$", "as everyone means it"],
        ["#a<b", "as $_$ does"],
        ["#two_words", "as <b>_user does"],
        ["#$^$", "as #3 does"],
    ]


def test_frames_tell_whose_picture_it_is(tmp_path, site):
    picture = PhotoCollection.load(site).picture(0)
    row = picture_plots.Found(
        "sun", "ann", [picture] * 4, has_it=[True, True, False, False],
        own=[True, False, True, False],
    )  # fmt: skip
    short = picture_plots.Found("sea" * 20, None, [picture], [True], [False])
    figure = picture_plots.plot_retrieval([row, short], tmp_path / "r.png")
    from matplotlib.colors import to_hex

    frames = [to_hex(ax.spines["left"].get_edgecolor()) for ax in figure.axes if ax.images]
    orange, blue = picture_plots.ORANGE.lower(), picture_plots.BLUE.lower()
    assert frames == [orange, blue, "#b5b5b5", "#b5b5b5", blue]
    title = figure.axes[5].texts[0].get_text()
    assert title == "#" + ("sea" * 20)[:17] + "…"


def test_figures_of_pictures_write_no_file_unasked(tmp_path, monkeypatch, site):
    picture = PhotoCollection.load(site).picture(0)
    monkeypatch.chdir(tmp_path)
    found = picture_plots.Found("sun", "ann", [picture] * 2, [True, False], [True, False])
    example = figures.Example("ann", [(picture, ["sea"])], 1, picture, ["sun"], ["sun"])
    assert len(picture_plots.plot_retrieval([found]).axes) == 3
    assert len(picture_plots.plot_examples({"heading": [example]}).axes) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def first_fold(site, out):
    """The study of the commands above."""
    training = TrainConfig(1, 1e-3, 4, 10)
    photos = PhotoCollection.load(site)
    return Study(photos, out, device="cpu", fixed_size=14, training=training)


def test_retrieved_pictures_are_those_of_the_other_half(first_fold):
    photos, fold = first_fold.photos, first_fold.fold(0, "open")
    found = figures.retrieval(first_fold, hashtags=2, pictures=5)
    assert len(found) == 6 and [row.user is None for row in found] == [True, False, False] * 2
    assert found == figures.retrieval(first_fold, hashtags=2, pictures=5)  # the seed's
    second = {}  # picture -> all (user, hashtags) of the second halves that have it
    for user, rows in zip(fold.test.users, fold.test.rows, strict=True):
        for row in rows[len(rows) // 2 :] if len(rows) > 1 else []:
            second.setdefault(photos.picture(int(row)), []).append(
                (photos.users[user], photos.hashtags_of(int(row)))
            )
    for row in found:
        assert len(row.pictures) == len(row.has_it) == len(row.own) == 5
        for picture, has_it, own in zip(row.pictures, row.has_it, row.own, strict=True):
            assert (has_it, own) in {
                (row.hashtag in tags, user == row.user) for user, tags in second[picture]
            }
        if row.user is not None:
            user = fold.test.users.index(photos.users.index(row.user))
            rows = fold.test.rows[user]
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                assert any(row.hashtag in photos.hashtags_of(int(r)) for r in half)


def test_retrieved_pictures_are_the_most_probable_ones(first_fold):
    photos, fold = first_fold.photos, first_fold.fold(0, "open")
    model, psi = first_fold.model(0, "open", figures.MODEL), fold.hashtags.psi
    halves = [(rows[: len(rows) // 2], rows[len(rows) // 2 :]) for rows in fold.test.rows]
    halves = {u: h for u, h in zip(fold.test.users, halves, strict=True) if len(h[0])}
    pool = [int(row) for _, second in halves.values() for row in second]
    images = torch.from_numpy(photos.features[pool].astype(np.float32))
    for found in figures.retrieval(first_fold, hashtags=2, pictures=6):
        past = [] if found.user is None else halves[photos.users.index(found.user)][0]
        with torch.inference_mode():
            user = state_after(model, fold.test, past, psi).expand(len(pool), -1)
            scores = model.scores(model.queries(images, user), psi)  # Eq. 8, over the seen ones
            seen = scores[:, : fold.hashtags.num_seen].exp().sum(dim=1)
            p = scores[:, fold.hashtags.ids[found.hashtag]].exp() / seen
        best = p.argsort(descending=True)[:6].tolist()
        assert found.pictures == [photos.picture(pool[i]) for i in best]
        assert found.has_it == [found.hashtag in photos.hashtags_of(pool[i]) for i in best]


def test_predictions_show_held_out_users_and_one_picture_of_several(first_fold):
    photos, fold = first_fold.photos, first_fold.fold(0, "open")
    alone, together = figures.predictions(first_fold, users=1, viewers=2).values()
    test_users = {photos.users[user] for user in fold.test.users}
    assert {example.user for example in alone + together} <= test_users
    assert len(together) == 2 and len({example.picture for example in together}) == 1
    assert together[0].true and not together[1].true
    for example in alone + together:
        assert example.history_length >= 8 and len(example.history) == 6
        user = photos.users.index(example.user)
        rows = fold.test.rows[fold.test.users.index(user)]
        past = [
            (photos.picture(int(r)), photos.hashtags_of(int(r)))
            for r in rows[example.history_length - 6 : example.history_length]
        ]
        assert example.history == past and len(example.predicted) == 10
        assert len(set(example.predicted)) == 10
    for example in [*alone, together[0]]:
        user = photos.users.index(example.user)
        row = int(fold.test.rows[fold.test.users.index(user)][example.history_length])
        assert example.true == photos.hashtags_of(row) and example.picture == photos.picture(row)


def test_predictions_are_those_of_ours_plus(first_fold):
    photos, fold = first_fold.photos, first_fold.fold(0, "open")
    plus = first_fold.plus(0, "open", "ours+")
    predictor = PlusPredictor(plus, plus.model, fold.hashtags, photos.convnet, first_fold.words)
    for example in figures.predictions(first_fold, users=1, viewers=1).popitem()[1]:
        user = photos.users.index(example.user)
        rows = fold.test.rows[fold.test.users.index(user)]
        row = rows[example.history_length]
        assert any(row == r for _, r in all_previous(fold.test))
        batch = collate([fold.test[fold.test.users.index(user)]])
        assert int(batch.rows[example.history_length]) == row
        user, _ = predictor.user(photos.history(rows[: example.history_length]))
        # it also remembers the hashtags outside the vocabulary
        names = [name for name, _ in predictor.predict(photos.to_predict[row], user)]
        assert example.predicted == names


# ---- a simulated collection


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "simulated"
    numbers = ["--users", "30", "--photos", "20", "--hashtags", "400"]
    assert cli.main(["prepare", "simulated", *numbers, "--out", str(folder)]) == 0
    return folder


def test_prepare_simulated_says_what_it_made(tmp_path, capsys):
    command = ["prepare", "simulated", "--users", "12", "--photos", "10", "--hashtags", "400"]
    assert cli.main([*command, "--seed", "3", "--out", str(tmp_path / "s")]) == 0
    printed = capsys.readouterr().out
    photos = PhotoCollection.load(tmp_path / "s")
    before, made, *_ = printed.splitlines()  # what it will make, and what it made
    assert before.startswith(f"{len(photos):,} photos of 12 users: about ")
    assert "with 1 process(es)" in before and before.endswith(" GB on disk.")
    assert made.startswith(f"{len(photos):,} photos of 12 made-up users, ")
    assert f"hashtag-core table 1 --data {tmp_path / 's'}" in printed
    assert photos.meta["made_with"]["seed"] == 3 and photos.meta["words"] == "words.txt"
    assert cli.main([*command, "--users", "1", "--out", str(tmp_path / "t")]) == 2
    assert cli.main([*command, "--workers", "0", "--out", str(tmp_path / "t")]) == 2
    assert not (tmp_path / "t").exists()


@pytest.fixture(scope="module")
def simulated_out(tmp_path_factory):
    return tmp_path_factory.mktemp("simulated")


@pytest.mark.parametrize(("name", "by"), [("1", "vocabulary"), ("2", "candidates")])
def test_on_simulated_data_the_oracle_is_the_last_row_and_the_best(
    run, simulated, simulated_out, name, by
):
    options = ["--models", "user agnostic,repeat recent"]
    code, printed, _ = run("table", name, *options, data=simulated, folder=simulated_out)
    assert code == 0 and "oracle" in printed
    _, table = read(simulated_out / f"table-{name}.csv")
    for _, block in table.groupby(by):
        assert block["model"].tolist() == ["user agnostic", "repeat recent", "oracle"]
        assert block["A@1"].tolist()[-1] > max(block["A@1"].tolist()[:-1])


def test_on_simulated_data_table_3_has_the_oracle_too(run, simulated, simulated_out):
    models = ["--models", "ours-FH,repeat recent"]
    run("table", "3", *models, data=simulated, folder=simulated_out)
    table = read(simulated_out / "table-3.csv")[1]
    assert table["model"].tolist() == ["ours-FH", "repeat recent", "oracle"]
    assert table["A@1"][2] > table["A@1"][:2].max()


# ---- --paper, --order, rows that failed


def parsed(monkeypatch, *arguments):
    """The study that a command line describes, and what was said."""
    from hashtag_core.commands import tables

    seen = []
    monkeypatch.setattr(tables, "make_table", lambda options: seen.append(options))
    assert cli.main(["table", "1", *arguments]) == 0
    return seen[0]


def test_paper_is_the_papers_vocabulary_and_training(site, monkeypatch, capsys, tmp_path):
    from hashtag_core.commands.options import open_study, tell_fixed

    where = ["--data", str(site), "--out", str(tmp_path), "--device", "cpu"]
    study = open_study(parsed(monkeypatch, "--paper", *where))
    tell_fixed(study)
    said = capsys.readouterr().out
    assert study.fixed_size == 18_583 and study.sizes == "paper"
    assert study.training == TrainConfig.paper()
    vocabulary = len(study.fold(0, "fixed").hashtags)
    assert vocabulary < 100  # all there are, and that is said
    assert f"Fixed vocabulary: all {vocabulary} hashtags" in said and "not 18,583" in said
    study = open_study(parsed(monkeypatch, *where))
    assert study.fixed_size == 1000 and study.sizes == "small"
    study = open_study(parsed(monkeypatch, "--paper", "--fixed", "5", *where))
    tell_fixed(study)
    assert "Fixed vocabulary" not in capsys.readouterr().out
    assert study.fixed_size == 5 and len(study.fold(0, "fixed").hashtags) == 5


def test_figure_3_goes_to_8192_with_the_papers_sizes(site, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(e, "measure", lambda study, rows, one: asked.append(rows["open"]))
    monkeypatch.setattr(e, "summarise", lambda *given: None)
    photos = PhotoCollection.load(site)
    for sizes, last in (("paper", 8192), ("small", 1024)):
        e.figure_3(Study(photos, tmp_path, device="cpu", sizes=sizes))
        numbers = [int(name.rsplit(" ", 1)[1]) for name in asked[-1]]
        assert numbers[0] == 32 and numbers[-1] == last
        assert all(b == 2 * a for a, b in pairwise(numbers))


def test_a_shuffled_table_says_so_and_lies_beside_the_other(run, out):
    assert run("table", "2", "--models", "repeat recent")[0] == 0
    before = (out / "table-2.csv").read_bytes()
    code, printed, _ = run("table", "2", "--order", "shuffled", "--models", "repeat recent")
    assert code == 0 and "Each user's photos stood in random order." in printed
    head, _ = read(out / "table-2-shuffled.csv")
    assert (out / "table-2.csv").read_bytes() == before
    assert head[3].endswith("fixed vocabulary 14, order shuffled") and "shuffled" in head[0]
    assert (out / "seed0-fold1of5-shuffled" / "open" / "repeat-recent").is_dir()


def test_a_row_that_failed_is_named_under_the_table(run, monkeypatch, tmp_path):
    monkeypatch.setattr(Study, "failed", lambda self, *row: True)
    _, printed, _ = run("table", "4", "--models", "only hashtags", folder=tmp_path)
    assert "Not learned: only hashtags (open, fold 1)." in printed


def test_what_another_number_of_threads_made_is_told(run, monkeypatch, tmp_path):
    run("table", "4", "--models", "only hashtags", folder=tmp_path)
    first = read(tmp_path / "table-4.csv")[0][1]
    monkeypatch.setattr(Study, "made_with", "hashtag_core 9, torch 9, threads 99, cpu")
    _, printed, _ = run("table", "4", "--models", "only hashtags", folder=tmp_path)
    assert "Kept from earlier, made with:" in printed and first in printed
    assert read(tmp_path / "table-4.csv")[0][1] == first  # not stamped with what only showed it


# ---- all results


def test_all_results_are_made_and_the_second_time_read(run, tmp_path, monkeypatch):
    from hashtag_core.commands import results, tables
    from hashtag_core.study import study as study_module

    monkeypatch.setattr(results, "NAMES", (("table", "2"), ("table", "4"), ("figure", "history")))
    trained, fit = [], study_module.fit
    monkeypatch.setattr(study_module, "fit", lambda *a, **o: trained.append(1) or fit(*a, **o))
    code, printed, errors = run("results", "--folds", "2", folder=tmp_path)
    assert code == 0 and errors == [] and trained
    assert "data-table-2: there is none" in printed.replace("site-", "data-")
    head, table = read(tmp_path / "table-2.csv")
    assert head[0].startswith("command: hashtag-core table 2 --folds 2")
    assert table["model"].tolist() == ROWS_OF["2"]
    texts = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    assert set(texts) == {"table-2.csv", "table-4.csv", "figure-history.csv"}
    before = len(trained)
    assert run("results", "--folds", "2", folder=tmp_path)[0] == 0
    assert len(trained) == before  # it goes on from what is there
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == texts
    assert tables.TABLES == TABLES


def test_results_say_how_far_they_are_from_the_committed_ones(monkeypatch):
    from hashtag_core import repository
    from hashtag_core.commands.results import _difference

    old = pd.DataFrame({"model": ["a", "b"], "A@1": [1.0, 2.0], "ms per photo": [1.0, 1.0]})
    monkeypatch.setattr(repository, "committed", lambda name: old)
    assert _difference(old.assign(**{"ms per photo": 3.0}), "x") == "the same"
    assert _difference(old.assign(**{"A@1": [1.0, 2.25]}), "x") == "A@1 by up to 0.25"
    assert _difference(old.assign(model=["a", "c"]), "x") == "other rows"
    assert _difference(old[:1], "x") == "other rows or columns"


def test_results_of_a_collection_without_pictures_leave_out_what_needs_them(run, tmp_path):
    from test_without_pictures import blind_folder

    from hashtag_core.commands import results

    blind = blind_folder(tmp_path / "blind")
    names = (("table", "2"), ("table", "retrieval"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "NAMES", names)
        code, printed, errors = run("results", data=blind, folder=tmp_path / "out")
    assert code == 0 and errors == []
    assert "Left out: " in printed and "no pictures to find for a hashtag" in printed


@pytest.mark.parametrize("option", ["--models", "--json"])
def test_results_have_no_options_of_one_table(run, tmp_path, option):
    code, _, (error,) = run("results", option, str(tmp_path / "x"), folder=tmp_path)
    assert code == 2 and "are for one table" in error
