"""Image retrieval: pictures for a hashtag, and for a hashtag as one user means it (A.5).

The joint embedding reads both ways: for a hashtag y, pictures are ranked by p(y | I, u) of Equation
8. With u = 0 that is the hashtag as everyone means it, with a user's u as that user means it. (The
score f of Equation 7 alone ranks the hashtags of one picture; between pictures it does not compare:
a constant added to all scores of a picture changes neither p nor the loss.)
Each test user's photos are cut in the middle: the first half makes u, and the second halves of all
users are the pictures to search in. Shapes: P pictures, Q hashtags of a user, d_v image feature,
d_u user, d joint space.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import UserHistories, collate
from hashtag_core.errors import InputError
from hashtag_core.model.joint_embedding import HashtagModel, picture_scores

NEAREST = 1  # hashtags; chosen on the users who chose the recipe of `ours+`
SCORES = 2**25  # at a time, of all pictures and some hashtags of a user


@dataclass(frozen=True)
class Pool:
    """The pictures to search in, and who asks for what.

    Attributes:
        images: (P, d_v) float32.
        rows: (P,) int64, the pictures' rows in the collection.
        owner: (P,) int64, the item of `halves` whose picture it is.
        hashtags_of: P sets of hashtag ids.
        halves: the first halves of the users' histories, one item a user.
        asks: for each item, the hashtags of its first half that stand in its second half too.
    """

    images: Tensor
    rows: Tensor
    owner: Tensor
    hashtags_of: list[set[int]]
    halves: UserHistories
    asks: list[list[int]]

    def __repr__(self) -> str:
        asked = sum(map(len, self.asks))
        return f"Pool: {len(self.images):,} pictures of {len(self.asks):,} users, {asked:,} asked"


def make_pool(histories: UserHistories, max_users: int = 100, seed: int = 0) -> Pool:
    """Cut the users' histories in the middle; at most `max_users` users, drawn with the seed."""
    order = torch.randperm(len(histories), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = sorted(i for i in order[:max_users] if len(histories.rows[i]) >= 2)
    if not chosen:
        raise InputError("no test user has two photos.")
    halves = histories.only(chosen)
    images, rows, owner, hashtags_of, asks = [], [], [], [], []
    for number, item in enumerate(chosen):
        batch = collate([histories[item]])
        half = len(batch.rows) // 2
        halves.rows[number] = histories.rows[item][:half]
        counts = batch.hashtag_offsets.diff().tolist()
        ids = [set(part.tolist()) for part in batch.hashtag_ids.split(counts)]
        images.append(batch.query_images[0, half:])
        rows.append(batch.rows[half:])
        owner.append(torch.full_like(batch.rows[half:], number))
        hashtags_of += ids[half:]
        asks.append(sorted(set.union(*ids[:half]) & set.union(*ids[half:])))
    return Pool(torch.cat(images), torch.cat(rows), torch.cat(owner), hashtags_of, halves, asks)


def evaluate_retrieval(
    model: HashtagModel, hashtags: Hashtags, pool: Pool, device: torch.device
) -> list[dict]:
    """How well a model finds the pictures that users mean by their hashtags.

    Args:
        model: a trained model.
        hashtags: its vocabulary.
        pool: of `make_pool`.
        device: where to compute.

    Returns:
        A dict for each reading of a hashtag ("everyone": u = 0; "this user"; "another user", the
        next one, to compare with) and each kind of relevant pictures ("own": the asking user's
        pictures with the hashtag; "anyone's"): A@1, A@10, P@10 in per cent, MR, the median rank
        of the first relevant picture, and the number of queries. The mean is over (user, hashtag).
    """
    model.eval()
    psi = model.psi(hashtags.psi.to(device))  # (V, d_w)
    images = pool.images.to(device)
    states = [user_of_half(model, pool.halves[item], psi) for item in range(len(pool.halves))]
    nobody = torch.zeros_like(states[0])

    def scores(item: int, ids: list[int]) -> dict[str, Tensor]:
        another = states[(item + 1) % len(states)]
        users = {"everyone": nobody, "this user": states[item], "another user": another}
        return {
            reading: picture_scores(model, images, user, psi, hashtags.num_seen, ids)
            for reading, user in users.items()
        }

    return evaluate_pool(pool, scores)


def evaluate_own_pictures(pool: Pool) -> list[dict]:
    """The same without a model: pictures like the asking user's own ones with the hashtag.

    Pictures are ranked by their cosine with the mean feature of those of the user's first half
    that have the hashtag. This reads a hashtag as the user does, and in no other way.

    Args:
        pool: of `make_pool`.

    Returns:
        As `evaluate_retrieval`, of the one reading "this user".
    """
    images = torch.nn.functional.normalize(pool.images, dim=1)  # (P, d_v)

    def scores(item: int, ids: list[int]) -> dict[str, Tensor]:
        batch = collate([pool.halves[item]])
        seen, tags = batch.query_images[0], batch.hashtag_ids  # (T, d_v), (M,)
        photo_of = batch.photo_of_hashtags()  # (M,)
        means = torch.stack([seen[photo_of[tags == i]].mean(dim=0) for i in ids])  # (Q, d_v)
        return {"this user": images @ torch.nn.functional.normalize(means, dim=1).T}

    return evaluate_pool(pool, scores)


def mean_pictures(train: UserHistories) -> Tensor:
    """The mean feature of the pictures with each seen hashtag, each of unit length: (S, d_v).

    Args:
        train: the training users, who have all S of them.
    """
    counts = torch.zeros(train.hashtags.num_seen)
    sums = torch.zeros(len(counts), collate([train[0]]).query_images.shape[2])
    for item in range(len(train)):
        batch = collate([train[item]])
        images = torch.nn.functional.normalize(batch.of_photos(batch.query_images), dim=1)
        ids, photo_of = batch.hashtag_ids, batch.photo_of_hashtags()  # (M,) both
        sums.index_add_(0, ids, images[photo_of])
        counts += ids.bincount(minlength=len(counts))
    return sums / counts.clamp(min=1)[:, None]


def like_nearest(means: Tensor, psi: Tensor, known: Tensor, nearest: int = NEAREST) -> Tensor:
    """What a picture with a hashtag looks like, from the seen hashtags whose words are the nearest.

    Args:
        means: (S, d_v), of `mean_pictures`.
        psi: (Q, d_w), of any hashtags.
        known: (S, d_w), psi of the seen ones.
        nearest: how many, each with its cosine as its weight; a seen hashtag is its own nearest.

    Returns:
        (Q, d_v), of unit length.
    """
    unit = torch.nn.functional.normalize
    cosines, ids = (unit(psi, dim=1) @ unit(known, dim=1).T).topk(nearest, dim=1)  # (Q, n) both
    mixed = (means[ids] * cosines.clamp(min=0)[:, :, None]).sum(dim=1)
    return unit(mixed, dim=1)


def evaluate_nearest_hashtags(train: UserHistories, pool: Pool) -> list[dict]:
    """The same without a model, as everyone: pictures like those of the nearest hashtag.

    A hashtag that training users have is its own nearest; any other one is looked for by that with
    the highest cosine of psi.

    Args:
        train: the training users.
        pool: of `make_pool`.

    Returns:
        As `evaluate_retrieval`, of the one reading "everyone".
    """
    images = torch.nn.functional.normalize(pool.images, dim=1)  # (P, d_v)
    means, known = mean_pictures(train), train.hashtags.psi[: train.hashtags.num_seen]
    psi = pool.halves.hashtags.psi
    return evaluate_pool(
        pool, lambda _, ids: {"everyone": images @ like_nearest(means, psi[ids], known).T}
    )


def evaluate_pool(pool: Pool, scores: Callable[[int, list[int]], dict[str, Tensor]]) -> list[dict]:
    """The metrics of (item, Q hashtags) -> reading -> scores (P, Q), as `evaluate_retrieval`."""
    pictures = len(pool.images)
    ranks_of: dict[tuple[str, str], list[Tensor]] = {}
    pictures_with: dict[int, list[int]] = defaultdict(list)
    for picture, tags in enumerate(pool.hashtags_of):
        for i in tags:
            pictures_with[i].append(picture)
    many = max(SCORES // pictures, 1)  # hashtags at a time
    queries = (
        (item, asked[start : start + many])
        for item, asked in enumerate(pool.asks)
        for start in range(0, len(asked), many)
    )
    for item, ids in queries:
        has = torch.zeros(pictures, len(ids), dtype=torch.bool)  # (P, Q)
        for q, i in enumerate(ids):
            has[pictures_with[i], q] = True
        own = has & (pool.owner == item)[:, None]
        for reading, found in scores(item, ids).items():
            order = found.cpu().sort(dim=0, descending=True, stable=True).indices
            for relevant, truth in (("own", own), ("anyone's", has)):
                hits = truth.gather(0, order)  # (P, Q), best picture first
                first, among = hits.int().argmax(dim=0) + 1, hits[:10].sum(dim=0)  # (Q,) each
                ranks_of.setdefault((reading, relevant), []).append(torch.stack([first, among]))
    return [_metrics(*key, ranks, pictures) for key, ranks in ranks_of.items()]


@torch.inference_mode()
def user_of_half(model: HashtagModel, half: dict, psi: Tensor) -> Tensor:
    """The user after one item of `Pool.halves`: (d_u,), from psi of the vocabulary."""
    return model.users(collate([half]).to(psi.device), psi)[0, -1].clone()


def _metrics(reading: str, relevant: str, ranks: list[Tensor], pictures: int) -> dict:
    first, among = torch.cat(ranks, dim=1).double()
    return {
        "reading": reading,
        "relevant": relevant,
        "A@1": 100 * float((first <= 1).double().mean()),
        "A@10": 100 * float((first <= 10).double().mean()),
        "P@10": 100 * float((among / 10).mean()),
        "MR": float(first.quantile(0.5)),
        "queries": len(first),
        "pictures": pictures,
    }
