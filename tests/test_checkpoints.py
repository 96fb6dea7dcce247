"""Training that is stopped, killed or out of disk goes on and ends as if nothing had happened."""

import errno
import json
import os
import random
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import OTHER_USERS, TRAIN_USERS, tiny_config, tiny_fold

from hashtag_core import cli
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.errors import InputError
from hashtag_core.files import whole_file
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.study.study import Study
from hashtag_core.training import loop as training
from hashtag_core.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from hashtag_core.training.loop import fit
from hashtag_core.training.runs import is_finished, load_run
from hashtag_core.training.state import TrainConfig

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("HASHTAG_CORE_KILLS", 3))
SETTINGS = TrainConfig(epochs=5, learning_rate=1e-2, users_per_batch=2, patience=5)
STEPS = 3  # six users, two a batch
FILES = ["hashtags.parquet", "model.safetensors", "run.json"]


class Killed(BaseException):
    """Instead of a signal: nothing in the library catches it to go on."""


@pytest.fixture(scope="module")
def fold():
    photos, hashtags, _ = tiny_fold()
    return hashtags, *(UserHistories(photos, hashtags, u) for u in (TRAIN_USERS, OTHER_USERS))


@pytest.fixture(scope="module")
def train(fold):
    """Train the tiny model in a folder, a checkpoint after every step."""

    def train(folder, seconds=0.0, seed=0, on_epoch=None, provenance=None, **changes):
        hashtags, *sets = fold
        settings = replace(SETTINGS, **changes)
        torch.manual_seed(seed)
        model = HashtagModel(tiny_config())
        return fit(
            model, *sets, hashtags, settings, folder, "cpu", provenance,
            on_epoch=on_epoch, checkpoint_seconds=seconds,
        )  # fmt: skip

    return train


@pytest.fixture(scope="module")
def whole(train):
    """What an undisturbed training gives."""
    return train(None)


@pytest.mark.parametrize("name", ["model.safetensors", "hashtags.parquet", "run.json"])
def test_files_of_somebody_else_s_under_a_run_s_names_stay(name, train, tmp_path):
    (tmp_path / name).write_text('{"mine": true}')
    with pytest.raises(InputError, match=f"{name}.*Move it elsewhere"):
        train(tmp_path)
    assert (tmp_path / name).read_text() == '{"mine": true}' and names_in(tmp_path) == [name]


@pytest.fixture
def killed_at(monkeypatch):
    """Make the n-th call (from 0) of a function raise `Killed`; `again` takes that back."""

    def kill(owner, name, number):
        real, calls = getattr(owner, name), []

        def counted(*arguments, **options):
            if len(calls) == number:
                raise Killed
            calls.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    kill.again = monkeypatch.undo
    return kill


def same(one, other):
    (model, log), (model2, log2) = one, other
    weights, weights2 = model.state_dict(), model2.state_dict()
    assert weights.keys() == weights2.keys()
    return log == log2 and all(torch.equal(weights[n], weights2[n]) for n in weights)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- stopped anywhere


@pytest.mark.parametrize("step", range(5 * STEPS))
def test_stopped_before_any_step_it_ends_with_the_same_weights(
    train, whole, killed_at, monkeypatch, tmp_path, step
):
    killed_at(training, "train_step", step)
    with pytest.raises(Killed):
        train(tmp_path)
    killed_at.again()
    real, made = training.train_step, []
    monkeypatch.setattr(training, "train_step", lambda *given: (made.append(1), real(*given))[1])
    result = train(tmp_path)
    assert same(result, whole) and len(made) == 5 * STEPS - step
    assert names_in(tmp_path) == FILES
    loaded, _, run = load_run(tmp_path)
    assert same((loaded, run["log"]), whole)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_stopped_at_any_write_it_ends_with_the_same_weights(
    train, whole, killed_at, tmp_path, seconds
):
    number = 0
    while True:  # until there is no such write
        folder = tmp_path / str(number)
        killed_at(os, "fsync", number)
        try:
            train(folder, seconds)
            break
        except Killed:
            finished = is_finished(folder)
        killed_at.again()
        assert not finished and not [n for n in names_in(folder) if n.endswith(".partial")]
        assert same(train(folder, seconds), whole) and is_finished(folder)
        number += 1
    assert number > (5 * STEPS if seconds == 0 else 5)


