"""Processes that work for this one: they end when it ends, and it is told when one of them does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from hashtag_core.errors import InputError


@dataclass(frozen=True)
class Worker:
    """A process, and the end of its pipe."""

    process: BaseProcess
    pipe: Connection

    def take(self) -> Any:
        """The next thing that it made; it waits until this is taken.

        Raises:
            InputError: where it was killed.
            RuntimeError: where it raised something.
        """
        try:
            made, error = self.pipe.recv()
        except (EOFError, OSError):  # the pipe ended, between two things or within one
            self.process.join()
            raise InputError(
                f"a worker process was killed (exit code {self.process.exitcode}): is there enough "
                "memory?"
            ) from None
        if error is not None:
            raise RuntimeError(error)
        return made


@contextmanager
def workers_for(make: Callable[..., Iterable], jobs: Sequence[tuple]) -> Iterator[list[Worker]]:
    """A process for each job; in the end they are stopped.

    Each has a pipe of its own. It ends when either of its sides does, so nobody waits for who was
    killed, as may happen where processes share a queue.

    Args:
        make: of a module; it makes one thing after the other of a job.
        jobs: its arguments in each process. They should be small: handing them over waits.
    """
    context = multiprocessing.get_context("spawn")  # a fork does not go with threads, nor with CUDA
    started: list[Worker] = []
    try:
        with deaf_to_ctrl_c():
            for job in jobs:
                reader, writer = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(writer, make, job), daemon=True)
                process.start()
                writer.close()  # this process's copy
                started.append(Worker(process, reader))
        yield started
    finally:
        for worker in started:
            worker.process.terminate()
        for worker in started:
            worker.process.join()
            worker.pipe.close()


def _work(writer: Connection, make: Callable[..., Iterable], job: tuple) -> None:
    """What a worker does, in its own process."""
    end_with_parent()
    with suppress(BrokenPipeError):  # nobody is there any more to take it
        try:
            for made in make(*job):
                writer.send((made, None))
        except BrokenPipeError:
            raise
        except Exception as error:
            writer.send((None, f"{type(error).__name__}: {error}"))


def end_with_parent(number: int = 0) -> None:
    """End this process as soon as the one that started it has ended; a `worker_init_fn`, too.

    From now on SIGTERM ends it as well, which `deaf_to_ctrl_c` has held back.
    """
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that are started meanwhile do not hear ctrl-C, which a terminal sends to all.

    Who started them ends them; else each would tell of it in a traceback. And nothing stops this
    process between a start and what a new process is given to begin with: ctrl-C and SIGTERM wait.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # begun by the first process, and would undo the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
