"""The simulated site: it behaves like real photo streams, and its truth is true."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from hashtag_core.data.hashtags import build_hashtags
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import split_users
from hashtag_core.data.words import known_words, load_word_vectors
from hashtag_core.errors import InputError
from hashtag_core.evaluation.baselines import frequency, repeat_recent
from hashtag_core.evaluation.metrics import evaluate
from hashtag_core.prepare.writing import stream_collection
from hashtag_core.sources import simulated_users
from hashtag_core.sources.simulated import (
    estimate_simulated,
    prepare_simulated,
    rank_by_truth,
)
from hashtag_core.sources.simulated_users import simulate_user
from hashtag_core.sources.simulated_world import make_world

USERS, PHOTOS, HASHTAGS = 250, 50, 800


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of 250 users, about 12,000 photos; takes about two seconds."""
    return prepare_simulated(tmp_path_factory.mktemp("site") / "site", USERS, PHOTOS, HASHTAGS)


@pytest.fixture(scope="module")
def carried(site):
    """The hashtags of each photo."""
    return site.table["hashtags"].to_pylist()


@pytest.fixture(scope="module")
def oracle(site):
    """The true ranking of each photo."""
    return site.column("oracle").to_pylist()


@pytest.fixture(scope="module")
def vectors(site):
    """The site's word vectors."""
    return load_word_vectors(site.folder / site.meta["words"])


@pytest.fixture(scope="module")
def world(site):
    """What the site was made from."""
    return make_world(USERS, len(site), HASHTAGS, seed=0)


@pytest.fixture(scope="module")
def streams(site, world):
    """The users again, with what the files do not tell."""
    return [simulate_user(world, user, n) for user, n in enumerate(np.diff(site.user_offsets))]


# ---- it behaves like real photo streams (design, section 6)


def test_photos_of_a_user(site):
    counts = np.diff(site.user_offsets)
    assert len(counts) == USERS
    assert counts.min() >= 10
    assert 0.85 * PHOTOS < counts.mean() < 1.15 * PHOTOS
    assert np.median(counts) < counts.mean()  # few users have many photos
    assert counts.max() > 2 * PHOTOS


def test_hashtags_of_a_photo(carried):
    assert 3 < np.mean([len(hashtags) for hashtags in carried]) < 7


def test_a_third_to_two_thirds_of_the_photos_repeat_the_one_before(site, carried):
    first = set(site.user_offsets.tolist())
    same = [carried[i] == carried[i - 1] for i in range(len(site)) if i not in first]
    assert 0.35 < np.mean(same) < 0.65


def test_a_tenth_to_a_third_of_the_hashtags_are_new_to_their_user(site, carried):
    new, shares = [], []  # a 0 or 1 for each hashtag; the share of each photo but users' first
    for user in range(USERS):
        seen = set()
        for row in range(*site.rows_of(user).indices(len(site))):
            new += [hashtag not in seen for hashtag in carried[row]]
            if seen:
                shares.append(np.mean(new[-len(carried[row]) :]))
            seen.update(carried[row])
    assert 0.08 < np.mean(new) < 0.30
    assert 0.08 < np.mean(shares) < 0.30


@pytest.fixture(scope="module")
def all_users_measured(site, vectors):
    """{ranker: metrics} with every user as training and test user."""
    everybody = np.arange(USERS)
    hashtags = build_hashtags(site, everybody, vectors)
    histories = UserHistories(site, hashtags, everybody)
    rankers = {"frequency": frequency, "repeat recent": repeat_recent}
    return {
        name: evaluate(ranker, batches(histories, 8), hashtags, ("all",))["all"]
        for name, ranker in rankers.items()
    }


def test_repeating_the_last_hashtags_reaches_what_it_does_on_real_streams(all_users_measured):
    assert 80 < all_users_measured["repeat recent"]["A@1"] < 92
    assert 61 < all_users_measured["repeat recent"]["R@10"] < 84


def test_the_number_of_hashtags_is_as_asked_for(carried):
    used = {hashtag for hashtags in carried for hashtag in hashtags}
    assert 0.75 * HASHTAGS < len(used) < 1.25 * HASHTAGS