def test_stopped_again_and_again(train, whole, killed_at, tmp_path):
    for step in [2, 0, 1, 3, 0, 4]:
        killed_at(training, "train_step", step)
        with pytest.raises(Killed):
            train(tmp_path)
        killed_at.again()
    assert same(train(tmp_path), whole)


@pytest.mark.parametrize("epoch", range(5))
def test_stopped_in_the_validation_or_by_the_caller(train, whole, killed_at, tmp_path, epoch):
    killed_at(training, "evaluate", epoch)
    with pytest.raises(Killed):
        train(tmp_path)
    killed_at.again()
    assert same(train(tmp_path), whole)

    def on_epoch(model, log):
        if len(log) == epoch + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "other", seconds=1e9, on_epoch=on_epoch)
    assert same(train(tmp_path / "other"), whole)


def test_a_part_that_draws_draws_what_it_would_have(fold, train, killed_at, tmp_path):
    """The global generator is part of the checkpoint."""

    def run(folder):
        hashtags, *sets = fold
        torch.manual_seed(0)
        model = HashtagModel(tiny_config())
        model.phi_iu.append(torch.nn.Dropout(0.3))
        return fit(model, *sets, hashtags, SETTINGS, folder, "cpu", checkpoint_seconds=0)

    undisturbed = run(None)
    killed_at(training, "train_step", 7)
    with pytest.raises(Killed):
        run(tmp_path)
    killed_at.again()
    assert same(run(tmp_path), undisturbed)


@pytest.fixture
def scripted(monkeypatch):
    """Validation says what it is told to, from the given epoch on."""

    def script(results):
        left = iter(results)

        def fake_evaluate(model, valid_batches, hashtags, candidates, processes):
            return {"seen": {"R@10": next(left), "A@1": 0.0, "photos": 1}}

        monkeypatch.setattr(training, "evaluate", fake_evaluate)

    return script


@pytest.mark.parametrize("stop_at", range(1, 5 * STEPS))
def test_the_best_epoch_and_the_patience_survive(train, scripted, killed_at, tmp_path, stop_at):
    results = [10.0, 30.0, 20.0, 30.0, 29.0, 90.0]  # 2 is best; with patience 3, 5 is the last
    scripted(results)
    undisturbed = train(None, epochs=6, patience=3)
    assert len(undisturbed[1]) == 5
    killed_at(training, "train_step", stop_at)
    scripted(results)
    with pytest.raises(Killed):
        train(tmp_path, epochs=6, patience=3)
    killed_at.again()
    scripted(results[stop_at // STEPS :])
    assert same(train(tmp_path, epochs=6, patience=3), undisturbed)


def test_an_epoch_that_goes_on_reads_no_feature_of_the_users_before(fold, monkeypatch):
    read = []
    real = UserHistories.__getitem__
    monkeypatch.setattr(
        UserHistories, "__getitem__", lambda self, i: (read.append(i), real(self, i))[1]
    )
    generator = torch.Generator().manual_seed(0)
    every = list(batches(fold[1], 2, True, generator))
    read.clear()
    generator.manual_seed(0)
    rest = list(batches(fold[1], 2, True, generator).start_at(1))
    assert len(read) == 4
    for one, other in zip(every[1:], rest, strict=True):
        assert torch.equal(one.rows, other.rows)


@pytest.mark.parametrize("processes", [2, 3])
def test_the_generators_of_all_processes_stay_the_same(fold, processes):
    states = []
    for rank in range(processes):
        generator = torch.Generator().manual_seed(0)
        for batch in batches(fold[1], 4, True, generator, rank, processes):
            batch.draw_targets(generator)
        states.append(generator.get_state())
    assert all(torch.equal(state, states[0]) for state in states)


# ---- what lies in the folder


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"epochs": 4}, "training"),
        ({"learning_rate": 2e-2}, "training"),
        ({"seed": 1}, "first weights"),
        ({"provenance": {"sha256": "other"}}, "data"),
    ],
)
def test_the_checkpoint_of_another_training_is_not_gone_on_from(
    train, killed_at, tmp_path, capsys, change, why
):
    killed_at(training, "train_step", 4)
    with pytest.raises(Killed):
        train(tmp_path)
    killed_at.again()
    undisturbed = train(None, **change)
    capsys.readouterr()
    assert same(train(tmp_path, **change), undisturbed)
    [line] = capsys.readouterr().out.splitlines()
    assert f"of another training ({why}); it starts anew" in line
    assert names_in(tmp_path) == FILES


