"""checkpoint.pt: a training that can be killed at any moment goes on from there.

A checkpoint holds all that decides how the training goes on, so that it ends with the very weights
and log that it would have had. It is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from hashtag_core.devices import Processes
from hashtag_core.errors import InputError
from hashtag_core.files import locked, whole_file
from hashtag_core.model.joint_embedding import HashtagModel

CHECKPOINT = "checkpoint.pt"


class Checkpoint:
    """The checkpoint of one training, in its run folder.

    Args:
        folder: the run folder; None keeps nothing.
        identity: what is trained, on what and how, as plain data. No training goes on from the
            checkpoint of another one.
        seconds: so much time at least lies between two checkpoints.
        processes: who trains together: all read, the first one writes.
    """

    def __init__(
        self, folder: str | Path | None, identity: dict, seconds: float, processes: Processes
    ) -> None:
        self.path = None if folder is None else Path(folder) / CHECKPOINT
        self.identity = json.loads(json.dumps(identity))  # a tuple comes back as a list
        self.seconds = seconds
        self.processes = processes
        self._target = self.path if processes.rank == 0 else None
        self._written = time.monotonic()

    def held(self) -> AbstractContextManager[None]:
        """Meanwhile, nobody else trains in the folder.

        Raises:
            InputError: where somebody does.
        """
        return nullcontext() if self._target is None else locked(self._target)

    def read(self) -> tuple[dict | None, str]:
        """(the state to go on from or None, what to tell the user or "").

        Raises:
            InputError: where the file is damaged, or not there for all processes.
        """
        state, message = None, ""
        if self.path is not None and self.path.is_file():
            kept = read_checkpoint(self.path)
            other = [
                name for name, value in self.identity.items() if kept["job"].get(name) != value
            ]
            if other:
                message = f"{self.path}: of another training ({', '.join(other)}); it starts anew."
            else:
                state = kept["state"]
                steps = len(state["losses"])
                message = f"{self.path}: goes on in epoch {state['epoch']} after {steps} steps."
        place = [0, 0] if state is None else [state["epoch"], len(state["losses"])]
        everybody = self.processes.sum_of_numbers(place)  # and nobody writes before all have read
        if everybody != [self.processes.number * value for value in place]:
            raise InputError(
                f"{self.path}: not the same for all processes. All machines need one run folder."
            )
        return state, message

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return self._target is not None and time.monotonic() - self._written >= self.seconds

    def write(self, state: dict) -> None:
        """Write `Training.state`; the checkpoint before stays until this one is whole.

        Raises:
            InputError: where the disk is full.
        """
        if self._target is not None:
            write_checkpoint(self._target, {"job": self.identity, "state": state})
            self._written = time.monotonic()

    def remove(self) -> None:
        """The training is over: what remains is the run."""
        if self._target is not None:
            self._target.unlink(missing_ok=True)


def kept_beside(path: Path) -> str:
    """What is still in a run folder where a file cannot be written whole, in words."""
    has_checkpoint = (path.parent / CHECKPOINT).is_file()
    return "the last good checkpoint" if has_checkpoint else "what was written before"


def write_checkpoint(path: Path, content: dict) -> None:
    """Write a dict of plain data and tensors, whole or not at all."""
    with whole_file(path, kept_beside(path)) as partial, partial.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # of torch's zip writer; behind it is what the disk said
            behind = error.__context__
            raise (behind if isinstance(behind, OSError) else error) from None


def read_checkpoint(path: Path) -> dict:
    """Read what `write_checkpoint` wrote, tensors on the CPU.

    Raises:
        InputError: where the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):
                raise ValueError("it is packed")  # and may be of any size
            if spoilt := parts.testzip():  # `torch.load` does not look at the checksums
                raise ValueError(f"{spoilt} is not what was written")
        content = torch.load(path, weights_only=True, map_location="cpu")
        job, state = dict(content["job"]), dict(content["state"])
        if type(state["epoch"]) is not int or state["losses"].dim() != 1:
            raise TypeError("epoch and losses are not those of a training")
        return {"job": job, "state": state}
    except Exception as error:  # a cut or spoilt file raises many kinds
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{path}: a damaged checkpoint ({type(error).__name__}: {reason}). "
            "Delete it to begin the training anew."
        ) from None


def digest_of(model: HashtagModel) -> str:
    """SHA-256 of a model's weights, their names and their shapes."""
    digest = hashlib.sha256()
    for name, weights in model.state_dict().items():
        digest.update(f"{name} {tuple(weights.shape)}".encode())
        digest.update(weights.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
