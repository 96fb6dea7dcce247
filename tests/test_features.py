"""Features of many pictures: killed, shared among processes, with pictures that cannot be read."""

import errno
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torchvision
from helpers import TRAIN_USERS, tiny_fold
from photo_tables import IMAGE, table_of
from picture_files import claims_to_be, encode, noise
from PIL import Image
from torch import nn

from hashtag_core import cli
from hashtag_core.data import pictures
from hashtag_core.data.histories import UserHistories, collate
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.picture_store import Pictures
from hashtag_core.data.pictures import PictureError, load_picture
from hashtag_core.errors import InputError
from hashtag_core.model.convnet import ConvNet
from hashtag_core.prepare import feature_files, features
from hashtag_core.prepare.features import extract_features, prepare_features
from hashtag_core.prepare.writing import write_collection

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("HASHTAG_CORE_KILLS", 3))


class MeanColour(nn.Module):
    """A network that counts its pictures, and stops when there were more than `limit`."""

    def __init__(self, limit: int = 1_000) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.limit, self.seen = limit, 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if self.seen + len(batch) > self.limit:
            raise KeyboardInterrupt
        self.seen += len(batch)
        return batch.mean(dim=(2, 3))  # (N, 3)


def tiny(limit: int = 1_000, weights: str = "none") -> ConvNet:
    return ConvNet("tiny", weights, MeanColour(limit), torchvision.transforms.ToTensor())


GREYS = [encode(Image.new("L", (4, 4), 20 * i), "PNG") for i in range(10)]
EXPECTED = np.array([[20 * i / 255] * 3 for i in range(10)], dtype=np.float32).astype(np.float16)
CUT_OFF = encode(noise(), "JPEG")[:300]


def interrupted(path, given=GREYS, batch_size=2, **options) -> None:
    """A first run that stops after four of ten pictures (and one to know the size)."""
    with pytest.raises(KeyboardInterrupt):
        extract_features(given, path, tiny(limit=5, **options), batch_size)


