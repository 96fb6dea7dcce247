"""A model in use: pictures of one's own, users who grow photo by photo, hashtags never seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import tiny_config, tiny_fold, tiny_model
from picture_files import encode, lying_on_its_side, noise, red_and_blue

from hashtag_core.errors import InputError
from hashtag_core.hashtags import Hashtags, build_hashtags
from hashtag_core.histories import UserHistories, collate
from hashtag_core.model import HashtagModel, ModelConfig
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.words import psi

TRAIN_USERS = np.arange(80)
PICTURES = {
    "JPEG": encode(noise(), "JPEG"),
    "PNG": encode(noise(), "PNG"),
    "WebP": encode(noise(), "WEBP"),
    "grey": encode(noise().convert("L"), "PNG"),
    "RGBA": encode(noise().convert("RGBA"), "PNG"),
    "on its side": lying_on_its_side(noise(), "JPEG"),
    "one pixel": encode(noise(1), "PNG"),
}


@pytest.fixture(scope="module")
def hashtags(open_art, glove) -> Hashtags:
    """The vocabulary of the shipped data."""
    return build_hashtags(open_art, TRAIN_USERS, glove)


@pytest.fixture(scope="module")
def predictor(hashtags, convnet, glove) -> HashtagPredictor:
    """A small model with random weights: its hashtags are nonsense, but they are the model's."""
    torch.manual_seed(0)
    model = HashtagModel(ModelConfig.small(d_i=1280, d_w=50))
    made = HashtagPredictor(model, hashtags, device="cpu")
    made.convnet, made.vectors = convnet, glove  # loaded once for all tests
    return made


@pytest.fixture(scope="module")
def feature() -> np.ndarray:
    return np.random.default_rng(0).random(1280).astype(np.float16)


# ---- pictures of one's own


@pytest.mark.parametrize("kind", PICTURES)
def test_every_kind_of_picture_gets_its_ten_best_hashtags(kind, predictor, hashtags):
    best = predictor.predict(PICTURES[kind])
    scores = [score for _, score in best]
    assert len({name for name, _ in best} & set(hashtags.names)) == 10
    assert np.isfinite(scores).all()
    assert scores == sorted(scores, reverse=True)


def test_a_picture_on_its_side_is_predicted_as_the_upright_one(predictor):
    upright = predictor.predict(encode(red_and_blue(), "PNG"))
    assert predictor.predict(lying_on_its_side(red_and_blue(), "PNG")) == upright


