"""How torch's threads wait for each other: set before torch is loaded, and so for this process.

torch shares the work of one operation among threads of OpenMP. A thread that is done waits for the
others, by default in a busy loop, some milliseconds long: the fastest way on a quiet machine. Where
another program wants the core, the loop takes it from the very thread that is waited for, and an
epoch takes five to fifteen times as long. Threads that soon go to sleep instead lose little on a
quiet machine, and little to a busy one. `hashtag-core benchmark crowded` measures both.
"""

from __future__ import annotations

import os

WAIT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # every OpenMP reads it: sleep at once
    "GOMP_SPINCOUNT": "1000",  # GNU's, which torch has on Linux: after some microseconds
}
OTHERS = ("KMP_BLOCKTIME", "KMP_LIBRARY")  # LLVM's and Intel's own


def wait_without_spinning() -> None:
    """Set it in the environment, where processes that this one starts find it, too.

    What the user has set stays. Where torch is loaded already, it is too late for this process.
    """
    if not any(name in os.environ for name in (*WAIT, *OTHERS)):
        os.environ.update(WAIT)