def one_line(action, *arguments) -> str:
    with pytest.raises(InputError) as raised:
        action(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# ---- batches, and going on


@pytest.mark.parametrize("batch_size", [1, 3, 10, 32])
def test_row_i_is_the_feature_of_picture_i_as_float16(batch_size, tmp_path):
    account = extract_features(GREYS, tmp_path / "f.npy", tiny(), batch_size)
    found = np.load(tmp_path / "f.npy", allow_pickle=False)
    assert found.dtype == np.float16
    assert np.array_equal(found, EXPECTED)
    assert account == {"read": 10, "left_out": {}}


def test_a_real_convnet_gives_what_it_gives_one_by_one(convnet, open_art, tmp_path):
    given = [open_art.picture(row) for row in range(6)]
    extract_features(given, tmp_path / "f.npy", convnet, batch_size=4)
    one_by_one = torch.cat([convnet([load_picture(picture)]) for picture in given])
    found = np.load(tmp_path / "f.npy").astype(np.float32)
    np.testing.assert_allclose(found, one_by_one, rtol=2e-3, atol=2e-3)


def test_an_interrupted_extraction_goes_on_at_the_batch(tmp_path):
    interrupted(tmp_path / "f.npy")
    second = tiny()
    assert extract_features(GREYS, tmp_path / "f.npy", second, 2)["read"] == 10
    assert second.network.seen == 6
    assert np.array_equal(np.load(tmp_path / "f.npy"), EXPECTED)


def test_a_finished_extraction_is_not_done_again(tmp_path):
    first = extract_features([*GREYS, None], tmp_path / "f.npy", tiny(), 2)
    second = tiny()
    assert extract_features([*GREYS, None], tmp_path / "f.npy", second, 2) == first
    assert second.network.seen == 0


@pytest.mark.parametrize(
    "change",
    [{"given": GREYS[::-1]}, {"given": GREYS[:3]}, {"weights": "better"}, {"batch_size": 5}],
    ids=str,
)
def test_another_job_starts_anew(change, tmp_path):
    interrupted(tmp_path / "f.npy")
    given = change.get("given", GREYS)
    second = tiny(weights=change.get("weights", "none"))
    extract_features(given, tmp_path / "f.npy", second, change.get("batch_size", 2))
    assert second.network.seen == len(given) + 1
    whole = EXPECTED[::-1] if given == GREYS[::-1] else EXPECTED[: len(given)]
    assert np.array_equal(np.load(tmp_path / "f.npy"), whole)


def test_features_of_another_job_that_took_long_are_not_thrown_away(tmp_path, monkeypatch):
    path = tmp_path / "f.npy"
    interrupted(path)
    with monkeypatch.context() as patch:
        patch.setattr(feature_files, "COSTLY", 3)
        told = one_line(extract_features, GREYS, path, tiny(), 5)
        assert f"{path} holds the features of 4 pictures, by a run with another ConvNet" in told
        second = tiny()
        extract_features(GREYS, path, second, 2)
        assert second.network.seen == 6
        path.unlink()
        extract_features(GREYS, path, tiny(), 5)
    assert np.array_equal(np.load(path), EXPECTED)


def test_the_progress_bar_begins_where_the_run_goes_on(tmp_path, capsys):
    interrupted(tmp_path / "f.npy")
    capsys.readouterr()
    extract_features(GREYS, tmp_path / "f.npy", tiny(), 2)
    bar = capsys.readouterr().err
    assert "4/10" in bar and "10/10" in bar


def test_no_pictures_at_all_are_no_rows(tmp_path):
    assert extract_features([], tmp_path / "f.npy", tiny()) == {"read": 0, "left_out": {}}
    assert np.load(tmp_path / "f.npy").shape == (0, 3)


@pytest.mark.parametrize(("batch_size", "workers"), [(0, 0), (-1, 0), (1, -1)])
def test_numbers_that_make_no_sense_are_refused(batch_size, workers, tmp_path):
    one_line(extract_features, GREYS, tmp_path / "f.npy", tiny(), batch_size, workers)


def test_features_that_float16_does_not_hold_are_refused(tmp_path):
    convnet = tiny()
    convnet.network.forward = lambda batch: batch.mean(dim=(2, 3)) * 1e6
    message = one_line(extract_features, GREYS, tmp_path / "f.npy", convnet, 5)
    assert "rows 0 to 4" in message


# ---- pictures that cannot be read


def test_pictures_that_cannot_be_read_are_rows_of_nan_and_counted_by_reason(tmp_path):
    given = [*GREYS[:3], None, CUT_OFF, GREYS[5], b"", claims_to_be(50_000, 50_000), None]
    account = extract_features(given, tmp_path / "f.npy", tiny(), 2)
    assert account == {
        "read": 4,
        "left_out": {
            pictures.NO_PICTURE: {"count": 2, "first": [3, 8]},
            pictures.TOO_LARGE: {"count": 1, "first": [7]},
            pictures.BROKEN: {"count": 2, "first": [4, 6]},
        },
    }
    found = np.load(tmp_path / "f.npy")
    assert np.array_equal(np.isnan(found).all(axis=1), np.isnan(found).any(axis=1))
    assert np.isnan(found[:, 0]).nonzero()[0].tolist() == [3, 4, 6, 7, 8]
    assert np.array_equal(found[[0, 1, 2, 5]], EXPECTED[[0, 1, 2, 5]])


def test_reasons_are_known_after_an_interruption(tmp_path):
    given = [None, *GREYS, CUT_OFF]
    interrupted(tmp_path / "f.npy", given)
    account = extract_features(given, tmp_path / "f.npy", tiny(), 2)
    assert account["read"] == 10
    assert account["left_out"][pictures.NO_PICTURE] == {"count": 1, "first": [0]}
    assert account["left_out"][pictures.BROKEN] == {"count": 1, "first": [11]}


def test_at_most_a_hundred_rows_of_a_reason_are_named(tmp_path):
    left = extract_features([None] * 120, tmp_path / "f.npy", tiny())["left_out"]
    assert left == {pictures.NO_PICTURE: {"count": 120, "first": list(range(100))}}


def collection(folder: Path, given: list[dict | None], features=None, **meta) -> Path:
    """A collection whose pictures are these, one user's, in their order; features (P, 0)."""
    photos = [(f"p{i:03d}", "ann", i) for i in range(len(given))]
    if features is None:
        features = np.zeros((len(given), 0), np.float16)
    write_collection(
        folder,
        table_of(photos, image=pa.array(given, IMAGE)),
        {"source": "test", **meta},
        lambda _, path: np.save(path, features),
    )
    return folder


def file(path: str) -> dict:
    return {"bytes": None, "path": path}


def held(data: bytes) -> dict:
    return {"bytes": data, "path": None}


@pytest.fixture
def awkward(tmp_path):
    """A collection of pictures of every kind, good ones first; and what shall become of each."""
    root = tmp_path / "pictures"
    (root / "inner").mkdir(parents=True)
    (root / "good.png").write_bytes(GREYS[3])
    (root / "inner" / "link.png").symlink_to(root / "good.png")
    (root / "empty.png").touch()
    (root / "broken.jpg").write_bytes(CUT_OFF)
    (root / "bomb.png").write_bytes(claims_to_be(50_000, 50_000))
    (root / "heavy.png").write_bytes(GREYS[0])
    os.truncate(root / "heavy.png", pictures.MAX_BYTES + 1)  # sparse
    (tmp_path / "secret.png").write_bytes(GREYS[1])
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "away").symlink_to(tmp_path)
    (root / "circle").symlink_to(root / "circle")
    (root / "a.zip").write_bytes(GREYS[3])
    os.mkfifo(root / "pipe.png")
    (root / "device.png").symlink_to("/dev/zero")
    fates = [
        (held(GREYS[2]), None),
        (file("good.png"), None),
        (file("inner/link.png"), None),
        (file("inner/../good.png"), None),
        (None, pictures.NO_PICTURE),
        (file(None), pictures.NO_PICTURE),
        (file("nowhere.png"), pictures.MISSING),
        (file("circle"), pictures.MISSING),
        (file("nu\0l.png"), pictures.MISSING),
        (file("x" * 300), pictures.UNREADABLE),
        (file("inner"), pictures.NO_FILE),
        (file(""), pictures.NO_FILE),
        (file("pipe.png"), pictures.NO_FILE),
        (file("empty.png"), pictures.BROKEN),
        (file("broken.jpg"), pictures.BROKEN),
        (held(b"<svg/>"), pictures.BROKEN),
        (held(b"8BPS" + bytes(99)), pictures.FOREIGN),
        (file("bomb.png"), pictures.TOO_LARGE),
        (file("heavy.png"), pictures.TOO_LARGE),
        (file("../secret.png"), pictures.OUTSIDE),
        (file("inner/../../secret.png"), pictures.OUTSIDE),
        (file(str(tmp_path / "secret.png")), pictures.OUTSIDE),
        (file("out.png"), pictures.OUTSIDE),
        (file("away/secret.png"), pictures.OUTSIDE),
        (file("device.png"), pictures.OUTSIDE),
        (file("a.zip/good.png#0+5+1"), pictures.CHANGED),
    ]
    images, reasons = zip(*fates, strict=True)
    return collection(tmp_path / "c", list(images), images=str(root)), list(reasons)


