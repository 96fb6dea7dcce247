"""Features of many pictures: Equation 2 for a whole collection, in batches, and never twice.

Workers decode the pictures while the ConvNet computes. `torchrun` starts several processes, on one
machine or on several that share the disk: process r of n takes the batches r, r + n, r + 2n …

A run may be killed at any moment and goes on where it was, to the batch (`feature_files.py`). A
batch is always the same rows, so the result has the same bytes, however often the run was killed. A
picture that cannot be read gets a row of NaN, and its reason is counted.
Shapes: P pictures, N of one batch, d_i image feature.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hashtag_core.data.meta import (
    HISTORY,
    OLD_NOTE,
    QUERY,
    features_path,
    is_ours,
    picture_root,
    query_features_path,
    read_meta,
)
from hashtag_core.data.picture_store import Pictures
from hashtag_core.data.pictures import NO_PICTURE, REASONS, PictureError, load_picture
from hashtag_core.devices import Processes, choose_device
from hashtag_core.errors import InputError
from hashtag_core.files import enough_disk
from hashtag_core.model.convnet import DEFAULT_CONVNET, ConvNet, load_convnet
from hashtag_core.prepare.feature_files import DONE, FIRST_REASON, FeatureFiles
from hashtag_core.prepare.writing import write_json
from hashtag_core.printing import progress_bar
from hashtag_core.workers import deaf_to_ctrl_c, end_with_parent

FIRST = 100  # rows of each reason that are named
ALONE = Processes()
KEPT = "what was computed is kept"


def prepare_features(
    folder: str | Path,
    convnet_name: str = DEFAULT_CONVNET,
    batch_size: int = 32,
    workers: int = 0,
    device: str | None = None,
    query: bool = False,
) -> dict:
    """Extract the features of a collection's pictures; they take the place of those it has.

    Until the last picture is done the collection stays as it was. Started again, a run that was
    killed goes on where it was; a finished one begins anew, and finds pictures that came since.

    Args:
        folder: a photo collection. Its pictures are in photos.parquet, or files under the folder,
            or under the one that meta.json names as `images`.
        convnet_name: as in `load_convnet`.
        batch_size: pictures at a time.
        workers: processes that decode; 0 decodes between the batches.
        device: where the ConvNet computes; chosen automatically where not given.
        query: whether it is a second ConvNet, for the pictures to predict (§3.2.1). The features
            of the histories' ConvNet stay as they are.

    Returns:
        What meta.json says of the pictures from now on: see `extract_features`.

    Raises:
        InputError: where there are no pictures, none of them can be read, the disk is full, or the
            collection was replaced meanwhile.
    """
    folder = Path(folder)
    meta = read_meta(folder)
    side = QUERY if query else HISTORY
    older = query_features_path(folder, meta) if query else features_path(folder, meta)
    path = folder / next(name for name in side.files if older is None or name != older.name)
    processes = Processes.started(choose_device(device))
    if processes.rank == 0 and older is not None:
        FeatureFiles(older).remove_notes()  # of a run that was killed when all was done
    pictures = Pictures(folder / "photos.parquet", picture_root(folder, meta))
    pictures.check()
    if processes.rank:
        processes.wait()  # the first one downloads the weights, the others find them
    convnet = load_convnet(convnet_name, processes.device)
    if not processes.rank:
        processes.wait()
    account = extract_features(pictures, path, convnet, batch_size, workers, processes)
    if processes.rank == 0:
        if not account["read"]:
            FeatureFiles(path).remove_notes()
            path.unlink()
            raise InputError(
                f"{folder}: none of the {len(pictures):,} pictures can be read "
                f"({', '.join(account['left_out'])}). The features stay as they were."
            )
        if read_meta(folder) != meta:
            raise InputError(f"{folder}: the collection was replaced meanwhile. Start again.")
        named = {"name": convnet.name, "weights": convnet.weights}
        changes = {side.features: path.name, side.convnet: named, side.pictures: account}
        ours = older is not None and older.name in side.files and is_ours(folder)  # others stay
        if older is not None and ours:
            FeatureFiles(older).disown()
        write_json(folder / "meta.json", meta | changes)  # the one stroke that replaces them
        if older is not None and ours:
            older.unlink(missing_ok=True)
            FeatureFiles(older).remove_notes()
        (folder / OLD_NOTE).unlink(missing_ok=True)
        FeatureFiles(path).remove_notes()
    processes.wait()
    return account


def extract_features(
    pictures: Sequence[bytes | None] | Pictures,
    path: Path,
    convnet: ConvNet,
    batch_size: int = 32,
    workers: int = 0,
    processes: Processes = ALONE,
) -> dict:
    """Write the features of P pictures to `path` as float16 (P, d_i); resumable to the batch.

    Args:
        pictures: P encoded pictures, None where there is none; with workers they must be picklable,
            and so must the ConvNet's transform.
        path: the .npy file to write; two others stay beside it for another start.
        convnet: from `load_convnet`.
        batch_size: pictures at a time.
        workers: processes that decode; 0 decodes between the batches.
        processes: which of several this is. All of them call this, and all return the same.

    Returns:
        {"read": n, "left_out": {reason: {"count": c, "first": [row, …]}}}, which adds up to P.
        A picture that is left out has NaN in its row. At most `FIRST` rows of a reason are named.

    Raises:
        InputError: where the disk is full, a worker was killed, or a feature is no float16.
    """
    if batch_size < 1 or workers < 0:
        raise InputError(f"batches of {batch_size} and {workers} workers: at least 1 and 0.")
    files = FeatureFiles(path)
    with enough_disk(path, KEPT), _workers_explained():
        if processes.rank == 0:
            _begin(files, pictures, convnet, batch_size)
        processes.wait()
        _fill(files, pictures, convnet, batch_size, workers, processes)
        while processes.number > 1 and not files.codes().all():
            time.sleep(0.5)  # the others may be further behind than a barrier waits
        account = _account(files.codes())
        processes.wait()  # nobody reads the files any more
        return account


def _begin(
    files: FeatureFiles, pictures: Sequence | Pictures, convnet: ConvNet, batch_size: int
) -> None:
    """Make the files, unless they are there from an earlier run about the same."""
    from PIL import Image

    if isinstance(pictures, Pictures):
        identity = pictures.identity()
    else:
        digest = hashlib.sha256()
        for picture in pictures:
            digest.update(b"-" if picture is None else hashlib.sha256(picture).digest())
        identity = digest.hexdigest()
    job = {
        "convnet": convnet.name,
        "weights": convnet.weights,
        "batch_size": batch_size,
        "pictures": identity,
        "reasons": REASONS,
    }
    if not files.are_of(job, len(pictures)):
        d_i = convnet([Image.new("RGB", (64, 64))]).shape[1]
        files.begin(job, len(pictures), d_i)


def _fill(
    files: FeatureFiles,
    pictures: Sequence | Pictures,
    convnet: ConvNet,
    batch_size: int,
    workers: int,
    processes: Processes,
) -> None:
    """Compute those of this process's batches that are not done."""
    codes = files.codes()
    starts = range(processes.rank * batch_size, len(codes), processes.number * batch_size)
    own = [range(start, min(start + batch_size, len(codes))) for start in starts]
    todo = [batch for batch in own if not codes[batch.start : batch.stop].all()]
    if not todo:
        return
    loader = DataLoader(
        _Decoded(pictures, convnet.transform),
        batch_sampler=todo,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=convnet.device.type == "cuda",
        multiprocessing_context="spawn" if workers else None,  # a fork and CUDA do not go together
        worker_init_fn=end_with_parent,  # torch's own watch fails where that ends very early
    )
    with deaf_to_ctrl_c():
        batches = iter(loader)  # the workers begin
    total, left = sum(map(len, own)), sum(map(len, todo))
    with (
        files.writer() as write,
        progress_bar(total=total, initial=total - left, desc=convnet.name) as bar,
    ):
        for batch, (decoded, codes) in zip(todo, batches, strict=True):
            features = None if decoded is None else convnet.features(decoded).half()  # (n, d_i)
            if features is not None and not features.isfinite().all():
                raise InputError(
                    f"{convnet.name} ({convnet.weights}): features of rows {batch.start} to "
                    f"{batch.stop - 1} are no float16 numbers."
                )
            write(batch.start, features, codes)
            bar.update(len(batch))


