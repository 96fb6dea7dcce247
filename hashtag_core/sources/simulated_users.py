"""A simulated user: albums, words, habits, and the truth about every photo.

What users are like is told at the top of `simulated.py`. Shapes: A albums and T photos of a user,
L hashtags that the user may use, K topics, C concepts of all topics, W words of the world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashtag_core.sources.simulated_world import (
    D_I,
    FIRST_SLOTS,
    HABIT_CHANGES,
    HABITS,
    LANGUAGE_SHARES,
    MOODS_OF_USER,
    NEW_ALBUM,
    REGIONS,
    SLOT_LANGUAGE,
    SLOT_SHARES,
    WORD_SCALE,
    World,
    mix,
    zipf,
)

# Users
BILINGUAL = 0.3  # share of the users
SECOND_LANGUAGE, FOREIGN = 0.5, 0.02  # how often, compared with the main language
FAVOURITE, OTHER_SYNONYM = 0.8, 0.1  # P(word of the concept on the photo), main language
TOPIC_WORD = 0.6  # how often the topic's word, compared with the concept's
PRIVATE = 0.5  # share of the concepts that a user calls by another concept's words
SUBJECT_WORD = 0.5  # how often a word of the album's first concept on photos of its others
EVENT, HABIT = 0.9, (0.75, 0.98)  # P(the album's event); range of P(a habit)
FIRST_GEAR = 8  # rank of the most popular gear: no single one is on every tenth photo
NUM_OWN_HABITS = 6  # words kept for them: three, before and after a change
TALKATIVE = 0.35, 0.5  # mean and sigma of the log-verbosity
INTEREST, DRIFT, CONCEPT_TASTE = 2.5, 0.4, 1.5  # sigmas of log-preferences; of drift per album
COPYING = (5.5, 4.5)  # q is drawn from this beta distribution
CONCEPTS_WITH_MOOD, MOOD = 0.5, 0.7  # share; P(the concept's mood)
PLACES_OF_USER, TRAVEL, PLACE = 4, 0.25, 0.5  # number; share of albums elsewhere; P(the place)

# Albums and pictures
START, ALBUM_GAP, PHOTO_GAP = 1_325_376_000, 5 * 86_400, 300  # 2012; mean seconds
ALBUM_LOOK, NOISE = 2.2, 1.7  # sigmas


@dataclass(frozen=True)
class Stream:
    """One user's T photos in time order, and the truth about them."""

    user: str  # the user's name
    names: np.ndarray  # (L,) the hashtags that the user may use, sorted
    marginals: np.ndarray  # (T, L) P(photo t carries hashtag l), as at the top of `simulated.py`
    carried: np.ndarray  # (T, L) bool, what it carries
    starts: np.ndarray  # (T,) bool, whether it begins an album
    times: np.ndarray  # (T,) int64, seconds since 1970
    concepts: np.ndarray  # (T,) concept numbers
    features: np.ndarray  # (T, D_I) float16
    own_words: dict[str, np.ndarray]  # the hashtags that the user made up -> (D_W,) float32


@dataclass(frozen=True)
class _Albums:
    """A user's A albums: of what, and where; T photos."""

    of: np.ndarray  # (T,) each photo's album
    starts: np.ndarray  # (T,) bool
    topics: np.ndarray  # (A,)
    subjects: np.ndarray  # (A,) the first concept of the album
    places: np.ndarray  # (A,)
    concepts: np.ndarray  # (T,) what is on the photo

    def __len__(self) -> int:
        return len(self.topics)


def simulate_user(world: World, user: int, num_photos: int) -> Stream:
    """One user's photos, from (seed, user) alone.

    Args:
        world: from `make_world`.
        user: the user's number.
        num_photos: T.
    """
    rng = np.random.default_rng([world.seed, user])
    name = world.user_name.format(user)
    albums = _draw_albums(world, rng, num_photos)
    words, chances = _draw_vocabulary(world, rng, albums)  # (T, n), (T, n)
    words[chances == 0] = 0  # any word will do
    used, columns = np.unique(words, return_inverse=True)
    names = np.array([_name(world, name, word) for word in used])
    order = np.argsort(names)  # p has a column for each used word, by name
    p = np.zeros((num_photos, len(used)))  # (T, L)
    columns = np.argsort(order)[columns.reshape(words.shape)]
    np.maximum.at(p, (np.arange(num_photos)[:, None], columns), chances)
    carried, marginals = _draw_hashtags(rng, p, albums.starts, copying=rng.beta(*COPYING))
    gaps = np.where(albums.starts, ALBUM_GAP, PHOTO_GAP) * rng.exponential(size=num_photos)
    return Stream(
        user=name,
        names=names[order],
        marginals=marginals,
        carried=carried,
        starts=albums.starts,
        times=START + np.cumsum(1 + gaps).astype(np.int64),
        concepts=albums.concepts,
        features=_draw_features(world, rng, albums),
        own_words={
            _name(world, name, word): _draw_own_vector(world, rng, albums, word)
            for word in used[used >= len(world.names)]
        },
    )


