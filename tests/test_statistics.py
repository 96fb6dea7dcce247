"""What is in a collection, against loops over sets and against numbers worked out by hand."""

import math
import statistics as naive

import numpy as np
import pytest
from helpers import WORDS, collection, tiny_collection, tiny_histories, tiny_vectors

from hashtag_core.data.describe import describe, distributions
from hashtag_core.data.splits import split_users
from hashtag_core.errors import InputError

SHARES = (
    "photos that repeat the previous one",
    "occurrences new to their user",
    "hashtags of one user only",
    "hashtags on one photo only",
    "occurrences of the 100 most frequent hashtags",
)


def values(photos, seed: int = 0) -> dict[str, float]:
    table = describe(photos, tiny_vectors(), seed)
    assert table["what"].is_unique
    assert list(table.columns) == ["what", "value", "unit"]
    return dict(zip(table["what"], table["value"], strict=True))


def by_hand() -> dict[str, list[list[str]]]:
    """Five users, one of each fold; three of them have one photo with a hashtag of their own."""
    return {
        "ann": [["sun", "sea"], ["sea", "sun"], ["sea"], ["sand", "zzzz"]],
        "bob": [["sea"], ["sea", "boat"], ["sea", "wave"]],
        "cid": [["surf"]],
        "dan": [["fish"]],
        "eve": [["gull"]],
    }


def test_a_case_worked_out_by_hand():
    found = values(collection(by_hand()))
    assert found["users"] == 5
    assert found["photos"] == 10
    assert found["different hashtags"] == 9
    assert found["different hashtags with a word vector"] == 8  # not zzzz
    assert [found[f"photos a user, {f}"] for f in ("minimum", "median", "mean", "maximum")] == [
        1, 1, 2, 4
    ]  # fmt: skip
    assert [found[f"hashtags a photo, {f}"] for f in ("minimum", "median", "mean", "maximum")] == [
        1, 1.5, 1.5, 2
    ]  # fmt: skip
    assert found["photos that repeat the previous one"] == pytest.approx(100 / 5)  # ann's second
    # 7 of ann's hashtags are sun sea | sea sun | sea | sand zzzz: 4 new; of bob's 5, 3; 3 others.
    assert found["occurrences new to their user"] == pytest.approx(100 * 10 / 15)
    assert found["hashtags of one user only"] == pytest.approx(100 * 8 / 9)  # all but sea
    assert found["hashtags on one photo only"] == pytest.approx(100 * 7 / 9)  # not sun, sea
    assert found["occurrences of the 100 most frequent hashtags"] == 100


def test_distributions_worked_out_by_hand():
    found = distributions(collection(by_hand()))
    assert found["photos per user"].tolist() == [4, 3, 1, 1, 1]
    assert found["hashtags per photo"].tolist() == [2, 2, 1, 2, 1, 2, 2, 1, 1, 1]
    assert found["photos per hashtag"].tolist() == [6, 2, 1, 1, 1, 1, 1, 1, 1]
    # second photos: all of ann's, half of bob's; third: all, half; fourth: none of ann's.
    assert found["repeated share"].tolist() == [0, 75, 75, 0]


def test_seen_and_unseen_worked_out_by_hand():
    histories = {f"user{i}": [["sun", WORDS[10 + i]], [WORDS[20 + i]]] for i in range(10)}
    photos = collection(histories)
    found = values(photos, seed=3)
    split = split_users(10, seed=3)
    own = 2 * len(split.train)  # two hashtags of their own for each training user
    assert found["seen hashtags"] == 1 + own
    assert found["unseen hashtags"] == 2 * len(split.test)  # not those of validation users
    assert found["unseen hashtags among test occurrences"] == pytest.approx(100 * 2 / 3)


def loops(histories) -> dict[str, float]:
    """The shares, photo by photo, with sets."""
    repeats, news, users_of, photos_of = [], [], {}, {}
    for user in sorted(histories):
        used, before = set(), None
        for names in histories[user]:
            if before is not None:
                repeats.append(set(names) == before)
            for name in names:
                news.append(name not in used)
                users_of.setdefault(name, set()).add(user)
                photos_of[name] = photos_of.get(name, 0) + 1
            before = set(names)
            used |= before
    frequent = sorted(photos_of.values(), reverse=True)[:100]
    shares = (
        naive.fmean(repeats),
        naive.fmean(news),
        naive.fmean(len(users) == 1 for users in users_of.values()),
        naive.fmean(number == 1 for number in photos_of.values()),
        sum(frequent) / len(news),
    )
    return dict(zip(SHARES, (100 * share for share in shares), strict=True))


