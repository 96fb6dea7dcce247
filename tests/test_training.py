"""Training from end to end on a tiny collection: it learns, repeats itself, stops and is kept."""

import json
import math
from dataclasses import replace

import pytest
import torch
from helpers import (
    MANY_HASHTAGS_USER,
    OTHER_USERS,
    TRAIN_USERS,
    batch_of,
    tiny_config,
    tiny_fold,
    tiny_model,
)

from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.errors import InputError
from hashtag_core.evaluation.metrics import evaluate
from hashtag_core.evaluation.ranking import model_ranker
from hashtag_core.model.joint_embedding import ENCODERS, HashtagModel
from hashtag_core.model.user_encoders import hashtag_sums
from hashtag_core.training import loop as training
from hashtag_core.training.loop import fit
from hashtag_core.training.runs import load_run, save_run
from hashtag_core.training.state import TrainConfig

FILES = ["model.safetensors", "hashtags.parquet", "run.json"]
SETTINGS = TrainConfig(epochs=10, learning_rate=1e-2, users_per_batch=2, patience=10, seed=0)


@pytest.fixture(scope="module")
def fold():
    """(hashtags, the training users' histories, the validation users' histories)."""
    photos, hashtags, _ = tiny_fold()
    train, valid = (UserHistories(photos, hashtags, users) for users in (TRAIN_USERS, OTHER_USERS))
    return hashtags, train, valid


def tiny_fit(fold, folder=None, on_epoch=None, **changes):
    hashtags, train, valid = fold
    settings = replace(SETTINGS, **changes)
    torch.manual_seed(settings.seed)
    model = HashtagModel(tiny_config())
    return fit(model, train, valid, hashtags, settings, folder, device="cpu", on_epoch=on_epoch)


def same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


# --- what fit does ---


@pytest.mark.parametrize("history", ["image+hashtag", "hashtag", "none"])
def test_the_loss_falls(fold, history):
    hashtags, train, valid = fold
    config = replace(tiny_config(history), d_x=16, d_u=16, d_c=16, d=16)
    settings = replace(SETTINGS, epochs=40, patience=40)
    torch.manual_seed(0)
    _, log = fit(HashtagModel(config), train, valid, hashtags, settings, device="cpu")
    assert [entry["epoch"] for entry in log] == list(range(1, 41))
    losses = [entry["loss"] for entry in log]  # targets are drawn anew, so they go up and down
    assert sum(losses[:5]) / 5 == pytest.approx(math.log(hashtags.num_seen), rel=0.05)
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])
    assert all(0 <= entry["valid R@10"] <= 100 for entry in log)


def test_the_same_seed_gives_exactly_the_same_numbers(fold):
    torch.manual_seed(1)
    model, log = tiny_fit(fold, epochs=3)
    torch.manual_seed(2)  # what was drawn before does not matter
    again, log_again = tiny_fit(fold, epochs=3)
    assert log == log_again
    assert same_weights(model, again)


def test_another_seed_gives_other_numbers(fold):
    _, log = tiny_fit(fold, epochs=2)
    _, other = tiny_fit(fold, epochs=2, seed=1)
    assert all(a["loss"] != b["loss"] for a, b in zip(log, other, strict=True))


def test_training_stops_when_validation_gets_no_better(fold):
    _, log = tiny_fit(fold, epochs=20, learning_rate=0.0, patience=3)
    assert len(log) == 1 + 3


@pytest.fixture
def scripted(monkeypatch):
    """Validation says what it is told to; returns the weights that it saw, epoch by epoch."""
    results, seen = [10.0, 30.0, 20.0, 30.0, 29.0, 90.0], []

    def fake_evaluate(model, valid_batches, hashtags, candidates, processes):
        seen.append({name: w.clone() for name, w in model.state_dict().items()})
        return {"seen": {"R@10": results[len(seen) - 1], "A@1": 0.0, "photos": 1}}

    monkeypatch.setattr(training, "model_ranker", lambda model, hashtags, device: model)
    monkeypatch.setattr(training, "evaluate", fake_evaluate)
    return seen