def test_popularity_falls_as_one_divided_by_the_rank(carried):
    counts = Counter(hashtag for hashtags in carried for hashtag in hashtags)
    falling = np.sort(list(counts.values()))[::-1]
    ranks = np.unique(np.geomspace(10, len(falling) / 2, 50).astype(int))  # evenly on a log scale
    slope = np.polyfit(np.log(ranks), np.log(falling[ranks - 1]), deg=1)[0]
    assert -1.3 < slope < -0.7
    assert np.mean(falling <= 3) > 0.05  # the tail


def test_a_tenth_of_the_test_users_hashtags_are_unseen_in_training(site, carried):
    split = split_users(USERS)
    of = {
        name: Counter(h for u in users for row in carried[site.rows_of(u)] for h in row)
        for name, users in (("train", split.train), ("test", split.test))
    }
    unseen = set(of["test"]) - set(of["train"])
    assert 0.08 < len(unseen) / len(of["test"]) < 0.25
    assert 0.01 < sum(of["test"][h] for h in unseen) / of["test"].total() < 0.10
    made_up = [h for h in unseen if h.startswith("u")]
    assert len(made_up) > len(unseen) / 2
    assert len(unseen) - len(made_up) > 0


def test_a_photo_repeats_only_within_an_album(streams):
    for s in streams[:50]:
        hours = np.diff(s.times) / 3600
        assert s.starts[0]
        assert (np.diff(s.times) > 0).all()
        assert np.median(hours[s.starts[1:]]) > 10 or s.starts.sum() < 5
        assert (hours[~s.starts[1:]] < 2).all()


# ---- the truth is true


def test_the_streams_are_what_the_files_hold(streams, site, carried, oracle):
    assert [s.user for s in streams] == site.users
    assert np.array_equal(np.concatenate([s.features for s in streams]), site.features)
    assert carried == [s.names[row].tolist() for s in streams for row in s.carried]
    assert oracle == [s.names[row].tolist() for s in streams for row in rank_by_truth(s)]


@pytest.mark.parametrize("low", np.arange(10) / 10)
def test_hashtags_appear_as_often_as_the_oracle_says(streams, low):
    p = np.concatenate([s.marginals.ravel() for s in streams])
    is_there = np.concatenate([s.carried.ravel() for s in streams])
    inside = (p > low) & (p <= low + 0.1)
    expected, found = p[inside].sum(), is_there[inside].sum()
    # photos of a copied run are alike: allow for five times the variance of independent ones
    spread = np.sqrt(5 * (p[inside] * (1 - p[inside])).sum())
    assert inside.sum() > 1000
    assert abs(found - expected) < 4 * spread


def test_what_begins_an_album_and_what_goes_on_are_each_calibrated(streams):
    for kind in (True, False):
        rows = [(s.marginals[s.starts == kind], s.carried[s.starts == kind]) for s in streams]
        expected = sum(p.sum() for p, _ in rows)
        assert sum(c.sum() for _, c in rows) == pytest.approx(expected, rel=0.03)
        first_guess = [(p.max(axis=1), c[np.arange(len(c)), p.argmax(axis=1)]) for p, c in rows]
        right = np.mean(np.concatenate([c for _, c in first_guess]))
        assert right == pytest.approx(
            np.mean(np.concatenate([p for p, _ in first_guess])), abs=0.02
        )


def test_marginals_are_probabilities_and_cover_what_is_carried(streams):
    for s in streams:
        assert (s.marginals >= 0).all()
        assert (s.marginals <= 1 + 1e-12).all()
        assert (s.marginals[s.carried] > 0).all()
        assert s.carried.any(axis=1).all()
        assert s.names.tolist() == sorted(set(s.names.tolist()))


