"""The baselines without training, against exact loops in plain Python."""

from fractions import Fraction

import pytest
import torch
from helpers import WORDS, batch_of, collection, fold_of, tiny_fold

from hashtag_core.evaluation.baselines import frequency, repeat_recent

ALL_CANDIDATES = ["seen", "unseen", "all"]


def users_of(batch):
    """[[the ids of each photo] for each user]."""
    photos = batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())
    photos = iter([ids.tolist() for ids in photos])
    return [[next(photos) for _ in range(n)] for n in batch.mask.sum(dim=1).tolist()]


def naive_repeat_recent(batch, candidates, k):
    """The last photo's hashtags weigh 1, those of the one before 1/2, then 1/4 and so on."""
    ranked = []
    for photos in users_of(batch):
        for t in range(len(photos)):
            weights = dict.fromkeys(candidates, Fraction(0))
            for s in range(t):
                for hashtag in photos[s]:
                    if hashtag in weights:
                        weights[hashtag] += Fraction(1, 2 ** (t - 1 - s))
            order = sorted(candidates, key=lambda i, w=weights: (-w[i], i))[:k]
            ranked.append(order + [-1] * (k - len(order)))
    return ranked


@pytest.fixture(scope="module")
def fold():
    return tiny_fold()


def names_at(hashtags, ids):
    return [hashtags.names[i] for i in ids.tolist()]


@pytest.mark.parametrize("which", ALL_CANDIDATES)
@pytest.mark.parametrize("k", [1, 10, 50])
def test_frequency_gives_every_photo_the_first_candidates(fold, which, k):
    _, hashtags, histories = fold
    candidates = hashtags.candidates(which)
    ranked = frequency(batch_of(histories), candidates, k)
    best = list(candidates)[:k]
    assert ranked.tolist() == [best + [-1] * (k - len(best))] * 34


def test_the_first_candidates_are_the_most_frequent_of_the_training_users():
    histories = {
        "user0": [["sea", "sky"], ["sky", "sun"]],
        "user1": [["sky", "sea"]],
        "user2": [["fish", "sun"], ["fish", "sun"]],  # does not train
    }
    hashtags, items = fold_of(collection(histories), train_users=[0, 1])
    ranked = frequency(batch_of(items), hashtags.candidates("all"), 4)
    assert names_at(hashtags, ranked[0]) == ["sky", "sea", "sun", "fish"]


def test_repeat_recent_by_hand():
    histories = {"user0": [["sun"], ["sea", "sun"], ["sky"], ["fish"]]}
    hashtags, items = fold_of(collection(histories), train_users=[0])
    assert hashtags.names == ["sun", "fish", "sea", "sky"]  # by frequency, then by name
    ranked = repeat_recent(batch_of(items), hashtags.candidates("all"), 4)
    assert [names_at(hashtags, ids) for ids in ranked] == [
        ["sun", "fish", "sea", "sky"],  # no history: by frequency
        ["sun", "fish", "sea", "sky"],  # sun 1
        ["sun", "sea", "fish", "sky"],  # sun 1 + 1/2, sea 1
        ["sky", "sun", "sea", "fish"],  # sky 1, sun 1/2 + 1/4, sea 1/2
    ]


@pytest.mark.parametrize("which", ALL_CANDIDATES)
@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_repeat_recent_gives_what_an_exact_loop_gives(fold, which, k):
    _, hashtags, histories = fold
    batch, candidates = batch_of(histories), hashtags.candidates(which)
    assert repeat_recent(batch, candidates, k).tolist() == naive_repeat_recent(batch, candidates, k)


def test_repeat_recent_is_exact_on_long_random_histories():
    generator = torch.Generator().manual_seed(0)

    def photo():
        return [WORDS[i] for i in torch.randperm(12, generator=generator)[:3].tolist()]

    histories = {f"user{u}": [photo() for _ in range(20 + 15 * u)] for u in range(3)}
    hashtags, items = fold_of(collection(histories), train_users=[0])
    batch, candidates = batch_of(items), hashtags.candidates("all")
    assert repeat_recent(batch, candidates, 5).tolist() == naive_repeat_recent(batch, candidates, 5)


def test_the_last_photo_weighs_more_than_any_number_of_photos_before_it():
    histories = {"user0": [["sea"]] * 100 + [["sky"], ["sun"]]}  # 1 > 1/2 + 1/4 + 1/8 + ...
    hashtags, items = fold_of(collection(histories), train_users=[0])
    ranked = repeat_recent(batch_of(items), hashtags.candidates("all"), 2)
    assert names_at(hashtags, ranked[-1]) == ["sky", "sea"]


@pytest.mark.parametrize("which", ALL_CANDIDATES)
def test_a_users_first_photo_is_by_frequency(fold, which):
    _, hashtags, histories = fold
    batch, candidates = batch_of(histories), hashtags.candidates(which)
    lengths = batch.mask.sum(dim=1)
    first = lengths.cumsum(0) - lengths  # (B,)
    ranked, by_frequency = (rank(batch, candidates, 5) for rank in (repeat_recent, frequency))
    assert torch.equal(ranked[first], by_frequency[first])


def test_users_of_one_batch_do_not_share_their_histories(fold):
    _, hashtags, histories = fold
    candidates = hashtags.candidates("all")
    together = repeat_recent(batch_of(histories), candidates, 10)
    alone = [repeat_recent(batch_of(histories, u), candidates, 10) for u in range(len(histories))]
    assert torch.equal(together, torch.cat(alone))
