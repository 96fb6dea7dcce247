"""What objects say of themselves in a notebook: a line or two of sizes, safe for a terminal."""

import re

import numpy as np
import torch
from helpers import batch_of, collection, tiny_fold, tiny_model

from hashtag_core import HashtagMetrics, HashtagPredictor, PhotoCollection, PlusPredictor, Study
from hashtag_core.data import build_fixed_hashtags
from hashtag_core.evaluation import model_ranker
from hashtag_core.evaluation.image_retrieval import make_pool
from hashtag_core.study.figures import Example, Found, UserMap


def test_a_collection_and_its_histories_name_their_sizes(site):
    photos, hashtags, histories = tiny_fold()
    number = len(photos.hashtag_names.dictionary)
    assert repr(photos) == (
        f"PhotoCollection (in memory): {len(photos)} photos of 8 users, {number} different "
        "hashtags, features of 6 numbers (no ConvNet named); from tests"
    )
    assert repr(hashtags).startswith(f"Hashtags: {len(hashtags)}, {hashtags.num_seen} seen and ")
    assert f"psi of 8 numbers ({len(hashtags)} whole): " in repr(hashtags)
    assert "left out" not in repr(hashtags)  # none was
    assert repr(histories) == (
        f"UserHistories: 8 users, {len(photos)} photos; left out: 0 users, 0 photos"
    )
    batch = batch_of(histories, 1, 2)
    t = max(len(histories.rows[i]) for i in (1, 2))
    assert repr(batch) == (
        f"Batch: 2 users, {len(batch.rows)} photos (padded to 2 x {t}), "
        f"{len(batch.hashtag_ids)} hashtags, on cpu"
    )
    assert "PhotoCollection site: " in repr(PhotoCollection.load(site))


def test_a_study_and_its_folds_name_theirs(site, tmp_path):
    study = Study(PhotoCollection.load(site), tmp_path, folds=3, seed=4, device="cpu")
    first, second = repr(study).splitlines()
    assert first == f"Study of {study.photos}" and second.endswith(f"kept in {tmp_path}")
    assert "3 fold(s), seed 4, small models, on cpu, at most 20 epochs" in second
    fold = study.fold(0, "open")
    lines = repr(fold).splitlines()
    assert [line.split()[0] for line in lines] == ["Fold", "hashtags", "train", "valid", "test"]
    assert lines[1].endswith(repr(fold.hashtags)) and lines[4].endswith(repr(fold.test))


def test_a_predictor_names_its_model_and_vocabulary():
    _, hashtags, _ = tiny_fold()
    text = repr(HashtagPredictor(tiny_model(), hashtags, None, device="cpu"))
    assert text.startswith(
        "HashtagPredictor: GRUEncoder, element-wise product, features of None, on cpu\n"
    )
    assert repr(hashtags) in text


def test_what_comes_from_outside_is_escaped_and_short():
    photos = collection({"user": [["\x1b[31mred", "a\nb"]] * 3})
    hashtags = build_fixed_hashtags(photos, torch.ones(3, dtype=bool).numpy(), 10)
    for thing in (photos, hashtags):
        assert "\x1b" not in repr(thing) and "\n" not in repr(thing) and len(repr(thing)) < 300
    assert "\\x1b[31mred" in repr(hashtags)


def test_nothing_floods_a_cell_or_shows_an_address(open_art, tmp_path):
    """Every object that a notebook may end a cell with: a few lines, whatever it holds."""
    predictor = PlusPredictor.from_pretrained("open-art", device="cpu")
    study = Study(open_art, tmp_path, device="cpu")
    fold, plus = study.fold(0, "open"), predictor.plus
    user, _ = predictor.user([(np.ones(1280, np.float32), ["cat", "dog"])])
    ranker = model_ranker(predictor.model, fold.hashtags, "cpu")
    known = {
        "PlusPredictor: GRUEncoder, element-wise product": predictor,
        "PlusUser: 1 photos, 2 hashtags": user,
        "UserPast: 1 photos, 2 hashtags": user.past,
        "Plus: GRUEncoder and s of 80 numbers, trust 1, temperature": plus,
        "Reader: looks at usage, pictures, memory, looks\n": plus.reader,
        "PictureSpace: 128 numbers of a picture's 1280": plus.reader.space,
        "Memory: 3,678 photos of 80 users": plus.reader.memory,
        "ConvNet efficientnet_lite0, weights efficientnet-lite0-": predictor.convnet,
        "ModelRanker": ranker,
        "PlusRanker": plus.ranker(fold.hashtags, torch.device("cpu")),
        "Split of users: 80 train, 10 valid, 25 test": study.splits[0],
        "Pool: ": make_pool(fold.test),
        "HashtagMetrics: 0 photos counted, 0 left out": HashtagMetrics(),
        "Example: after 7 photos of a\\nb, tagged by somebody else; predicted cat": Example(
            "a\nb", [(b"x" * 9999, ["cat"])], 7, b"x" * 9999, [], ["cat"]
        ),
        "Found: 2 pictures for cat as everyone means it, 1 posted with it, 0 by": Found(
            "cat", None, [b"x" * 9999] * 2, [True, False], [False, False]
        ),
        "UserMap: 2 users in 1 groups, 0 paths": UserMap(
            np.zeros((2, 2)), ["a"] * 2, ["b", "c"], {}
        ),
    }
    for begin, thing in known.items():
        text = repr(thing)
        assert text.startswith(begin) and len(text) < 700 and text.count("\n") < 8, text
        assert not re.search("0x[0-9a-f]{6}", text), text