def test_going_on_is_said_in_one_line(train, killed_at, tmp_path, capsys):
    killed_at(training, "train_step", 4)
    with pytest.raises(Killed):
        train(tmp_path)
    killed_at.again()
    assert capsys.readouterr().out == ""
    train(tmp_path)
    [line] = capsys.readouterr().out.splitlines()
    assert "checkpoint.pt: goes on in epoch 2 after 1 steps" in line


def cut(whole_bytes):
    return whole_bytes[: len(whole_bytes) // 2]


def spoilt(whole_bytes):
    half = len(whole_bytes) // 2
    return whole_bytes[:half] + bytes(64) + whole_bytes[half + 64 :]


@pytest.mark.parametrize("damage", [cut, spoilt, lambda _: b"", lambda _: b"no"])
def test_a_damaged_checkpoint_is_an_input_error_that_says_what_to_do(
    train, whole, killed_at, tmp_path, damage
):
    killed_at(training, "train_step", 4)
    with pytest.raises(Killed):
        train(tmp_path)
    killed_at.again()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"checkpoint\.pt: a damaged .* Delete it to") as error:
        train(tmp_path)
    assert "\n" not in str(error.value)
    path.unlink()
    assert same(train(tmp_path), whole)


def test_a_checkpoint_of_something_else_is_damaged_too(tmp_path):
    write_checkpoint(tmp_path / "checkpoint.pt", {"weights": torch.ones(2)})
    with pytest.raises(InputError, match="Delete it"):
        read_checkpoint(tmp_path / "checkpoint.pt")


# ---- a full disk


class FullDisk:
    """A file that takes so many bytes and no more."""

    def __init__(self, room):
        self.room = room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)

    def flush(self):
        pass


@pytest.mark.parametrize("room", [0, 100, 3000, 40_000])
def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(
    train, whole, monkeypatch, tmp_path, room
):
    """Torch's writer turns what the disk says into a RuntimeError, as it really does here."""
    real, calls = torch.save, []

    def save(content, file):
        calls.append(1)
        real(content, FullDisk(room) if len(calls) == 5 else file)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(InputError, match=r"checkpoint\.pt: the disk is full") as error:
        train(tmp_path)
    assert "the last good checkpoint is still there" in str(error.value)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)
    assert names_in(tmp_path) == ["checkpoint.pt", *FILES]
    monkeypatch.undo()
    assert same(train(tmp_path), whole)


@pytest.mark.parametrize("call", range(12))
def test_a_disk_that_is_full_when_all_is_written_is_the_same(
    train, whole, monkeypatch, tmp_path, call
):
    """Some file systems say it no earlier than at fsync; here also for the run's files."""
    real, calls = os.fsync, []

    def fsync(file):
        calls.extend([1] * stat.S_ISREG(os.fstat(file).st_mode))  # not of folders
        if len(calls) == call + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    kept = "the last good checkpoint" if call else "what was written before"
    with pytest.raises(InputError, match=f"the disk is full; {kept} is still there"):
        train(tmp_path)
    assert not [name for name in names_in(tmp_path) if name.endswith(".partial")]
    monkeypatch.undo()
    assert same(train(tmp_path), whole)


