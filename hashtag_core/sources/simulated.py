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

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.errors import InputError
from hashtag_core.photos import PhotoCollection, stream_collection

if TYPE_CHECKING:
    import pyarrow as pa

MIN_USERS, MIN_PHOTOS, MIN_HASHTAGS = 10, 10, 400
USERS_PER_PART = 20  # in memory at a time

# Hashtags: what share of them is what. The rest are the words of topics and concepts.
PLACES, MOODS, GEAR = 0.15, 0.04, 0.04
EVENTS, PERSONAL = 0.15, 0.08  # made up by users; as many as that on average …
MAX_EVENTS, MAX_PERSONAL = 0.15, 0.5  # … but on at most so many of the albums, of the habits
REGIONS = 10  # of the places
LANGUAGE_SHARES = np.array([0.55, 0.25, 0.12, 0.08])  # of the users
SLOTS = ["a1", "a2", "a3", "b1", "b2", "c1", "c2", "d1"]  # a meaning's words
SLOT_LANGUAGE = np.array([0, 0, 0, 1, 1, 2, 2, 3])
SLOT_SHARES = np.array([0.6, 0.3, 0.1, 0.65, 0.35, 0.65, 0.35, 1.0])  # whose favourite it is
FIRST_SLOTS = [0, 3, 5, 7]  # of the languages
D_W = 50
WORD_SCALE = 0.6  # a vector's norm is about 0.6 sqrt(50) = 4.2, as in GloVe

# Users
SPREAD_OF_PHOTOS = 0.6  # sigma of the log-normal number of photos above the minimum
BILINGUAL = 0.3  # share of the users
SECOND_LANGUAGE, FOREIGN = 0.5, 0.02  # how often, compared with the main language
FAVOURITE, OTHER_SYNONYM = 0.8, 0.1  # P(word of the concept on the photo), main language
TOPIC_WORD = 0.6  # how often the topic's word, compared with the concept's
PRIVATE = 0.5  # share of the concepts that a user calls by another concept's words
SUBJECT_WORD = 0.5  # how often a word of the album's first concept on photos of its others
CONCEPTS_WITH_MOOD, MOODS_OF_USER, MOOD = 0.5, 3, 0.7  # share; number; P(the concept's mood)
PLACES_OF_USER, TRAVEL, PLACE = 4, 0.25, 0.5  # number; share of albums elsewhere; P(the place)
EVENT = 0.9  # P(the album's event)
HABITS, HABIT = np.array([0.2, 0.3, 0.3, 0.2]), (0.75, 0.98)  # P(0 to 3 of them); range of P(it)
HABIT_CHANGES = 0.4  # P(a habit becomes another one at some album)
FIRST_GEAR = 8  # rank of the most popular gear: no single one is on every tenth photo
NUM_OWN_HABITS = 6  # words kept for them: three, before and after a change
TALKATIVE = 0.35, 0.5  # mean and sigma of the log-verbosity
INTEREST, DRIFT, CONCEPT_TASTE = 2.5, 0.4, 1.5  # sigmas of log-preferences; of drift per album
STEEPNESS = 1.5  # of the popularity of topics and of a topic's concepts: rank to this power
COPYING = (5.5, 4.5)  # q is drawn from this beta distribution

# Albums and pictures
NEW_ALBUM = 0.2  # P(a photo begins an album)
START, ALBUM_GAP, PHOTO_GAP = 1_325_376_000, 5 * 86_400, 300  # 2012; mean seconds
D_I = 64
TOPIC_LOOK, CONCEPT_LOOK, PLACE_LOOK, ALBUM_LOOK, NOISE = 1.2, 1.0, 1.0, 2.2, 1.7  # sigmas

ORACLE_LENGTH = 40


@dataclass(frozen=True)
class World:
    """What is the same for all users.

    Attributes:
        seed: of everything.
        user_name: how a user is called, to be filled with the number.
        names: (W,) the words; below they are meant by their numbers.
        vectors: (W, D_W) float32.
        words: (K + C, 8) the word of each meaning (the topics' first) and slot.
        moods: (M, 4) their words, by language.
        gear: (G,) their words, the most popular first.
        places: (P,) their words, the most popular first; place i is in region i % REGIONS.
        concept_names: (C,) concept c belongs to topic c // (C / K).
        popularity: (K, C / K) the log-popularity of each topic's concepts, number 0 the highest.
        looks: (C, D_I) how concepts look: what a picture of it is on average.
        place_looks: (P, D_I) what a place adds.
        event_rate: P(an album has an event).
        personal_rate: P(a habit is a word that the user made up).
    """

    seed: int
    user_name: str
    names: np.ndarray
    vectors: np.ndarray
    words: np.ndarray
    moods: np.ndarray
    gear: np.ndarray
    places: np.ndarray
    concept_names: np.ndarray
    popularity: np.ndarray
    looks: np.ndarray
    place_looks: np.ndarray
    event_rate: float
    personal_rate: float