def _draw_albums(world: World, rng: np.random.Generator, num_photos: int) -> _Albums:
    starts = rng.random(num_photos) < NEW_ALBUM
    starts[0] = True
    of = np.cumsum(starts) - 1  # (T,)
    sizes = np.bincount(of)  # (A,)

    num_topics, per_topic = world.popularity.shape
    interest = world.popularity[:, 0] + rng.normal(scale=INTEREST, size=num_topics)
    drift = np.cumsum(rng.normal(scale=DRIFT, size=(len(sizes), num_topics)), axis=0)
    topics = _choose(rng, interest + drift)  # (A,)
    taste = world.popularity + rng.normal(scale=CONCEPT_TASTE, size=(num_topics, per_topic))
    liked = taste[topics] + rng.gumbel(size=(len(sizes), per_topic))
    concepts = topics[:, None] * per_topic + np.argsort(-liked, axis=1)[:, :3]  # (A, 3)
    how_many = rng.integers(1, 4, len(sizes))  # (A,), one after the other
    position = np.arange(num_photos) - np.flatnonzero(starts)[of]  # (T,) within the album
    return _Albums(
        of=of,
        starts=starts,
        topics=topics,
        subjects=concepts[:, 0],
        places=_draw_places(world, rng, len(sizes)),
        concepts=concepts[of, position * how_many[of] // sizes[of]],
    )


def _draw_places(world: World, rng: np.random.Generator, albums: int) -> np.ndarray:
    """(A,) one of the user's four places, in the home region, or on a journey any."""
    popularity = zipf(len(world.places))
    home = np.arange(len(world.places)) % REGIONS == rng.integers(REGIONS)
    own = _choose(rng, np.where(home, popularity, -np.inf), PLACES_OF_USER)
    usual = own[_choose(rng, zipf(PLACES_OF_USER), albums)]
    return np.where(rng.random(albums) < TRAVEL, _choose(rng, popularity, albums), usual)


def _draw_features(world: World, rng: np.random.Generator, albums: _Albums) -> np.ndarray:
    """(T, D_I) float16: how the concept looks, and the place, the album, and noise."""
    look = world.place_looks[albums.places] + rng.normal(scale=ALBUM_LOOK, size=(len(albums), D_I))
    noise = rng.normal(scale=NOISE, size=(len(albums.of), D_I))
    return (world.looks[albums.concepts] + look[albums.of] + noise).astype(np.float16)


def _draw_vocabulary(world: World, rng: np.random.Generator, albums: _Albums) -> tuple:
    """Which words may stand on each photo (T, n), and the chance of each (T, n).

    Numbers from W on are the user's own words: six for habits, then the albums' events.
    """
    num_concepts, of = len(world.looks), albums.of
    language = rng.choice(4, p=LANGUAGE_SHARES)
    says = _draw_word_use(world, rng, language)  # (K + C, 8)
    popularity = np.exp(world.popularity.reshape(-1))
    other = rng.choice(num_concepts, num_concepts, p=popularity / popularity.sum())
    private = rng.random(num_concepts) < PRIVATE
    called = len(world.popularity) + np.where(private, other, np.arange(num_concepts))  # (C,)
    of_topic, of_concept = albums.topics[of], called[albums.concepts]  # (T,), (T,) meanings
    of_subject = called[albums.subjects[of]]  # (T,)
    mood = world.moods[rng.integers(len(world.moods), size=MOODS_OF_USER), language]
    mood = rng.choice(mood, num_concepts)[albums.concepts, None]  # (T, 1)
    has_mood = (rng.random(num_concepts) < CONCEPTS_WITH_MOOD)[albums.concepts, None]
    habits, on_habits = _draw_habits(world, rng, len(albums))  # (A, 3), (3,)
    event = len(world.names) + NUM_OWN_HABITS + of[:, None]  # (T, 1)
    has_event = (rng.random(len(albums)) < world.event_rate)[of, None]
    talk = rng.lognormal(*TALKATIVE, 4)
    candidates = [
        (habits[of], on_habits),
        (world.words[of_topic], _more(TOPIC_WORD * says[of_topic], talk[0])),
        (world.words[of_concept], _more(says[of_concept], talk[1])),
        (world.words[of_subject], _more(SUBJECT_WORD * says[of_subject], talk[1])),
        (mood, _more(MOOD * has_mood, talk[2])),
        (world.places[albums.places[of], None], _more(PLACE, talk[3])),
        (event, EVENT * has_event),
    ]
    words = [words for words, _ in candidates]
    chances = [np.broadcast_to(chance, words.shape) for words, chance in candidates]
    return np.concatenate(words, axis=1), np.concatenate(chances, axis=1)


def _draw_word_use(world: World, rng: np.random.Generator, language: int) -> np.ndarray:
    """(K + C, 8): how likely the user says each word of a meaning."""
    weights = np.full(4, FOREIGN)
    if rng.random() < BILINGUAL:
        others = np.delete(np.arange(4), language)
        weights[others[_choose(rng, np.log(LANGUAGE_SHARES[others]))]] = SECOND_LANGUAGE
    weights[language] = 1.0
    score = np.log(SLOT_SHARES) + rng.gumbel(size=world.words.shape)
    best = np.maximum.reduceat(score, FIRST_SLOTS, axis=1)[:, SLOT_LANGUAGE]  # in each language
    return np.where(score == best, FAVOURITE, OTHER_SYNONYM) * weights[SLOT_LANGUAGE]


def _draw_habits(world: World, rng: np.random.Generator, albums: int) -> tuple:
    """The words (A, 3) that stand on nearly every photo of an album, and their chances (3,)."""
    own = len(world.names) + np.arange(NUM_OWN_HABITS)
    gear = world.gear[_choose(rng, zipf(len(world.gear), FIRST_GEAR), NUM_OWN_HABITS)]
    words = np.where(rng.random(NUM_OWN_HABITS) < world.personal_rate, own, gear)
    before, after = words.reshape(2, 3)
    change = np.where(rng.random(3) < HABIT_CHANGES, rng.integers(1, albums + 1, 3), albums)
    how_many = rng.choice(4, p=HABITS)
    chances = rng.uniform(*HABIT, 3) * (np.arange(3) < how_many)
    return np.where(np.arange(albums)[:, None] < change, before, after), chances


def _draw_hashtags(
    rng: np.random.Generator, p: np.ndarray, starts: np.ndarray, copying: float
) -> tuple[np.ndarray, np.ndarray]:
    """What each photo carries (T, L) bool, and the true marginals (T, L).

    `p` (T, L) is the chance of each word where the photo is not a copy. A photo without any word
    gets the most probable one, so that word's true chance is p + P(all others fail, too).
    """
    rows = np.arange(len(p))
    fresh = rng.random(p.shape) < p
    empty = ~fresh.any(axis=1)
    likeliest = p.argmax(axis=1)  # the first by name
    fresh[rows[empty], likeliest[empty]] = True
    p = p.copy()
    p[rows, likeliest] += np.prod(1 - p, axis=1)

    q = np.where(starts, 0.0, copying)
    copies = rng.random(len(p)) < q
    carried = fresh[np.maximum.accumulate(np.where(copies, 0, rows))]  # from the last fresh one
    before = np.concatenate([np.zeros_like(carried[:1]), carried[:-1]])
    return carried, q[:, None] * before + (1 - q[:, None]) * p


def _name(world: World, user: str, word: int) -> str:
    own = word - len(world.names)
    if own < 0:
        return str(world.names[word])
    return f"{user}x{own + 1}" if own < NUM_OWN_HABITS else f"{user}e{own - NUM_OWN_HABITS + 1:03d}"


def _draw_own_vector(
    world: World, rng: np.random.Generator, albums: _Albums, word: int
) -> np.ndarray:
    """(D_W,): an event is near its topic and place, a habit near the user's main topic."""
    album = word - len(world.names) - NUM_OWN_HABITS
    topic = albums.topics[album] if album >= 0 else np.bincount(albums.topics).argmax()
    parts = [(0.35, world.words[topic, 0])]
    if album >= 0:
        parts.append((0.25, world.places[albums.places[album]]))
    return mix(rng, (), *((share, world.vectors[near] / WORD_SCALE) for share, near in parts))


def _choose(rng: np.random.Generator, logits: np.ndarray, draws: int | None = None) -> np.ndarray:
    """Draw from softmax(logits) along the last axis, once or several times.

    By a race: whose exponential waiting time, of rate exp(logit), is the shortest.
    """
    shape = logits.shape if draws is None else (draws, *logits.shape)
    waiting = np.log(1 - rng.random(shape)) * -np.exp(-logits)
    return np.argmin(waiting, axis=-1)


def _more(chance: np.ndarray | float, times: float) -> np.ndarray | float:
    """The chance of at least one success in so many tries: how verbose the user is."""
    return 1 - (1 - chance) ** times
