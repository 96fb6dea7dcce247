"""Trained models as folders that travel: saved, pushed to a hub, and opened again."""

import ast
import json
import shutil

import numpy as np
import pytest
from helpers import tiny_fold, tiny_model
from huggingface_hub import HfApi

from hashtag_core import HashtagPredictor, PlusPredictor, pretrained, repository
from hashtag_core.errors import InputError
from hashtag_core.plus_prediction import open_predictor
from hashtag_core.pretrained import CARD
from hashtag_core.repository import repository_folder
from hashtag_core.training.runs import FILES

KINDS = [HashtagPredictor, PlusPredictor]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def answers(predictor):
    picture = np.random.default_rng(0).normal(size=1280).astype(np.float32)
    user, _ = predictor.user([(picture, ["cat", "dog"]), (picture[::-1].copy(), ["house"])])
    return predictor.predict(picture, user, k=20)


@pytest.fixture(params=KINDS)
def predictor(request):
    return request.param.from_pretrained("open-art", device="cpu")


def test_what_was_saved_answers_the_same(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "mine")
    names = {path.name for path in (tmp_path / "mine").iterdir()}
    assert names == {*FILES, "README.md"} | set(predictor.files)
    opened = type(predictor).from_pretrained(str(tmp_path / "mine"), device="cpu")
    assert answers(opened) == answers(predictor) and opened.about == predictor.about
    opened.save_pretrained(tmp_path / "mine")  # over itself
    card = (tmp_path / "mine" / "README.md").read_text()
    assert f"{type(predictor).__name__}.from_pretrained('mine')" in card
    assert ("Share it only" in card) == isinstance(predictor, PlusPredictor)


def test_no_path_of_this_machine_is_saved(tmp_path, monkeypatch):
    predictor = PlusPredictor.from_pretrained("open-art", device="cpu")
    predictor.about["data"]["words"] = "/home/me/vectors/glove.txt"
    predictor.about["data"] |= {"source": "/home/me/photos", "more": "C:\\home\\me\\x.txt"}
    predictor.save_pretrained(tmp_path / "mine")
    for path in (tmp_path / "mine").iterdir():
        assert b"/home/me" not in path.read_bytes()
    data = json.loads((tmp_path / "mine" / "run.json").read_text())["data"]
    assert (data["words"], data["source"], data["more"]) == ("glove.txt", "photos", "x.txt")
    other = HashtagPredictor.from_pretrained(tmp_path / "mine", words="elsewhere/glove.txt")
    assert other._words_path == "elsewhere/glove.txt"


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "mine"},
        {"README.md": "mine"},
        {"README.md": "mine", "run.json": '{"mine": 1}'},
        {"README.md": CARD, "run.json": '{"mine": 1}'},
        {"README.md": CARD, "weights.bin": "mine"},
        {"model.safetensors": "mine"},
        {"sub/model.safetensors": "mine"},
    ],
    ids=repr,
)
def test_nothing_of_somebody_elses_is_written_over(files, predictor, tmp_path):
    for name, text in files.items():
        (tmp_path / "there" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "there" / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="Name another folder"):
        predictor.save_pretrained(tmp_path / "there")
    assert contents(tmp_path) == before