@dataclass(frozen=True)
class Stream:
    """One user's T photos in time order, and the truth about them.

    Attributes:
        user: the user's name.
        names: (L,) the hashtags that the user may use, sorted.
        marginals: (T, L) P(photo t carries hashtag l), as at the top of this file.
        carried: (T, L) bool, what it carries.
        starts: (T,) bool, whether it begins an album.
        times: (T,) int64, seconds since 1970.
        concepts: (T,) concept numbers.
        features: (T, D_I) float16.
        own_words: the hashtags that the user made up -> (D_W,) float32.
    """

    user: str
    names: np.ndarray
    marginals: np.ndarray
    carried: np.ndarray
    starts: np.ndarray
    times: np.ndarray
    concepts: np.ndarray
    features: np.ndarray
    own_words: dict[str, np.ndarray]


def prepare_simulated(
    out: str | Path, users: int = 2000, photos: int = 50, hashtags: int = 5000, seed: int = 0
) -> PhotoCollection:
    """Simulate a site and write it as a collection; the same arguments give the same bytes.

    Users are made one after the other, each from (seed, user) alone. Beside the three files of a
    collection there is words.txt, the hashtags' word vectors as GloVe's text format.

    Args:
        out: the collection's folder.
        users: how many.
        photos: a user's mean number of photos; everybody has at least 10.
        hashtags: about how many different ones are used, where there are some 20 photos for each;
            fewer photos leave part of the vocabulary unused.
        seed: of everything.

    Returns:
        The collection, with the columns `oracle` (list<string>, the hashtags by falling true
        probability) and `concept`; meta["words"] names the file of word vectors.

    Raises:
        InputError: where a number is too small.
    """
    from tqdm.auto import tqdm

    counts = draw_photo_counts(users, photos, seed)
    world = make_world(users, int(counts.sum()), hashtags, seed)
    own_words: dict[str, np.ndarray] = {}  # no more than their share of `hashtags`, on average

    def parts() -> Iterator[tuple[pa.Table, np.ndarray]]:
        waiting: list[Stream] = []
        for user in tqdm(range(users), desc="users"):
            waiting.append(simulate_user(world, user, int(counts[user])))
            own_words.update(waiting[-1].own_words)
            if len(waiting) == USERS_PER_PART or user == users - 1:
                yield _as_table(world, waiting), np.concatenate([s.features for s in waiting])
                waiting.clear()

    def word_lines() -> Iterator[str]:
        for words in (dict(zip(world.names.tolist(), world.vectors, strict=True)), own_words):
            for name, vector in words.items():
                yield f"{name} {' '.join(f'{x:.5f}' for x in vector.tolist())}"

    meta = {
        "source": "simulated",
        "licence": "none, it is made up",
        "made_with": {"users": users, "photos": photos, "hashtags": hashtags, "seed": seed},
        "words": "words.txt",
    }
    files = {"words.txt": word_lines()}
    return stream_collection(out, parts(), int(counts.sum()), D_I, meta, files)


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


# ---- the world


