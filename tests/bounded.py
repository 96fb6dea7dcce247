"""Run something in a process of its own whose memory and time are bounded.

What comes from outside may ask for any amount of either. The bound on address space counts from
where the libraries are imported (torch alone maps more than 3 GB), so that it is the case's own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

BOUND = 3 * 2**30  # bytes of address space that a case may add
SECONDS = 120

PROGRAM = """
import json, resource, sys, time
import hashtag_core.cli
for name in {imports!r}:
    __import__(name)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
size = 1024 * int(status["VmSize"].split()[0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (size + {bound}, size + {bound}))
sys.path.insert(0, {tests!r})
start = time.perf_counter()
{run}
code = locals().get("code", 0)
seconds = time.perf_counter() - start
more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print("\\nBOUNDED" + json.dumps([code, seconds, more / 1024]))
"""


class Ran(NamedTuple):
    """What came of it; `code` is the exit code of the command, `megabytes` the memory it added."""

    code: int
    seconds: float
    megabytes: float
    out: str
    err: str


def bounded(
    *arguments: object,
    program: str | None = None,
    imports: tuple[str, ...] = ("torch", "torchvision", "pyarrow.parquet", "duckdb", "PIL.Image"),
    bound: int = BOUND,
    seconds: float = SECONDS,
    cwd: Path | None = None,
) -> Ran:
    """Run `hashtag-core ARGUMENTS`, or a program's text, in a new process within the bounds.

    A process that ends by a signal, a MemoryError or another traceback fails the test that asked.
    """
    source = PROGRAM.format(
        imports=imports,
        bound=bound,
        tests=str(Path(__file__).parent),
        run=program or f"code = hashtag_core.cli.main({[str(a) for a in arguments]!r})",
    )
    ran = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=cwd,
        errors="replace",
    )
    assert "\nBOUNDED" in ran.stdout, f"exit code {ran.returncode}\n{ran.stderr[-3000:]}"
    out, _, numbers = ran.stdout.rpartition("\nBOUNDED")
    return Ran(*json.loads(numbers), out, ran.stderr)