def test_the_marginals_follow_from_the_draws_by_the_formula():
    p = np.array([[0.5, 0.2], [0.5, 0.2], [0.1, 0.3]])
    starts = np.array([True, False, True])
    fresh = p + np.array([[0.4, 0], [0.4, 0], [0, 0.63]])  # the likeliest one also where all fail
    rng, draws = np.random.default_rng(0), 5000
    found, expected = np.zeros((3, 2)), np.zeros((3, 2))
    for _ in range(draws):
        carried, marginals = simulated_users._draw_hashtags(rng, p, starts, copying=0.6)
        assert np.allclose(marginals[[0, 2]], fresh[[0, 2]])
        assert np.allclose(marginals[1], 0.6 * carried[0] + 0.4 * fresh[1])
        found += carried / draws
        expected += marginals / draws
    assert np.allclose(found, expected, atol=0.03)


def test_the_oracle_of_a_photo_does_not_depend_on_its_own_hashtags():
    """The last photo's hashtags are drawn anew, everything else is the same."""
    p = np.random.default_rng(0).uniform(0, 0.6, size=(6, 9))
    starts = np.array([True, False, False, True, False, False])

    class LastDrawAnew:
        def __init__(self, seed):
            self.rng, self.seed = np.random.default_rng(7), seed

        def random(self, size):
            drawn = self.rng.random(size)
            drawn[-1] = np.random.default_rng(self.seed).random(size)[-1]
            return drawn

    runs = [simulated_users._draw_hashtags(LastDrawAnew(s), p, starts, 0.5) for s in range(20)]
    assert len({carried[-1].tobytes() for carried, _ in runs}) > 5
    assert len({carried[:-1].tobytes() for carried, _ in runs}) == 1
    assert len({marginals.tobytes() for _, marginals in runs}) == 1


def test_nobody_beats_the_oracle(carried, oracle, all_users_measured):
    right = 100 * np.mean([best[0] in found for best, found in zip(oracle, carried, strict=True)])
    assert right > all_users_measured["repeat recent"]["A@1"] + 5
    assert right > all_users_measured["frequency"]["A@1"] + 50


def test_the_oracles_list_is_short_and_misses_nothing_probable(streams, oracle):
    assert max(map(len, oracle)) <= 40
    assert all(len(set(names)) == len(names) for names in oracle)
    for s in streams:
        for p, ranked in zip(s.marginals, rank_by_truth(s), strict=True):
            assert p[ranked].sum() > 0.999 * p.sum()
            assert (np.diff(p[ranked]) <= 0).all()


# ---- what models can learn from


def test_every_hashtag_is_one_word_with_a_vector(carried, vectors):
    used = {hashtag for hashtags in carried for hashtag in hashtags}
    assert all(known_words(hashtag, vectors) == [hashtag] for hashtag in used)


def test_vectors_are_as_long_as_gloves(vectors):
    norms = np.linalg.norm(vectors.vectors, axis=1)
    assert 3 < np.quantile(norms, 0.05) < np.quantile(norms, 0.95) < 6


def test_related_hashtags_are_near(world):
    unit = world.vectors / np.linalg.norm(world.vectors, axis=1, keepdims=True)
    of = unit[world.words[len(world.popularity) :]]  # (C, 8, D_W)
    per_topic = world.popularity.shape[1]
    synonyms = np.mean((of[:, 0] * of[:, 1]).sum(axis=1))
    translations = np.mean((of[:, 0] * of[:, 3]).sum(axis=1))
    same_topic = np.mean((of[::per_topic, 0] * of[1::per_topic, 0]).sum(axis=1))
    others = np.mean((of[:-per_topic, 0] * of[per_topic:, 0]).sum(axis=1))
    assert synonyms > translations > same_topic > others + 0.1


def test_an_event_is_near_its_topic(streams, world, vectors):
    unit = vectors.get_normed_vectors()
    near, far = [], []
    for s in streams:
        for name in [name for name in s.own_words if "e" in name]:
            photo = np.flatnonzero(np.cumsum(s.starts) == int(name.split("e")[1]))[0]
            topics = world.words[: len(world.popularity), 0]
            of = s.concepts[photo] // world.popularity.shape[1]
            cosines = unit[topics] @ unit[vectors.key_to_index[name]]
            near.append(cosines[of])
            far.append(np.delete(cosines, of).mean())
    assert len(near) > 50
    assert np.mean(near) > np.mean(far) + 0.3


