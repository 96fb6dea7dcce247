"""The world of the simulated site: its topics, concepts, moods, gear and places, and their words.

What it is like is told at the top of `simulated.py`. Shapes: K topics, C concepts of all topics,
W words of the world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashtag_core.errors import InputError

MIN_HASHTAGS = 400

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

# What users do, as far as the world has to know
HABITS = np.array([0.2, 0.3, 0.3, 0.2])  # P(0 to 3 of them)
HABIT_CHANGES = 0.4  # P(a habit becomes another one at some album)
STEEPNESS = 1.5  # of the popularity of topics and of a topic's concepts: rank to this power
NEW_ALBUM = 0.2  # P(a photo begins an album)
MOODS_OF_USER = 3

# Looks
D_I = 64
TOPIC_LOOK, CONCEPT_LOOK, PLACE_LOOK = 1.2, 1.0, 1.0  # sigmas


@dataclass(frozen=True)
class World:
    """What is the same for all users."""

    seed: int  # of everything
    user_name: str  # how a user is called, to be filled with the number
    names: np.ndarray  # (W,) the words; below they are meant by their numbers
    vectors: np.ndarray  # (W, D_W) float32
    words: np.ndarray  # (K + C, 8) the word of each meaning (the topics' first) and slot
    moods: np.ndarray  # (M, 4) their words, by language
    gear: np.ndarray  # (G,) their words, the most popular first
    places: np.ndarray  # (P,) the same; place i is in region i % REGIONS
    concept_names: np.ndarray  # (C,) concept c belongs to topic c // (C / K)
    popularity: np.ndarray  # (K, C / K) log-popularity of a topic's concepts, number 0 the highest
    looks: np.ndarray  # (C, D_I) how concepts look: what a picture of it is on average
    place_looks: np.ndarray  # (P, D_I) what a place adds
    event_rate: float  # P(an album has an event)
    personal_rate: float  # P(a habit is a word that the user made up)


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
        vectors.append(mix(rng, numbers.shape, *parts).reshape(-1, D_W))
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
        popularity=STEEPNESS * (zipf(num_topics)[:, None] + zipf(per_topic)),
        looks=topic_looks[topic_of] + rng.normal(scale=CONCEPT_LOOK, size=(num_concepts, D_I)),
        place_looks=rng.normal(scale=PLACE_LOOK, size=(num_places, D_I)),
        event_rate=min(MAX_EVENTS, EVENTS * hashtags / (NEW_ALBUM * num_photos)),
        personal_rate=min(MAX_PERSONAL, PERSONAL * hashtags / habits),
    )


def mix(rng: np.random.Generator, shape: tuple, *parts: tuple[float, np.ndarray]) -> np.ndarray:
    """Word vectors (*shape, D_W): a share of the variance from each direction, the rest random."""
    rest = 1 - sum(share for share, _ in parts)
    mixed = rest**0.5 * rng.normal(size=(*shape, D_W))
    for share, direction in parts:
        mixed += share**0.5 * direction
    return WORD_SCALE * mixed


def zipf(n: int, first: int = 1) -> np.ndarray:
    """(n,) log-popularity: each is worth one divided by its rank, counted from `first`."""
    return -np.log(first + np.arange(n))
