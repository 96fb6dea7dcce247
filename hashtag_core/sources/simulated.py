"""A simulated photo-sharing site: made-up users, whose true tastes are known.

It is for asking whether the paper's statements hold where the truth is known: the column `oracle`
of its photos ranks the hashtags as nobody can rank them better.

The world has topics, and concepts within them. Each of them is a meaning that has eight words:
three synonyms in language a, two in b, two in c, one in d. There are also moods (a word in each
language), gear, and places. The names tell what they are:

    t03a1       topic 3 in language a, synonym 1        g07          gear 7
    t03c05b2    concept 5 of topic 3 in language b      p012         place 12
    m04a        mood 4 in language a                    u000012x1    a word that user 12 made up
                                                        u000012e003  the event of user 12, album 3

A user has interests that drift, one language or two, a favourite synonym for each meaning, moods
that go with certain concepts, places, up to three habits (hashtags on nearly every photo) that may
change once, and is more or less verbose. Half of the concepts a user calls by another concept's
words: only who saw the user's pictures knows. Photos come in albums: one topic, one to three
concepts, one place, perhaps an event; the pictures of an album look alike. Within an album, a photo
carries exactly the hashtags of the one before it with the user's probability q of copying. Else
each hashtag h stands on it independently with a probability p(h) that follows from all the above,
and a photo that would be left without any gets the most probable one, whose p(h) is that much
higher. So the truth about a photo is

    P(h) = q [h is on the photo before] + (1 - q) p(h)

with q = 0 for an album's first photo, and `oracle` is the order of falling P(h). It knows
everything but the photo's own draw, so nobody's first guess is right more often.

Shapes: A albums and T photos of a user, L hashtags that the user may use, K topics, C concepts of
all topics, W words of the world.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.prepare.writing import ROWS_PER_GROUP, stream_collection
from hashtag_core.printing import progress_bar
from hashtag_core.sources.simulated_users import Stream, simulate_user
from hashtag_core.sources.simulated_world import D_I, D_W, World, make_world
from hashtag_core.workers import workers_for

if TYPE_CHECKING:
    import pyarrow as pa

MIN_USERS, MIN_PHOTOS = 10, 10
USERS_PER_PART = 20  # in memory at a time
SPREAD_OF_PHOTOS = 0.6  # sigma of the log-normal number of photos above the minimum
ORACLE_LENGTH = 40
SAMPLE = 20  # users, for an estimate of time and size
BYTES_PER_NUMBER = 9  # in words.txt


class Part(NamedTuple):
    """Some users' rows of the collection, and the vectors of words that they made up."""

    table: pa.Table
    features: np.ndarray
    own_words: dict[str, np.ndarray]


class Size(NamedTuple):
    """All that decides about a site; see `prepare_simulated`."""

    users: int
    photos: int
    hashtags: int
    seed: int

    def make(self) -> tuple[World, np.ndarray]:
        """The world, and (users,) how many photos each user has."""
        counts = draw_photo_counts(self.users, self.photos, self.seed)
        return make_world(self.users, int(counts.sum()), self.hashtags, self.seed), counts

    def parts(self) -> list[range]:
        """The numbers of the users, some of them at a time."""
        users = range(self.users)
        return [users[i : i + USERS_PER_PART] for i in users[::USERS_PER_PART]]


def prepare_simulated(
    out: str | Path,
    users: int = 2000,
    photos: int = 50,
    hashtags: int = 5000,
    seed: int = 0,
    workers: int = 1,
) -> PhotoCollection:
    """Simulate a site and write it as a collection; the same arguments give the same bytes.

    Users are made one after the other, each from (seed, user) alone, and written as they come.
    Beside the three files of a collection there is words.txt, the hashtags' word vectors as
    GloVe's text format.

    Args:
        out: the collection's folder.
        users: how many.
        photos: a user's mean number of photos; everybody has at least 10.
        hashtags: about how many different ones are used, where there are some 20 photos for each;
            fewer photos leave part of the vocabulary unused.
        seed: of everything.
        workers: how many processes make users.

    Returns:
        The collection, with the columns `oracle` (list<string>, the hashtags by falling true
        probability) and `concept`; meta["words"] names the file of word vectors.

    Raises:
        InputError: where a number is too small, a worker was killed, or the disk is full.
    """
    size = Size(users, photos, hashtags, seed)
    world, counts = size.make()
    own_words: dict[str, np.ndarray] = {}  # no more than their share of `hashtags`, on average

    def parts() -> Iterator[tuple[pa.Table, np.ndarray]]:
        one = (make_part(world, counts, numbers) for numbers in size.parts())
        with progress_bar(total=users, desc="users") as bar:
            for part in one if workers == 1 else _from_workers(size, workers):
                own_words.update(part.own_words)
                yield part.table, part.features
                bar.update(len(part.table["user"].unique()))

    def word_lines() -> Iterator[str]:
        for words in (dict(zip(world.names.tolist(), world.vectors, strict=True)), own_words):
            for name, vector in words.items():
                yield f"{name} {' '.join(f'{x:.5f}' for x in vector.tolist())}"

    meta = {
        "source": "simulated",
        "licence": "none, it is made up",
        "made_with": size._asdict(),
        "words": "words.txt",
    }
    files = {"words.txt": word_lines()}
    return stream_collection(out, parts(), int(counts.sum()), D_I, meta, files)