def test_links_and_files_are_not_written_through(predictor, tmp_path):
    (tmp_path / "mine").write_text("mine")
    predictor.save_pretrained(tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").unlink()
    (tmp_path / "a" / "model.safetensors").symlink_to(tmp_path / "mine")
    for place in ("a", "mine"):
        with pytest.raises(InputError, match="Name another folder"):
            predictor.save_pretrained(tmp_path / place)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_run_that_was_trained_there_stays(tmp_path):
    run = shutil.copytree(repository_folder("data/models") / "open-art", tmp_path / "run")
    before = contents(run)
    with pytest.raises(InputError, match=r"no README\.md of a saved model"):
        PlusPredictor.load(run, "cpu").save_pretrained(run)
    assert contents(run) == before


def test_a_card_that_somebody_has_written_on_stays(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "mine")
    card = tmp_path / "mine" / "README.md"
    card.write_text(card.read_text() + "Two hours of work.")
    (tmp_path / "mine" / ".run.json.hashtag-core.partial").touch()  # of a save that was killed
    (tmp_path / "mine" / "model.safetensors").unlink()
    predictor.save_pretrained(tmp_path / "mine")
    assert card.read_text().endswith("Two hours of work.")
    assert answers(type(predictor).load(tmp_path / "mine", "cpu")) == answers(predictor)


def test_the_paper_s_model_does_not_take_the_place_of_ours_plus(tmp_path):
    PlusPredictor.from_pretrained("open-art", device="cpu").save_pretrained(tmp_path / "mine")
    paper = HashtagPredictor.from_pretrained("open-art", device="cpu")
    with pytest.raises(InputError, match=r"plus\.safetensors is there, and is not of such a model"):
        paper.save_pretrained(tmp_path / "mine")


def test_the_name_of_a_shipped_model_is_not_taken(predictor, tmp_path):
    with pytest.raises(InputError, match="open-art is the name of a model of data/models"):
        predictor.save_pretrained(tmp_path / "open-art")
    shutil.copytree(repository_folder("data/models") / "open-art", tmp_path / "open-art")
    assert HashtagPredictor.from_pretrained(tmp_path / "open-art").about == predictor.about


def test_no_name_makes_the_card_wrong(predictor, tmp_path, monkeypatch):
    (tmp_path / 'q"q').mkdir()
    monkeypatch.chdir(tmp_path / 'q"q')
    predictor.save_pretrained(".")
    line = next(x for x in (tmp_path / 'q"q' / "README.md").read_text().split("\n") if "= " in x)
    assert ast.literal_eval(line.partition("from_pretrained(")[2][:-1]) == 'q"q'


def test_a_model_made_by_hand_does_not_know_how_it_was_trained(tmp_path):
    _, hashtags, _ = tiny_fold()
    predictor = HashtagPredictor(tiny_model(), hashtags, None, device="cpu")
    with pytest.raises(InputError, match="write the model by `save_run`"):
        predictor.save_pretrained(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


# ---- the hub: its cache as the hub's own program lays it out, and a push that lands there


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder that stands for the hub and for its cache: what is pushed can be downloaded."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    pushed = []

    def create_repo(self, name, *, private, exist_ok):
        assert exist_ok
        pushed.append((name, private, self.token))

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        repo = cache / f"models--{repo_id.replace('/', '--')}"
        shutil.copytree(folder_path, repo / "snapshots" / COMMIT)
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(COMMIT)
        return type("Commit", (), {"repo_url": f"https://huggingface.co/{repo_id}"})

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    return pushed


def test_what_was_pushed_can_be_had(predictor, hub):
    where = predictor.push_to_hub("me/hashtags", private=True, token="hf_x")
    assert where == "https://huggingface.co/me/hashtags" and hub == [("me/hashtags", True, "hf_x")]
    opened = type(predictor).from_pretrained("me/hashtags", device="cpu")
    assert answers(opened) == answers(predictor)
    opened = type(predictor).from_pretrained("me/hashtags", device="cpu", revision=COMMIT)
    assert answers(opened) == answers(predictor)


def test_what_the_hub_does_not_have_is_one_line(hub):
    for name, revision in [("me/nothing", None), ("me/no thing", None)]:
        with pytest.raises(InputError, match=r"huggingface\.co: ") as error:
            HashtagPredictor.from_pretrained(name, revision=revision)
        assert "\n" not in str(error.value) and name in str(error.value)


def test_a_push_that_the_hub_refuses_is_one_line(hub, monkeypatch, predictor):
    def refuse(self, *args, **options):
        raise RuntimeError("401 Client Error\nUnauthorized")

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    with pytest.raises(InputError, match=r"me/x on huggingface\.co: 401 Client Error Unauthorized"):
        predictor.push_to_hub("me/x")


def test_without_the_hubs_package_the_rest_works(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    HashtagPredictor.from_pretrained("open-art", device="cpu").save_pretrained(tmp_path / "a")
    with pytest.raises(InputError, match="pip install huggingface_hub"):
        HashtagPredictor.from_pretrained("me/x")
    assert pretrained.Pretrained.files == FILES


@pytest.mark.parametrize("name", ["open_art", "../models/open-art", "", "a/b/c"])
def test_a_name_of_nothing_says_what_there_is(name):
    with pytest.raises(InputError, match="There are: open-art"):
        HashtagPredictor.from_pretrained(name)


def test_without_the_repository_folders_open_all_the_same(tmp_path, monkeypatch):
    HashtagPredictor.from_pretrained("open-art", device="cpu").save_pretrained(tmp_path / "mine")
    nowhere = str(tmp_path / "site-packages" / "hashtag_core" / "repository.py")
    monkeypatch.setattr(repository, "__file__", nowhere)
    HashtagPredictor.from_pretrained(tmp_path / "mine", device="cpu")
    with pytest.raises(InputError, match=r"no model 'open-art'\. There are: none; else name a run"):
        HashtagPredictor.from_pretrained("open-art")


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch, predictor):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"me/x on huggingface\.co: "):
        predictor.push_to_hub("me/x")


def test_the_repositorys_own_model_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open-art").mkdir()
    shipped = HashtagPredictor.from_pretrained("open-art", device="cpu")
    assert shipped.about == open_predictor(paper=True, device="cpu").about
    assert (repository_folder("data/models") / "open-art").is_dir()