def test_the_best_epoch_comes_back_and_is_kept(fold, scripted, tmp_path):
    model, log = tiny_fit(fold, tmp_path, patience=3)
    assert [entry["valid R@10"] for entry in log] == [10, 30, 20, 30, 29]  # 2 is best; 5 stops
    weights = model.state_dict()
    same_as = [all(torch.equal(w[n], weights[n]) for n in weights) for w in scripted]
    assert same_as == [False, True, False, False, False]
    assert not model.training
    kept, _, run = load_run(tmp_path)
    assert same_weights(kept, model)
    assert run["log"] == log


def test_the_model_that_comes_back_has_the_best_result_of_the_log(fold):
    hashtags, _, valid = fold
    model, log = tiny_fit(fold)
    ranker = model_ranker(model, hashtags, torch.device("cpu"))
    result = evaluate(ranker, batches(valid, 16), hashtags, ("seen",))["seen"]
    assert result["R@10"] == max(entry["valid R@10"] for entry in log)


def test_on_epoch_is_called_after_each_epoch_with_the_model_and_the_log_so_far(fold, scripted):
    calls = []

    def on_epoch(model, log):
        weights = {name: w.clone() for name, w in model.state_dict().items()}
        calls.append((weights, [dict(entry) for entry in log]))

    _, log = tiny_fit(fold, on_epoch=on_epoch, patience=3)
    assert len(log) == 5  # stopped by its patience: the last epoch is shown too
    assert [so_far for _, so_far in calls] == [log[:n] for n in range(1, 6)]
    for (weights, _), validated in zip(calls, scripted, strict=True):
        assert all(torch.equal(weights[name], validated[name]) for name in weights)


def test_on_epoch_changes_nothing(fold, tmp_path):
    def on_epoch(model, log):
        torch.manual_seed(len(log))  # even one that draws, computes and leaves another mode
        torch.rand(3)
        model.eval()

    model, log = tiny_fit(fold, tmp_path / "a", epochs=4)
    watched, watched_log = tiny_fit(fold, tmp_path / "b", on_epoch=on_epoch, epochs=4)
    assert watched_log == log and len(log) == 4
    assert same_weights(model, watched)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_epoch_trains_in_training_mode_whatever_on_epoch_left(fold):
    modes = set()

    def on_epoch(model, log):
        model.eval()
        if len(log) == 1:
            model.register_forward_pre_hook(
                lambda module, _: modes.add((torch.is_grad_enabled(), module.training))
            )

    tiny_fit(fold, on_epoch=on_epoch, epochs=3)
    assert modes == {(True, True), (False, False)}  # training, validation


def test_what_on_epoch_raises_ends_the_training(fold):
    def on_epoch(model, log):
        if len(log) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_fit(fold, on_epoch=on_epoch)


# --- what is kept on disk ---


def test_a_saved_run_comes_back_as_it_was(fold, tmp_path):
    hashtags, train, _ = fold
    model, batch = tiny_model(), batch_of(train)
    save_run(tmp_path / "run", model, hashtags, SETTINGS, [{"epoch": 1}], {"source": "tests"})
    loaded, loaded_hashtags, run = load_run(tmp_path / "run")
    assert loaded.config == model.config and not loaded.training
    assert loaded_hashtags.names == hashtags.names
    assert torch.equal(loaded_hashtags.psi, hashtags.psi)
    assert torch.equal(loaded_hashtags.counts, hashtags.counts)
    assert torch.equal(loaded(batch, loaded_hashtags.psi), model(batch, hashtags.psi))
    assert run["training"]["learning_rate"] == 1e-2
    assert run["data"] == {"source": "tests"} and run["log"] == [{"epoch": 1}]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(FILES)


def test_a_missing_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no model\.safetensors"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_an_input_error_that_names_it(fold, tmp_path, name):
    save_run(tmp_path, tiny_model(), fold[0], SETTINGS, [])
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"no {name}"):
        load_run(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_off_is_an_input_error_that_names_the_folder(fold, tmp_path, name):
    save_run(tmp_path, tiny_model(), fold[0], SETTINGS, [])
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=tmp_path.name):
        load_run(tmp_path)


@pytest.mark.parametrize("change", [{"d_u": 9}, {"history": "smell"}, {"colour": 1}])
def test_sizes_that_do_not_fit_the_weights_are_an_input_error(fold, tmp_path, change):
    save_run(tmp_path, tiny_model(), fold[0], SETTINGS, [])
    run = json.loads((tmp_path / "run.json").read_text())
    run["model"] |= change
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match=r"of another version|by run.json"):
        load_run(tmp_path)


