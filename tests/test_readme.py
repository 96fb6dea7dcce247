"""The READMEs: their Python runs as it stands, their links lead somewhere, nothing is left out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hashtag_core.errors import InputError
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.study.study import Study
from hashtag_core.training.state import TrainConfig

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "data/README.md", "notebooks/README.md", "hashtag_core/README.md"]
PAGES += ["notebooks/TEACHING.md", ".github/CONTRIBUTING.md"]
CORE = ("data", "model", "training", "evaluation", "beyond")

every_page = pytest.mark.parametrize("page", PAGES)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def links(text: str) -> set[str]:
    """The links and pictures of a page that lead to another file, or to a heading."""
    text = without_code(text)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return {link for link in found if not re.match(r"[a-z]+:", link)}


def anchors(text: str) -> set[str]:
    """What a page's headings are called in links: small letters, digits, and a - for a blank."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---- Python


def run(block: str, folder: Path) -> str:
    """Run a block where `folder` is the root of the repository; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path) -> Path:
    """A folder with the repository's data, in which a block may write."""
    (tmp_path / "data").symlink_to(ROOT / "data", target_is_directory=True)
    return tmp_path


def test_the_first_example_trains_and_evaluates(clone):
    example = python_blocks(read("README.md"))[0]
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 17
    numbers = {}
    for line in run(example, clone).splitlines():
        candidates, first, tenth = re.fullmatch(
            r"(\w+): A@1 ([\d.]+), R@10 ([\d.]+)", line
        ).groups()
        numbers[candidates] = float(first), float(tenth)
    assert list(numbers) == ["seen", "unseen", "all"]
    assert min(numbers["seen"]) > 25  # it has learned: frequency reaches no 21
    assert sorted(path.name for path in clone.iterdir()) == ["data"]


def test_the_second_example_predicts_with_the_model_of_quickstart(clone, open_art):
    _, example = python_blocks(read("README.md"))
    how = TrainConfig(epochs=1, learning_rate=1e-3, users_per_batch=4)
    study = Study(open_art, clone / "runs/quickstart", device="cpu", training=how)
    study.model(0, "open", "ours (image+hashtag)")
    nobody, user, chosen = run(example, clone).splitlines()
    assert nobody.count("(") == user.count("(") == chosen.count("(") == 3
    assert nobody != user
    hashtags = study.fold(0, "open").hashtags  # none of the three was seen in training
    for name in re.findall(r"'(\w+)'", chosen):
        assert hashtags.ids.get(name, len(hashtags)) >= hashtags.num_seen


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_the_python_of_the_other_pages_runs(page, clone):
    for block in python_blocks(read(page)):
        run(block, clone)


def test_the_encoder_in_the_readme_weighs_each_older_photo_half(open_art, glove):
    from hashtag_core import UserHistories, batches, build_hashtags

    names: dict = {}
    exec(python_blocks(read("hashtag_core/README.md"))[0], names)
    hashtags = build_hashtags(open_art, [0, 1, 2, 3], glove)
    (batch,) = batches(UserHistories(open_art, hashtags, [0, 1, 2, 3]), 4)
    users = names["model"].user_encoder(batch, hashtags.psi)  # (B, T + 1, d_u)
    assert users.shape == (4, batch.mask.shape[1] + 1, names["model"].user_encoder.d_u)
    photos = batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())
    expected = torch.zeros(users.shape[2])  # of the first user
    for t in range(int(batch.mask[0].sum())):
        torch.testing.assert_close(users[0, t], expected)
        expected = expected / 2 + hashtags.psi[photos[t]].sum(dim=0)
    assert names["model"](batch, hashtags.psi).shape == (len(photos), names["config"].d)


