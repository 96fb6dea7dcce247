"""The first half of a way in: files are read in blocks, and each understood block is kept on disk.

A run that was killed finds the blocks it has and goes on with the next; one that is damaged, as a
power cut can leave it, is made again. Memory does not depend on the size of the files: a few blocks
are in it at a time.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hashtag_core.errors import InputError
from hashtag_core.files import whole_file, write_whole
from hashtag_core.prepare.report import Place, Report, Row, number_in, place_of
from hashtag_core.prepare.writing import photo_fields
from hashtag_core.printing import progress_bar

if TYPE_CHECKING:
    import pyarrow as pa

LINE_BITS = 40  # a row's number is (number of the file << 40) + line
WORKERS = 2
AHEAD = 4  # blocks that wait for a worker
FORMAT = 4  # of the blocks; another one is another job


@dataclass(frozen=True)
class Piece:
    """A piece of one input, not yet understood."""

    position: int  # how much of the input is read now, in `Source.unit`
    data: Any  # what `Source.understand` knows to take apart


class Source(Protocol):
    """A way in: it cuts its inputs into pieces, and makes rows of the pieces."""

    name: str  # of the way in, as on the command line
    files: list[str]  # the names by which the report calls what rows come from
    inputs: list[str]  # the names of what is read one after the other
    sizes: list[int]  # of each input, in `unit`, for the progress bar
    job: dict  # plain data that tells this job from others: inputs and options
    meta: dict  # what meta.json shall say
    unit: str  # of sizes and positions, "B" or " photos", say
    malformed: frozenset[str]  # the reasons to leave out a row that is not as it should be

    def pieces(self, number: int) -> Iterator[Piece | str]:
        """The pieces of input `number`, and texts that say what is wrong with it as a whole."""

    def understand(self, data: Any, with_texts: bool) -> Understood:
        """Rows from a piece, with the texts of those left out if asked for; called in threads."""


@dataclass(frozen=True)
class Understood:
    """The rows of a piece, and the account of it."""

    table: pa.Table  # the photos kept so far, as `staged_schema` has them
    report: Report  # of this piece; its `rows_kept` is the table's length
    rejected: list[tuple[Row, str, str]]  # row, reason, text of those left out; only if asked for


def staged_schema() -> pa.Schema:
    """The columns of a block. `image` is a path from the pictures' folder, `picture` its bytes.

    `capitals` has the `spelling` of each of `hashtags`; it is null where none has one.
    """
    import pyarrow as pa

    capitals = ("capitals", pa.list_(pa.string()))
    pictures = [("image", pa.string()), ("picture", pa.binary())]
    return pa.schema([("ord", pa.int64()), *photo_fields()[:-1], capitals, *pictures])


def understood(
    rows: Iterable[tuple[Row, dict | str, Any]], report: Report, text: Callable | None
) -> Understood:
    """The rows of a piece, counted.

    Args:
        rows: (row, its photo or why it is left out, what it was). A photo has the columns of
            `staged_schema`, and as `hashtags` what `Report.hashtags_of` gave.
        report: of this piece; it counts rows from here on.
        text: what a row was -> its text, where the texts of those left out are asked for.
    """
    import pyarrow as pa

    photos, rejected = [], []
    for row, photo, origin in rows:
        report.rows_read += 1
        if isinstance(photo, dict):
            spelled = photo["hashtags"]
            capitals = [*spelled.values()] if any(spelled.values()) else None
            photos.append({"ord": ord_of(row), **photo, "hashtags": [*spelled]})
            photos[-1]["capitals"] = capitals
            continue
        report.leave_out(photo, 1, [row])
        if text is not None:
            rejected.append((row, photo, text(origin)))
    report.rows_kept = len(photos)
    return Understood(pa.Table.from_pylist(photos, staged_schema()), report, rejected)


def ord_of(row: Row) -> int:
    """One number for a row, in the order of the files."""
    return (row[0] << LINE_BITS) + row[1]


def row_of(ord_: int) -> Row:
    """`ord_of` back."""
    return ord_ >> LINE_BITS, ord_ & ((1 << LINE_BITS) - 1)


def same_job(folder: Path, job: dict) -> bool:
    """Make `folder`, of `places.workplace`, that of this job: blocks of another one are removed.

    Returns:
        Whether it goes on with an earlier run's blocks.
    """
    text = json.dumps({"format": FORMAT, **job}, indent=1, sort_keys=True)
    note = folder / "job.json"
    if note.is_file() and note.read_text(encoding="utf-8") == text:
        return True
    note.unlink(missing_ok=True)  # first: blocks without it count for nothing
    shutil.rmtree(folder / "blocks", ignore_errors=True)
    for done in folder.glob("*.done"):
        done.unlink()
    (folder / "blocks").mkdir(parents=True)
    write_whole(note, text.encode())
    return False


@dataclass(frozen=True)
class Staging:
    """Understands all inputs of a source, block by block.

    Attributes:
        source: what is read.
        folder: this job's (`same_job`); blocks that lie there are not made again.
        strict: stop at the first row, or file, that is not as it should be.
        with_texts: keep the texts of the rows left out, too.
    """

    source: Source
    folder: Path
    strict: bool = False
    with_texts: bool = False

    def run(self) -> Report:
        """All blocks; returns the account of all of them.

        Raises:
            InputError: where `strict` and something is malformed.
        """
        import pyarrow as pa

        source = self.source
        options = {"unit": source.unit, "unit_scale": source.unit == "B"}
        with (
            ThreadPoolExecutor(WORKERS) as pool,
            progress_bar(total=sum(source.sizes) or None, desc=source.name, **options) as bar,
        ):
            waiting: deque[Callable[[], int]] = deque()  # each returns how much is done with it
            try:
                for step in self._steps(pool):
                    waiting.append(step)
                    if len(waiting) > AHEAD:
                        bar.update(max(waiting.popleft()() - bar.n, 0))
                while waiting:
                    bar.update(max(waiting.popleft()() - bar.n, 0))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        pa.default_memory_pool().release_unused()
        return total_report(self.folder)

    def _steps(self, pool: ThreadPoolExecutor) -> Iterator[Callable[[], int]]:
        """The blocks of all inputs, begun; and of each input its end, when its blocks are done.

        The file `.done` of an input says that there are no more. While the last blocks of one are
        worked on, the next one is read.
        """
        before = 0
        for number, size in enumerate(self.source.sizes):
            done = self.folder / f"{number:06d}.done"
            if not self._is_done(done) or self.strict:
                problems: list[str] = []
                block = 0
                for piece in self.source.pieces(number):
                    if isinstance(piece, str):
                        problems.append(piece)
                        if self.strict:
                            raise InputError(f"{self.source.inputs[number]}: {piece}")
                        continue
                    work = pool.submit(self._piece, piece, self._block(number, block))
                    yield partial(_position, work, before)
                    block += 1
                told = json.dumps({"blocks": block, "problems": problems}).encode()
                yield partial(_end, done, told, before + size)
            before += size

    def _block(self, number: int, block: int) -> Path:
        """The file of a block of one input."""
        return self.folder / "blocks" / f"{number:06d}-{block:06d}.parquet"

    def _is_done(self, done: Path) -> bool:
        """Whether an input's file says so, and all the blocks are there that it tells of."""
        try:
            blocks = json.loads(done.read_bytes())["blocks"]
        except (FileNotFoundError, ValueError):
            return False
        return all(_is_whole(self._block(int(done.stem), block)) for block in range(blocks))

    def _piece(self, piece: Piece, path: Path) -> int:
        """Write the piece's block, unless it is there; returns the piece's position."""
        import pyarrow as pa

        if _is_whole(path):
            if self.strict:
                self._refuse(_report_of(path))
            return piece.position
        understood = self.source.understand(piece.data, self.with_texts)
        report = understood.report
        report.check()
        if self.strict:
            self._refuse(report)
        if understood.rejected:
            rows, reasons, texts = zip(*understood.rejected, strict=True)
            ords = pa.array(map(ord_of, rows), pa.int64())
            rejected = {"ord": ords, "reason": reasons, "text": texts}
            _write_table(pa.table(rejected), path.with_suffix(".rejected"))
        metadata = {"report": json.dumps(report.to_json())}
        _write_table(understood.table.replace_schema_metadata(metadata), path)
        return piece.position

    def _refuse(self, report: Report) -> None:
        """Raise at the first malformed row."""
        left_out = report.rows_left_out.items()
        broken = [(e.first[0], reason) for reason, e in left_out if reason in self.source.malformed]
        if broken:
            row, reason = min(broken)
            raise _malformed(place_of(row, self.source.files, numbered(self.source)), reason)