def test_concepts_are_visible_but_not_perfectly():
    """At the default size, where there are 320 concepts."""
    world = make_world(users=2000, num_photos=100_000, hashtags=5000, seed=0)
    some = [simulate_user(world, user, 100) for user in range(30)]
    pictures = np.concatenate([s.features for s in some]).astype(np.float32)
    true = np.concatenate([s.concepts for s in some])
    nearest = ((world.looks**2).sum(axis=1) - 2 * pictures @ world.looks.T).argmin(axis=1)
    assert 0.6 < np.mean(nearest == true) < 0.8


def test_pictures_of_an_album_look_alike(streams, world):
    apart = {True: [], False: []}  # by whether the second of two pictures begins an album
    for s in streams:
        rest = s.features.astype(np.float32) - world.looks[s.concepts]  # what is not the concept
        distances = np.linalg.norm(np.diff(rest, axis=0), axis=1)
        for begins in (True, False):
            apart[begins] += distances[s.starts[1:] == begins].tolist()
    assert np.quantile(apart[False], 0.9) < np.quantile(apart[True], 0.1)


# ---- written in a stream, and the same again


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        prepare_simulated(tmp_path / name, users=25, photos=12, hashtags=400, seed=3)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["features.npy", "meta.json", "photos.parquet", "words.txt"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_seed_gives_another_site(tmp_path):
    sites = [
        prepare_simulated(tmp_path / str(seed), users=10, photos=10, hashtags=400, seed=seed)
        for seed in (0, 1)
    ]
    assert sites[0].checksum() != sites[1].checksum()


def test_a_user_is_made_from_the_seed_and_its_number_alone(site, world):
    again = simulate_user(world, 123, int(np.diff(site.user_offsets)[123]))
    assert again.user == "u000123" == site.users[123]
    assert again.features.tobytes() == site.features[site.rows_of(123)].tobytes()
    other = simulate_user(world, 124, len(again.times))
    assert not np.array_equal(other.features, again.features)


def test_the_collection_says_what_it_is(site):
    assert site.meta["source"] == "simulated"
    assert site.meta["made_with"] == {
        "users": USERS, "photos": PHOTOS, "hashtags": HASHTAGS, "seed": 0
    }  # fmt: skip
    assert site.meta["counts"] == {"photos": len(site), "users": USERS}
    assert site.features.shape == (len(site), 64)
    assert site.features.dtype == np.float16
    assert site.table["concept"][0].as_py().startswith("t")


def test_the_smallest_site_and_users_in_two_parts(tmp_path, monkeypatch):
    whole = prepare_simulated(tmp_path / "whole", users=10, photos=10, hashtags=400)
    monkeypatch.setattr("hashtag_core.sources.simulated.USERS_PER_PART", 3)
    parts = prepare_simulated(tmp_path / "parts", users=10, photos=10, hashtags=400)
    assert np.diff(whole.user_offsets).tolist() == [10] * 10
    assert whole.table.equals(parts.table)
    assert whole.checksum() == parts.checksum()


def test_two_workers_write_the_bytes_of_one(tmp_path):
    for workers in (1, 2):
        prepare_simulated(
            tmp_path / str(workers), users=130, photos=10, hashtags=400, workers=workers
        )
    for name in ("features.npy", "meta.json", "photos.parquet", "words.txt"):
        one, two = ((tmp_path / folder / name).read_bytes() for folder in "12")
        assert one == two, name


def test_what_it_will_take_is_known_before(site):
    about = estimate_simulated(USERS, PHOTOS, HASHTAGS)
    size = sum(path.stat().st_size for path in site.folder.iterdir())
    assert about["photos"] == len(site)
    assert 0.7 * size < about["bytes"] < 1.6 * size
    assert 0 < about["seconds"] < 600


def test_the_oracle_stays_on_disk_until_it_is_asked_for(site):
    assert "oracle" not in site.table.column_names
    assert site.has("oracle") and site.has("concept") and not site.has("picture")
    assert len(site.column("oracle")) == len(site)
    assert site.column("concept") is not None


@pytest.mark.parametrize("hashtags", [400, 517, 1000, 5000, 30_000])
def test_a_world_of_any_size_has_words_of_their_own(hashtags):
    world = make_world(users=1000, num_photos=50_000, hashtags=hashtags, seed=0)
    assert len(set(world.names.tolist())) == len(world.names) == len(world.vectors)
    assert 0.7 * hashtags < len(world.names) < 0.85 * hashtags
    assert world.popularity.shape[1] >= 3  # an album has up to three concepts
    stream = simulate_user(world, 0, 30)
    assert len(stream.times) == 30


def test_many_users_still_sort_by_name():
    world = make_world(users=2_000_000, num_photos=10**8, hashtags=400, seed=0)
    names = [world.user_name.format(user) for user in (0, 9, 10, 999_999, 1_000_000)]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"users": 9}, "users 9: must be at least 10."),
        ({"photos": 9}, "photos 9: must be at least 10."),
        ({"hashtags": 399}, "hashtags 399: must be at least 400."),
        ({"seed": -1}, "seed -1: must be at least 0."),
    ],
)
def test_a_number_that_is_too_small_is_named(arguments, message, tmp_path):
    with pytest.raises(InputError) as error:
        prepare_simulated(tmp_path / "site", **arguments)
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


