"""`ours+` in use: users who grow photo by photo, their own words, and the model that is shipped."""

import json
import shutil

import numpy as np
import pytest
import torch
from picture_files import encode, red_and_blue

from hashtag_core import cli
from hashtag_core.beyond.keeping import FILE, load_plus, save_plus, ship
from hashtag_core.beyond.plus import PlusRanker
from hashtag_core.data.histories import UserHistories, collate
from hashtag_core.data.splits import split_users
from hashtag_core.errors import InputError
from hashtag_core.plus_prediction import PlusPredictor, open_predictor
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.repository import repository_folder
from hashtag_core.training.runs import load_run


@pytest.fixture(scope="module")
def shipped():
    return repository_folder("data/models") / "open-art"


@pytest.fixture(scope="module")
def predictor(convnet, glove) -> PlusPredictor:
    made = PlusPredictor.from_pretrained("open-art", device="cpu")
    made.convnet, made.vectors = convnet, glove  # loaded once for all tests
    return made


@pytest.fixture(scope="module")
def test_user(open_art):
    """The rows of a user whom the shipped model has not met."""
    return open_art.rows_of(split_users(open_art, seed=0).test[3])


def history_of(photos, rows) -> list:
    return list(photos.history(range(rows.start, rows.stop)))


def test_the_shipped_model_is_small(shipped, predictor):
    memory = predictor.plus.reader.memory
    kept = memory.pictures.nbytes // 2 + 4 * len(memory.hashtag_ids) + 12 * len(memory)
    assert sum(path.stat().st_size for path in shipped.iterdir()) - kept < 5e6


def test_photo_by_photo_it_says_what_the_ranker_says(predictor, open_art, test_user):
    history = history_of(open_art, test_user)[:12]
    names = predictor.hashtags.names
    number = int(np.searchsorted(open_art.user_offsets, test_user.start, side="right")) - 1
    histories = UserHistories(open_art, predictor.hashtags, [number])
    batch = collate([histories[0]])
    ranker = PlusRanker(predictor.plus, predictor.hashtags, torch.device("cpu"))
    log_p, ids = ranker.best(batch, range(len(names)), 10)
    user = predictor.new_user()
    for t, (feature, hashtags) in enumerate(history):
        assert batch.rows[t] == test_user.start + t  # none was left out
        best = predictor.predict(feature, user)
        assert [name for name, _ in best] == [names[i] for i in ids[t].tolist()]
        assert np.allclose([p for _, p in best], log_p[t].exp().numpy(), rtol=1e-3)
        user = predictor.add_photo(user, feature, hashtags)


def test_a_user_of_a_history_is_the_one_who_grew_photo_by_photo(predictor, open_art, test_user):
    history = history_of(open_art, test_user)[:9]
    whole, left_out = predictor.user([*history, (history[0][0], [])])
    grown = predictor.new_user()
    for feature, hashtags in history:
        grown = predictor.add_photo(grown, feature, hashtags)
    assert left_out == 1
    assert predictor.predict(history[3][0], whole) == predictor.predict(history[3][0], grown)


def test_adding_a_photo_leaves_the_old_user_as_it_was(predictor, open_art):
    feature = open_art.features[0]
    user = predictor.add_photo(predictor.new_user(), feature, ["cat"])
    before = predictor.predict(feature, user)
    predictor.add_photo(user, open_art.features[1], ["zzyzx", "dog"])
    assert predictor.predict(feature, user) == before
    assert len(user.past) == 1
    assert user.own_names == {}


def test_probabilities_are_of_every_hashtag_once_and_add_up_to_one(predictor, open_art):
    user, _ = predictor.user([(open_art.features[0], ["cat", "qqqzz"])])
    names, p = predictor.probabilities(open_art.features[1], user, ["qqqzz", "cat", "new words"])
    assert names == [*predictor.hashtags.names, "qqqzz", "new words"]
    assert float(p.sum()) == pytest.approx(1, abs=1e-12)
    assert (p > 0).all()


