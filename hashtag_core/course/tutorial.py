"""Run the notebooks in order, each in a fresh kernel, and write them as HTML pages."""

from __future__ import annotations

import ast
import asyncio
import atexit
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.errors import InputError
from hashtag_core.files import reading, refuse_others, whole_file, write_whole
from hashtag_core.printing import progress_bar
from hashtag_core.repository import repository_folder

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode

CELL_SECONDS = 600  # no cell may take longer
OUR_PAGE = "<!-- hashtag-core tutorial -->"  # at the end of a page: it may be written over


def notebooks(names: Sequence[str] | None = None) -> list[Path]:
    """The notebooks of the course in their order, or those that begin with one of `names`.

    Raises:
        InputError: where there is none of such a name.
    """
    every = sorted(repository_folder("notebooks").glob("[0-9]*.ipynb"))
    for name in names or ():
        if not any(path.name.startswith(name) for path in every):
            known = ", ".join(path.name for path in every)
            raise InputError(f"no notebook {name}. There are: {known}.")
    chosen = ("",) if names is None else tuple(names)  # every name begins with ""
    return [path for path in every if path.name.startswith(chosen)]


def code_digest(notebook: NotebookNode) -> str:
    """SHA-256 over the notebook's code cells: written where it ran, to tell whether it changed."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def with_parameters(notebook: NotebookNode, values: Mapping[str, object]) -> NotebookNode:
    """Add a cell behind the notebook's parameters that sets those of `values` that it has.

    The notebook itself is changed, and returned.
    """
    from nbformat.v4 import new_code_cell

    for place, cell in enumerate(notebook.cells):
        if "parameters" in cell.metadata.get("tags", ()):
            parts = [
                part for part in ast.walk(ast.parse(cell.source)) if isinstance(part, ast.Name)
            ]
            known = {part.id for part in parts if isinstance(part.ctx, ast.Store)}
            lines = [f"{name} = {value!r}" for name, value in values.items() if name in known]
            if lines:
                new = new_code_cell("\n".join(lines), metadata={"tags": ["injected"]})
                notebook.cells.insert(place + 1, new)
            break
    return notebook


def execute(path: Path, values: Mapping[str, object] | None = None) -> NotebookNode:
    """Run a notebook from a fresh kernel, with a progress bar over its cells.

    Args:
        path: the notebook.
        values: of its parameters, where they are not to be those that stand in it.

    Returns:
        The notebook with its outputs; `metadata["hashtag_core"]` says what ran and how long.

    Raises:
        InputError: where a cell fails: its source, and the error.
    """
    import nbformat
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    with reading(path):
        notebook = with_parameters(nbformat.read(path, as_version=4), values or {})
    total = sum(cell.cell_type == "code" and bool(cell.source) for cell in notebook.cells)
    begun = [0]  # the numbers of cells; the last one is running
    start = time.perf_counter()
    with progress_bar(total=total, desc=path.stem, unit="cell", leave=None) as bar:
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",  # the one of this Python
            extra_arguments=["--log-level=ERROR"],  # of the kernel itself, not of the cells
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_start=lambda cell, cell_index: begun.append(cell_index),
            on_cell_executed=lambda cell, cell_index, execute_reply: bar.update(),
        )
        try:
            _run(client)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            reason = error.traceback if isinstance(error, CellExecutionError) else str(error)
            reason = re.sub(r"\x1b\[[0-9;]*m", "", reason)  # colours of the terminal
            where = f"{path.name} stopped at cell {begun[-1] + 1}"
            source = notebook.cells[begun[-1]].source
            shown = *source.split("\n"), "---", *reason.split("\n")
            raise InputError(f"{where}:", *shown) from None
        except (NoSuchKernel, FileNotFoundError, RuntimeError) as error:
            raise InputError(
                f"the Jupyter kernel `python3` does not start ({error}): see `hashtag-core doctor`."
            ) from None
    seconds = round(time.perf_counter() - start)
    notebook.metadata["hashtag_core"] = {"code": code_digest(notebook), "seconds": seconds}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran: another number each time
    return notebook


def _run(client: NotebookClient) -> None:
    """Run a notebook in a thread: in the main one, nbclient would take ctrl-C and SIGTERM for it.

    Where they come, the notebook is cancelled, and its kernel ends.
    """
    import zmq

    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task]] = Future()

    async def look() -> None:
        """Ask the sockets for what has come: zmq tells it once, and that may be missed."""
        while True:
            await asyncio.sleep(1)
            if client.kc is not None and client.kc.channels_running:
                for channel in (client.kc.shell_channel, client.kc.iopub_channel):
                    channel.socket.get(zmq.EVENTS)

    async def run() -> None:
        ready.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        looking = asyncio.create_task(look())
        try:
            await client.async_execute()
        finally:
            looking.cancel()
            atexit.unregister(client._cleanup_kernel)  # it stays where no kernel has started

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asyncio.run, run())
        try:
            running.result()
        except BaseException:
            loop, task = ready.result()
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(task.cancel)
            raise


def write_page(notebook: NotebookNode, path: Path) -> None:
    """Write an executed notebook as an HTML page; its solutions are folded."""
    from nbconvert import HTMLExporter
    from nbformat import from_dict
    from nbformat.v4 import new_raw_cell

    marks = {  # stand in the page for HTML that the exporter would not let through
        "begin-of-the-folded-solution": "<details><summary>Solution</summary>",
        "end-of-the-folded-solution": "</details>",
    }
    cells = []
    for cell in notebook.cells:
        begin, end = map(new_raw_cell, marks)
        cells += [begin, cell, end] if "solution" in cell.metadata.get("tags", ()) else [cell]
    page = from_dict({**notebook, "cells": cells})
    body, _ = HTMLExporter(embed_images=True).from_notebook_node(page)
    for mark, html in marks.items():
        body = body.replace(mark, html)
    write_whole(path, f"{body}\n{OUR_PAGE}\n".encode())


def run_tutorial(
    out: str | Path,
    names: Sequence[str] | None = None,
    in_place: bool = False,
    values: Mapping[str, object] | None = None,
) -> list[dict]:
    """Run the course, or some notebooks of it, and stop at the first that fails.

    Args:
        out: the folder of the HTML pages.
        names: what the notebooks' names begin with, such as "03"; None for all.
        in_place: also write the outputs into the notebooks themselves.
        values: of the notebooks' parameters, as in `execute`.

    Returns:
        For each notebook: name, seconds, page.

    Raises:
        InputError: where a cell fails, with the cell, or where the notebook packages are missing;
            where outputs with other parameters should be written into the notebooks.
    """
    try:
        import nbclient  # noqa: F401
        import nbconvert  # noqa: F401
        import nbformat
    except ImportError as error:
        raise InputError(f'{error.name} is not there: `pip install -e ".[notebooks]"`.') from None

    if in_place and values:
        raise InputError("the notebooks themselves keep the outputs of their own parameters.")
    out = Path(out)
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not place.is_dir():
        raise InputError(f"{place} is a file: name a folder for the pages.")
    paths = notebooks(names)
    for path in paths:
        refuse_others(out / f"{path.stem}.html", "page")
    done = []
    for path in (bar := progress_bar(paths, desc="tutorial", unit="notebook")):
        bar.set_postfix_str(path.stem)
        notebook = execute(path, values)
        page = out / f"{path.stem}.html"
        write_page(notebook, page)
        if in_place:
            with whole_file(path) as partial:
                nbformat.write(notebook, partial)
        seconds = notebook.metadata["hashtag_core"]["seconds"]
        done.append({"notebook": path.name, "seconds": seconds, "page": str(page)})
    return done