def make_world(users: int, num_photos: int, hashtags: int, seed: int) -> World:
    """Make the topics, concepts, places and all their words.

    Args:
        users: how many there will be.
        num_photos: of all users together.
        hashtags: about how many different ones shall be used, those that users make up included.
        seed: of everything.

    Raises:
        InputError: where there are too few hashtags.
    """
    if hashtags < MIN_HASHTAGS:
        raise InputError(f"hashtags {hashtags}: must be at least {MIN_HASHTAGS}.")
    num_places, num_gear = round(PLACES * hashtags), round(GEAR * hashtags)
    num_moods = max(MOODS_OF_USER, round(MOODS * hashtags / 4))
    num_topics = max(6, round(hashtags**0.5 / 3.5))
    num_meanings = (1 - PLACES - GEAR - MOODS - EVENTS - PERSONAL) * hashtags / 8
    per_topic = round(num_meanings / num_topics) - 1  # its concepts; the topic itself is a meaning
    num_concepts = num_topics * per_topic
    topic_of = np.repeat(np.arange(num_topics), per_topic)  # (C,)

    rng = np.random.default_rng([seed, 0, 1])  # not [seed]: those are the numbers of user 0
    names: list[str] = []
    vectors: list[np.ndarray] = []

    def add(stems: list[str], endings: list[str], *parts: tuple[float, np.ndarray]) -> np.ndarray:
        """Name words and give them vectors; returns their numbers, (stems, endings)."""
        numbers = len(names) + np.arange(len(stems) * len(endings)).reshape(len(stems), -1)
        names.extend(stem + ending for stem in stems for ending in endings)
        vectors.append(_mix(rng, numbers.shape, *parts).reshape(-1, D_W))
        return numbers

    topics, concepts, moods, regions, languages, kinds = (
        rng.normal(size=(n, D_W)) for n in (num_topics, num_concepts, num_moods, REGIONS, 4, 3)
    )
    spoken = languages[SLOT_LANGUAGE]  # (8, D_W)
    topic_names = [f"t{t:02d}" for t in range(num_topics)]
    concept_names = [f"{topic}c{c:02d}" for topic in topic_names for c in range(per_topic)]
    of_topics = add(topic_names, SLOTS, (0.55, topics[:, None]), (0.15, spoken))
    in_topic, own = topics[topic_of][:, None], concepts[:, None]  # (C, 1, D_W)
    of_concepts = add(concept_names, SLOTS, (0.3, in_topic), (0.35, own), (0.15, spoken))
    stems = [f"m{m:02d}" for m in range(num_moods)]
    of_moods = add(stems, list("abcd"), (0.2, kinds[0]), (0.4, moods[:, None]), (0.15, languages))
    of_gear = add([f"g{g:02d}" for g in range(num_gear)], [""], (0.3, kinds[1]))
    around = regions[np.arange(num_places) % REGIONS][:, None]  # (P, 1, D_W)
    stems = [f"p{p:03d}" for p in range(num_places)]
    of_places = add(stems, [""], (0.2, kinds[2]), (0.3, around))

    topic_looks = rng.normal(scale=TOPIC_LOOK, size=(num_topics, D_I))
    habits = users * (HABITS @ np.arange(len(HABITS))) * (1 + HABIT_CHANGES)
    return World(
        seed=seed,
        user_name=f"u{{:0{max(6, len(str(users - 1)))}d}}",
        names=np.array(names),
        vectors=np.concatenate(vectors).astype(np.float32),
        words=np.concatenate([of_topics, of_concepts]),
        moods=of_moods,
        gear=of_gear[:, 0],
        places=of_places[:, 0],
        concept_names=np.array(concept_names),
        popularity=STEEPNESS * (_zipf(num_topics)[:, None] + _zipf(per_topic)),
        looks=topic_looks[topic_of] + rng.normal(scale=CONCEPT_LOOK, size=(num_concepts, D_I)),
        place_looks=rng.normal(scale=PLACE_LOOK, size=(num_places, D_I)),
        event_rate=min(MAX_EVENTS, EVENTS * hashtags / (NEW_ALBUM * num_photos)),
        personal_rate=min(MAX_PERSONAL, PERSONAL * hashtags / habits),
    )


def _mix(rng: np.random.Generator, shape: tuple, *parts: tuple[float, np.ndarray]) -> np.ndarray:
    """Word vectors (*shape, D_W): a share of the variance from each direction, the rest random."""
    rest = 1 - sum(share for share, _ in parts)
    mixed = rest**0.5 * rng.normal(size=(*shape, D_W))
    for share, direction in parts:
        mixed += share**0.5 * direction
    return WORD_SCALE * mixed


# ---- a user


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
    popularity = _zipf(len(world.places))
    home = np.arange(len(world.places)) % REGIONS == rng.integers(REGIONS)
    own = _choose(rng, np.where(home, popularity, -np.inf), PLACES_OF_USER)
    usual = own[_choose(rng, _zipf(PLACES_OF_USER), albums)]
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
    gear = world.gear[_choose(rng, _zipf(len(world.gear), FIRST_GEAR), NUM_OWN_HABITS)]
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

    Args:
        rng: where chance comes from.
        p: (T, L) the chance of each word where the photo is not a copy. A photo without any word
            gets the most probable one, so that word's true chance is p + P(all others fail, too).
        starts: (T,) bool, photos that begin an album and so are no copy.
        copying: q.
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
    return _mix(rng, (), *((share, world.vectors[near] / WORD_SCALE) for share, near in parts))


def _choose(rng: np.random.Generator, logits: np.ndarray, draws: int | None = None) -> np.ndarray:
    """Draw from softmax(logits) along the last axis, once or several times, by Gumbel noise."""
    shape = logits.shape if draws is None else (draws, *logits.shape)
    return np.argmax(logits + rng.gumbel(size=shape), axis=-1)


def _zipf(n: int, first: int = 1) -> np.ndarray:
    """(n,) log-popularity: each is worth one divided by its rank, counted from `first`."""
    return -np.log(first + np.arange(n))


def _more(chance: np.ndarray | float, times: float) -> np.ndarray | float:
    """The chance of at least one success in so many tries: how verbose the user is."""
    return 1 - (1 - chance) ** times


# ---- as a table


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
