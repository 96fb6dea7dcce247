"""`hashtag-core benchmark …`: speed and memory as ratios, ours over each alternative."""

from __future__ import annotations

import argparse
import platform
from importlib import import_module
from pathlib import Path

from hashtag_core.commands.paths import Figure
from hashtag_core.errors import InputError
from hashtag_core.printing import say

BENCHMARKS = ("loss", "batching", "ranking", "reading", "training", "ingest")


def add_command(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line."""
    bench = commands.add_parser(
        "benchmark", parents=[common], help="speed and memory against the alternatives"
    )
    bench.add_argument("name", choices=(*BENCHMARKS, "all"))
    bench.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    bench.add_argument("--hashtags", type=int, help="default: the paper's 442,000 and 568,000")
    bench.add_argument("--rows", type=int, help="ingest: of the larger file; default: 200,000")
    bench.add_argument("--figure", metavar="FILE", type=Figure, help="also draw the ratios")
    bench.set_defaults(command=_benchmark)


def _benchmark(options: argparse.Namespace) -> None:
    import torch

    from hashtag_core.commands.output import write_json
    from hashtag_core.devices import choose_device

    device = choose_device(options.device)
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    threads = torch.get_num_threads()
    say(f"{device.type}: {machine}, {threads} threads, torch {torch.__version__}", "")
    sizes = {"hashtags": options.hashtags, "rows": options.rows}
    if options.repeats < 1 or any(size is not None and size < 100 for size in sizes.values()):
        raise InputError("--repeats is at least 1, --hashtags and --rows at least 100.")
    rows = []
    for name in BENCHMARKS if options.name == "all" else (options.name,):
        benchmark = import_module(f"hashtag_core.benchmarks.{name}")
        told = {n: sizes[n] for n in getattr(benchmark, "SIZES", {}) if sizes.get(n)}
        for row in benchmark.run(device.type, options.repeats, **told):
            say(*_as_lines(row), flush=True)
            known = {name: x for name, x in row.items() if x == x}  # without what is NaN
            rows.append({**known, "device": machine, "torch": torch.__version__})
    write_json(options, rows)
    if options.figure:
        from hashtag_core.benchmarks.plot import plot_benchmark

        plot_benchmark(rows, options.figure)


def _cpu_name() -> str:
    """As Linux tells it; elsewhere the architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def _as_lines(row: dict) -> tuple[str, str]:
    """One row to read."""
    head = f"{row['benchmark']}: {row['case']}, against {row['against']}"
    if "time_ratio" not in row:
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        return head, "    " + ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
    ratio = row["memory_ratio"]
    memory = f"1/{1 / ratio:.1f}" if 0 < ratio < 1 else f"{ratio:.2f}"
    text = (
        f"    time {row['time_ratio']:.2f}"
        f" ({row['seconds']:.3g} s / {row['against_seconds']:.3g} s)"
        f"    memory {memory} ({row['megabytes']:,.0f} MB / {row['against_megabytes']:,.0f} MB)"
    )
    if row["largest_difference"] == row["largest_difference"]:
        text += f"    largest difference {row['largest_difference']:.0e}"
    if "waiting" in row:
        text += f"    waiting {row['waiting']:.1%} / {row['against_waiting']:.1%} of the time"
    return head, text
