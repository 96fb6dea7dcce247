"""`hashtag-core benchmark …`: speed and memory as ratios, ours over each alternative."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from hashtag_core.commands.paths import Figure
from hashtag_core.errors import InputError
from hashtag_core.files import is_device
from hashtag_core.printing import progress_bar, say

BENCHMARKS = ("loss", "batching", "ranking", "reading", "training", "epoch", "crowded", "ingest")
REPEATS = 3
OF_THE_COMMAND = "hashtags", "rows"  # sizes that have an option


def add_command(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line."""
    bench = commands.add_parser(
        "benchmark",
        parents=[common],
        help="speed and memory against the alternatives",
        description="Each row is printed, and written to the file of --json in place of what was "
        "there, as soon as it is measured.",
    )
    bench.add_argument("name", choices=(*BENCHMARKS, "all"))
    bench.add_argument(
        "--quick",
        action="store_true",
        help="small sizes and one repeat: some minutes for all",
    )
    bench.add_argument("--repeats", type=int, help=f"default: {REPEATS}")
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
    about = {"device": machine, "torch": torch.__version__}
    if options.quick:
        about["quick"] = True
    # a device, as /dev/stdout, gets one text in the end; a file what is known so far, each time
    in_the_end = not options.json or is_device(Path(options.json))
    rows: list[dict] = []
    for row in _rows(options, device.type):
        known = {name: x for name, x in row.items() if x == x}  # without what is NaN
        rows.append({**known, **about})
        if not in_the_end:
            write_json(options, rows)
        say(*_as_lines({**row, **about}), flush=True)
    if in_the_end:
        write_json(options, rows)
    if options.figure:
        from hashtag_core.benchmarks.plot import plot_benchmark

        plot_benchmark(rows, options.figure)


def _rows(options: argparse.Namespace, device: str) -> Iterator[dict]:
    """The rows of the benchmarks that can run here, each as soon as it is measured."""
    from hashtag_core.benchmarks.measure import Meter

    repeats = options.repeats
    if repeats is None:
        repeats = 1 if options.quick else REPEATS
    told = {name: value for name in OF_THE_COMMAND if (value := vars(options)[name]) is not None}
    if repeats < 1 or any(size < 100 for size in told.values()):
        raise InputError("--repeats is at least 1, --hashtags and --rows at least 100.")
    total, chosen = 0, []
    for name in BENCHMARKS if options.name == "all" else (options.name,):
        benchmark = import_module(f"hashtag_core.benchmarks.{name}")
        if why := _why_not(benchmark, device):
            if options.name != "all":
                raise InputError(f"benchmark {name}: {why}.")
            say(f"{name}: left out; {why}.", "")
            continue
        sizes = {**benchmark.SIZES, **(benchmark.QUICK if options.quick else {})}
        sizes |= {size: value for size, value in told.items() if size in sizes}
        total += benchmark.count(device, repeats, **sizes)
        chosen.append((benchmark, sizes))
    with progress_bar(total=total, desc="benchmark", unit="case", leave=False) as bar:
        for benchmark, sizes in chosen:
            yield from benchmark.run(Meter(device, repeats, bar), **sizes)


def _why_not(benchmark: ModuleType, device: str) -> str:
    """Why a benchmark cannot run here; empty where it can."""
    from hashtag_core.benchmarks.measure import installed

    devices = getattr(benchmark, "DEVICES", ())
    if devices and device not in devices:
        return f"it is about another device: --device {devices[0]}"
    needed = [*getattr(benchmark, "NEEDS", ()), *(["psutil"] if device != "cuda" else [])]
    missing = [package for package in needed if not installed(package)]
    return f"it needs what is not installed: {', '.join(missing)}" if missing else ""


def _cpu_name() -> str:
    """As Linux tells it; elsewhere the architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def _as_lines(row: dict) -> tuple[str, str]:
    """One row to read."""
    quick = " (--quick: small sizes)" if "quick" in row else ""
    head = f"{row['benchmark']}: {row['case']}, against {row['against']}{quick}"
    if "time_ratio" not in row:
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        return head, "    " + ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
    times = f"{row['seconds']:.3g} s / {row['against_seconds']:.3g} s"
    text = f"    time {row['time_ratio']:.2f} ({times})"
    ratio = row["memory_ratio"]
    if ratio == ratio:
        memory = f"1/{1 / ratio:.1f}" if 0 < ratio < 1 else f"{ratio:.2f}"
        both = f"{row['megabytes']:,.0f} MB / {row['against_megabytes']:,.0f} MB"
        text += f"    memory {memory} ({both})"
    if "GFLOP" in row:
        text += f"    {row['GFLOP']:.0f} GFLOP at {row['GFLOP a second']:.0f} GFLOP/s"
    if row["largest_difference"] == row["largest_difference"]:
        text += f"    largest difference {row['largest_difference']:.0e}"
    if "waiting" in row:
        text += f"    waiting {row['waiting']:.1%} / {row['against_waiting']:.1%} of the time"
    if "times the quiet time" in row:
        ours, other = row["times the quiet time"], row["against times the quiet time"]
        text += f"    {ours:.1f} / {other:.1f} times the quiet time"
    return head, text
