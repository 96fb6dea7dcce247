"""How the program ends before its time: by ctrl-C, by SIGTERM, or because nobody reads it."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

SIGNALS = signal.SIGINT, signal.SIGTERM
NOBODY_READS = 141  # the exit code, as that of a program which SIGPIPE ends


class Stop:
    """What ctrl-C and SIGTERM do: the first one is a KeyboardInterrupt, a second one ends at once.

    Attributes:
        signal: the one that came; None where none did.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def listen(self) -> None:
        """From now on. This is for the program, not for the library: it changes the process."""
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # `nohup`, or `&` in a script
                signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        end_at_once()
        raise KeyboardInterrupt


def end_at_once() -> None:
    """From now on, the signals end the process: there is nothing left to tidy up."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def flush_output() -> None:
    """Write out what was printed. Where nobody takes it, it is dropped, for Python's own end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # closed from the beginning
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
