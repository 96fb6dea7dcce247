"""The figures made of pictures and users: predictions (A.4), retrieval (A.5), the map of users.

Each function takes what it shows from a study's models and returns plain data, which
the room `plots` draws. What is shown is drawn at random with the study's seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.errors import InputError, printable
from hashtag_core.evaluation.image_retrieval import make_pool
from hashtag_core.plus_prediction import PlusPredictor
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.study.rows import main_row
from hashtag_core.study.study import Study

MODEL = "ours (image+hashtag)"


@dataclass(frozen=True)
class Example:
    """One picture, seen through one user's history.

    Attributes:
        user: who.
        history: the user's last photos before, (encoded picture, hashtags), oldest first.
        history_length: of how many photos before.
        picture: the encoded picture to label.
        true: its hashtags; empty where this user did not post it.
        predicted: the model's hashtags, best first.
    """

    user: str
    history: list[tuple[bytes, list[str]]]
    history_length: int
    picture: bytes
    true: list[str]
    predicted: list[str]

    def __repr__(self) -> str:
        text = (
            f"Example: after {self.history_length:,} photos of {self.user}, tagged "
            f"{' '.join(self.true) or 'by somebody else'}; predicted {' '.join(self.predicted)}"
        )
        return printable(text)


@dataclass(frozen=True)
class Found:
    """The pictures found for a hashtag, as one user means it.

    Attributes:
        hashtag: what was asked for.
        user: who means it; None for everyone.
        pictures: the encoded pictures, best first.
        has_it: which of them were posted with the hashtag.
        own: which of them this user posted.
    """

    hashtag: str
    user: str | None
    pictures: list[bytes]
    has_it: list[bool]
    own: list[bool]

    def __repr__(self) -> str:
        who = "everyone" if self.user is None else printable(self.user)
        number = len(self.pictures)
        return (
            f"Found: {number:,} pictures for {printable(self.hashtag)} as {who} means it, "
            f"{sum(self.has_it):,} posted with it, {sum(self.own):,} by this user"
        )


def predictions(study: Study, users: int = 3, viewers: int = 3) -> dict[str, list[Example]]:
    """Pictures with predicted hashtags, and one picture as several users would label it (A.4).

    Args:
        study: whose first fold's test users and model to show.
        users: how many users with their own next picture, where there are so many.
        viewers: how many users with the same picture, its owner first.

    Returns:
        Heading -> examples, for `plots.pictures.plot_examples`.

    Raises:
        InputError: where no test user has 12 photos, or there are no features of pictures.
    """
    photos, fold, predictor = study.photos, study.fold(0, "open"), _predictor(study, plus=True)
    rng = random.Random(study.seed)
    long_enough = [i for i, rows in enumerate(fold.test.rows) if len(rows) >= 12]
    if not long_enough:
        raise InputError("no test user has 12 photos.")
    drawn = rng.sample(long_enough, min(users + viewers, len(long_enough)))
    times = {i: rng.randrange(8, len(fold.test.rows[i])) for i in drawn}

    def example(user: int, picture_of: int) -> Example:
        history = fold.test.rows[user][: times[user]]
        row = fold.test.rows[picture_of][times[picture_of]]
        state, _ = predictor.user(photos.history(history))
        return Example(
            user=photos.users[fold.test.users[user]],
            history=[photos.card(past) for past in history[-6:]],
            history_length=len(history),
            picture=photos.card(row)[0],
            true=photos.hashtags_of(row) if user == picture_of else [],
            predicted=[name for name, _ in predictor.predict(photos.to_predict[row], state)],
        )

    alone, together = drawn[:-viewers], drawn[-viewers:]
    return {
        "The next picture of held-out users, and the hashtags the model expects": [
            example(user, user) for user in alone
        ],
        "The same picture under several users' histories": [
            example(user, together[0]) for user in together
        ],
    }


def _predictor(study: Study, plus: bool) -> HashtagPredictor:
    if not study.photos.has_pictures:
        raise InputError(f"{study.photos.folder}: no features of pictures to predict from.")
    model, hashtags = study.model(0, "open", MODEL), study.fold(0, "open").hashtags
    how = {"words": study.words, "device": str(study.device)}
    if plus:
        predictor = PlusPredictor(study.plus(0, "open", "ours+"), model, hashtags, **how)
    else:
        predictor = HashtagPredictor(model, hashtags, **how)
    predictor.vectors = study.vectors  # not read a second time
    return predictor


def retrieval(study: Study, hashtags: int = 3, pictures: int = 8) -> list[Found]:
    """Pictures for a hashtag: as everyone means it, and as two users mean it (A.5).

    Args:
        study: whose first fold's test users and model to show.
        hashtags: how many hashtags, drawn among those that at least two test users ask for.
        pictures: the best so many.

    Returns:
        A row for each hashtag and reading, for `plots.pictures.plot_retrieval`.

    Raises:
        InputError: where no hashtag is asked for by two users, or there are no features.
    """
    photos, fold, predictor = study.photos, study.fold(0, "open"), _predictor(study, plus=False)
    pool = make_pool(fold.test, seed=study.seed)
    askers = Counter(i for ids in pool.asks for i in ids)
    shared = sorted(i for i, count in askers.items() if count >= 2)
    if not shared:
        raise InputError("no hashtag that two test users have in both halves of their photos.")
    rng = random.Random(study.seed)
    shown = []
    for hashtag in sorted(rng.sample(shared, min(hashtags, len(shared)))):
        users = rng.sample([u for u, ids in enumerate(pool.asks) if hashtag in ids], 2)
        for user in (None, *users):
            half = [] if user is None else photos.history(pool.halves.rows[user])
            state, _ = predictor.user(half)
            name, images = fold.hashtags.names[hashtag], pool.images.numpy()
            best = [row for row, _ in predictor.pictures(name, images, state, pictures)]
            shown.append(
                Found(
                    hashtag=name,
                    user=None if user is None else photos.users[pool.halves.users[user]],
                    pictures=[photos.card(int(pool.rows[i]))[0] for i in best],
                    has_it=[hashtag in pool.hashtags_of[i] for i in best],
                    own=[int(pool.owner[i]) == user for i in best],
                )
            )
    return shown


@dataclass(frozen=True)
class UserMap:
    """A map of users.

    Attributes:
        points: (U, 2) float32, where each user is after all their photos.
        groups: U group names: hashtags that set the users of a group apart.
        users: U user names.
        paths: for the users asked for, by name, (T, 2): where they were after each of T photos.
    """

    points: np.ndarray
    groups: list[str]
    users: list[str]
    paths: dict[str, np.ndarray]

    def __repr__(self) -> str:
        groups = len(set(self.groups))
        return f"UserMap: {len(self.users):,} users in {groups:,} groups, {len(self.paths):,} paths"


def user_map(
    study: Study, groups: int = 8, max_users: int = 2000, follow: Iterable[str] = ()
) -> UserMap:
    """A map of users: UMAP of the representations after all their photos, and what they post.

    Users are grouped by the mean of psi over their hashtags (k-means), and a group is named by the
    hashtags that set it apart. The map knows nothing of the groups.

    Args:
        study: whose first fold's model to use; all users are on the map, also those it was
            trained on.
        groups: how many groups, at most 8.
        max_users: at most so many users, drawn with the seed.
        follow: users on the map whose way is wanted, from their first photo to their last.

    Raises:
        InputError: where umap-learn is missing, users are too few, or `follow` names one that is
            not on the map.
    """
    try:
        from sklearn.cluster import KMeans
        from umap import UMAP
    except ImportError:
        raise InputError('umap-learn is not there: `pip install -e ".[notebooks]"`.') from None

    follow = list(follow)
    fold = study.fold(0, "open")
    model = study.model(0, "open", main_row(study.photos))
    psi = model.psi(fold.hashtags.psi.to(study.device))
    rng = np.random.default_rng(study.seed)
    number = len(study.photos.users)
    chosen = np.sort(rng.permutation(number)[:max_users])
    histories = UserHistories(study.photos, fold.hashtags, chosen)
    names = [study.photos.users[user] for user in histories.users]
    ends, ways, tastes, used = [], {}, [], []
    for batch in batches(histories, users_per_batch=16):
        with torch.inference_mode():
            states = model.users(batch.to(study.device), psi).cpu()  # (B, T + 1, d_u)
        user_of = batch.mask.nonzero()[batch.photo_of_hashtags(), 0]  # (M,)
        for b, length in enumerate(batch.mask.sum(dim=1).tolist()):
            way = torch.nn.functional.normalize(states[b, 1 : length + 1], dim=1)
            ends.append(way[-1].clone())  # (d_u,), after all photos
            if (name := names[len(ends) - 1]) in follow:
                ways[name] = way.numpy()  # (T, d_u), after photo 1 to T
            ids = batch.hashtag_ids[user_of == b]
            tastes.append(fold.hashtags.psi[ids].mean(dim=0))  # (d_w,)
            used.append(set(ids.tolist()))
    if len(ends) < max(groups, 5):
        raise InputError(f"{len(ends)} users are too few for a map with {groups} groups.")
    if unknown := sorted(set(follow) - set(names)):
        raise InputError(f"not on the map: {', '.join(unknown)}.")
    tastes = torch.nn.functional.normalize(torch.stack(tastes), dim=1).numpy()
    labels = KMeans(groups, n_init=10, random_state=study.seed).fit_predict(tastes)
    titles = [_name(labels == group, used, fold.hashtags.names) for group in range(groups)]
    neighbours = min(15, len(ends) - 1)
    reducer = UMAP(n_neighbors=neighbours, metric="cosine", random_state=study.seed, n_jobs=1)
    points = reducer.fit_transform(torch.stack(ends).numpy())
    paths = {name: reducer.transform(ways[name]) for name in follow}
    return UserMap(points, [titles[label] for label in labels], names, paths)


def _name(inside: np.ndarray, used: list[set[int]], names: list[str], words: int = 3) -> str:
    """The hashtags that users inside a group use more often than the others, by shares."""
    counts_in = Counter(i for mine, ids in zip(inside, used, strict=True) if mine for i in ids)
    counts_all = Counter(i for ids in used for i in ids)
    size, total = int(inside.sum()), len(used)

    def lift(i: int) -> float:
        others = (counts_all[i] - counts_in[i]) / max(total - size, 1)
        return counts_in[i] / size - others

    best = sorted(counts_in, key=lambda i: (-lift(i), i))[:words]
    return ", ".join(names[i] for i in best)