def test_a_hashtag_without_a_word_vector_is_suggested_once_the_user_has_used_it(
    predictor, open_art
):
    assert predictor.represent(["qqqzz"], approximate=False)[0] == []
    features, user = open_art.features, predictor.new_user()
    assert "qqqzz" not in dict(predictor.predict(features[0], user))
    for t in range(3):
        user = predictor.add_photo(user, features[t], ["qqqzz"])
    assert predictor.predict(features[3], user)[0][0] == "qqqzz"
    chosen = predictor.predict(features[3], user, ["cat", "qqqzz", "xyzzyq"])
    assert {name for name, _ in chosen} == {"cat", "qqqzz"}
    assert predictor.unknown(["cat", "qqqzz", "xyzzyq"], user) == ["xyzzyq"]
    assert predictor.unknown(["qqqzz"]) == ["qqqzz"]


def test_candidates_are_ranked_by_the_same_p(predictor, open_art):
    user, _ = predictor.user([(open_art.features[0], ["cat", "animal"])])
    names, p = predictor.probabilities(open_art.features[1], user, ["sofa bed xyz"])
    chosen = predictor.predict(open_art.features[1], user, ["#Cat", "dog", "sofa bed xyz"])
    assert {name for name, _ in chosen} == {"cat", "dog", "sofa bed xyz"}
    for name, score in chosen:
        assert score == pytest.approx(float(p[names.index(name)]), rel=1e-9)


def test_a_picture_and_its_feature_say_the_same(predictor):
    picture = encode(red_and_blue(), "PNG")
    assert predictor.predict(picture) == predictor.predict(predictor.feature(picture)[0])


@pytest.mark.parametrize("candidates", [[], ["#", " "]])
def test_no_candidates_are_an_input_error(candidates, predictor, open_art):
    with pytest.raises(InputError, match="no candidates"):
        predictor.predict(open_art.features[0], None, candidates)


def test_the_past_pictures_that_are_most_like_a_picture(predictor, open_art):
    user, _ = predictor.user([(open_art.features[i], ["cat"]) for i in (5, 80, 200)])
    best = predictor.attention(open_art.features[80], user, k=2)
    assert best[0][0] == 1
    assert best[0][1] == pytest.approx(1, abs=1e-2)
    assert len(best) == 2


@pytest.mark.parametrize("name", ["cat", "qqqzz", "lighthouse"])
def test_pictures_for_a_hashtag_are_ranked_by_its_p_on_each(predictor, open_art, test_user, name):
    features = np.asarray(open_art.features[:40]).copy()
    features[7] = np.nan  # it could not be read
    history = [
        (open_art.features[r], [*open_art.hashtags_of(r), "qqqzz"])
        for r in range(test_user.start, test_user.start + 3)
    ]
    for user in (None, predictor.user(history)[0]):
        if user is None and name == "qqqzz":
            continue  # nobody knows it yet
        log_p = {}
        for i in {*range(40)} - {7}:
            names, p = predictor.probabilities(features[i], user, [name])
            log_p[i] = float(p[names.index(name)].log())
        found = predictor.pictures(name, features, user, k=39)
        assert sorted(i for i, _ in found) == sorted(log_p)
        for i, score in found:
            assert score == pytest.approx(log_p[i], abs=1e-3)
        assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
        assert predictor.pictures(name, features, user, k=5) == found[:5]


def test_there_is_no_model_of_another_name():
    for name in ("open_art", "../models/open-art", ""):
        with pytest.raises(InputError, match="There are: open-art"):
            PlusPredictor.from_pretrained(name)


# ---- on disk


