"""The user conditional joint embedding of images and hashtags (§3.2, Equations 6 and 7).

Shapes: B users, T photos of a user, N photos, V hashtags, d_i / d_v image features, d_w word
vector, d_u user, d_c user conditional image, d joint space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hashtag_core.data.histories import Batch
from hashtag_core.errors import InputError
from hashtag_core.model.baseline_encoders import HashtagCounts, HashtagSum, NoHistory, UserVectors
from hashtag_core.model.fusion import Fusion, Mutan, build_fusion
from hashtag_core.model.user_encoders import GRUEncoder, PoolingEncoder, TCNEncoder, UserEncoder

CHUNK = 512  # pictures at a time, each with all hashtags
PHOTOS = 4096  # at a time, in one query each: more than 16 users of 200


@dataclass(frozen=True)
class ModelConfig:
    """What a model is made of. The paper gives d_i, d_v, d_w and d_u; other sizes are our choice.

    Attributes:
        d_i: image feature, user side.
        d_v: image feature, query side.
        d_w: word vector.
        d_x: image-hashtags pair.
        d_u: user representation.
        d_c: user conditional image representation.
        d: joint space.
        rank: R of MUTAN.
        encoder: which user encoder, of `ENCODERS`.
        fusion: of images and hashtags in the user encoder, of `fusion.FUSIONS`.
        num_hashtags: the seen ones; only where the model has parameters for each hashtag.
        num_users: U; only for the learned user vectors of [43].
        learned_psi: learn a vector for each hashtag, from random ones, instead of taking word
            vectors ("ours w/o GloVe", and the fixed vocabulary).
        unit_psi: scale psi of every hashtag to the same length. Not the paper's: there hashtags of
            several words are longer, and long ones win (Equation 7 is a product).
    """

    d_i: int
    d_v: int
    d_w: int
    d_x: int
    d_u: int
    d_c: int
    d: int
    rank: int
    encoder: str = "GRU"
    fusion: str = "element-wise product"
    num_hashtags: int = 0
    num_users: int = 0
    learned_psi: bool = False
    unit_psi: bool = False

    def __post_init__(self) -> None:
        for name in ("d_i", "d_v", "d_w", "d_x", "d_u", "d_c", "d", "rank", "num_hashtags"):
            least = 0 if name in ("d_i", "d_v", "num_hashtags") else 1  # d_i = 0: no pictures
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}: at least {least}.")

    @classmethod
    def paper(cls, d_i: int = 2048, d_w: int = 300, **parts) -> ModelConfig:
        """ResNet-50, GloVe (300 numbers) and d_u = 1024 as in §4; d_x, d_c, d, rank are ours.

        `parts` replaces or adds any attribute.
        """
        sizes = {"d_i": d_i, "d_v": d_i, "d_w": d_w, "d_x": 1024, "d_u": 1024, "d_c": 1024}
        return cls(**{**sizes, "d": 1024, "rank": 5, **parts})

    @classmethod
    def small(cls, d_i: int, d_w: int, **parts) -> ModelConfig:
        """For two CPU cores and a small collection; `parts` as in `paper`."""
        sizes = {"d_i": d_i, "d_v": d_i, "d_w": d_w, "d_x": 256, "d_u": 256, "d_c": 256}
        return cls(**{**sizes, "d": 256, "rank": 3, **parts})


ENCODERS: dict[str, Callable[[ModelConfig], UserEncoder]] = {
    "GRU": lambda c: GRUEncoder(c.d_i, c.d_w, c.d_x, c.d_u, _fusion(c)),
    "mean pooling": lambda c: PoolingEncoder(c.d_i, c.d_w, c.d_x, "mean", _fusion(c)),
    "max pooling": lambda c: PoolingEncoder(c.d_i, c.d_w, c.d_x, "max", _fusion(c)),
    "TCN": lambda c: TCNEncoder(c.d_i, c.d_w, c.d_x, c.d_u, _fusion(c)),
    "none": lambda c: NoHistory(c.d_u),
    "used hashtags": lambda c: HashtagCounts(c.num_hashtags, c.d_u, binary=True),
    "hashtag occurrences": lambda c: HashtagCounts(c.num_hashtags, c.d_u, binary=False),
    "hashtag sum": lambda c: HashtagSum(c.d_w),
    "user vectors": lambda c: UserVectors(c.num_users, c.d_u),
}


def _fusion(c: ModelConfig) -> Fusion | None:
    return build_fusion(c.fusion, c.d_x, c.rank)


def build_user_encoder(config: ModelConfig) -> UserEncoder:
    """The user encoder that a config names."""
    if config.encoder not in ENCODERS:
        raise InputError(
            f"encoder {config.encoder!r}: choose one of {', '.join(ENCODERS)}, or give your own "
            "(`user_encoder`, or a further key of ENCODERS)."
        )
    return ENCODERS[config.encoder](config)


def _name_of_own(user_encoder: UserEncoder) -> str:
    """By which run.json knows an encoder of somebody's own: its class."""
    name = type(user_encoder).__name__
    if name in ENCODERS:
        raise InputError(f"a class {name!r}: ENCODERS has one of that name. Call it otherwise.")
    return name