# --- targets ---


def test_a_target_is_one_of_the_photos_own_hashtags_and_each_is_equally_likely():
    histories = tiny_fold()[2]
    batch = batch_of(histories, MANY_HASHTAGS_USER)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([batch.draw_targets(generator) for _ in range(3000)])  # (3000, N)
    own = batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())
    for n, ids in enumerate(own):
        drawn, counts = draws[:, n].unique(return_counts=True)
        assert drawn.tolist() == sorted(ids.tolist())
        shares = counts / 3000 * len(ids)  # 1 where all are equally likely
        assert shares.min() > 0.6 and shares.max() < 1.4
    assert [len(ids) for ids in own][1:3] == [1, 30]


def test_targets_are_drawn_anew_and_repeat_with_the_seed():
    batch = batch_of(tiny_fold()[2])
    generator = torch.Generator().manual_seed(0)
    first, second = batch.draw_targets(generator), batch.draw_targets(generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, batch.draw_targets(torch.Generator().manual_seed(0)))


# --- what cannot be trained ---


def test_nothing_to_train_on_is_an_input_error(fold):
    hashtags, train, valid = fold
    nobody = UserHistories(train.photos, hashtags, [])
    for sets in [(nobody, valid), (train, nobody)]:
        with pytest.raises(InputError, match="at least one of each"):
            fit(tiny_model(), *sets, hashtags, SETTINGS, device="cpu")
    with pytest.raises(InputError, match="at least one of each"):
        tiny_fit(fold, epochs=0)


def test_a_loss_that_overflows_is_an_input_error_and_no_result(fold):
    with pytest.raises(InputError, match="lower the learning rate"):
        tiny_fit(fold, learning_rate=1e25)


def test_the_learning_rate_falls_to_zero(fold, monkeypatch):
    rates = []
    step = torch.optim.Adam.step

    def spy(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    tiny_fit(fold, epochs=4, learning_rate=0.5, patience=9)
    assert rates[0] == 0.5 and rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.1


# --- a part of one's own ---


class LastHashtags(torch.nn.Module):
    """A user encoder of one's own: the user is the last photo's hashtags."""

    def __init__(self, d_w, d_u):
        super().__init__()
        self.linear = torch.nn.Linear(d_w, d_u)
        self.d_u = d_u

    def forward(self, batch, psi):
        users = self.linear(hashtag_sums(batch, psi))  # (B, T, d_u)
        return torch.nn.functional.pad(users, (0, 0, 1, 0))  # (B, T + 1, d_u)


def test_a_user_encoder_of_ones_own_trains_and_comes_back(fold, tmp_path, monkeypatch):
    hashtags, train, valid = fold
    config = tiny_config()
    model = HashtagModel(config, LastHashtags(config.d_w, config.d_u))
    model, _ = fit(model, train, valid, hashtags, SETTINGS, tmp_path, device="cpu")
    other = HashtagModel(config, LastHashtags(config.d_w, config.d_u))
    assert same_weights(load_run(tmp_path, other.user_encoder)[0], model)
    assert json.loads((tmp_path / "run.json").read_text())["model"]["encoder"] == "LastHashtags"
    with pytest.raises(InputError, match=r"somebody's own, 'LastHashtags'. Give it as `user_enc"):
        load_run(tmp_path)
    make = lambda c: LastHashtags(c.d_w, c.d_u)  # noqa: E731
    monkeypatch.setitem(ENCODERS, "LastHashtags", make)
    assert same_weights(load_run(tmp_path)[0], model)


def test_a_training_that_keeps_nothing_asks_nothing_of_what_would_be_written(tmp_path):
    """Provenance that is no plain data, weights that have no bytes yet."""
    _, hashtags, histories = tiny_fold()
    config = TrainConfig(epochs=1, users_per_batch=4)
    about = {"where": tmp_path}  # a Path
    seen = histories.only(range(6))
    _, log = fit(tiny_model(), seen, seen, hashtags, config, None, "cpu", about)
    assert len(log) == 1