def test_parts_of_ones_own_are_rows_of_a_table_and_predict(open_art, tmp_path, monkeypatch):
    from hashtag_core.model import ENCODERS, FUSIONS
    from hashtag_core.study import MODELS, Trained, table_1

    for registry in (FUSIONS, MODELS):
        monkeypatch.setitem(registry, "gated product", None)  # what the page sets is undone
    names: dict = {}
    for block in python_blocks(read("hashtag_core/README.md")):
        exec(block, names)
    monkeypatch.setitem(ENCODERS, "recent hashtags", lambda c: names["RecentHashtags"](c.d_w))
    row = Trained({"encoder": "recent hashtags"}, needs_pictures=False)
    monkeypatch.setitem(MODELS, "recent hashtags", row)
    how = TrainConfig(epochs=1, learning_rate=1e-3, users_per_batch=4)
    study = Study(open_art, tmp_path, device="cpu", training=how)
    rows = ["recent hashtags", "gated product", "repeat recent"]
    table = table_1(study, rows).query("vocabulary == 'open'")
    assert sorted(table["model"]) == sorted(rows) and table["A@1"].between(0.1, 100).all()
    run = study.path(0, "open", "recent hashtags")
    predictor = HashtagPredictor.load(run, "cpu")
    monkeypatch.delitem(ENCODERS, "recent hashtags")
    own = names["RecentHashtags"](50)
    again = HashtagPredictor.load(run, "cpu", user_encoder=own)
    photo = np.ones(1280, np.float32)
    for opened in (predictor, again):
        user = opened.add_photo(opened.new_user(), photo, ["cat", "dog"])
        user = opened.add_photo(user, photo, ["house"])
        cat, dog, house = opened.represent(["cat", "dog", "house"])[1]
        torch.testing.assert_close(user, (cat + dog) / 2 + house)
    assert predictor.predict(photo, user) == again.predict(photo, user)
    with pytest.raises(InputError, match=r"'recent hashtags'\. Give it as `user_encoder`"):
        HashtagPredictor.load(run, "cpu")


# ---- links


@every_page
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page):
    text = read(page)
    assert links(text)
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_links_and_headings_are_found_in_text():
    text = "# A b, c_d: é!\n[x](a.md#b) ![y](p.png) [z](https://x.org)\n"
    text += '<img src="q.png">\n```\n# no heading\n[n](no.md)\n```\n'
    assert links(text) == {"a.md#b", "p.png", "q.png"}
    assert anchors(text) == {"a-b-c_d-é"}


# ---- what they hold


def test_the_readme_is_of_one_sitting():
    assert len(read("README.md").splitlines()) <= 155


def test_the_readme_has_the_two_commands():
    blocks = re.findall(r"^```\n(.*?)^```$", read("README.md"), flags=re.MULTILINE | re.DOTALL)
    start = "python3 -m venv .venv && .venv/bin/pip install -e "
    assert f"{start}. && .venv/bin/hashtag-core quickstart\n" in blocks
    assert f'{start}".[test]" && .venv/bin/pytest -n 2 --dist loadfile\n' in blocks


@every_page
def test_a_page_names_no_place_of_the_machine_it_was_written_on(page):
    assert not re.search(r"/(home|tmp|work|root|Users)/", read(page))


def test_every_file_of_the_core_is_in_the_reading_order():
    text = read("hashtag_core/README.md")
    library = ROOT / "hashtag_core"
    names = [
        path.relative_to(library).as_posix()
        for room in CORE
        for path in sorted((library / room).glob("*.py"))
        if path.name != "__init__.py"
    ]
    order = text[text.index("## The core, in reading order") :]
    listed = re.findall(r"^\| \[`(?:\w+\.py)`\]\(([\w/]+\.py)\) \|", order, flags=re.MULTILINE)
    assert sorted(listed) == sorted(names)  # each once, and none that is not there
    assert "](prediction.py)" in order
    rooms = [folder.parent.name for folder in library.glob("*/__init__.py")]
    assert all(f"]({room})" in order for room in rooms)
    ground = [path.name for path in library.glob("*.py") if path.name != "__init__.py"]
    assert all(f"]({name})" in order for name in ground)


def test_the_paper_s_equations_stand_beside_files_that_name_them():
    text = read("hashtag_core/README.md")
    rows = re.findall(r"^\| (\d+)(?:, (\d+))? \|.*\]\(([\w/]+\.py)\) \|$", text, re.MULTILINE)
    assert {int(n) for row in rows for n in row[:2] if n} == set(range(2, 12))
    for first, second, path in rows:
        code = (ROOT / "hashtag_core" / path).read_text(encoding="utf-8")
        for number in filter(None, (first, second)):
            assert re.search(rf"Eq[a-z.]* (\d+ to |\d+, |\d+ and )?{number}\b", code), (
                path,
                number,
            )


@pytest.mark.parametrize("path", sorted((ROOT / "data/results").iterdir()), ids=lambda p: p.name)
def test_every_committed_result_is_listed(path):
    table = read("data/README.md").split("## The committed results")[1]
    patterns = re.findall(r"`([\w*.-]+\.(?:csv|json|png|txt))`", table)
    assert any(path.match(pattern) for pattern in patterns)
