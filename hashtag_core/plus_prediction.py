"""`ours+` in use: as `HashtagPredictor`, and it knows what copying knows.

    predictor = PlusPredictor.from_pretrained("open-art")
    user, left_out = predictor.user([("monday.jpg", ["cat", "black+white"])])
    predictor.predict("tuesday.jpg", user)                          # [("cat", 0.41), ...]

A user is the vector u of §3.1 and what `beyond.usage.UserPast` keeps; adding a photo reads no older
one again. Scores are probabilities, and hashtags without a word vector, which f does not know, are
suggested as soon as the user has used them once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hashtag_core.beyond.keeping import FILE, load_plus, save_plus
from hashtag_core.beyond.plus import Plus
from hashtag_core.beyond.retrieval import PICTURES
from hashtag_core.beyond.usage import UserPast
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.errors import InputError
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.model.products import fold
from hashtag_core.prediction import HashtagPredictor, Picture, check_number, finite
from hashtag_core.training.runs import FILES
from hashtag_core.typed import as_typed, clean


@dataclass(eq=False)
class PlusUser:
    """A user of `PlusPredictor`.

    Attributes:
        vector: u, (d_u,).
        past: the photos so far.
        own_names: hashtags outside the vocabulary, and the numbers that `past` knows them by.
    """

    vector: Tensor
    past: UserPast
    own_names: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"PlusUser: {len(self.past):,} photos, {len(self.past.ids):,} hashtags"

    def copy(self) -> PlusUser:
        """One that goes on by itself."""
        return PlusUser(self.vector, copy.deepcopy(self.past), dict(self.own_names))


class PlusPredictor(HashtagPredictor):
    """Hashtags for a picture, given who posts it, by `ours+`.

    Args:
        plus: f and s, of `train_plus` or `load_plus`.
        parts: everything else, as in `HashtagPredictor`, its model being f.
    """

    files = (*FILES, FILE)

    def __init__(self, plus: Plus, *parts, **more) -> None:
        super().__init__(*parts, **more)
        self.plus = plus

    @classmethod
    def _read_more(cls, run: str | Path, model: HashtagModel, hashtags: Hashtags) -> tuple:
        return (load_plus(run, model, hashtags)[0],)

    def _save_more(self, folder: Path) -> None:
        save_plus(folder, self.plus, self.portable_data())

    @cached_property
    def by_f(self) -> HashtagPredictor:
        """The paper's model alone."""
        more = (self.convnet_name, self._words_path, str(self.device), self.query_convnet_name)
        return HashtagPredictor(self.model, self.hashtags, *more)

    def new_user(self) -> PlusUser:
        """A user without a history."""
        return PlusUser(super().new_user(), self.plus.reader.new_user())

    def _known(self, user: PlusUser | None) -> PlusUser:
        if user is None:
            return self.new_user()
        if not isinstance(user, PlusUser):
            raise InputError("no user of `ours+`: make one by `new_user` or `user`.")
        return user

    def unknown(self, candidates: list[str], user: PlusUser | None = None) -> list[str]:
        """As `HashtagPredictor.unknown`; what the user has used is known by that."""
        own = {} if user is None else user.own_names
        return [name for name in super().unknown(candidates) if name not in own]

    def add_photo(self, user: PlusUser, picture: Picture, hashtags: list[str]) -> PlusUser:
        """The user after one more photo; no older photo is read again.

        All its hashtags are remembered; u reads those that f can.

        Raises:
            InputError: where the picture cannot be used, or there is no hashtag.
        """
        changed = user.copy()
        self._add(changed, picture, hashtags)
        return changed

    def user(self, history: Iterable[tuple[Picture, list[str]]]) -> tuple[PlusUser, int]:
        """A user from a history: (picture, hashtags) of each photo, the oldest first.

        Returns:
            The user, and how many photos were left out because they have no hashtag.

        Raises:
            InputError: where a picture cannot be used.
        """
        user, left_out = self.new_user(), 0
        for picture, given in history:
            if hashtags := [*as_typed(given).values()]:
                self._add(user, picture, hashtags)
            else:
                left_out += 1
        return user, left_out

    def _add(self, user: PlusUser, picture: Picture, hashtags: list[str]) -> None:
        typed = as_typed(hashtags)
        if not typed:
            raise InputError(f"no hashtag among {hashtags}.")
        names = [*typed]
        feature = self.feature(picture, past=True)
        spelled = [*typed.values()]
        if self.represent(spelled, self.every_hashtag)[0]:
            user.vector = super().add_photo(user.vector, feature[0], spelled)
        for name in names:
            if name not in self.hashtags.ids:
                user.own_names.setdefault(name, len(self.hashtags) + len(user.own_names))
        numbers = [self.hashtags.ids.get(name, user.own_names.get(name, -1)) for name in names]
        user.past.add(numbers, *self.plus.reader.look(feature.cpu().numpy())[0])

    def predict(
        self,
        picture: Picture,
        user: PlusUser | None = None,
        candidates: list[str] | None = None,
        k: int = 10,
    ) -> list[tuple[str, float]]:
        """The k best hashtags for a picture, with their p, best first.

        Args:
            picture: a path, encoded bytes, a PIL image, or a feature vector (d_v,). A model with a
                second ConvNet needs the picture itself, since it looks at it with both.
            user: from `new_user` and `add_photo`; None for nobody in particular.
            candidates: hashtags to choose from, seen in training or not; None for the vocabulary
                and all that the user has used. Those that are `unknown` are left out.
            k: how many at most.

        Raises:
            InputError: where the picture cannot be used, or no candidate is left.
        """
        check_number(k)
        wanted = None if candidates is None else self._candidates(candidates, user)
        names, p = self.probabilities(picture, user, [*(wanted or {}).values()])
        if wanted is not None:
            places = {name: i for i, name in enumerate(names)}
            names, p = [*wanted], p[[places[name] for name in wanted]]
        best = p.argsort(descending=True, stable=True)[:k].tolist()
        return [(names[i], float(p[i])) for i in best]

    @torch.inference_mode()
    def probabilities(
        self, picture: Picture, user: PlusUser | None = None, more: Sequence[str] = ()
    ) -> tuple[list[str], Tensor]:
        """The p of the whole vocabulary, the user's own hashtags, and any more.

        Args:
            picture: as in `predict`.
            user: as in `predict`.
            more: further hashtags.

        Returns:
            The V hashtags, and their p, (V,) float64, which add up to 1.
        """
        user = self._known(user)
        vocabulary, own = self.hashtags.names, user.own_names
        others = [
            typed
            for name, typed in as_typed(more).items()
            if name not in self.hashtags.ids and name not in own
        ]
        extra, vectors = self.represent(others)
        names = [*vocabulary, *own, *extra]
        query = self.model.queries(self.feature(picture), user.vector[None])  # (1, d)
        image = self.feature(picture, past=True).cpu().numpy()  # (1, d_i)
        p = self.plus.log_p(user.past, image, self._scores(query, vectors, len(own)))[0].exp()
        return names, p / p.sum()

    def _scores(self, queries: Tensor, vectors: Tensor, own: int) -> Tensor:
        """The f of the vocabulary, of `own` hashtags without a word vector, and of further ones.

        (N, d) and their psi, (n, d_w) -> (N, V + own + n) float64; -inf where f knows nothing.
        """
        psi, V = torch.cat([self.psi, vectors]), len(self.hashtags)
        queries, tags, offset = fold(queries, self.model.phi_tag, len(psi))
        known = finite(queries @ tags(psi).T + offset).double().cpu()
        nothing = torch.full((len(queries), own), -torch.inf, dtype=torch.float64)
        return torch.cat([known[:, :V], nothing, known[:, V:]], dim=1)

    @torch.inference_mode()
    def pictures(
        self, hashtag: str, features: np.ndarray, user: PlusUser | None = None, k: int = 10
    ) -> list[tuple[int, float]]:
        """As `HashtagPredictor.pictures`, by the log p of `ours+`.

        By f alone where a second ConvNet made the features of pictures to predict, since s compares
        with past ones.
        """
        user = self._known(user)
        if self.query_convnet_name != self.convnet_name:
            return self.by_f.pictures(hashtag, features, user.vector, k)
        check_number(k)
        places = {**self.hashtags.ids, **user.own_names}
        (name,), vector = clean([hashtag]) or [""], self.psi[:0]
        if name not in places:
            name, vector = self._represent_one(hashtag)
        place = places.get(name, len(places))
        rows, images = self._readable(features)
        log_p = []
        for part in images.split(PICTURES) if len(images) else ():
            queries = self.model.queries(part, user.vector.expand(len(part), -1))
            f = self._scores(queries, vector, len(user.own_names))
            log_p.append(self.plus.log_p(user.past, part.cpu().numpy(), f)[:, place])
        scores = torch.cat([torch.zeros(0), *log_p])
        best = scores.argsort(descending=True, stable=True)[:k].tolist()
        return [(int(rows[i]), float(scores[i])) for i in best]

    def attention(self, picture: Picture, user: PlusUser, k: int = 5) -> list[tuple[int, float]]:
        """The user's past pictures that are most like a picture: (number, cosine), best first.

        Numbers are those of the user's photos, 0 for the first. The cosine is of the short vectors
        that s compares (`evidence.PictureSpace`).
        """
        image = self.feature(picture, past=True).cpu().numpy()
        like = self.plus.reader.space(image)[0] @ user.past.pictures().T
        best = np.argsort(-like, kind="stable")[:k]
        return [(int(t), float(like[t])) for t in best]


def open_predictor(
    run: str | Path | None = None, paper: bool = False, device: str | None = None
) -> HashtagPredictor:
    """The predictor of a run: `ours+`, or the paper's model where that is all there is.

    Args:
        run: a run folder; None for the model that comes with the repository.
        paper: the paper's model in any case.
        device: where to compute.
    """
    plus = run is None or (Path(run) / FILE).is_file()
    kind = PlusPredictor if plus and not paper else HashtagPredictor
    return kind.from_pretrained(device=device) if run is None else kind.load(run, device)
