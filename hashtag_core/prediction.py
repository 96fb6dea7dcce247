"""A trained model in use: new pictures, new users, new hashtags, nothing retrained (§1).

    predictor = HashtagPredictor.load("runs/quickstart/seed0-fold1of5/open/ours-image-hashtag")
    user, left_out = predictor.user([("monday.jpg", ["cat", "black+white"])])
    predictor.predict("tuesday.jpg", user)                          # [("cat", 7.1), ...]
    predictor.predict("tuesday.jpg", user, candidates=["kitten", "sofa"])
    user = predictor.add_photo(user, "tuesday.jpg", ["kitten"])

A user is nothing but the vector u of §3.1; adding a photo is one step of the GRU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.pictures import load_picture
from hashtag_core.data.words import approximate_psi, load_word_vectors, psi
from hashtag_core.devices import choose_device
from hashtag_core.errors import InputError, printable
from hashtag_core.evaluation.ranking import top_hashtags
from hashtag_core.model.convnet import DEFAULT_CONVNET, ConvNet, load_convnet
from hashtag_core.model.joint_embedding import HashtagModel, picture_scores
from hashtag_core.model.user_encoders import stepwise
from hashtag_core.pretrained import Pretrained
from hashtag_core.typed import as_typed, no_text

if TYPE_CHECKING:
    from gensim.models import KeyedVectors
    from PIL.Image import Image

# a path, encoded bytes, an image of PIL; the last two are its feature vector
Picture: TypeAlias = "str | Path | bytes | Image | np.ndarray | Tensor"


class HashtagPredictor(Pretrained):
    """Hashtags for a picture, given who posts it.

    Args:
        model: a trained model.
        hashtags: its vocabulary.
        convnet: the name of the ConvNet whose features it was trained on; None where unknown, and
            then only feature vectors can be given, no pictures.
        words: the path of its word vectors; None for the installed ones.
        device: where to compute; chosen automatically where not given.
        query_convnet: the name of a second ConvNet, whose features of the picture to predict it was
            trained on (§3.2.1); None where one serves both sides.

    Raises:
        InputError: where the model cannot go on from photo to photo, or reads no word vectors.
    """

    def __init__(
        self,
        model: HashtagModel,
        hashtags: Hashtags,
        convnet: str | None = DEFAULT_CONVNET,
        words: str | Path | None = None,
        device: str | None = None,
        query_convnet: str | None = None,
    ) -> None:
        encoder = stepwise(model.user_encoder)
        if encoder is None:
            raise InputError(
                f"the user encoder {type(model.user_encoder).__name__} has no `update`: prediction "
                "goes on from photo to photo, as the GRU does (`StepwiseUserEncoder`)."
            )
        if model.learned_psi is not None:
            raise InputError(
                "the model has learned a vector for each hashtag (learned_psi); prediction needs "
                "one that reads word vectors."
            )
        self.user_encoder = encoder
        self.device = choose_device(device)
        self.model = model.eval().to(self.device)
        self.hashtags = hashtags
        self.psi = model.psi(hashtags.psi.to(self.device)).detach()  # (V, d_w)
        self.every_hashtag = "approximated" in hashtags.kinds
        self.convnet_name = convnet
        self.query_convnet_name = convnet if query_convnet is None else query_convnet
        self._words_path = words
        self.about: dict = {}

    def __repr__(self) -> str:
        encoder, convnet = type(self.user_encoder).__name__, printable(str(self.convnet_name))
        fusion = self.model.config.fusion
        about = f"{encoder}, {fusion}, features of {convnet}, on {self.device}"
        return f"{type(self).__name__}: {about}\n  {self.hashtags}"

    @cached_property
    def convnet(self) -> ConvNet:
        """The ConvNet, loaded when the first picture comes."""
        if self.convnet_name is None:
            raise InputError("run.json does not say which ConvNet; give feature vectors instead.")
        return load_convnet(self.convnet_name, self.device)

    @cached_property
    def query_convnet(self) -> ConvNet:
        """That of the picture to predict: the same one, or a second."""
        name = self.query_convnet_name
        if name is None or name == self.convnet_name:
            return self.convnet
        return load_convnet(name, self.device)

    @cached_property
    def vectors(self) -> KeyedVectors:
        """The word vectors, loaded when the first hashtag outside the vocabulary comes."""
        return load_word_vectors(self._words_path)

    def feature(self, picture: Picture, past: bool = False) -> Tensor:
        """(1, d_v): a picture's feature, of a `Picture`: a file, an image, or the vector itself.

        A vector of NaN, of a picture that could not be read, becomes zeros, as in training. A
        picture of the past, of a history, has the feature of the other ConvNet, where there are
        two: (1, d_i).

        Raises:
            InputError: where the picture cannot be used, or the vector not.
        """
        if isinstance(picture, np.ndarray):
            picture = torch.from_numpy(picture.astype(np.float32))
        if isinstance(picture, Tensor):
            feature = picture.float().reshape(1, -1)
            feature = torch.where(feature.isnan(), 0, feature)
            if feature.isinf().any():
                raise InputError("a feature vector with a number that is not finite.")
        else:  # float16 in between, as in features.npy
            convnet = self.convnet if past else self.query_convnet
            feature = convnet([load_picture(picture)]).half().float()
        self._check_width(feature, past)
        return feature.to(self.device)

    def _check_width(self, features: Tensor, past: bool = False) -> None:
        config = self.model.config
        width, expected = features.shape[-1], config.d_i if past else config.d_v
        if width != expected:
            raise InputError(f"a feature vector of {width} numbers; the model takes {expected}.")

    def represent(self, hashtags: list[str], approximate: bool = True) -> tuple[list[str], Tensor]:
        """The hashtags, each once, and psi of each: (V, d_w).

        In one outside the vocabulary capitals tell where words begin: `TheRapist`. One without
        any known word has an approximate one of its letters (`approximate_psi`), or is left out.
        """
        names, rows = [], []
        d_w = self.psi.shape[1]
        for name, typed in as_typed(hashtags).items():
            if name in self.hashtags.ids:
                vector = self.psi[self.hashtags.ids[name]]
            else:
                array = psi(typed, self.vectors)
                if array is None and not approximate:
                    continue
                array = approximate_psi(name, self.vectors) if array is None else array
                vector = torch.from_numpy(array).to(self.device)
            if len(vector) != d_w:
                raise InputError(
                    f"word vectors of {len(vector)} numbers; the model was trained with {d_w}."
                )
            names.append(name)
            rows.append(vector)
        return names, self.model.psi(torch.stack(rows)) if rows else self.psi[:0]

    def approximated(self, hashtags: list[str]) -> list[str]:
        """Those of some hashtags that have no known word: known by their letters alone."""
        known, kinds = self.hashtags.ids, self.hashtags.kinds
        return [
            name
            for name, typed in as_typed(hashtags).items()
            if (
                kinds[known[name]] == "approximated"
                if name in known and kinds
                else name not in known and psi(typed, self.vectors) is None
            )
        ]

    def unknown(self, candidates: list[str], user: Tensor | None = None) -> list[str]:
        """The candidates that `predict` leaves out for this user.

        Those without any known word, of which the model knows nothing; none where it was trained
        with such (`every_hashtag`).
        """
        return [] if self.every_hashtag else self.approximated(candidates)

    def new_user(self) -> Tensor:
        """The vector of a user without a history: zeros (d_u,)."""
        return torch.zeros(self.model.user_encoder.d_u, device=self.device)

    def _known(self, user: Tensor | None) -> Tensor:
        """The user that was given, if it is one; nobody in particular for None."""
        if user is None:
            return self.new_user()
        if not isinstance(user, Tensor) or user.shape != self.new_user().shape:
            raise InputError(f"no user of this predictor, but {user!r}. See `new_user`, `user`.")
        return user

    @torch.inference_mode()
    def add_photo(self, user: Tensor, picture: Picture, hashtags: list[str]) -> Tensor:
        """The user after one more photo: (d_u,) -> (d_u,). Older photos are not read again.

        Hashtags without a known word are read by a model that was trained with such
        (`every_hashtag`). Others would be confused by them.

        Raises:
            InputError: where the picture cannot be used, or there is no hashtag to read.
        """
        names, vectors = self.represent(hashtags, self.every_hashtag)
        if not names:
            raise InputError(f"no hashtag with a word vector among {hashtags}.")
        y = vectors.sum(dim=0, keepdim=True)  # Eq. 3: (1, d_w)
        return self.user_encoder.update(user[None], self.feature(picture, past=True), y)[0]

    def user(self, history: Iterable[tuple[Picture, list[str]]]) -> tuple[Tensor, int]:
        """A user from a history: (picture, hashtags) of each photo, the oldest first.

        Returns:
            The user (d_u,), and how many photos were left out because they have no hashtag that
            `add_photo` reads, as in training.

        Raises:
            InputError: where a picture cannot be used.
        """
        user, left_out = self.new_user(), 0
        for picture, given in history:
            hashtags = [*as_typed(given).values()]
            if self.represent(hashtags, self.every_hashtag)[0]:
                user = self.add_photo(user, picture, hashtags)
            else:
                left_out += 1
        return user, left_out

    @torch.inference_mode()
    def predict(
        self,
        picture: Picture,
        user: Tensor | None = None,
        candidates: list[str] | None = None,
        k: int = 10,
    ) -> list[tuple[str, float]]:
        """The k best hashtags for a picture, with their scores f (Equation 7), best first.

        Args:
            picture: a path, encoded bytes, a PIL image, or a feature vector (d_v,).
            user: (d_u,), from `new_user` and `add_photo`; None for nobody in particular.
            candidates: hashtags to choose from, seen in training or not; None for the vocabulary.
                Those that are `unknown` are left out.
            k: how many at most.

        Raises:
            InputError: where the picture cannot be used, or no candidate is left.
        """
        check_number(k)
        if candidates is None:
            names, vectors = self.hashtags.names, self.psi
        else:
            names, vectors = self.represent([*self._candidates(candidates, user).values()])
        user = self._known(user)
        query = self.model.queries(self.feature(picture), user[None])  # (1, d)
        k = min(k, len(names))
        best = top_hashtags(query, vectors, self.model.phi_tag, range(len(names)), k)
        scores, ids = (row[0].tolist() for row in (finite(best[0]), best[1]))
        return [(names[i], score) for i, score in zip(ids, scores, strict=True)]

    def _candidates(self, given: list[str], user: Tensor | None) -> dict[str, str]:
        """Those to choose from, `as_typed`; raises InputError where none is left."""
        candidates = as_typed(given)
        unknown = {*self.unknown([*candidates.values()], user)}
        known = {name: typed for name, typed in candidates.items() if name not in unknown}
        if not known:
            what = f"a word vector: {', '.join(candidates)}" if candidates else f"text: {given}"
            raise InputError(f"no candidates with {what}.")
        return known

    @torch.inference_mode()
    def probabilities(
        self, picture: Picture, user: Tensor | None = None, more: Sequence[str] = ()
    ) -> tuple[list[str], Tensor]:
        """The p of Equation 8 over the whole vocabulary, seen and unseen, and any more hashtags.

        Args:
            picture: as in `predict`.
            user: as in `predict`.
            more: further hashtags; those that are in the vocabulary add nothing.

        Returns:
            The V hashtags, and their p, (V,) float64, which add up to 1.
        """
        others = [typed for name, typed in as_typed(more).items() if name not in self.hashtags.ids]
        names, vectors = self.represent(others)
        user = self._known(user)
        query = self.model.queries(self.feature(picture), user[None])  # (1, d)
        scores = finite(self.model.scores(query, torch.cat([self.psi, vectors])))[0]  # (V,)
        return self.hashtags.names + names, scores.cpu().double().softmax(dim=0)

    @torch.inference_mode()
    def similar(self, hashtag: str, k: int = 10) -> list[tuple[str, float]]:
        """The hashtags of the vocabulary that lie nearest in the joint space, with their cosines.

        Args:
            hashtag: any, seen in training or not; it is not among its own neighbours.
            k: how many at most.

        Raises:
            InputError: where it is none.
        """
        check_number(k)
        name, vector = self._represent_one(hashtag)
        cosines = (self._unit_tags(self.psi) @ self._unit_tags(vector).T)[:, 0]  # (V,)
        best = cosines.argsort(descending=True, stable=True)[: k + 1].tolist()
        nearest = [(self.hashtags.names[i], float(cosines[i])) for i in best]
        return [(other, cosine) for other, cosine in nearest if other != name][:k]

    @torch.inference_mode()
    def pictures(
        self, hashtag: str, features: np.ndarray, user: Tensor | None = None, k: int = 10
    ) -> list[tuple[int, float]]:
        """The pictures that a hashtag fits best, with their log p(y | I, u) of Equation 8 (A.5).

        Args:
            hashtag: any, seen in training or not.
            features: (P, d_v), of the pictures to choose from; those of NaN, which could not be
                read, are left out.
            user: as this user means it; None for everyone.
            k: how many at most.

        Returns:
            (row of `features`, log p), best first.

        Raises:
            InputError: where it is none.
        """
        check_number(k)
        _, vector = self._represent_one(hashtag)
        psi = torch.cat([self.psi, vector])  # (V + 1, d_w)
        rows, images = self._readable(features)
        user = self._known(user)
        seen = self.hashtags.num_seen
        log_p = picture_scores(self.model, images, user, psi, seen, [len(psi) - 1])  # (P, 1)
        scores = finite(log_p)[:, 0]  # (P,)
        best = scores.argsort(descending=True, stable=True)[:k].tolist()
        return [(int(rows[i]), float(scores[i])) for i in best]

    def _readable(self, features: np.ndarray) -> tuple[Tensor, Tensor]:
        """The rows of features that are not of NaN, and those features, on the device."""
        images = torch.from_numpy(np.asarray(features, dtype=np.float32)).to(self.device)
        self._check_width(images)
        rows = (~images.isnan().any(dim=1)).nonzero()[:, 0]
        images = images[rows]
        if images.isinf().any():
            row = int(rows[images.isinf().any(dim=1)][0])
            raise InputError(f"row {row} of the features has a number that is not finite.")
        return rows, images

    @torch.inference_mode()
    def tags(self, hashtags: list[str]) -> Tensor:
        """Where hashtags lie in the joint space: phi_tag(psi(y)), of unit length, (n, d).

        Raises:
            InputError: where one is none.
        """
        vectors = [self._represent_one(name)[1] for name in no_text(hashtags)]
        return self._unit_tags(torch.cat(vectors)) if vectors else self._unit_tags(self.psi[:0])

    def _unit_tags(self, psi: Tensor) -> Tensor:
        return torch.nn.functional.normalize(finite(self.model.phi_tag(psi)), dim=1)

    def _represent_one(self, hashtag: str) -> tuple[str, Tensor]:
        names, vectors = self.represent([hashtag])
        if not names:
            raise InputError(f"no hashtag: {hashtag!r}.")
        return names[0], vectors  # (1, d_w)


def check_number(k: int) -> None:
    """Refuse to give fewer than one."""
    if k < 1:
        raise InputError(f"k is {k}: ask for at least one.")


def finite(scores: Tensor) -> Tensor:
    """The same scores, if all of them are numbers."""
    if not scores.isfinite().all():
        raise InputError(
            "the scores are too large for 32 bits: the picture's feature, the history or a "
            "word vector has numbers far from those of the training."
        )
    return scores