def test_every_kind_of_picture_meets_its_fate(awkward, tmp_path):
    folder, reasons = awkward
    given = Pictures(folder / "photos.parquet", tmp_path / "pictures")
    account = extract_features(given, tmp_path / "f.npy", tiny(), batch_size=3)
    assert account["read"] == reasons.count(None) == 4
    assert {r: left["first"] for r, left in account["left_out"].items()} == {
        reason: [row for row, r in enumerate(reasons) if r == reason] for reason in pictures.REASONS
    }
    found = np.load(tmp_path / "f.npy")
    assert np.array_equal(found[:4], EXPECTED[[2, 3, 3, 3]])
    assert np.isnan(found[4:]).all()


def test_a_collection_hands_out_its_pictures_by_the_same_rule(awkward):
    folder, reasons = awkward
    photos = PhotoCollection.load(folder)
    for row, reason in enumerate(reasons):
        if reason in (None, pictures.BROKEN, pictures.FOREIGN) or row == reasons.index(
            pictures.TOO_LARGE
        ):
            assert isinstance(photos.picture(row), bytes)  # decoding comes later
        else:
            with pytest.raises(PictureError, match=f"row {row}") as raised:
                photos.picture(row)
            assert raised.value.reason == reason
            assert str(raised.value).isprintable()


def test_a_collection_that_names_no_folder_has_its_pictures_with_it(tmp_path):
    folder = collection(tmp_path / "c", [file("one.png")])
    (folder / "one.png").write_bytes(GREYS[0])
    assert PhotoCollection.load(folder).picture(0) == GREYS[0]


@pytest.mark.parametrize("root", ["pictures", 7, None, ""])
def test_a_folder_of_pictures_that_is_not_absolute_is_refused(root, tmp_path):
    folder = collection(tmp_path / "c", [file("one.png")])
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "images": root}))
    assert "`images`" in one_line(lambda: PhotoCollection.load(folder).picture(0))
    assert "`images`" in one_line(prepare_features, folder)