def test_what_is_written_is_read_again(shipped, tmp_path, predictor, open_art):
    ship(shipped, tmp_path / "again")
    model, hashtags, _ = load_run(tmp_path / "again")
    plus, data = load_plus(tmp_path / "again", model, hashtags)
    for name, weight in plus.scorer.state_dict().items():
        assert torch.equal(weight, predictor.plus.scorer.state_dict()[name])
    assert plus.reader.columns == predictor.plus.reader.columns
    assert (plus.trust, plus.temperature) == (predictor.plus.trust, predictor.plus.temperature)
    save_plus(tmp_path / "again", plus, data)
    assert (tmp_path / "again" / FILE).read_bytes() == (shipped / FILE).read_bytes()


def spoil(path, change) -> None:
    """Change the tensors and the header of a file."""
    from safetensors import safe_open
    from safetensors.torch import save

    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
        tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    change(tensors, about)
    path.write_bytes(save(tensors, {"about": json.dumps(about)}))


SPOILT = {
    "of other hashtags": lambda t, a: a.update(hashtags=7),
    "a part is missing": lambda t, a: t.pop("memory.owners"),
    "an id that there is not": lambda t, a: t["memory.hashtag_ids"].fill_(10**6),
    "a negative id": lambda t, a: t["memory.hashtag_ids"].fill_(-1),
    "offsets that fall": lambda t, a: t["memory.hashtag_offsets"].fill_(3),
    "not finite": lambda t, a: t["scorer.c.weight"].fill_(torch.nan),
    "no trust that there is": lambda t, a: a.update(trust=0.3),
    "a temperature of 0": lambda t, a: a.update(temperature=0.0),
    "a trust in words": lambda t, a: a.update(trust="much"),
    "another scorer": lambda t, a: a["scorer"].update(width=7),
    "other parts": lambda t, a: a["parts"].update(memory=False),
    "an unknown part": lambda t, a: a["parts"].update(magic=True),
    "a tensor too many": lambda t, a: t.update({"scorer.more": torch.zeros(1)}),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_damaged_file_is_one_line(what, shipped, tmp_path):
    run = shutil.copytree(shipped, tmp_path / "run")
    spoil(run / FILE, SPOILT[what])
    with pytest.raises(InputError, match=FILE):
        PlusPredictor.load(run)


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"\xff" * 8 + b"{}"])
def test_no_such_file_at_all(data, shipped, tmp_path):
    run = shutil.copytree(shipped, tmp_path / "run")
    (run / FILE).write_bytes(data)
    with pytest.raises(InputError, match=FILE):
        PlusPredictor.load(run)


def test_a_run_without_it_is_the_papers_model(shipped, tmp_path):
    run = shutil.copytree(shipped, tmp_path / "run")
    assert type(open_predictor(run, device="cpu")) is PlusPredictor
    assert type(open_predictor(run, paper=True, device="cpu")) is HashtagPredictor
    (run / FILE).unlink()
    assert type(open_predictor(run, device="cpu")) is HashtagPredictor


def test_the_command_works_right_after_the_installation(tmp_path, capsys):
    picture, history = tmp_path / "mine.png", tmp_path / "me.csv"
    picture.write_bytes(encode(red_and_blue(), "PNG"))
    history.write_text("image,hashtags\nmine.png,qqqzz cat\nmine.png,qqqzz\n")
    asked = ["predict", "--image", str(picture), "--device", "cpu", "-k", "3"]
    assert cli.main(asked) == 0
    nobody = capsys.readouterr().out
    assert cli.main([*asked, "--history", str(history)]) == 0
    mine = capsys.readouterr().out
    assert len(nobody.splitlines()) == len(mine.splitlines()) == 3
    assert mine.splitlines()[0].split()[1] == "qqqzz"
    assert mine.splitlines()[0].split()[0].endswith("%")
    assert cli.main([*asked, "--paper", "--json", str(tmp_path / "best.json")]) == 0
    assert "%" not in capsys.readouterr().out
    assert len(json.loads((tmp_path / "best.json").read_text())) == 3