def test_a_path_bytes_and_a_feature_give_the_same(predictor, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(PICTURES["PNG"])
    from_path = predictor.predict(path)
    assert predictor.predict(str(path)) == predictor.predict(PICTURES["PNG"]) == from_path
    assert predictor.predict(predictor.feature(path).numpy()) == from_path


def test_a_feature_is_rounded_to_float16_as_the_collections_are(predictor):
    feature = predictor.feature(PICTURES["PNG"])
    assert feature.dtype == torch.float32
    assert torch.equal(feature, feature.half().float())


def test_two_pictures_get_different_scores(predictor):
    one = predictor.predict(PICTURES["PNG"])
    assert predictor.predict(encode(red_and_blue(), "PNG")) != one


def test_a_broken_picture_is_an_input_error(predictor):
    with pytest.raises(InputError):
        predictor.predict(PICTURES["JPEG"][:200])


def test_a_feature_of_another_size_is_an_input_error(predictor):
    with pytest.raises(InputError, match="7 numbers; the model takes 1280"):
        predictor.predict(np.zeros(7))


# ---- scores


@pytest.mark.parametrize("k", [1, 3, 100_000])
def test_k_is_how_many_at_most(k, predictor, hashtags, feature):
    assert len(predictor.predict(feature, k=k)) == min(k, len(hashtags))


def test_the_scores_are_those_of_equation_7(predictor, hashtags, feature):
    with torch.inference_mode():
        query = predictor.model.queries(
            torch.from_numpy(feature).float()[None], torch.zeros(1, 256)
        )
        scores = predictor.model.scores(query, hashtags.psi)[0]
    order = scores.argsort(descending=True)[:10].tolist()
    best = predictor.predict(feature)
    assert [name for name, _ in best] == [hashtags.names[i] for i in order]
    assert np.allclose([score for _, score in best], scores[order], atol=1e-5)


# ---- users


def test_a_user_without_a_history_is_nobody_in_particular(predictor, feature):
    assert predictor.predict(feature, predictor.new_user()) == predictor.predict(feature)


def test_a_history_changes_the_scores(predictor, feature):
    user = predictor.add_photo(predictor.new_user(), feature, ["cat", "black+white"])
    assert user.shape == (256,)
    assert predictor.predict(feature, user) != predictor.predict(feature)


def test_adding_a_photo_leaves_the_old_user_as_it_was(predictor, feature):
    user = predictor.new_user()
    predictor.add_photo(user, feature, ["cat"])
    assert torch.equal(user, predictor.new_user())


def test_photos_added_one_by_one_make_the_user_of_the_whole_history(
    predictor, hashtags, open_art, glove
):
    histories = UserHistories(open_art, hashtags, range(100, 103))
    for item in range(3):
        batch = collate([histories[item]])
        with torch.inference_mode():
            whole = predictor.model.users(batch, hashtags.psi)[0]  # (T, d_u)
        user = predictor.new_user()
        for before, row in zip(whole[:-1], batch.rows.tolist(), strict=True):
            assert torch.allclose(user, before, atol=1e-5)
            user = predictor.add_photo(user, open_art.features[row], open_art.hashtags_of(row))


def test_a_photo_is_added_from_a_picture_as_from_its_feature(predictor):
    user = predictor.new_user()
    from_picture = predictor.add_photo(user, PICTURES["PNG"], ["cat"])
    from_feature = predictor.add_photo(user, predictor.feature(PICTURES["PNG"]).numpy(), ["cat"])
    assert torch.equal(from_picture, from_feature)


def test_a_photo_whose_hashtags_have_no_word_vector_is_an_input_error(predictor, feature):
    with pytest.raises(InputError, match="xyzzyq"):
        predictor.add_photo(predictor.new_user(), feature, ["xyzzyq"])


# ---- hashtags never seen


def test_candidates_may_be_hashtags_that_were_never_seen(predictor, hashtags, feature):
    new = ["procrastination", "stock-market", "bulldozer driver"]
    assert not set(new) & set(hashtags.names)
    best = predictor.predict(feature, candidates=[*new, hashtags.names[0]])
    assert {name for name, _ in best} == {*new, hashtags.names[0]}


def test_a_candidate_scores_as_it_does_in_the_vocabulary(predictor, feature):
    for name, score in predictor.predict(feature):
        assert predictor.predict(feature, candidates=[name])[0] == (name, pytest.approx(score))


@pytest.mark.parametrize("candidates", [["cat", "xyzzyq"], ["xyzzyq"], [], ["", " "]])
def test_a_candidate_without_a_word_vector_is_an_input_error(candidates, predictor, feature):
    with pytest.raises(InputError, match="xyzzyq" if "xyzzyq" in candidates else "none given"):
        predictor.predict(feature, candidates=candidates)


@pytest.mark.parametrize("written", ["cat", " Cat ", "#cat", "##CAT", " #cat", "# cat"])
def test_a_hashtag_is_cleaned_of_blanks_case_and_its_hash(written, predictor, glove):
    names, vectors = predictor.represent([written])
    assert names == ["cat"]
    assert torch.equal(vectors[0], torch.from_numpy(psi("cat", glove)))


def test_a_hashtag_given_twice_counts_once(predictor):
    assert predictor.represent(["cat", "Cat", "dog"])[0] == ["cat", "dog"]


def test_a_model_of_two_convnets_is_refused():
    _, hashtags, _ = tiny_fold()
    model = HashtagModel(replace(tiny_config(), d_v=7))
    with pytest.raises(InputError, match="two ConvNets"):
        HashtagPredictor(model, hashtags, device="cpu")


def test_word_vectors_of_another_size_are_refused():
    _, hashtags, _ = tiny_fold()
    predictor = HashtagPredictor(tiny_model(), hashtags, device="cpu")  # 8 numbers, GloVe has 50
    with pytest.raises(
        InputError, match="word vectors of 50 numbers; the model was trained with 8"
    ):
        predictor.represent(["bulldozer"])


def test_a_picture_needs_to_know_its_convnet(tmp_path):
    _, hashtags, _ = tiny_fold()
    predictor = HashtagPredictor(tiny_model(), hashtags, convnet=None, device="cpu")
    with pytest.raises(InputError, match="does not say which ConvNet"):
        predictor.feature(tmp_path / "p.jpg")
