"""More one-line changes of the library that no other test noticed: here each is noticed."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import D_W, WORDS, collection, fold_of, tiny_config, tiny_fold, tiny_vectors

from hashtag_core.data.hashtags import build_hashtags
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import Split, shuffled, split_in_time, split_users, user_folds
from hashtag_core.data.splitting import likeliest_split, words_of
from hashtag_core.data.words import approximate_psi, psi
from hashtag_core.evaluation.image_retrieval import evaluate_own_pictures, make_pool
from hashtag_core.evaluation.metrics import HashtagMetrics
from hashtag_core.model.fusion import TIRG
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.study import one_row
from hashtag_core.study.folds import make_fold, make_transductive_fold
from hashtag_core.study.rows import OWN_PICTURES
from hashtag_core.study.study import Study

# ---- splits and folds


def test_nobody_validates_in_two_folds():
    """They are the next ones in the random order, not always the same ones in front."""
    validating = np.concatenate([split.valid for split in user_folds(40)])
    assert len(validating) == 20 == len(set(validating.tolist()))


def test_a_split_in_time_is_the_first_seven_the_eighth_and_the_last_two_of_ten_photos():
    photos = collection({f"u{u}": [[word] for word in WORDS[:10]] for u in range(3)})
    for part, places in zip(
        split_in_time(photos, np.array([0, 2])), (range(7), [7], [8, 9]), strict=True
    ):
        assert np.flatnonzero(part).tolist() == [10 * u + t for u in (0, 2) for t in places]


def test_what_is_not_said_is_five_folds_and_the_seed_0():
    photos = collection({f"u{u}": [[word] for word in WORDS[: u + 2]] for u in range(20)})
    ours, said = user_folds(photos), user_folds(photos, 5, 0)
    assert len(ours) == len(said) == 5
    for one, other in zip([*ours, split_users(photos)], [*said, said[0]], strict=True):
        assert [users.tolist() for users in one] == [users.tolist() for users in other]
    assert shuffled(photos).tolist() == shuffled(photos, 0).tolist()


@pytest.mark.parametrize("twice", [0, 1, 4])
def test_a_ranking_with_any_hashtag_twice_is_refused(twice):
    metrics, offsets = HashtagMetrics(ks=(1, 2)), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"^a ranking has a hashtag twice"):
        metrics.update(torch.tensor([[twice, twice]]), torch.tensor([2]), offsets, range(5))


def test_a_hashtag_without_a_word_vector_counts_once_and_those_of_others_apart():
    histories = {"a": [["sun", "xyzzy"]], "b": [["sea"]], "c": [["sky", "qwrtz", "boat"]]}
    photos = collection(histories)
    hashtags = build_hashtags(photos, np.array([0]), tiny_vectors(), np.array([1]))
    assert hashtags.names == ["sun", "sea"]
    assert hashtags.left_out == {"no word vector": 1, "of other users": 3}


def test_a_fold_of_every_hashtag_has_it_in_all_three_sets():
    photos = collection({"a": [["sun", "xyzzy"]], "b": [["sea", "qwrtz"]], "c": [["sky", "zzz"]]})
    fold = make_fold(photos, Split(*np.arange(3)[:, None]), tiny_vectors(), every_hashtag=True)
    for histories, own in ((fold.train, "xyzzy"), (fold.valid, "qwrtz"), (fold.test, "zzz")):
        assert own in histories.hashtags.names
        names = {histories.hashtags.names[i] for i in histories[0]["hashtag_ids"].tolist()}
        assert len(names) == 2 and own in names


def test_a_transductive_fold_is_cut_in_the_order_that_it_reads():
    photos = collection({f"u{u}": [[word] for word in WORDS[u : u + 10]] for u in range(3)})
    order = shuffled(photos, seed=1)
    split = Split(np.array([0]), np.array([1]), np.array([2]))
    fold = make_transductive_fold(photos, split, 40, order)
    for number, user in enumerate((0, 1)):
        own = order[photos.rows_of(user)]
        assert fold.train.rows[number].tolist() == own[:7].tolist()
    for rows in fold.test.rows:  # photos that no training user has are not in the vocabulary
        predicted = fold.test.predict[rows].tolist()
        assert predicted == sorted(predicted)
    predicted = np.flatnonzero(fold.test.predict)
    newest = np.concatenate([order[photos.rows_of(user)][8:] for user in (0, 1)])
    assert predicted.tolist() == sorted(newest.tolist())


def test_a_shuffled_study_is_shuffled_with_its_seed(site, tmp_path):
    photos = PhotoCollection.load(site)
    study = Study(photos, tmp_path, seed=1, device="cpu", order="shuffled")
    assert study.rows_in_order.tolist() == shuffled(photos, 1).tolist()
    assert study.rows_in_order.tolist() != shuffled(photos, 0).tolist()


# ---- words of hashtags


@pytest.mark.parametrize("first", ["a-bcd", "ab-cd", "abc-d"])
def test_of_several_places_for_a_hyphen_the_most_frequent_word_wins(first):
    known = {word: place + 5 for place, word in enumerate(["a-bcd", "ab-cd", "abc-d"])}
    assert words_of("abcd", known | {first: 1}) == ([first], "whole")


def test_inside_a_hashtag_no_letter_but_a_is_a_word():
    known = {word: place for place, word in enumerate(["i", "a", "sea", "sky", "once", "time"])}
    assert likeliest_split("isea", known) == ["i", "sea"]
    assert likeliest_split("onceatime", known) == ["once", "a", "time"]
    assert likeliest_split("seaisky", known) == []
    assert likeliest_split("seai", known) == likeliest_split("seaa", known) == []


def test_an_approximate_psi_has_each_run_once_however_often_it_stands_there():
    text, total = "<hahahaha>", np.zeros(D_W)
    for run in {text} | {text[i : i + n] for n in (3, 4, 5) for i in range(len(text) - n + 1)}:
        digest = hashlib.blake2b(run.encode(), digest_size=8).digest()
        total += np.random.default_rng(int.from_bytes(digest, "little")).normal(size=D_W)
    found = approximate_psi("hahahaha", tiny_vectors())
    wanted = total / np.linalg.norm(total)
    np.testing.assert_allclose(found / np.linalg.norm(found), wanted, atol=1e-6)


# ---- psi of one length, learned psi, TIRG


def test_unit_psi_keeps_the_direction_of_every_hashtag_and_gives_all_one_length():
    model = HashtagModel(tiny_config(unit_psi=True))
    given = tiny_vectors().vectors[:5] * np.array([[0.1], [1], [2], [5], [30]], np.float32)
    found = model.psi(torch.from_numpy(given)).numpy()
    wanted = given / np.linalg.norm(given, axis=1, keepdims=True) * D_W**0.5
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    plain = HashtagModel(tiny_config()).psi(torch.from_numpy(given))
    assert np.array_equal(plain.numpy(), given)


def test_a_model_of_unit_psi_predicts_new_hashtags_with_it_too():
    _, hashtags, _ = tiny_fold()
    predictor = HashtagPredictor(
        HashtagModel(tiny_config(unit_psi=True)), hashtags, None, device="cpu"
    )
    predictor.vectors = vectors = tiny_vectors()
    new = ["sun+sea", "red+huge+sky"]
    assert not set(new) & set(hashtags.names)
    names, found = predictor.represent([*new, "sun"])
    for name, row in zip(names, found.cpu().numpy(), strict=True):
        own = psi(name, vectors)
        np.testing.assert_allclose(row, own / np.linalg.norm(own) * D_W**0.5, atol=1e-5)


def test_learned_psi_starts_with_numbers_about_as_large_as_those_of_word_vectors():
    torch.manual_seed(0)
    learned = HashtagModel(tiny_config(learned_psi=True, num_hashtags=2000)).learned_psi.weight
    assert abs(learned.std().item() - 0.4) < 0.02 and abs(learned.mean().item()) < 0.02


def test_gate_and_residual_of_tirg_weigh_the_same_at_first():
    assert TIRG(3).w.tolist() == [1.0, 1.0]


def test_a_hashtag_that_is_known_in_part_is_not_approximated():
    _, hashtags, _ = tiny_fold()
    kinds = ["in part", "approximated", "split"] + ["whole"] * (len(hashtags) - 3)
    model = HashtagModel(tiny_config())
    predictor = HashtagPredictor(model, replace(hashtags, kinds=kinds), None, device="cpu")
    assert predictor.approximated(hashtags.names[:4]) == [hashtags.names[1]]


# ---- tables


def test_users_that_ask_for_pictures_are_drawn_with_the_seed_of_the_study():
    rng = np.random.default_rng(0)
    names = [[rng.choice(WORDS[:5], 2, replace=False).tolist() for _ in "1234"] for _ in range(120)]
    photos = collection({f"u{u:03d}": of for u, of in enumerate(names)})
    _, histories = fold_of(photos, np.arange(120))
    found = []
    for seed in (0, 3):
        study = SimpleNamespace(seed=seed, fold=lambda *_: SimpleNamespace(test=histories))
        found.append(one_row.find_pictures(study, 0, "open", OWN_PICTURES))
        assert found[-1] == evaluate_own_pictures(make_pool(histories, seed=seed))
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("row", "parts"),
    [("ours (hashtag)", {"fusion": "only hashtags"}), ("ours (image+hashtag)", {})],
)
def test_figure_3_changes_the_size_of_the_row_and_nothing_else(monkeypatch, row, parts):
    asked = []
    monkeypatch.setattr(one_row, "_seen", lambda *_: {})
    monkeypatch.setattr(one_row, "encoder_time", lambda *_: 0.0)
    study = SimpleNamespace(model=lambda *job: asked.append(job))
    one_row.of_size(study, 0, "open", f"{row}, d_u = 4", row)
    assert asked == [(0, "open", f"{row}, d_u = 4", {**parts, "d_u": 4})]
