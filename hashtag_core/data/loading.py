"""Batches of users for the model: who goes together, whose part it is, and reading ahead.

What a batch holds stands in `histories.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from hashtag_core.data.histories import LONG, Batch, UserHistories, Whole, check_features, collate


def similar_lengths(
    lengths: Sequence[int], users_per_batch: int, generator: torch.Generator | None
) -> list[list[int]]:
    """Random batches of users with similarly long histories, so that little is padding.

    Users are shuffled, cut into pools of eight batches, sorted by length within each pool, and the
    batches are shuffled in the end.
    """
    order = torch.randperm(len(lengths), generator=generator).tolist()
    parts = []
    for pool in _pieces(order, 8 * users_per_batch):
        parts += _pieces(sorted(pool, key=lengths.__getitem__), users_per_batch)
    return [parts[i] for i in torch.randperm(len(parts), generator=generator).tolist()]


def in_order(lengths: Sequence[int], users_per_batch: int) -> list[list[int]]:
    """Batches of users in their order; one of more than `LONG` photos stands alone.

    Nobody else's history is then padded to that length.
    """
    parts: list[list[int]] = []
    for item, length in enumerate(lengths):
        full = not parts or len(parts[-1]) == users_per_batch
        if full or max(length, lengths[parts[-1][-1]]) > LONG:
            parts.append([])
        parts[-1].append(item)
    return parts


def _pieces(items: list[int], size: int) -> list[list[int]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


@dataclass
class Batches:
    """Batches of several users: in their order, or at random for training, anew each iteration.

    Where several processes share the work, one has its share of the users of each training batch,
    and its turn of the other batches.

    Args:
        histories: of the users.
        users_per_batch: how many at most; the batches in order are those of `in_order`.
        shuffle: for training, as `similar_lengths` draws them.
        generator: of the random order; None for torch's own.
        rank: which of the processes this is.
        processes: how many share the work.
    """

    histories: UserHistories
    users_per_batch: int
    shuffle: bool = False
    generator: torch.Generator | None = None
    rank: int = 0
    processes: int = 1

    def __len__(self) -> int:
        if self.shuffle:
            return -(-len(self.histories) // self.users_per_batch)  # rounded up
        return len(self._in_order())

    def __iter__(self) -> Iterator[Batch]:
        return self.start_at(0)

    def start_at(self, number: int) -> Iterator[Batch]:
        """The batches from this number on; the features of those before it are not read.

        A random order is drawn now, not with the first batch.
        """
        if self.shuffle:
            order = similar_lengths(self._lengths(), self.users_per_batch, self.generator)
            return map(self._part, order[number:])
        return map(self._read, self._in_order()[number:])

    def _lengths(self) -> list[int]:
        return [len(rows) for rows in self.histories.rows]

    def _in_order(self) -> list[list[int]]:
        """The share of this process."""
        return in_order(self._lengths(), self.users_per_batch)[self.rank :: self.processes]

    def _read(self, items: list[int], whole: Whole | None = None) -> Batch:
        return collate([self.histories[item] for item in items], whole)

    def _part(self, items: list[int]) -> Batch:
        """The share of this process in the users of a batch."""
        start, stop = (len(items) * (self.rank + i) // self.processes for i in (0, 1))
        lengths = [len(self.histories.rows[item]) for item in items]
        whole = Whole(len(items), sum(lengths), sum(lengths[:start]))
        if start < stop:
            return self._read(items[start:stop], whole)
        nothing = self._read(items[:1], whole._replace(first_photo=0))
        nothing.predict[:] = False  # more processes than users: it weighs nothing
        return nothing


batches = Batches  # as it reads in a loop


def prefetched(
    loader: Iterable[Batch], device: torch.device | str, ahead: bool | None = None
) -> Iterator[Batch]:
    """The same batches on a device, each read and moved while the one before is worked on.

    Args:
        loader: the batches.
        device: where they shall be.
        ahead: read the next one in a thread. None: not on a CPU, where that thread would take the
            cores from the model (`hashtag-core benchmark reading`).
    """
    moved = (batch.to(device) for batch in loader)
    if ahead is False or (ahead is None and torch.device(device).type == "cpu"):
        yield from moved
        return
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, moved, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, moved, None)
            yield batch


def resident(histories: Sequence[UserHistories], device: torch.device) -> list[UserHistories]:
    """The same histories with their features on a GPU, if they fit into half of its free memory.

    Batches of them are then made there. Features that several histories share are there once.
    """
    arrays = {id(x): x for h in histories for x in (h.features, h.query_features) if x is not None}
    needed = sum(array.nbytes for array in arrays.values())
    if device.type != "cuda" or needed > torch.cuda.mem_get_info(device)[0] / 2:
        return list(histories)
    on_device = {key: torch.as_tensor(np.array(x)).to(device) for key, x in arrays.items()}
    for array in on_device.values():
        check_features(array, range(len(array)), histories[0].photos)
    moved = [copy.copy(h) for h in histories]
    for h in moved:
        h.features = on_device[id(h.features)]
        h.query_features = on_device.get(id(h.query_features))
    return moved