def test_pictures_are_a_sequence(tmp_path):
    folder = collection(tmp_path / "c", [held(picture) for picture in GREYS])
    given = Pictures(folder / "photos.parquet", folder)
    assert list(given) == GREYS
    with pytest.raises(IndexError):
        given[-1]


# ---- workers, processes, kills


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A collection of 60 pictures in files, every seventh not there, and its folder of pictures."""
    base = tmp_path_factory.mktemp("mixed")
    (base / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for i in range(60):
        pixels = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        (base / "pictures" / f"{i}.png").write_bytes(encode(Image.fromarray(pixels), "PNG"))
        if i % 7 == 3:
            (base / "pictures" / f"{i}.png").unlink()
    return collection(
        base / "c", [file(f"{i}.png") for i in range(60)], images=str(base / "pictures")
    )


def pictures_of(folder: Path) -> Pictures:
    return Pictures(folder / "photos.parquet", folder.parent / "pictures")


def test_two_workers_find_what_none_finds(mixed, tmp_path):
    one = extract_features(pictures_of(mixed), tmp_path / "one.npy", tiny(), 8)
    two = extract_features(pictures_of(mixed), tmp_path / "two.npy", tiny(), 8, workers=2)
    assert one == two
    assert two["left_out"][pictures.MISSING]["count"] == 9
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()


class Dying:
    """A transform that ends its process."""

    def __call__(self, picture):
        if picture.size == (4, 4):
            os.kill(os.getpid(), signal.SIGKILL)
        return torchvision.transforms.functional.to_tensor(picture)


def test_a_killed_worker_is_explained(tmp_path):
    convnet = replace(tiny(), transform=Dying())
    message = one_line(extract_features, GREYS, tmp_path / "f.npy", convnet, 2, 1)
    assert "worker process was killed" in message and "fewer workers" in message


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_table_of_pictures_is_said_in_one_line(workers, tmp_path):
    folder = collection(tmp_path / "c", [held(picture) for picture in GREYS])
    path = folder / "photos.parquet"
    column = pq.ParquetFile(path).metadata.row_group(0)
    [at] = [
        column.column(i).data_page_offset
        for i in range(column.num_columns)
        if column.column(i).path_in_schema == "image.bytes"
    ]
    data = bytearray(path.read_bytes())
    data[at : at + 60] = bytes(60)
    path.write_bytes(data)
    given = Pictures(path, folder)
    message = one_line(extract_features, given, tmp_path / "f.npy", tiny(), 2, workers)
    assert message.startswith(f"{path}: damaged")


SLOW = """
import sys, time
import torch
from test_features import pictures_of, resnet
from pathlib import Path
from hashtag_core.prepare.features import extract_features
if __name__ == "__main__":
    torch.set_num_threads(1)
    print("ready", flush=True)
    path = Path(sys.argv[2])
    extract_features(pictures_of(Path(sys.argv[1])), path, resnet(), 4, workers=int(sys.argv[3]))
"""


def resnet() -> ConvNet:
    """A small ResNet with random weights, always the same."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=8).eval().requires_grad_(False)
    network.fc = nn.Identity()
    return ConvNet("resnet18", "random", network, torchvision.transforms.ToTensor())


def test_killed_at_any_moment_the_result_has_the_same_bytes(mixed, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}

    def start(path, workers=0):
        command = [sys.executable, tmp_path / "slow.py", mixed, path, str(workers)]
        run = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert run.stdout.readline() == b"ready\n"
        return run

    def done() -> int:
        path = tmp_path / "f.npy.rows"
        return int((np.fromfile(path, np.uint8) > 0).sum()) if path.exists() else 0

    assert start(tmp_path / "whole.npy").communicate(timeout=120)[1].count(b"60/60")
    rng, at = random.Random(KILLS), []
    for kill in range(KILLS):
        run = start(tmp_path / "f.npy", workers=2 if kill % 4 == 3 else 0)
        enough = done() + rng.randrange(12)  # rows; a batch has 4
        while run.poll() is None and done() < enough:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        run.kill()
        run.communicate()
        at.append(done())
        if at[-1] == 60:  # it was quicker; anew
            for path in tmp_path.glob("f.npy*"):
                path.unlink()
    print(f"killed with {at} of 60 rows done")
    assert any(rows < 60 for rows in at)
    assert start(tmp_path / "f.npy").communicate(timeout=120)[1].count(b"60/60")
    for name in ("npy", "npy.rows"):
        assert (tmp_path / f"f.{name}").read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


