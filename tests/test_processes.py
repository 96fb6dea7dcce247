"""Several processes: each has its part of every batch, and all together do what one does."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TRAIN_USERS, tiny_fold, tiny_model
from safetensors.torch import load_file

from hashtag_core import cli
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches, prefetched, resident
from hashtag_core.devices import Processes
from hashtag_core.evaluation.metrics import HashtagMetrics
from hashtag_core.model.loss import softmax_loss

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def fold():
    photos, hashtags, _ = tiny_fold()
    return hashtags, UserHistories(photos, hashtags, TRAIN_USERS)


def training_batches(histories, users_per_batch, rank=0, processes=1):
    generator = torch.Generator().manual_seed(0)
    return list(batches(histories, users_per_batch, True, generator, rank, processes))


# ---- parts of a batch


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("users_per_batch", [1, 2, 4, 6])
def test_the_parts_make_up_the_batch(fold, users_per_batch, processes):
    _, histories = fold
    whole = training_batches(histories, users_per_batch)
    parts = [training_batches(histories, users_per_batch, r, processes) for r in range(processes)]
    assert {len(of_rank) for of_rank in parts} == {len(whole)}
    for number, batch in enumerate(whole):
        own = [of_rank[number] for of_rank in parts]
        real = [part for part in own if part.predict.any()]
        assert torch.cat([part.rows for part in real]).equal(batch.rows)
        weights = torch.cat([part.photo_weights() for part in real])
        torch.testing.assert_close(weights, batch.photo_weights(), rtol=1e-6, atol=0)
        assert all(p.photo_weights().sum() == 0 for p in own if not p.predict.any())
        draws = [part.draw_targets(torch.Generator().manual_seed(7)) for part in real]
        assert torch.cat(draws).equal(batch.draw_targets(torch.Generator().manual_seed(7)))


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_the_gradients_of_the_parts_add_up_to_those_of_the_batch(fold, processes):
    hashtags, histories = fold

    def gradients(parts):
        model = tiny_model().double()
        for part in parts:
            part.history_images = part.history_images.double()
            part.query_images = part.history_images
            targets = part.draw_targets(torch.Generator().manual_seed(0))
            psi = hashtags.psi.double()
            weights = part.photo_weights().double()
            softmax_loss(model(part, psi), psi, model.phi_tag, targets, weights).backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    ranks = range(processes)
    one = gradients(training_batches(histories, 4)[:1])
    several = gradients([training_batches(histories, 4, r, processes)[0] for r in ranks])
    assert len(one) == len(several) > 10
    for a, b in zip(one, several, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_for_evaluation_every_batch_has_one_process(fold):
    _, histories = fold
    whole = [batch.rows.tolist() for batch in batches(histories, 2)]
    parts = [[b.rows.tolist() for b in batches(histories, 2, rank=r, processes=2)] for r in (0, 1)]
    assert parts == [whole[::2], whole[1::2]]


def test_one_process_adds_up_to_itself():
    alone = Processes.started(torch.device("cpu"))
    assert (alone.rank, alone.number) == (0, 1)
    assert alone.sum_of_numbers([1.5, 2]) == [1.5, 2]
    metrics = HashtagMetrics()
    metrics.update(torch.tensor([[0, 1]]), torch.tensor([1]), torch.tensor([0, 1]), range(2))
    before = metrics.compute()
    metrics.add_up(alone)
    assert metrics.compute() == before


def test_without_a_gpu_histories_stay_where_they_are(fold):
    _, histories = fold
    assert resident([histories], torch.device("cpu")) == [histories]


def test_features_that_are_a_tensor_make_the_same_batches(fold):
    _, histories = fold
    moved = copy.copy(histories)
    moved.features = torch.as_tensor(np.array(histories.features))  # as `resident` has them
    for one, other in zip(batches(histories, 2), batches(moved, 2), strict=True):
        assert one.history_images.equal(other.history_images)
        assert other.query_images is other.history_images


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_features_are_there_once(fold):
    _, histories = fold
    one, other = resident([histories, histories], torch.device("cuda"))
    assert one.features.is_cuda and one.features is other.features
    batch = next(iter(batches(one, 3)))
    assert batch.history_images.is_cuda
    whole = next(iter(batches(histories, 3)))
    assert batch.history_images.cpu().equal(whole.history_images)


def test_reading_ahead_changes_no_batch_and_an_error_in_it_is_raised(fold):
    _, histories = fold
    plain = list(batches(histories, 2))
    for ahead in (True, False, None):
        again = prefetched(batches(histories, 2), "cpu", ahead)
        for one, other in zip(plain, again, strict=True):
            assert one.rows.equal(other.rows) and one.history_images.equal(other.history_images)

    def broken():
        yield plain[0]
        raise OSError("the disk is gone")

    coming = prefetched(broken(), "cpu", ahead=True)
    next(coming)
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)


# ---- two real processes, started by torchrun


TRAIN = ["train", "--epochs", "3", "--users-per-batch", "5", "--device", "cpu"]  # 21 = 4 * 5 + 1


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "site"
    numbers = ["--users", "30", "--photos", "12", "--hashtags", "400"]
    assert cli.main(["prepare", "simulated", *numbers, "--out", str(folder)]) == 0
    return folder


def trained(site, out, *launcher):
    """Train on the site: the test users' metrics, the run's log, and the weights."""
    command = [*TRAIN, "--data", site, "--out", out, "--json", f"{out}.json"]
    run = subprocess.run(
        [sys.executable, "-m", *launcher, "hashtag_core.cli", *map(str, command)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    [folder] = out.glob("seed*/open/ours-image-hashtag")
    log = json.loads((folder / "run.json").read_text())["log"]
    rows = json.loads(Path(f"{out}.json").read_text())
    return run.stdout, rows, log, load_file(folder / "model.safetensors")


def test_two_processes_train_and_evaluate_as_one_does(site, tmp_path):
    _, rows, log, weights = trained(site, tmp_path / "one")
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "-m"]
    printed, rows2, log2, weights2 = trained(site, tmp_path / "two", *torchrun)
    assert "2 process(es)" in printed and printed.count("Trained:") == 1
    assert [e["loss"] for e in log2] == pytest.approx([e["loss"] for e in log], rel=1e-5)
    for one, two in zip(log, log2, strict=True):
        assert two == pytest.approx(one, abs=1e-3)
    for name, w in weights.items():
        torch.testing.assert_close(weights2[name], w, rtol=1e-3, atol=1e-4)
    assert [r["photos"] for r in rows2] == [r["photos"] for r in rows]
    for one, two in zip(rows, rows2, strict=True):
        assert two["A@1"] == pytest.approx(one["A@1"], abs=1.0)
        assert two["R@10"] == pytest.approx(one["R@10"], abs=1.0)
