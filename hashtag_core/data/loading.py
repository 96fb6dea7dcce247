"""Batches of users for the model: who goes together, whose part it is, and reading ahead.

What a batch holds stands in `histories.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.utils.data import Sampler

from hashtag_core.data.histories import Batch, UserHistories, Whole, collate


class SimilarLengths(Sampler[list[int]]):
    """Random batches of users with similarly long histories, so that little is padding.

    Users are shuffled, cut into pools of eight batches, sorted by length within each pool, and the
    batches are shuffled in the end.
    """

    def __init__(
        self, lengths: Sequence[int], users_per_batch: int, generator: torch.Generator | None
    ) -> None:
        self.lengths = lengths
        self.size = users_per_batch
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(len(self.lengths), generator=self.generator).tolist()
        parts = []
        for start in range(0, len(order), 8 * self.size):
            pool = sorted(order[start : start + 8 * self.size], key=self.lengths.__getitem__)
            parts += [pool[i : i + self.size] for i in range(0, len(pool), self.size)]
        for i in torch.randperm(len(parts), generator=self.generator).tolist():
            yield parts[i]


class Batches:
    """Batches of several users, again in every iteration, or one process's part of them.

    Args:
        histories: of the users.
        order: of lists of items, the batches.
        rank: which of the processes this is.
        processes: how many share every batch: each has some of its users.
    """

    def __init__(
        self,
        histories: UserHistories,
        order: Sequence[list[int]] | SimilarLengths,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.histories = histories
        self.order = order
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        return self.start_at(0)

    def start_at(self, number: int) -> Iterator[Batch]:
        """The batches from this number on; the features of those before it are not read.

        A random order is drawn now, not with the first batch.
        """
        return map(self._read, list(self.order)[number:])

    def _read(self, items: list[int]) -> Batch:
        if self.processes == 1:
            return collate([self.histories[item] for item in items])
        return self._part(items)

    def _part(self, items: list[int]) -> Batch:
        start, stop = (len(items) * (self.rank + i) // self.processes for i in (0, 1))
        lengths = [len(self.histories.rows[item]) for item in items]
        whole = Whole(len(items), sum(lengths), sum(lengths[:start]))
        if start < stop:
            return collate([self.histories[item] for item in items[start:stop]], whole)
        nothing = collate([self.histories[items[0]]], whole._replace(first_photo=0))
        nothing.predict[:] = False  # more processes than users: it weighs nothing
        return nothing


def batches(
    histories: UserHistories,
    users_per_batch: int,
    shuffle: bool = False,
    generator: torch.Generator | None = None,
    rank: int = 0,
    processes: int = 1,
) -> Batches:
    """Batches of several users: in their order, or at random (`SimilarLengths`) for training.

    Where several processes share the work, one has its share of the users of each training batch,
    and every so manieth of the other batches.
    """
    if shuffle:
        lengths = [len(rows) for rows in histories.rows]
        sampler = SimilarLengths(lengths, users_per_batch, generator)
        return Batches(histories, sampler, rank, processes)
    items = list(range(len(histories)))
    order = [items[i : i + users_per_batch] for i in range(0, len(items), users_per_batch)]
    return Batches(histories, order[rank::processes])


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
    made = iter(loader)
    if ahead is False or (ahead is None and torch.device(device).type == "cpu"):
        yield from (batch.to(device) for batch in made)
        return

    def read() -> Batch | None:
        batch = next(made, None)
        return None if batch is None else batch.to(device)

    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(read)
        while (batch := coming.result()) is not None:
            coming = reader.submit(read)
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
    moved = [copy.copy(h) for h in histories]
    for h in moved:
        h.features, h.query_features = (
            on_device[id(h.features)],
            on_device.get(id(h.query_features)),
        )
    return moved