class _Decoded(Dataset):
    """Row -> (what the ConvNet takes, or None; the row's code)."""

    def __init__(self, pictures: Sequence[bytes | None] | Pictures, transform: Callable) -> None:
        self.pictures = pictures
        self.transform = transform

    def __getitem__(self, row: int) -> tuple[Tensor | None, int]:
        try:
            picture = self.pictures[row]
            if picture is None:
                raise PictureError(f"row {row} has no picture.", NO_PICTURE)
            return self.transform(load_picture(picture)), DONE
        except PictureError as error:
            return None, FIRST_REASON + REASONS.index(error.reason)


def _collate(items: list[tuple[Tensor | None, int]]) -> tuple[Tensor | None, np.ndarray]:
    """The decoded pictures (n, 3, H, W), None where there are none, and the codes (N,)."""
    decoded = [picture for picture, _ in items if picture is not None]
    codes = np.array([code for _, code in items], dtype=np.uint8)
    return torch.stack(decoded) if decoded else None, codes


def _account(codes: np.ndarray) -> dict:
    left_out = {}
    for code, reason in enumerate(REASONS, FIRST_REASON):
        rows = np.flatnonzero(codes == code)
        if len(rows):
            left_out[reason] = {"count": len(rows), "first": rows[:FIRST].tolist()}
    account = {"read": int((codes == DONE).sum()), "left_out": left_out}
    if account["read"] + sum(left["count"] for left in left_out.values()) != len(codes):
        raise InputError("some rows were not done: does another run write to the same files?")
    return account


@contextmanager
def _workers_explained() -> Iterator[None]:
    """One line for what torch tells of its workers in many."""
    try:
        yield
    except InputError as error:  # raised in a worker: its traceback is in the message
        raise InputError(error.args[0].splitlines()[-1].split("InputError: ", 1)[-1]) from None
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise InputError(
            f"a worker process was killed ({str(error).splitlines()[0]}) Start again, it goes on "
            "from there, with fewer workers, a smaller batch, or more shared memory (/dev/shm)."
        ) from None