def _position(work: Future[int], before: int) -> int:
    """How much is read with a block, when it is done; what went wrong in it is raised here."""
    return before + work.result()


def _end(done: Path, told: bytes, position: int) -> int:
    """Say that an input's blocks are all there."""
    write_whole(done, told)
    return position


def refuse_malformed(account: dict, malformed: frozenset[str]) -> None:
    """Raise where a collection's report (`Report.as_dict`) has an input, or a row, of that kind."""
    for problem in account["problems"]:
        raise InputError(f"{problem['file']}: {problem['what']}")
    for reason, entry in account["rows"]["left_out"].items():
        if reason in malformed:
            raise _malformed(entry["first"][0], reason)


def numbered(source: Source) -> Sequence[str]:
    """Of each file, how its rows are numbered (`report.NUMBERED`); sources of lines do not say."""
    return getattr(source, "numbered", ())


def _malformed(place: Place, reason: str) -> InputError:
    where = ", ".join(filter(None, (place["file"], number_in(place))))
    return InputError(f"{where}: {reason}. Without --strict, such rows are counted only.")


def _write_table(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    repeated = ["user", "hashtags.list.element", "capitals.list.element", "reason"]
    with whole_file(path, "what is understood so far") as partial:
        options = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
        pq.write_table(table, partial, use_dictionary=repeated, **options)


def _is_whole(block: Path) -> bool:
    """Whether a block is there as it was written, and the rejected rows that belong to it."""
    import pyarrow.parquet as pq

    rejected = block.with_suffix(".rejected")
    try:
        for path in (block, rejected) if rejected.exists() else (block,):
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                file.read()
    except (OSError, ValueError):  # not there, empty, cut off, or with other bytes
        return False
    return True


def _report_of(block: Path) -> Report:
    import pyarrow.parquet as pq

    return Report.from_json(json.loads(pq.read_schema(block).metadata[b"report"]))


def total_report(folder: Path) -> Report:
    """The sum of all blocks' accounts, in their order."""
    total = Report()
    for path in sorted((folder / "blocks").glob("*.parquet")):
        total.add(_report_of(path))
    for path in sorted(folder.glob("*.done")):
        problems = json.loads(path.read_bytes())["problems"]
        total.problems += [(int(path.stem), what) for what in problems]
    return total