def test_two_processes_of_torchrun_do_what_one_does(mixed, tmp_path):
    accounts, found = [], []
    for launcher in ([], ["torch.distributed.run", "--nproc-per-node", "2", "-m"]):
        folder = tmp_path / f"c{len(launcher)}"
        shutil.copytree(mixed, folder)
        command = ["prepare", "features", str(folder), "--batch-size", "8", "--device", "cpu"]
        run = subprocess.run(
            [sys.executable, "-m", *launcher, "hashtag_core.cli", *command],
            cwd=ROOT, capture_output=True, text=True, timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("51  pictures read") == 1
        assert run.stdout.count("9  left out: the file is missing  (row 3, 10, 17, 24, 31, …)") == 1
        photos = PhotoCollection.load(folder)
        assert sorted(path.name for path in folder.iterdir()) == [
            "features.next.npy", "meta.json", "photos.parquet",
        ]  # fmt: skip
        accounts.append(photos.meta["pictures"])
        found.append(np.asarray(photos.features))
    assert accounts[0] == accounts[1]
    assert found[0].shape == (60, 1280)
    assert np.array_equal(*found, equal_nan=True)


# ---- a full disk


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_known_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    convnet = tiny()
    assert "the disk is full" in one_line(extract_features, GREYS, tmp_path / "f.npy", convnet, 2)
    assert convnet.network.seen == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_reserve_is_written_to(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported, raising=False)
    extract_features(GREYS, tmp_path / "f.npy", tiny())
    assert np.array_equal(np.load(tmp_path / "f.npy"), EXPECTED)


def test_a_disk_that_gets_full_keeps_what_was_computed(tmp_path, monkeypatch):
    write, calls = feature_files._write_at, []

    def filling(*arguments):
        calls.append(1)
        return full() if len(calls) > 6 else write(*arguments)

    monkeypatch.setattr(feature_files, "_write_at", filling)
    message = one_line(extract_features, GREYS, tmp_path / "f.npy", tiny(), 2)
    assert "the disk is full" in message and "kept" in message
    monkeypatch.undo()
    second = tiny()
    extract_features(GREYS, tmp_path / "f.npy", second, 2)
    assert second.network.seen == 6  # the two batches whose rows were called done are kept
    assert np.array_equal(np.load(tmp_path / "f.npy"), EXPECTED)


# ---- a collection's features


@pytest.fixture
def with_tiny(monkeypatch):
    """`prepare_features` with the tiny ConvNet; the list holds those that were loaded."""
    loaded = []

    def load(name, device="cpu", limit=1_000):
        loaded.append(replace(tiny(limit), name=name))
        return loaded[-1]

    monkeypatch.setattr(features, "load_convnet", load)
    return loaded


def greys(folder: Path, **options) -> Path:
    return collection(folder, [*map(held, GREYS), None], **options)


def test_a_collection_gets_its_features(tmp_path, with_tiny):
    folder = greys(tmp_path / "c", licence="free")
    account = prepare_features(folder, "a", 4, device="cpu")
    photos = PhotoCollection.load(folder)
    assert np.array_equal(photos.features[:10], EXPECTED)
    assert np.isnan(photos.features[10]).all()
    assert photos.meta == {
        "made_by": "hashtag_core",
        "format_version": 1,
        "source": "test",
        "licence": "free",
        "counts": {"photos": 11, "users": 1},
        "features": "features.next.npy",
        "convnet": {"name": "a", "weights": "none"},
        "pictures": account,
    }
    assert account["left_out"] == {pictures.NO_PICTURE: {"count": 1, "first": [10]}}


def test_features_of_another_convnet_are_replaced(tmp_path, with_tiny):
    old = np.ones((11, 7), np.float16)
    folder = greys(tmp_path / "c", features=old, convnet={"name": "old", "weights": "w"})
    prepare_features(folder, "a", device="cpu")
    photos = PhotoCollection.load(folder)
    assert photos.features.shape == (11, 3)
    assert photos.meta["convnet"]["name"] == "a"


def test_until_the_end_the_collection_stays_as_it_was(tmp_path, with_tiny, monkeypatch):
    folder = greys(tmp_path / "c")
    load = features.load_convnet
    monkeypatch.setattr(features, "load_convnet", functools.partial(load, limit=5))
    with pytest.raises(KeyboardInterrupt):
        prepare_features(folder, "a", 2, device="cpu")
    assert PhotoCollection.load(folder).features.shape == (11, 0)
    monkeypatch.setattr(features, "load_convnet", load)
    prepare_features(folder, "a", 2, device="cpu")
    assert with_tiny[-1].network.seen == 6
    assert np.array_equal(PhotoCollection.load(folder).features[:10], EXPECTED)


def test_a_finished_one_begins_anew_and_finds_pictures_that_came_since(tmp_path, with_tiny):
    folder = collection(tmp_path / "c", [held(GREYS[0]), file("late.png")])
    assert prepare_features(folder, "a", device="cpu")["read"] == 1
    (folder / "late.png").write_bytes(GREYS[1])
    assert prepare_features(folder, "a", device="cpu") == {"read": 2, "left_out": {}}


def stopped(monkeypatch, folder, convnet, moment) -> None:
    """A run that stops where it would replace meta.json, or remove what is of no use any more."""
    action, name = {
        "before meta.json": ("replace", ".meta.json.hashtag-core.partial"),
        "after meta.json": ("unlink", PhotoCollection.load(folder).meta.get("features", NAMES[0])),
        "at the notes": ("unlink", "features.next.npy.rows"),
    }[moment]
    do = getattr(Path, action)

    def stopping(self, *arguments, **options):
        if self.name == name:
            raise KeyboardInterrupt
        return do(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, action, stopping)
        with pytest.raises(KeyboardInterrupt):
            prepare_features(folder, convnet, device="cpu")


def test_features_of_a_collection_that_was_replaced_meanwhile_are_not_given_to_another(
    tmp_path, with_tiny, monkeypatch
):
    folder = greys(tmp_path / "c")
    extract, replaced = features.extract_features, []

    def slow(*arguments):
        account = extract(*arguments)
        greys(tmp_path / "d", source="another")
        shutil.rmtree(folder)
        (tmp_path / "d").rename(folder)
        replaced.append((folder / "meta.json").read_bytes())
        return account

    monkeypatch.setattr(features, "extract_features", slow)
    assert "was replaced meanwhile" in one_line(prepare_features, folder, "a")
    assert (folder / "meta.json").read_bytes() == replaced[0]


NAMES = ["features.npy", "features.next.npy"]


@pytest.mark.parametrize("moment", ["before meta.json", "after meta.json", "at the notes"])
@pytest.mark.parametrize("then", ["a", "b"])
def test_stopped_while_features_are_replaced_they_and_meta_json_belong_together(
    moment, then, tmp_path, with_tiny, monkeypatch
):
    old = np.ones((11, 7), np.float16)
    folder = greys(tmp_path / "c", features=old, convnet={"name": "old", "weights": "w"})
    stopped(monkeypatch, folder, "a", moment)
    photos = PhotoCollection.load(folder)
    if moment == "before meta.json":
        assert photos.meta["convnet"]["name"] == "old" and np.array_equal(photos.features, old)
    else:
        assert photos.meta["convnet"]["name"] == "a"
        assert np.array_equal(photos.features[:10], EXPECTED)
    account = prepare_features(folder, then, device="cpu")
    photos = PhotoCollection.load(folder)
    assert photos.meta["convnet"]["name"] == then and photos.meta["pictures"] == account
    assert np.array_equal(photos.features[:10], EXPECTED)
    goes_on = moment == "before meta.json" and then == "a"
    assert sum(net.network.seen for net in with_tiny) == (11 if goes_on else 22)
    assert len(list(folder.iterdir())) == 3


def test_what_a_stopped_run_left_is_not_taken_for_a_later_one(tmp_path, with_tiny, monkeypatch):
    folder = collection(tmp_path / "c", [held(GREYS[0]), file("late.png")])
    stopped(monkeypatch, folder, "a", "at the notes")
    stopped(monkeypatch, folder, "b", "after meta.json")  # what "a" made lies beside it
    (folder / "late.png").write_bytes(GREYS[1])
    assert prepare_features(folder, "a", device="cpu") == {"read": 2, "left_out": {}}


def test_features_change_between_two_names(tmp_path, with_tiny):
    folder = greys(tmp_path / "c")
    for name in ("features.next.npy", "features.npy", "features.next.npy"):
        prepare_features(folder, "a", device="cpu")
        assert PhotoCollection.load(folder).meta["features"] == name
        assert sorted(path.name for path in folder.iterdir()) == [
            name, "meta.json", "photos.parquet",
        ]  # fmt: skip


def test_without_a_single_picture_the_features_stay(tmp_path, with_tiny):
    old = np.ones((2, 5), np.float16)
    folder = collection(tmp_path / "c", [None, file("nowhere.png")], features=old)
    assert "none of the 2 pictures" in one_line(prepare_features, folder, "a")
    assert np.array_equal(PhotoCollection.load(folder).features, old)
    assert len(list(folder.iterdir())) == 3


def test_a_folder_of_pictures_that_is_not_there_is_said_at_once(tmp_path, with_tiny):
    folder = collection(tmp_path / "c", [file("one.png")], images=str(tmp_path / "un\x1bmounted"))
    message = one_line(prepare_features, folder, "a")
    assert "unmounted" not in message and "\\x1bmounted" in message and with_tiny == []


def test_a_collection_without_a_column_of_pictures_is_refused(tmp_path, with_tiny):
    folder = greys(tmp_path / "c")
    table = pq.read_table(folder / "photos.parquet").drop_columns("image")
    pq.write_table(table, folder / "photos.parquet")
    assert "no column `image`" in one_line(prepare_features, folder, "a")


def test_a_folder_that_is_no_collection_is_refused(tmp_path):
    assert "no photos.parquet" in one_line(prepare_features, tmp_path)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_are_loaded(unit, tmp_path):
    table = table_of([("p0", "ann", 1), ("p1", "ann", 2)], image=pa.array([None] * 2, IMAGE))
    at = table.column_names.index("time")
    table = table.set_column(at, "time", table["time"].cast(pa.timestamp(unit)))
    write_collection(
        tmp_path / "c", table, {}, lambda p, path: np.save(path, np.zeros((2, 0), np.float16))
    )
    assert len(PhotoCollection.load(tmp_path / "c")) == 2


# ---- the command


def test_the_command_prints_what_was_left_out_and_why(tmp_path, with_tiny, capsys):
    folder = greys(tmp_path / "c\x1b[31m")
    assert cli.main(["prepare", "features", str(folder), "--convnet", "a", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "10  pictures read with a\n" in printed
    assert "1  left out: no picture  (row 10)\n" in printed
    assert "\x1b" not in printed


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    greys(tmp_path / "c")
    command = ["prepare", "features", str(tmp_path / "c")]
    assert cli.main([*command, "--convnet", "resnet5"]) == 2
    assert "no ConvNet 'resnet5'" in capsys.readouterr().err
    assert cli.main([*command, "--batch-size", "0", "--device", "cpu"]) == 2
    assert "batches of 0" in capsys.readouterr().err


# ---- photos without a feature, later on


@pytest.fixture
def holed():
    """Some histories, with the features of three photos NaN, and those photos' rows."""
    photos, hashtags, _ = tiny_fold()
    histories = UserHistories(photos, hashtags, TRAIN_USERS)
    one, other = [rows for rows in histories.rows if len(rows) >= 3][:2]
    rows = np.array([one[0], one[2], other[1]])
    found = np.array(photos.features)
    found[rows] = np.nan
    return UserHistories(replace(photos, features=found), hashtags, TRAIN_USERS), histories, rows


def test_histories_have_zeros_for_a_picture_that_could_not_be_read(holed):
    histories, whole, rows = holed
    for as_tensor in (False, True):
        if as_tensor:  # as `resident` has them
            histories.features = torch.as_tensor(histories.features)
        batch = collate([histories[item] for item in range(len(histories))])
        expected = collate([whole[item] for item in range(len(whole))])
        images, wanted = batch.history_images[batch.mask], expected.history_images[expected.mask]
        unread = torch.isin(batch.rows, torch.from_numpy(rows))
        assert unread.sum() == 3
        assert (images[unread] == 0).all()
        assert torch.equal(images[~unread], wanted[~unread])
    assert histories.features[rows].isnan().all()  # the collection's own stay as they are


def test_infinite_features_are_refused_before_anything_is_learned_from_them(holed):
    histories, _, rows = holed
    histories.features[rows] = np.inf
    message = one_line(lambda: [histories[item] for item in range(len(histories))])
    assert f"row {rows[0]} of the features holds infinity" in message


def test_pictures_without_a_feature_are_not_found(odd_predictor, odd_photos):
    found = np.array(odd_photos.features)
    found[[1, 3]] = np.nan
    name = odd_predictor.hashtags.names[0]
    best = odd_predictor.pictures(name, found, k=len(found))
    assert sorted(row for row, _ in best) == [r for r in range(len(found)) if r not in (1, 3)]
    plain = dict(odd_predictor.pictures(name, odd_photos.features, k=len(found)))
    assert all(score == pytest.approx(plain[row], abs=1e-5) for row, score in best)


def test_a_vector_of_nan_is_read_as_zeros(odd_predictor, odd_photos):
    unread = np.full(odd_photos.features.shape[1], np.nan, np.float16)
    assert (odd_predictor.feature(unread) == 0).all()


# ---- a second ConvNet, for the pictures to predict


def test_a_second_convnet_leaves_the_first_ones_features_as_they_are(tmp_path, with_tiny):
    folder = greys(tmp_path / "c")
    prepare_features(folder, "a", 4, device="cpu")
    first = PhotoCollection.load(folder)
    account = prepare_features(folder, "b", 4, device="cpu", query=True)
    photos = PhotoCollection.load(folder)
    assert np.array_equal(photos.features, first.features, equal_nan=True)
    assert np.array_equal(photos.query_features[:10], EXPECTED)
    assert (photos.convnet, photos.query_convnet) == ("a", "b")
    changes = {
        "query_features": "query.npy",
        "query_convnet": {"name": "b", "weights": "none"},
        "query_pictures": account,
    }
    assert photos.meta == first.meta | changes
    assert photos.checksum() != first.checksum()
    assert first.query_features is None and first.to_predict is first.features


def test_a_second_convnets_features_are_replaced_in_one_stroke(tmp_path, with_tiny, monkeypatch):
    folder = greys(tmp_path / "c")
    prepare_features(folder, "a", device="cpu")
    prepare_features(folder, "b", device="cpu", query=True)
    load = features.load_convnet
    monkeypatch.setattr(features, "load_convnet", functools.partial(load, limit=5))
    with pytest.raises(KeyboardInterrupt):
        prepare_features(folder, "c", 2, device="cpu", query=True)
    assert PhotoCollection.load(folder).query_convnet == "b"
    monkeypatch.setattr(features, "load_convnet", load)
    prepare_features(folder, "c", 2, device="cpu", query=True)
    assert with_tiny[-1].network.seen == 6  # it went on
    assert PhotoCollection.load(folder).query_convnet == "c"
    names = {path.name for path in folder.iterdir()}
    assert names == {"photos.parquet", "meta.json", "features.next.npy", "query.next.npy"}


def test_a_collection_with_two_convnets_may_be_replaced(tmp_path, with_tiny):
    folder = tmp_path / "c"
    table = table_of([("p0", "ann", 1)], image=pa.array([held(GREYS[0])], IMAGE))

    def two_numbers(pictures, path):
        np.save(path, np.zeros((len(pictures), 2), np.float16))

    write_collection(folder, table, {"source": "test"}, two_numbers)
    prepare_features(folder, "b", device="cpu", query=True)
    write_collection(folder, table, PhotoCollection.load(folder).meta, two_numbers)
    photos = PhotoCollection.load(folder)
    assert photos.query_features is None and photos.query_convnet is None


def test_the_command_extracts_for_the_side_that_is_named(tmp_path, with_tiny, capsys):
    folder = greys(tmp_path / "c")
    command = ["prepare", "features", str(folder), "--device", "cpu"]
    assert cli.main([*command, "--query-convnet", "b"]) == 0
    photos = PhotoCollection.load(folder)
    assert photos.features.shape == (11, 0) and photos.query_convnet == "b"
    assert "pictures read with b, for the pictures to predict" in capsys.readouterr().out
    assert cli.main([*command, "--convnet", "a", "--query-convnet", "c"]) == 0
    photos = PhotoCollection.load(folder)
    assert (photos.convnet, photos.query_convnet) == ("a", "c")
    assert cli.main([*command, "--convnet", "d"]) == 0
    photos = PhotoCollection.load(folder)
    assert (photos.convnet, photos.query_convnet) == ("d", "c")


def test_query_features_of_other_photos_are_refused(tmp_path, with_tiny):
    folder = greys(tmp_path / "c")
    prepare_features(folder, "a", device="cpu", query=True)
    np.save(folder / "query.npy", np.zeros((3, 3), np.float16))
    assert "features have shape (3, 3), but there are 11 photos" in one_line(
        PhotoCollection.load, folder
    )


def test_histories_show_each_side_its_own_features(tmp_path, with_tiny):
    photos, hashtags, _ = tiny_fold()
    second = -np.concatenate([photos.features, photos.features], axis=1)
    two = replace(photos, query_features=second)
    batch = collate([UserHistories(two, hashtags, TRAIN_USERS)[1]])
    rows = batch.rows.numpy()
    assert np.array_equal(batch.history_images[0].numpy(), photos.features[rows].astype("f4"))
    assert np.array_equal(batch.query_images[0].numpy(), second[rows].astype("f4"))