def estimate_simulated(users: int, photos: int, hashtags: int, seed: int = 0) -> dict[str, float]:
    """What `prepare_simulated` will make: {"photos", "bytes", "seconds"}, these of one worker.

    It makes a few of the users, measures them, and throws them away.
    """
    import pyarrow.parquet as pq

    world, counts = Size(users, photos, hashtags, seed).make()
    some = np.linspace(0, users - 1, max(3, min(SAMPLE, users // 100))).astype(int)
    start = time.perf_counter()
    table = make_part(world, counts, some).table
    pq.write_table(table, file := io.BytesIO(), compression="zstd", row_group_size=ROWS_PER_GROUP)
    seconds = time.perf_counter() - start
    in_words = hashtags * D_W * BYTES_PER_NUMBER
    per_photo = file.getbuffer().nbytes / len(table) + 2 * D_I  # float16
    return {
        "photos": int(counts.sum()),
        "bytes": int(counts.sum()) * per_photo + in_words,
        "seconds": seconds * users / len(some),
    }


def make_part(world: World, counts: np.ndarray, numbers: range | np.ndarray) -> Part:
    """These users' photos; `counts` says how many each user has."""
    streams = [simulate_user(world, int(user), int(counts[user])) for user in numbers]
    own_words = {name: vector for s in streams for name, vector in s.own_words.items()}
    return Part(_as_table(world, streams), np.concatenate([s.features for s in streams]), own_words)


def _from_workers(size: Size, number: int) -> Iterator[Part]:
    """The parts in their order, made by so many processes."""
    with workers_for(_every_nth, [(size, rank, number) for rank in range(number)]) as processes:
        for i in range(len(size.parts())):
            yield processes[i % number].take()


def _every_nth(size: Size, rank: int, n: int) -> Iterator[Part]:
    """The parts `rank`, `rank` + n, and so on."""
    world, counts = size.make()  # as quick as to be handed it
    for numbers in size.parts()[rank::n]:
        yield make_part(world, counts, numbers)


def draw_photo_counts(users: int, photos: int, seed: int) -> np.ndarray:
    """(users,) int64: each user's number of photos, log-normal above the minimum.

    Raises:
        InputError: where a number is too small.
    """
    least = {"users": (users, MIN_USERS), "photos": (photos, MIN_PHOTOS), "seed": (seed, 0)}
    for name, (number, bound) in least.items():
        if number < bound:
            raise InputError(f"{name} {number}: must be at least {bound}.")
    rng = np.random.default_rng([seed, 0, 2])
    factors = rng.lognormal(-(SPREAD_OF_PHOTOS**2) / 2, SPREAD_OF_PHOTOS, users)  # mean 1
    return MIN_PHOTOS + np.round((photos - MIN_PHOTOS) * factors).astype(np.int64)


def rank_by_truth(stream: Stream) -> list[np.ndarray]:
    """For each photo the column numbers of `names` by falling marginal, equal ones by name.

    The best possible ranking; at most 40, and only what is possible at all.
    """
    order = np.argsort(-stream.marginals, axis=1, kind="stable")[:, :ORACLE_LENGTH]
    possible = np.take_along_axis(stream.marginals, order, axis=1) > 0
    return [row[kept] for row, kept in zip(order, possible, strict=True)]


def _as_table(world: World, streams: list[Stream]) -> pa.Table:
    import pyarrow as pa

    def lists(names: np.ndarray, columns: list[np.ndarray]) -> pa.ListArray:
        offsets = np.cumsum([0, *map(len, columns)], dtype=np.int32)
        return pa.ListArray.from_arrays(offsets, pa.array(names[np.concatenate(columns)]))

    return pa.concat_tables(
        pa.table(
            {
                "photo_id": [f"{s.user}p{t:05d}" for t in range(len(s.times))],
                "user": [s.user] * len(s.times),
                "time": pa.array(s.times, pa.timestamp("s")),
                "hashtags": lists(s.names, [np.flatnonzero(row) for row in s.carried]),
                "concept": world.concept_names[s.concepts],
                "oracle": lists(s.names, rank_by_truth(s)),
            }
        )
        for s in streams
    )