def test_another_error_while_writing_stays_what_it_is(tmp_path):
    (tmp_path / "a").write_text("before")
    with pytest.raises(KeyError), whole_file(tmp_path / "a") as partial:
        partial.write_text("half")
        raise KeyError
    assert names_in(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "before"


# ---- a study and a command


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "site"
    numbers = ["--users", "30", "--photos", "12", "--hashtags", "400"]
    assert cli.main(["prepare", "simulated", *numbers, "--out", str(folder)]) == 0
    return folder


def test_a_study_goes_on(simulated, killed_at, tmp_path, monkeypatch):
    from hashtag_core.data.photos import PhotoCollection

    monkeypatch.setattr(Checkpoint, "due", lambda self: self.path is not None)

    def model(folder):
        settings = TrainConfig(epochs=2, learning_rate=1e-3, users_per_batch=4)
        study = Study(PhotoCollection.load(simulated), folder, device="cpu", training=settings)
        made = study.model(0, "open", "ours (hashtag)")
        return made, load_run(study.path(0, "open", "ours (hashtag)"))[2]["log"]

    undisturbed = model(tmp_path / "a")
    for step in (6, 3):  # in the second epoch: the best so far is there, and not taken for the end
        killed_at(training, "train_step", step)
        with pytest.raises(Killed):
            model(tmp_path / "b")
        killed_at.again()
        [run] = (tmp_path / "b").glob("*/open/ours-hashtag")
        assert names_in(run) == ["checkpoint.pt", *FILES] and not is_finished(run)
    assert same(model(tmp_path / "b"), undisturbed)
    assert names_in(run) == FILES


EVERY_STEP = (  # hashtag-core, with a checkpoint after every step
    "import sys; from hashtag_core import cli; from hashtag_core.training import checkpoints;"
    "checkpoints.Checkpoint.due = lambda self: self.path is not None;"
    "sys.exit(cli.main(sys.argv[1:]))"
)


def start(simulated, out):
    options = ["--epochs", "6", "--device", "cpu", "--data", str(simulated), "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-c", EVERY_STEP, "train", *options],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def wait_for_training(process, out):
    """Until the process writes to the run folder, or ends: the time then."""
    begin = time.time()
    while process.poll() is None:
        if any(path.stat().st_mtime > begin for path in out.rglob("checkpoint.pt*")):
            break
        time.sleep(0.005)
    return time.monotonic()


def test_killed_at_random_moments_a_training_ends_as_if_it_never_had_been(simulated, tmp_path):
    process = start(simulated, tmp_path / "a")
    begin = wait_for_training(process, tmp_path / "a")
    assert process.wait() == 0, process.stderr.read()
    seconds = time.monotonic() - begin

    rng, kills = random.Random(time.time_ns()), 0
    for _ in range(KILLS):
        process = start(simulated, tmp_path / "b")
        wait_for_training(process, tmp_path / "b")
        time.sleep(rng.uniform(0, 1.5 * seconds / KILLS))
        process.kill()
        kills += process.wait() != 0
    assert kills
    process = start(simulated, tmp_path / "b")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    [one], [other] = (list(tmp_path.glob(f"{x}/*/open/ours-image-hashtag")) for x in "ab")
    assert names_in(one) == names_in(other) == [*FILES[:2], "prediction.json", "run.json"]
    for name in ("model.safetensors", "prediction.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    logs = [json.loads((folder / "run.json").read_text())["log"] for folder in (one, other)]
    assert logs[0] == logs[1] and len(logs[0]) == 6
    print(f"{kills} of {KILLS} kills hit a training of {seconds:.1f} s.")