# ---- stream_collection


def part_of(users, photos=2):
    """A part: (table, features) of these users."""
    rows = [(user, t) for user in users for t in range(photos)]
    table = pa.table(
        {
            "photo_id": [f"{user}{t}" for user, t in rows],
            "user": [user for user, _ in rows],
            "time": pa.array([t for _, t in rows], pa.timestamp("s")),
            "hashtags": [["sun", user] for user, _ in rows],
        }
    )
    return table, np.full((len(rows), 3), ord(users[0]), dtype=np.float16)


def write(folder, parts, num_photos, **files):
    return stream_collection(folder, parts, num_photos, 3, {"source": "test"}, files)


def test_parts_become_one_collection(tmp_path):
    lines = []
    parts = (lines.append(users) or part_of(users) for users in ("ab", "c", "de"))
    made = write(tmp_path / "c", parts, 10, words=lines)  # the lines are there only at the end
    assert made.users == list("abcde")
    assert made.user_offsets.tolist() == [0, 2, 4, 6, 8, 10]
    assert made.features[:, 0].tolist() == [97] * 4 + [99] * 2 + [100] * 4
    assert made.meta["counts"] == {"photos": 10, "users": 5}
    assert (tmp_path / "c" / "words").read_bytes() == b"ab\nc\nde\n"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    with pytest.raises(InputError, match="row 0 has no picture"):
        made.picture(0)


@pytest.mark.parametrize(
    ("parts", "num_photos", "message"),
    [
        (["ab", "c"], 7, "6 photos were written, 7 announced"),
        (["ab", "c"], 5, "do not fit"),
        (["c", "ab"], 6, "out of order"),
        (["ab", "b"], 6, "the same value twice"),
        ([], 1, "0 photos were written, 1 announced"),
    ],
)
def test_parts_that_do_not_fit_leave_the_older_collection(parts, num_photos, message, tmp_path):
    write(tmp_path / "c", [part_of("a")], 2)
    with pytest.raises(InputError, match=message):
        write(tmp_path / "c", map(part_of, parts), num_photos)
    assert PhotoCollection.load(tmp_path / "c").users == ["a"]


def test_a_killed_stream_leaves_no_collection_and_starts_anew(tmp_path):
    def killed():
        yield part_of("ab")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "c", killed(), 6, old=["x"])
    assert not (tmp_path / "c").exists()
    assert not list(tmp_path.iterdir())
    made = write(tmp_path / "c", [part_of("z")], 2)
    assert made.users == ["z"]
    files = sorted(path.name for path in made.folder.iterdir())
    assert files == ["features.npy", "meta.json", "photos.parquet"]


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="something else"):
        write(tmp_path, [part_of("a")], 2)
    assert (tmp_path / "thesis.tex").exists()
