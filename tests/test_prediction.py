"""A model in use: pictures of one's own, users who grow photo by photo, hashtags never seen."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import D_I, tiny_config, tiny_fold, tiny_model, tiny_vectors
from picture_files import encode, lying_on_its_side, noise, red_and_blue
from PIL import Image

from hashtag_core.data.hashtags import Hashtags, build_hashtags
from hashtag_core.data.histories import UserHistories, collate
from hashtag_core.data.words import approximate_psi, psi
from hashtag_core.errors import InputError
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.plus_prediction import PlusPredictor
from hashtag_core.prediction import HashtagPredictor

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


@pytest.mark.parametrize("kind", PICTURES)
def test_an_opened_image_is_the_picture_of_its_file(kind, predictor):
    image = Image.open(io.BytesIO(PICTURES[kind]))
    assert predictor.predict(image) == predictor.predict(PICTURES[kind])
    image.load()
    assert predictor.predict(image) == predictor.predict(PICTURES[kind])  # it is not changed


def test_an_opened_image_is_within_the_bounds_of_pictures(predictor):
    for size in [(8001, 8001), (1, 51)]:
        with pytest.raises(InputError, match=f"picture: {size[0]} x {size[1]} pixels"):
            predictor.predict(Image.new("1", size))


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
    for use in (predictor.predict, lambda feature: predictor.pictures("cat", feature[None])):
        with pytest.raises(InputError, match="7 numbers; the model takes 1280"):
            use(np.zeros(7))


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
            known = [name for name in open_art.hashtags_of(row) if name in hashtags.ids]
            user = predictor.add_photo(user, open_art.features[row], known)


def test_a_photo_is_added_from_a_picture_as_from_its_feature(predictor):
    user = predictor.new_user()
    from_picture = predictor.add_photo(user, PICTURES["PNG"], ["cat"])
    from_feature = predictor.add_photo(user, predictor.feature(PICTURES["PNG"]).numpy(), ["cat"])
    assert torch.equal(from_picture, from_feature)


def test_a_photo_without_any_hashtag_is_an_input_error(predictor, feature):
    with pytest.raises(InputError, match="no hashtag with a word vector among"):
        predictor.add_photo(predictor.new_user(), feature, [" # "])


def test_a_hashtag_without_any_known_word_has_a_psi_of_its_letters(predictor, glove, feature):
    names, vectors = predictor.represent(["xyzzyq", "cat"])
    assert names == ["xyzzyq", "cat"]
    assert np.array_equal(vectors[0].numpy(), approximate_psi("xyzzyq", glove))
    assert predictor.approximated(["cat", "xyzzyq", "#XYZZYQ"]) == ["xyzzyq"]
    assert predictor.represent(["xyzzyq", "cat"], approximate=False)[0] == ["cat"]


def test_a_history_is_read_as_in_training(predictor, hashtags, feature):
    new = predictor.new_user()
    with pytest.raises(InputError, match="no hashtag with a word vector among"):
        predictor.add_photo(new, feature, ["xyzzyq"])
    both, one = predictor.add_photo(new, feature, ["cat", "qqzzwy"]), ["cat"]
    assert torch.equal(both, predictor.add_photo(new, feature, one))

    trained_so = trained_with_every_hashtag(predictor)
    erna, karl = (trained_so.add_photo(new, feature, [name]) for name in ("xyzzyq", "qqzzwy"))
    assert not torch.allclose(erna, karl)
    assert not torch.allclose(trained_so.add_photo(new, feature, ["cat", "qqzzwy"]), both)
    assert trained_so.approximated(hashtags.names[:2]) == hashtags.names[:1]


# ---- hashtags never seen


def test_candidates_may_be_hashtags_that_were_never_seen(predictor, hashtags, feature):
    new = ["procrastination", "stock-market", "bulldozer driver"]
    assert not set(new) & set(hashtags.names)
    best = predictor.predict(feature, candidates=[*new, hashtags.names[0]])
    assert {name for name, _ in best} == {*new, hashtags.names[0]}


def test_a_candidate_scores_as_it_does_in_the_vocabulary(predictor, feature):
    for name, score in predictor.predict(feature):
        assert predictor.predict(feature, candidates=[name])[0] == (name, pytest.approx(score))


def trained_with_every_hashtag(predictor):
    """The same, as if the first hashtag of its vocabulary had no word."""
    kinds = ["approximated"] + ["whole"] * (len(predictor.hashtags) - 1)
    hashtags = replace(predictor.hashtags, kinds=kinds)
    other = HashtagPredictor(predictor.model, hashtags, device="cpu")
    other.vectors = predictor.vectors
    return other


def test_a_candidate_without_a_word_vector_is_left_out(predictor, feature):
    given = ["cat", "xyzzyq", "#日本"]
    assert [name for name, _ in predictor.predict(feature, candidates=given)] == ["cat"]
    assert predictor.unknown(given) == ["xyzzyq", "日本"]
    assert predictor.predict(feature, candidates=given) == predictor.predict(
        feature, candidates=["cat"]
    )
    with pytest.raises(InputError, match="no candidates with a word vector: xyzzyq, 日本"):
        predictor.predict(feature, candidates=given[1:])


def test_any_hashtag_may_be_a_candidate_of_a_model_that_was_trained_with_every_hashtag(
    predictor, feature
):
    trained_so = trained_with_every_hashtag(predictor)
    best = trained_so.predict(feature, candidates=["cat", "xyzzyq", "#日本"])
    assert {name for name, _ in best} == {"cat", "xyzzyq", "日本"}
    assert trained_so.unknown(["cat", "xyzzyq"]) == []


@pytest.mark.parametrize("candidates", [[], ["", " "]])
def test_no_candidates_are_an_input_error(candidates, predictor, feature):
    with pytest.raises(InputError, match="no candidates"):
        predictor.predict(feature, candidates=candidates)


@pytest.mark.parametrize("written", ["cat", " Cat ", "#cat", "##CAT", " #cat", "# cat"])
def test_a_hashtag_is_cleaned_of_blanks_case_and_its_hash(written, predictor, glove):
    names, vectors = predictor.represent([written])
    assert names == ["cat"]
    assert torch.equal(vectors[0], torch.from_numpy(psi("cat", glove)))


def test_a_hashtag_given_twice_counts_once(predictor):
    assert predictor.represent(["cat", "Cat", "dog"])[0] == ["cat", "dog"]


# ---- neighbours of a hashtag, pictures for a hashtag


def cosines(predictor, hashtag) -> dict[str, float]:
    """Hashtag -> its cosine with this one in the joint space, in float64, one by one."""

    def embedded(name):
        with torch.inference_mode():
            return predictor.model.phi_tag(predictor.represent([name])[1])[0].double().numpy()

    own = embedded(hashtag)
    found = {}
    for name in predictor.hashtags.names:
        other = embedded(name)
        found[name] = float(own @ other / np.sqrt((own @ own) * (other @ other)))
    return found


@pytest.fixture(scope="module")
def tiny_predictor():
    _, hashtags, _ = tiny_fold()
    made = HashtagPredictor(tiny_model(), hashtags, convnet=None, device="cpu")
    made.vectors = tiny_vectors()
    assert hashtags.num_seen < len(hashtags)
    return made


@pytest.mark.parametrize("hashtag", ["sun", "sun sea", "huge"])
@pytest.mark.parametrize("k", [1, 3, 39, 1000])
def test_similar_hashtags_are_those_with_the_largest_cosine(tiny_predictor, hashtag, k):
    expected = cosines(tiny_predictor, hashtag)
    expected.pop(hashtag, None)
    best = sorted(expected.values(), reverse=True)[:k]
    found = tiny_predictor.similar(hashtag, k)
    assert np.allclose([cosine for _, cosine in found], best, atol=1e-5)
    assert np.allclose([expected[name] for name, _ in found], best, atol=1e-5)
    assert len({name for name, _ in found}) == len(found) == min(k, len(expected))


def test_a_hashtag_is_not_its_own_neighbour_however_it_is_written(predictor):
    plain = predictor.similar("cat")
    assert len(plain) == 10 and "cat" not in [name for name, _ in plain]
    assert predictor.similar(" #Cat ") == plain
    assert 1 >= plain[0][1] >= plain[-1][1] >= -1


def test_a_hashtag_that_nobody_uses_has_neighbours_too(predictor, hashtags):
    assert "procrastination" not in hashtags.ids
    found = predictor.similar("procrastination", 5)
    assert len(found) == 5 and {name for name, _ in found} <= set(hashtags.names)


def log_p(predictor, feature, user, hashtag) -> float:
    """Equation 8 in float64: the score less the logarithm of the sum over the seen hashtags."""
    hashtags = predictor.hashtags
    seen = hashtags.names[: hashtags.num_seen]
    best = predictor.predict(feature, user, candidates=seen, k=len(seen))
    scores = np.array([score for _, score in best], dtype=np.float64)
    own = predictor.predict(feature, user, candidates=[hashtag])[0][1]
    return own - np.log(np.exp(scores).sum())


@pytest.mark.parametrize("number", [9, 1100])  # more than picture_scores reads at a time
@pytest.mark.parametrize("hashtag", ["sun", "huge", "sun sea"], ids=["seen", "unseen", "new"])
def test_pictures_are_ranked_by_equation_8(tiny_predictor, hashtag, number):
    features = np.random.default_rng(1).normal(size=(number, D_I)).astype(np.float16)
    someone = tiny_predictor.add_photo(tiny_predictor.new_user(), features[0], ["sea", "sun"])
    orders = []
    for user in (None, someone):
        found = tiny_predictor.pictures(hashtag, features, user, k=2000)
        assert sorted(row for row, _ in found) == list(range(number))
        values = [value for _, value in found]
        assert values == sorted(values, reverse=True)
        for row, value in found[:: max(1, number // 20)]:
            expected = log_p(tiny_predictor, features[row], user, hashtag)
            assert value == pytest.approx(expected, abs=1e-4)
        assert tiny_predictor.pictures(hashtag, features, user, k=4) == found[:4]
        assert len(tiny_predictor.pictures(hashtag, features, user)) == min(number, 10)
        orders.append(values)
    assert orders[0] != orders[1]


def test_pictures_of_a_hashtag_are_also_found_as_it_is_written_otherwise(tiny_predictor):
    features = np.random.default_rng(1).normal(size=(5, D_I))
    assert tiny_predictor.pictures(" #SUN", features) == tiny_predictor.pictures("sun", features)


@pytest.mark.parametrize("hashtag", ["", " # "])
def test_nothing_is_no_hashtag(predictor, hashtag):
    for ask in (predictor.similar, lambda name: predictor.pictures(name, np.zeros((2, 1280)))):
        with pytest.raises(InputError, match=f"no hashtag: {hashtag!r}"):
            ask(hashtag)


# ---- what is refused


def test_each_side_of_a_model_of_two_convnets_takes_its_own_feature():
    _, hashtags, _ = tiny_fold()
    torch.manual_seed(0)
    model = HashtagModel(replace(tiny_config(), d_v=7))
    predictor = HashtagPredictor(model, hashtags, "one", device="cpu", query_convnet="other")
    user = predictor.add_photo(predictor.new_user(), np.ones(D_I), ["sun"])
    assert len(predictor.predict(np.ones(7), user)) == 10
    with pytest.raises(InputError, match="of 6 numbers; the model takes 7"):
        predictor.predict(np.ones(D_I), user)
    with pytest.raises(InputError, match="of 7 numbers; the model takes 6"):
        predictor.add_photo(user, np.ones(7), ["sun"])


def test_each_side_looks_at_a_picture_with_its_own_convnet():
    _, hashtags, _ = tiny_fold()
    model = HashtagModel(replace(tiny_config(), d_v=7))
    predictor = HashtagPredictor(model, hashtags, "one", device="cpu", query_convnet="other")
    predictor.convnet = lambda pictures: torch.ones(len(pictures), D_I)
    predictor.query_convnet = lambda pictures: torch.full((len(pictures), 7), 2.0)
    assert predictor.feature(PICTURES["PNG"]).tolist() == [[2.0] * 7]
    assert predictor.feature(PICTURES["PNG"], past=True).tolist() == [[1.0] * D_I]
    user, left_out = predictor.user([(PICTURES["PNG"], ["sun"])])
    assert left_out == 0
    by_vector = predictor.add_photo(predictor.new_user(), np.ones(D_I), ["sun"])
    assert torch.equal(user, by_vector)


def test_word_vectors_of_another_size_are_refused():
    _, hashtags, _ = tiny_fold()
    predictor = HashtagPredictor(tiny_model(), hashtags, device="cpu")  # 8 numbers, GloVe has 50
    with pytest.raises(InputError, match="of 50 numbers; the model was trained with 8"):
        predictor.represent(["bulldozer"])


def test_a_picture_needs_to_know_its_convnet(tmp_path):
    _, hashtags, _ = tiny_fold()
    predictor = HashtagPredictor(tiny_model(), hashtags, convnet=None, device="cpu")
    with pytest.raises(InputError, match="does not say which ConvNet"):
        predictor.feature(tmp_path / "p.jpg")


# ---- probabilities


def test_probabilities_are_of_every_hashtag_once_and_in_the_order_of_predict(predictor, feature):
    names, p = predictor.probabilities(feature)
    assert names == predictor.hashtags.names and float(p.sum()) == pytest.approx(1)
    best = [names[i] for i in p.argsort(descending=True, stable=True)[:5].tolist()]
    assert best == [name for name, _ in predictor.predict(feature, k=5)]


def test_only_hashtags_that_are_not_in_the_vocabulary_are_added(predictor, feature):
    known, vocabulary = predictor.hashtags.names[0], len(predictor.hashtags)
    assert "parliamentary" not in predictor.hashtags.ids
    more = [known, f"#{known}", f" {known.upper()} ", "parliamentary", "#Parliamentary", "zqxwvzq"]
    names, p = predictor.probabilities(feature, more=more)
    assert names[vocabulary:] == ["parliamentary", "zqxwvzq"] and len(p) == vocabulary + 2
    assert len(set(names)) == len(names) and float(p.sum()) == pytest.approx(1)


# ---- a user encoder of one's own


class Own(torch.nn.Module):
    """An encoder that a list of nothing would be mistaken for."""

    d_u = 7

    def __len__(self):
        return 0

    def forward(self, batch, psi):
        return psi.new_zeros(*batch.mask.shape[:1], batch.mask.shape[1] + 1, 7)


def test_the_models_encoder_is_the_one_that_was_given():
    own = Own()
    assert HashtagModel(tiny_config(), user_encoder=own).user_encoder is own


def test_an_encoder_that_cannot_go_on_photo_by_photo_is_refused_and_one_that_can_is_taken():
    _, hashtags, _ = tiny_fold()
    model = HashtagModel(tiny_config(), user_encoder=Own())
    with pytest.raises(InputError, match="encoder Own has no `update`: prediction goes on from ph"):
        HashtagPredictor(model, hashtags, None, device="cpu")
    model.user_encoder.update = torch.nn.Identity()  # also where it is a module
    assert "Own, " in repr(HashtagPredictor(model, hashtags, None, device="cpu"))


def test_a_model_that_has_learned_its_own_hashtags_is_refused():
    _, hashtags, _ = tiny_fold()
    model = HashtagModel(tiny_config(learned_psi=True, num_hashtags=hashtags.num_seen))
    with pytest.raises(InputError, match="learned a vector for each hashtag"):
        HashtagPredictor(model, hashtags, None, device="cpu")


@pytest.mark.parametrize("kind", [HashtagPredictor, PlusPredictor])
@pytest.mark.parametrize("text", ["cat", "", b"cat"])
def test_a_text_is_no_list_of_hashtags(kind, text, feature):
    """Its letters would be taken for hashtags."""
    predictor = kind.from_pretrained("open-art", device="cpu")
    user = predictor.new_user()
    calls = [
        lambda: predictor.predict(feature, candidates=text),
        lambda: predictor.predict(feature, user, text),
        lambda: predictor.probabilities(feature, more=text),
        lambda: predictor.add_photo(user, feature, text),
        lambda: predictor.user([(feature, ["cat"]), (feature, text)]),
        lambda: predictor.tags(text),
        lambda: predictor.approximated(text),
        lambda: predictor.represent(text),
    ]
    for call in calls:
        with pytest.raises(InputError, match="hashtags are a list of texts"):
            call()


def test_none_at_all_are_asked_for(predictor, feature):
    for k in (0, -1):
        for call in (
            lambda k: predictor.predict(feature, k=k),
            lambda k: predictor.similar("cat", k),
            lambda k: predictor.pictures("cat", feature[None], k=k),
        ):
            with pytest.raises(InputError, match=f"k is {k}: ask for at least one."):
                call(k)


@pytest.mark.parametrize("kind", [HashtagPredictor, PlusPredictor])
def test_a_history_may_hold_any_kind_of_list(kind, feature):
    predictor = kind.from_pretrained("open-art", device="cpu")
    names = ["cat", "dog"]
    expected = predictor.predict(feature, predictor.user([(feature, names)])[0])
    for given in (
        tuple(names),
        iter(names),
        map(str, names),
        dict.fromkeys(names),
        np.array(names),
    ):
        user, left_out = predictor.user([(feature, given)])
        assert left_out == 0 and predictor.predict(feature, user) == expected


@pytest.mark.parametrize("given", [None, 5, [1], ["cat", None], [float("nan")], [b"cat"]])
def test_what_is_no_text_is_no_hashtag(given, predictor, feature):
    for call in (predictor.approximated, lambda hashtags: predictor.user([(feature, hashtags)])):
        with pytest.raises(InputError, match="hashtags are "):
            call(given)


def test_a_user_of_another_kind_is_refused(feature):
    paper = HashtagPredictor.from_pretrained("open-art", device="cpu")
    plus = PlusPredictor.from_pretrained("open-art", device="cpu")
    for predictor, users in (
        (paper, [plus.new_user(), torch.zeros(3), "me"]),
        (plus, [paper.new_user(), "me"]),
    ):
        for user in users:
            for call in (
                lambda p, u: p.predict(feature, u),
                lambda p, u: p.probabilities(feature, u),
                lambda p, u: p.pictures("cat", feature[None], u),
            ):
                with pytest.raises(InputError, match="no user of "):
                    call(predictor, user)


def test_among_no_readable_pictures_none_is_found(feature):
    for kind in (HashtagPredictor, PlusPredictor):
        predictor = kind.from_pretrained("open-art", device="cpu")
        for features in (np.full((2, 1280), np.nan), np.zeros((0, 1280))):
            assert predictor.pictures("cat", features) == []


def test_a_picture_of_nothing_is_refused(predictor):
    with pytest.raises(InputError, match="0 x 0 pixels: there is nothing to see"):
        predictor.predict(Image.new("RGB", (0, 0)))
