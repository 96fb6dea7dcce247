"""User retrieval: the nearest representation should be one of the same user (§4.3, Table 5).

Each test user's photos are cut into histories of the same size that do not overlap, and every
history is represented by itself. Shapes: R histories, V hashtags, d_u user.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.model.joint_embedding import HashtagModel

CHUNK = 512  # histories at a time
TIE = 1e-9  # cosines that are closer are equal: float64 rounds a thousand numbers to 1e-13


def retrieval_metrics(vectors: Tensor, users: Tensor, ks: tuple[int, ...] = (1, 10)) -> dict:
    """A@k and the median rank of the same user's best representation, by cosine.

    Every representation is a query once, and all others are ranked; ties go to the lower index,
    also where rounding parts them. A user with a single representation is no query (it has no
    answer) but stands in the way of others.

    Args:
        vectors: (R, d), dense or sparse; a zero vector has the cosine 0 with everything.
        users: (R,) int64, whose each is.
        ks: the k of A@k.

    Returns:
        {"A@1": …, "A@10": …, "MR": …, "queries": …, "users": …}; A@k in per cent, MR from 1.
    """
    vectors, sparse = vectors.double(), vectors.is_sparse
    norms = (vectors * vectors).sum(dim=1).to_dense().sqrt() if sparse else vectors.norm(dim=1)
    scale = 1 / norms.clamp(min=1e-12)  # (R,)
    index = torch.arange(len(users), device=users.device)
    ranks = []
    for query in index.split(CHUNK):
        chosen = vectors.index_select(0, query)
        chosen = chosen.to_dense() if sparse else chosen  # (C, d)
        cosines = (vectors @ (chosen * scale[query, None]).T).T * scale  # (C, R)
        cosines[torch.arange(len(query)), query] = -torch.inf  # not itself
        same = (users[query, None] == users) & (query[:, None] != index)  # (C, R)
        mine = cosines.masked_fill(~same, -torch.inf)
        best = mine.max(dim=1, keepdim=True).values  # (C, 1)
        at = (mine >= best - TIE).int().argmax(dim=1, keepdim=True)  # (C, 1), the lowest index
        tie = (cosines - best).abs() <= TIE
        before = (cosines > best + TIE) | (tie & (index < at))
        ranks.append((1 + before.sum(dim=1))[same.any(dim=1)])
    rank = torch.cat(ranks).double()
    accuracy = {f"A@{k}": 100 * float((rank <= k).double().mean()) for k in ks}
    median = float(rank.quantile(0.5)) if len(rank) else float("nan")
    return {**accuracy, "MR": median, "queries": len(rank), "users": len(users.unique())}


def pieces_of(histories: UserHistories, photos: int) -> UserHistories:
    """The users' histories of `photos` photos each, of users that have at least two of them."""
    pieces = histories.in_pieces(photos)
    numbers, counts = np.unique(pieces.users, return_counts=True)
    return pieces.only(np.flatnonzero(np.isin(pieces.users, numbers[counts > 1])).tolist())


@torch.inference_mode()
def represent(model: HashtagModel, pieces: UserHistories, psi: Tensor) -> Tensor:
    """The user after each history's last photo: (R, d_u), on the CPU.

    Args:
        model: a trained model.
        pieces: R histories of one length.
        psi: (V, d_w), of the vocabulary, on the model's device.
    """
    model.eval()
    states = []
    for batch in batches(pieces, users_per_batch=16):
        users = model.users(batch.to(psi.device), model.psi(psi))  # (B, T + 1, d_u)
        states.append(users[:, -1].clone().cpu())  # a copy, or the whole of `users` stays
    return torch.cat(states)


def hashtag_vectors(pieces: UserHistories, num_hashtags: int, binary: bool) -> Tensor:
    """[C] (Equation 10) or [D] (Equation 11) of each history: sparse (R, V)."""
    where, ids = [], []
    for number in range(len(pieces)):
        mine = torch.from_numpy(pieces[number]["hashtag_ids"])
        ids.append(mine)
        where.append(torch.full_like(mine, number))
    pairs = torch.stack([torch.cat(where), torch.cat(ids)])  # (2, M)
    size = (len(pieces), num_hashtags)
    ones = torch.ones(pairs.shape[1])
    counts = torch.sparse_coo_tensor(pairs, ones, size, check_invariants=True).coalesce()
    return torch.sign(counts) if binary else counts
