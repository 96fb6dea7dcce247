"""What objects say of themselves in a notebook: a line or two of sizes, safe for a terminal."""

import torch
from helpers import batch_of, collection, tiny_fold, tiny_model

from hashtag_core import HashtagPredictor, PhotoCollection, Study
from hashtag_core.data import build_fixed_hashtags


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
