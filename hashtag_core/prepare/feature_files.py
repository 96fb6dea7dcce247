"""features.npy while it is being made, and how far it is, so that a killed run goes on from there.

Three files, here for features.npy:

    features.npy            float16 (P, d_i), of its full size from the beginning
    features.npy.rows       one byte a row: 0 to do, 1 done, 2 and more: why there is no feature
    features.npy.job.json   which job this is

Features are on the disk before their rows are called done. Several processes, on one machine or on
several that share the disk, write different rows of the same files. Shapes: P rows, N of one batch.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hashtag_core.errors import InputError
from hashtag_core.files import write_whole
from hashtag_core.formats import read_features

COSTLY = 10_000  # pictures: a laptop's ConvNet has read them for minutes
TO_DO, DONE, FIRST_REASON = 0, 1, 2  # a row's code; FIRST_REASON and more are the caller's
DISOWNED = b"null"  # the note of features that count for nothing


class FeatureFiles:
    """The three files.

    Args:
        path: the .npy file; the two others lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = path.with_name(path.name + ".rows")
        self._note = path.with_name(path.name + ".job.json")

    def are_of(self, job: dict, rows: int) -> bool:
        """Whether the files are there, as large as so many rows need, and about this job."""
        if not (self.path.exists() and self._rows.exists() and self._note.exists()):
            return False
        expected = json.dumps(job).encode()
        with self._note.open("rb") as note:
            if note.read(len(expected) + 1) != expected:
                return False
        try:
            features = read_features(self.path)
        except InputError:
            return False
        one_each = features.shape[:1] == (rows,) and self._rows.stat().st_size == rows
        return one_each and features.dtype == "<f2"

    def begin(self, job: dict, rows: int, d_i: int) -> None:
        """Make them for this job, with every row to do.

        Raises:
            InputError: where a features file lies there that no run of ours began, or one with more
                than `COSTLY` features of another job.
        """
        if self.path.exists() and not self._note.exists():
            raise InputError(f"{self.path} is needed, and was not made here: move it elsewhere.")
        done = self.done()
        if done > COSTLY and self.path.exists() and self._note.read_bytes() != DISOWNED:
            raise InputError(
                f"{self.path} holds the features of {done:,} pictures, by a run with another "
                "ConvNet, batch size or pictures that was not finished. Go on with those, or "
                "remove that file."
            )
        self.disown()  # first: files of such a note count for nothing
        try:
            with self.path.open("wb") as file:
                begin_features(file, rows, d_i)
            with self._rows.open("wb") as file:
                _write_at(file, 0, bytes(rows))
        except OSError:
            self.path.unlink(missing_ok=True)  # nothing is in it, and it may fill the disk
            self.remove_notes()
            raise
        write_whole(self._note, json.dumps(job).encode())

    def disown(self) -> None:
        """Say that the features are not to be used, and may be written over or removed."""
        write_whole(self._note, DISOWNED)

    def codes(self) -> np.ndarray:
        """(P,) uint8, as they are on the disk now."""
        return np.fromfile(self._rows, dtype=np.uint8)

    def done(self) -> int:
        """How many rows have a feature so far; 0 where nothing was begun."""
        return int((self.codes() == DONE).sum()) if self._rows.is_file() else 0

    @contextmanager
    def writer(self) -> Iterator[Callable[[int, np.ndarray | None, np.ndarray], None]]:
        """A function that writes a batch.

        It takes the batch's first row, the features (n, d_i) of those of its rows that are `DONE`,
        None where there are none, and the codes (N,) of all. The other rows become NaN.
        """
        with self.path.open("r+b") as features, self._rows.open("r+b") as marks:
            np.lib.format.read_magic(features)
            d_i = np.lib.format.read_array_header_1_0(features)[0][1]
            beginning = features.tell()

            def write(row: int, done: np.ndarray | None, codes: np.ndarray) -> None:
                batch = np.full((len(codes), d_i), np.nan, dtype="<f2")
                if done is not None:
                    batch[codes == DONE] = done
                _write_at(features, beginning + 2 * d_i * row, batch.tobytes())
                _write_at(marks, row, codes.astype(np.uint8).tobytes())

            yield write

    def remove_notes(self) -> None:
        """Remove the two files beside features.npy, when nobody goes on."""
        self._rows.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def begin_features(file: BinaryIO, rows: int, d_i: int) -> None:
    """Begin a .npy file of float16 (P, d_i): its header, and room for all rows behind it.

    With that a full disk is known before the work. A memory map would end the process there.
    """
    header = {"descr": "<f2", "fortran_order": False, "shape": (rows, d_i)}
    np.lib.format.write_array_header_1_0(file, header)
    start, size = file.tell(), 2 * rows * d_i
    file.truncate(start + size)
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), start, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise  # those mean a file system that cannot reserve
    os.fsync(file.fileno())


def _write_at(file: BinaryIO, position: int, data: bytes) -> None:
    """Write through to the disk.

    A memory map would end the process where the disk is full, and could lose what another machine
    writes into the same page.
    """
    file.seek(position)
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
