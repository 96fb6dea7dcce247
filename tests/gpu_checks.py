"""What a GPU computes is what the CPU computes: `pytest -m gpu`, on a machine that has one.

They need no gensim, DuckDB or torchvision: machines with a GPU often lack them.
"""

import copy
import time

import numpy as np
import pytest
import torch
from helpers import tiny_config, tiny_fold, tiny_model
from torch import nn

from hashtag_core.benchmarks.batching import make_batches
from hashtag_core.data.histories import collate
from hashtag_core.data.loading import batches, prefetched, resident
from hashtag_core.evaluation.image_retrieval import evaluate_retrieval, make_pool
from hashtag_core.evaluation.metrics import evaluate
from hashtag_core.evaluation.ranking import model_ranker, top_hashtags
from hashtag_core.evaluation.reduced_histories import fixed_history, last_photos
from hashtag_core.evaluation.user_retrieval import pieces_of, represent
from hashtag_core.model.joint_embedding import ENCODERS, HashtagModel, ModelConfig
from hashtag_core.model.loss import softmax_loss
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.training.loop import fit, train_step
from hashtag_core.training.state import TrainConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]
GPU = torch.device("cuda")


@pytest.fixture(autouse=True)
def whole_float32(monkeypatch):
    """To compare with a CPU: by default cuDNN's GRU rounds what it multiplies to 10 bits (TF32)."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def fold():
    """(photos, hashtags, histories of all users), some hundred numbers."""
    return tiny_fold()


def on_gpu(module):
    return copy.deepcopy(module).to(GPU)


@pytest.mark.parametrize("chunk", [None, 100])
def test_loss_and_gradients(chunk):
    torch.manual_seed(0)
    side = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 48))
    queries, psi = torch.randn(40, 48), torch.randn(3000, 30)
    targets, weights = torch.randint(3000, (40,)), torch.rand(40)

    def found(device, dtype):
        q = queries.to(device, dtype).requires_grad_()
        tags = copy.deepcopy(side).to(device, dtype)
        args = (psi.to(device, dtype), tags, targets.to(device), weights.to(device, dtype))
        loss = softmax_loss(q, *args, chunk)
        learned = [q, *(p for n, p in tags.named_parameters() if n != "2.bias")]
        return [loss, *torch.autograd.grad(loss, learned)]

    for ours, exact in zip(found(GPU, torch.float32), found("cpu", torch.float64), strict=True):
        torch.testing.assert_close(ours.double().cpu(), exact, rtol=1e-4, atol=1e-5)


def test_ranking_is_exact_also_among_ties_and_several_tiles():
    torch.manual_seed(0)
    queries = torch.randint(-3, 4, (5, 4)).float()
    psi = torch.randint(-3, 4, (150_000, 4)).float()  # whole numbers: no rounding, many ties
    candidates = range(1000, 149_000)
    scores, ids = top_hashtags(queries.to(GPU), psi.to(GPU), nn.Identity(), candidates, 50)
    exact = (queries @ psi.T)[:, candidates.start : candidates.stop]
    order = exact.sort(dim=1, descending=True, stable=True).indices[:, :50]
    assert torch.equal(ids.cpu(), order + candidates.start)
    assert torch.equal(scores.cpu(), exact.gather(1, order))


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_encoder(fold, encoder):
    photos, hashtags, histories = fold
    torch.manual_seed(0)
    more = {"num_hashtags": len(hashtags), "num_users": len(photos.users)}
    config = ModelConfig(d_i=6, d_v=6, d_w=8, d_x=5, d_u=7, d_c=6, d=4, rank=3,
                         encoder=encoder, **more)  # fmt: skip
    model = HashtagModel(config).eval()
    batch = collate([histories[i] for i in range(len(histories))])
    with torch.inference_mode():
        wanted = model(batch, hashtags.psi)
        found = on_gpu(model)(batch.to(GPU), hashtags.psi.to(GPU))
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("users", [None, fixed_history, lambda model: last_photos(model, 2)])
def test_metrics_are_those_of_the_cpu(fold, users):
    _, hashtags, histories = fold

    def metrics(model, device):
        ranker = model_ranker(model, hashtags, device, users and users(model))
        return evaluate(ranker, batches(histories, 3), hashtags)

    model = tiny_model()
    ours, wanted = metrics(on_gpu(model), GPU), metrics(model, torch.device("cpu"))
    for which in wanted:
        assert ours[which] == pytest.approx(wanted[which], rel=1e-6)


def test_retrieval_is_that_of_the_cpu(fold):
    _, hashtags, histories = fold
    model = tiny_model()
    pool = make_pool(histories)
    ours = evaluate_retrieval(on_gpu(model), hashtags, pool, GPU)
    assert ours == evaluate_retrieval(model, hashtags, pool, torch.device("cpu"))
    pieces = pieces_of(histories, 2)
    found = represent(on_gpu(model), pieces, hashtags.psi.to(GPU))
    torch.testing.assert_close(found, represent(model, pieces, hashtags.psi), rtol=1e-4, atol=1e-5)


def test_prediction_is_that_of_the_cpu(fold):
    photos, hashtags, _ = fold
    found = []
    for device in ("cuda", "cpu"):
        predictor = HashtagPredictor(tiny_model(), hashtags, None, device=device)
        user, left_out = predictor.user(photos.history(range(3)))
        assert left_out == 0
        found.append(predictor.predict(photos.features[3], user, k=5))
        names, p = predictor.probabilities(photos.features[3], user)
        assert len(names) == len(p) and float(p.sum()) == pytest.approx(1)
    assert [name for name, _ in found[0]] == [name for name, _ in found[1]]
    assert [s for _, s in found[0]] == pytest.approx([s for _, s in found[1]], rel=1e-4, abs=1e-5)


def test_features_on_the_gpu_make_the_same_batches(fold):
    _, _, histories = fold
    [there] = resident([histories], GPU)
    assert there.features.is_cuda
    for ours, wanted in zip(
        prefetched(batches(there, 3), GPU), prefetched(batches(histories, 3), "cpu"), strict=True
    ):
        for name in ("history_images", "mask", "hashtag_ids", "rows", "users", "predict"):
            assert getattr(ours, name).is_cuda
            assert torch.equal(getattr(ours, name).cpu(), getattr(wanted, name))


def trained(fold, folder=None, stop_after=None, device="cuda"):
    _, hashtags, histories = fold

    def stop(model, log):
        if len(log) == stop_after:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    return fit(
        HashtagModel(tiny_config()), histories.only(range(5)), histories.only(range(5)), hashtags,
        TrainConfig(epochs=6, learning_rate=1e-2, users_per_batch=2), folder, device,
        on_epoch=stop, checkpoint_seconds=0,
    )  # fmt: skip


def test_training_learns_and_goes_on_where_it_was_stopped(fold, tmp_path):
    _, log = trained(fold)
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4, 5, 6]
    assert log[-1]["loss"] < log[0]["loss"]
    with pytest.raises(KeyboardInterrupt):
        trained(fold, tmp_path, stop_after=3)
    _, resumed = trained(fold, tmp_path)
    assert [e["loss"] for e in resumed] == pytest.approx([e["loss"] for e in log], rel=0.02)
    assert not (tmp_path / "checkpoint.pt").exists()
    _, of_cpu = trained(fold, device="cpu")  # bfloat16 against float32
    assert [e["loss"] for e in of_cpu] == pytest.approx([e["loss"] for e in log], rel=0.05)


def test_a_step_at_the_papers_sizes(capsys):
    """442,000 hashtags, 16 users of 133 photos: it fits, and is finite."""
    torch.manual_seed(0)
    [batch] = [b.to(GPU) for b in make_batches(16, 16, 133, 442_000, d_i=2048)]
    model = HashtagModel(ModelConfig.paper()).to(GPU)
    psi = torch.randn(442_000, 300, device=GPU)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-5)
    targets = batch.hashtag_ids[batch.hashtag_offsets[:-1]]
    torch.cuda.reset_peak_memory_stats()
    before, losses, seconds = torch.cuda.memory_allocated(), [], []
    for _ in range(5):
        start = time.perf_counter()
        losses.append(train_step(model, optimizer, batch, targets, psi).item())
        seconds.append(time.perf_counter() - start)
    extra = (torch.cuda.max_memory_allocated() - before) / 2**20
    with capsys.disabled():
        print(f"\n{torch.cuda.get_device_name()}: {len(batch.rows)} photos, "
              f"{np.median(seconds):.3f} s a step, {extra:,.0f} MB more")  # fmt: skip
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert extra < 8 * 1024