class HashtagModel(nn.Module):
    """f(v, u, y) = phi_iu(g(v, u))^T phi_tag(psi(y)) (Equation 7).

    A hashtag enters through psi(y) alone. Where psi is given by word vectors, the model has no
    parameter per hashtag and ranks hashtags that it has never seen.

    Args:
        config: its sizes and parts.
        user_encoder: another one than the config's, of your own; `config.encoder` is then the name
            of its class.
    """

    def __init__(self, config: ModelConfig, user_encoder: UserEncoder | None = None) -> None:
        super().__init__()
        if user_encoder is not None:
            config = replace(config, encoder=_name_of_own(user_encoder))
        self.config = c = config
        self.user_encoder = build_user_encoder(c) if user_encoder is None else user_encoder
        d_u = getattr(self.user_encoder, "d_u", None)
        if not isinstance(self.user_encoder, nn.Module) or not isinstance(d_u, int) or d_u < 1:
            raise InputError(
                f"user encoder {c.encoder!r}: it must be a torch module (not its class) with a "
                f"whole number d_u, the size of a user; d_u is {d_u!r}."
            )
        self.learned_psi = nn.Embedding(c.num_hashtags, c.d_w) if c.learned_psi else None
        if self.learned_psi is not None:
            nn.init.normal_(self.learned_psi.weight, std=0.4)  # about as large as word vectors
        self.image_norm = nn.LayerNorm(c.d_v)
        self.g = Mutan(c.d_v, self.user_encoder.d_u, c.d_c, c.rank)  # Eq. 6
        self.phi_iu = nn.Sequential(nn.ReLU(), nn.Linear(c.d_c, c.d))
        self.phi_tag = nn.Sequential(nn.Linear(c.d_w, c.d), nn.ReLU(), nn.Linear(c.d, c.d))
        self.phi_tag[-1].bias.requires_grad_(False)  # it cancels in Eq. 8: nothing to learn

    def psi(self, given: Tensor) -> Tensor:
        """Representations of V hashtags, (V, d_w): the given ones, or the model's learned ones.

        Of hashtags that it has not learned, since no training user has them, a model knows nothing:
        zeros. With `unit_psi` each has the length sqrt(d_w), numbers of about 1.
        """
        if self.learned_psi is not None:
            learned = self.learned_psi.weight[: len(given)]
            given = F.pad(learned, (0, 0, 0, len(given) - len(learned)))
        return F.normalize(given, dim=1) * self.config.d_w**0.5 if self.config.unit_psi else given

    def users(self, batch: Batch, psi: Tensor) -> Tensor:
        """Each user after 0 to T photos, (B, T + 1, d_u), from psi of all hashtags, (V, d_w)."""
        return self.user_encoder(batch, psi)

    def queries(self, images: Tensor, users: Tensor) -> Tensor:
        """The image side of Equation 7: (N, d_v), (N, d_u) -> (N, d)."""
        queries = []
        for v, u in zip(images.split(PHOTOS), users.split(PHOTOS), strict=True):
            z = self.g(self.image_norm(v), u)  # Eq. 6: (N, d_c)
            queries.append(self.phi_iu(z))  # (C, d)
        return torch.cat(queries)  # (N, d)

    def forward(self, batch: Batch, psi: Tensor) -> Tensor:
        """One query per photo of the batch, each from the photos before it: (N, d)."""
        users = self.users(batch, psi)[:, :-1]  # photo t + 1 after t photos: (B, T, d_u)
        return self.queries(batch.of_photos(batch.query_images), batch.of_photos(users))  # (N, d)

    def scores(self, queries: Tensor, psi: Tensor) -> Tensor:
        """Equation 7's f of every query and hashtag: (N, d), (V, d_w) -> (N, V)."""
        return queries @ self.phi_tag(psi).T


@torch.inference_mode()
def picture_scores(
    model: HashtagModel, images: Tensor, user: Tensor, psi: Tensor, num_seen: int, ids: list[int]
) -> Tensor:
    """The log p(y | I, u) of every picture and some hashtags, for one user (Equation 8).

    Args:
        model: a trained model.
        images: (P, d_v).
        user: (d_u,).
        psi: (V, d_w), all hashtags, the seen ones first.
        num_seen: how many are seen; p is a distribution over those.
        ids: Q hashtags, seen or not.

    Returns:
        (P, Q).
    """
    log_p = []
    for part in images.split(CHUNK):
        queries = model.queries(part, user.expand(len(part), -1))  # (C, d)
        scores = model.scores(queries, psi)  # (C, V)
        log_p.append(scores[:, ids] - scores[:, :num_seen].logsumexp(dim=1, keepdim=True))
    return torch.cat(log_p)
