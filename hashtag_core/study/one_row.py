"""One row of one fold, measured: what `Study.kept` asks for where there is no result yet.

Each takes a study, the fold's number, its setting and the row's name, and perhaps more, and returns
a list of rows of numbers.
"""

from __future__ import annotations

import time

import torch

from hashtag_core.beyond.retrieval import evaluate_plus_retrieval
from hashtag_core.data.loading import batches
from hashtag_core.errors import InputError
from hashtag_core.evaluation.image_retrieval import (
    evaluate_nearest_hashtags,
    evaluate_own_pictures,
    evaluate_retrieval,
    make_pool,
)
from hashtag_core.evaluation.ranking import Users, model_ranker
from hashtag_core.evaluation.reduced_histories import fixed_history, last_photos
from hashtag_core.evaluation.user_retrieval import (
    hashtag_vectors,
    pieces_of,
    represent,
    retrieval_metrics,
)
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.study.rows import MODELS, NEAREST_HASHTAG, OWN_PICTURES, PLUS, UNGUARDED
from hashtag_core.study.study import Study


@torch.inference_mode()
def encoder_time(model: HashtagModel, study: Study, number: int) -> float:
    """Milliseconds per photo that the user encoder takes on the test users, the best of three."""
    fold = study.fold(number, "open")
    psi = model.psi(fold.hashtags.psi.to(study.device))
    seconds = []
    for _ in range(3):
        total = photos = 0
        for batch in batches(fold.test, 8):
            batch = batch.to(study.device)
            start = time.perf_counter()
            model.users(batch, psi).sum().item()  # .item() waits for the device
            total += time.perf_counter() - start
            photos += len(batch.rows)
        seconds.append(total / photos)
    return 1000 * min(seconds)


def with_fixed_history(study: Study, number: int, setting: str, name: str) -> list[dict]:
    """Prediction with the fixed history of the training photos, ours-FH of Table 3."""
    model = study.model(number, setting, name)
    return [{"candidates": "seen", **_seen(study, number, setting, model, fixed_history(model))}]


def find_users(study: Study, number: int, setting: str, name: str, history: int) -> list[dict]:
    """Table 5: user retrieval, with histories of so many photos.

    Raises:
        InputError: where no test user has two such histories.
    """
    fold = study.fold(number, setting)
    pieces = pieces_of(fold.test, history)
    if len(pieces) == 0:
        raise InputError(f"no test user has two histories of {history} photos.")
    if name in ("used hashtags", "hashtag occurrences"):
        vectors = hashtag_vectors(pieces, len(fold.hashtags), name == "used hashtags")
    else:
        model = study.model(number, setting, name)
        vectors = represent(model, pieces, fold.hashtags.psi.to(study.device))
    metrics = retrieval_metrics(vectors, torch.tensor(pieces.users))
    return [{**metrics, "dim": vectors.shape[1]}]


def find_pictures(study: Study, number: int, setting: str, name: str) -> list[dict]:
    """A.5: pictures for a hashtag, of the pool that the study's seed draws."""
    fold = study.fold(number, setting)
    pool = make_pool(fold.test, seed=study.seed)
    if name == OWN_PICTURES:
        return evaluate_own_pictures(pool)
    if name == NEAREST_HASHTAG:
        return evaluate_nearest_hashtags(fold.train, pool)
    if name in PLUS or name == UNGUARDED:
        return evaluate_plus_retrieval(study.plus(number, setting, name), pool, study.device)
    model = study.model(number, setting, name)
    return evaluate_retrieval(model, fold.hashtags, pool, study.device)


def of_size(study: Study, number: int, setting: str, name: str, row: str) -> list[dict]:
    """Figure 3: the row with another d_u, and the time that its encoder takes."""
    d_u = int(name.rsplit(" ", 1)[1])
    model = study.model(number, setting, name, {**MODELS[row].parts, "d_u": d_u})
    seen = _seen(study, number, setting, model)
    return [{"d_u": d_u, **seen, "ms per photo": encoder_time(model, study, number)}]


def from_last_photos(study: Study, number: int, setting: str, name: str, length: int) -> list[dict]:
    """A.6: prediction that reads the last photos alone, so many at most."""
    model = study.model(number, setting, name)
    users = last_photos(model, length)
    return [{"photos of history": length, **_seen(study, number, setting, model, users)}]


def _seen(
    study: Study, number: int, setting: str, model: HashtagModel, users: Users | None = None
) -> dict[str, float]:
    """Its metrics among the seen hashtags."""
    ranker = model_ranker(model, study.fold(number, setting).hashtags, study.device, users)
    return study.evaluate(number, setting, ranker)["seen"]