def loops_repeated(histories) -> list[float]:
    shares: dict[int, list[float]] = {}
    for photos in histories.values():
        used = set()
        for position, names in enumerate(photos[:50]):
            shares.setdefault(position, []).append(len(used & set(names)) / len(names))
            used |= set(names)
    return [100 * naive.fmean(shares[position]) for position in sorted(shares)]


def made_up(seed: int) -> dict[str, list[list[str]]]:
    """Twelve users with up to 70 photos, some like the one before; 300 hashtags and more."""
    rng = np.random.default_rng(seed)
    histories = {}
    for user in range(12):
        photos = []
        for _ in range(rng.integers(1, 70)):
            if photos and rng.random() < 0.4:
                names = rng.permutation(photos[-1])
            else:
                pool = [*WORDS, *(f"tag{i}" for i in range(300))]
                names = rng.choice(pool, size=rng.integers(1, 6), replace=False)
            photos.append(names.tolist())
        histories[f"user{user:02d}"] = photos
    return histories


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [tiny_histories, made_up])
def test_shares_are_those_of_loops_over_sets(make, seed):
    histories = make(seed)
    photos = collection(histories)
    found = values(photos)
    assert {name: found[name] for name in SHARES} == pytest.approx(loops(histories))
    repeated = distributions(photos)["repeated share"]
    assert repeated.tolist() == pytest.approx(loops_repeated(histories))


@pytest.mark.parametrize("seed", range(3))
def test_unseen_shares_are_those_of_loops_over_sets(seed):
    histories = tiny_histories()
    found = values(tiny_collection(), seed)
    users = sorted(histories)
    split = split_users(tiny_collection(), seed)
    seen = {name for u in split.train for names in histories[users[u]] for name in names}
    tested = [name for u in split.test for names in histories[users[u]] for name in names]
    unseen = 100 * naive.fmean(name not in seen for name in tested)
    assert found["seen hashtags"] == len(seen)
    assert found["unseen hashtags among test occurrences"] == pytest.approx(unseen)


def test_hashtags_without_a_word_vector_are_neither_seen_nor_unseen():
    histories = tiny_histories()
    plain = values(collection(histories), seed=1)
    for names in histories.values():
        names[0] = [*names[0], "zzzz"]
    with_more = values(collection(histories), seed=1)
    for name in ("seen hashtags", "unseen hashtags", "unseen hashtags among test occurrences"):
        assert with_more[name] == plain[name] > 0
    assert with_more["different hashtags"] == plain["different hashtags"] + 1


def test_shares_of_nothing_are_nan():
    found = values(collection({f"user{i}": [["sun"]] for i in range(5)}))
    assert math.isnan(found["photos that repeat the previous one"])
    assert found["hashtags of one user only"] == 0


def test_too_few_users_are_refused():
    with pytest.raises(InputError, match="too few"):
        describe(collection({"ann": [["sun"]]}), tiny_vectors())


def test_positions_end_with_the_fiftieth_or_the_longest_history():
    photos = collection({"ann": [["sun"]] * 60, "bob": [["sea"]]})
    assert distributions(photos)["repeated share"].tolist() == [0.0] + [100.0] * 49
    assert len(distributions(tiny_collection())["repeated share"]) == max(
        map(len, tiny_histories().values())
    )


def test_the_collection_that_comes_with_the_repository(open_art, glove):
    table = describe(open_art, glove).set_index("what")["value"]
    assert table["photos"] == len(open_art)
    known = table["different hashtags with a word vector"]
    assert 0 < table["seen hashtags"] + table["unseen hashtags"] < known  # validation users' own
    assert 35 < table["photos that repeat the previous one"] < 65  # as real photo streams do
    found = distributions(open_art)
    assert found["photos per hashtag"].sum() == found["hashtags per photo"].sum()
    assert (np.diff(found["photos per hashtag"]) <= 0).all()
