"""The second half of a way in: which of the understood photos are kept (§4, Datasets).

DuckDB does it over the blocks on disk, within `MEMORY`, spilling to disk what does not fit. The
paper keeps users with 100 to 200 tagged photos, leaves out hashtags without a word vector and
photos without any hashtag then, and keeps users who have 50 photos left.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hashtag_core.errors import InputError
from hashtag_core.files import whole_file
from hashtag_core.prepare.cleaning import MAX_HASHTAGS
from hashtag_core.prepare.cleaning import TWICE as SAME
from hashtag_core.prepare.report import FIRST, Report
from hashtag_core.prepare.staging import LINE_BITS, row_of, staged_schema
from hashtag_core.printing import AS_TEXT, FORMULA

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEMORY = "400MB"
ROWS_AT_A_TIME = 4096
PICTURES_AT_A_TIME = 256

TWICE = "a photo whose id stood before"
JOINED = "joined with the first row of its photo"
SURPLUS = f"more than the first {MAX_HASHTAGS:,} hashtags of a photo"
NO_VECTOR = "no hashtag with a word vector"
AS_READ = "CREATE VIEW staged AS SELECT *, false AS more FROM read"
JOIN = f"""
    CREATE TEMP TABLE tags AS
        SELECT photo_id, "user", tag, min(ord) AS ord, arg_min(typed, ord) AS typed
        FROM (
            SELECT photo_id, "user", ord, unnest(hashtags) AS tag, unnest(capitals) AS typed
            FROM read
        ) GROUP BY photo_id, "user", tag;
    CREATE TEMP TABLE photos AS
        SELECT photo_id, "user", min(ord) AS first,
            list(tag ORDER BY ord)[1:{MAX_HASHTAGS:d}] AS all_tags,
            list(typed ORDER BY ord)[1:{MAX_HASHTAGS:d}] AS all_typed,
            greatest(count(*) - {MAX_HASHTAGS:d}, 0) AS surplus
        FROM tags GROUP BY ALL;
    CREATE VIEW staged AS
        SELECT read.* REPLACE (
                CASE WHEN ord = first THEN all_tags ELSE [] END AS hashtags,
                CASE WHEN ord = first THEN all_typed END AS capitals
            ), ord <> first AS more
        FROM read JOIN photos USING (photo_id, "user")
"""  # a photo's hashtags stand in its first row


@dataclass(frozen=True)
class Selection:
    """Which users are kept.

    Attributes:
        min_photos: tagged photos that a user has at least.
        max_photos: and at most; None for no bound.
        min_kept: photos that a user has left at least, when photos without a word vector are gone.
    """

    min_photos: int = 1
    max_photos: int | None = None
    min_kept: int = 1

    def __post_init__(self) -> None:
        if self.min_photos < 1 or self.min_kept < 1:
            raise InputError("users need at least one photo: --min-photos and --min-kept-photos.")
        if self.max_photos is not None and self.max_photos < self.min_photos:
            raise InputError(f"--max-photos {self.max_photos} is under --min-photos.")

    @classmethod
    def paper(cls) -> Selection:
        """Users with 100 to 200 tagged photos, of which 50 are left (§4)."""
        return cls(100, 200, 50)

    def reasons(self) -> list[str]:
        """Why a photo is left out here, in the order in which it is asked."""
        return [
            TWICE,
            f"of a user with fewer than {self.min_photos} tagged photos",
            f"of a user with more than {self.max_photos} tagged photos",
            NO_VECTOR,
            f"of a user with fewer than {self.min_kept} photos left",
            JOINED,
        ]


class Selected:
    """The blocks of a folder, and of each photo whether it is kept and why not.

    Args:
        folder: with `blocks`, of `staging.Staging`.
        selection: which users are kept.
        joins_rows: whether rows of the same user with the same id are one photo.
    """

    def __init__(self, folder: Path, selection: Selection, joins_rows: bool = False) -> None:
        import duckdb

        self.folder, self.selection, self.joins_rows = folder, selection, joins_rows
        self.database: duckdb.DuckDBPyConnection = duckdb.connect(
            config={
                "memory_limit": MEMORY,
                "temp_directory": str(folder / "spill"),
                "threads": 2,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        self.database.execute("SET enable_progress_bar = false")
        # else the number of blocks would decide which columns of photos.parquet may be null
        self.database.execute("SET disabled_optimizers = 'statistics_propagation'")
        try:
            self._judge()
        except duckdb.OutOfMemoryException:
            self.close()
            what = f"there are too many to be brought together within {MEMORY} of memory"
            raise InputError(f"the photos: {what}. Read fewer photos.") from None

    def _judge(self) -> None:
        """Make `judged`: a number of `Selection.reasons`, or null, for each photo."""
        some = self.selection
        most = "false" if some.max_photos is None else f"photos > {some.max_photos:d}"
        self.database.register("nothing", staged_schema().empty_table())
        read = self._blocks("parquet") or "nothing"
        self.database.execute(f"""
            CREATE VIEW read AS SELECT * FROM {read};
            {JOIN if self.joins_rows else AS_READ};
            CREATE TEMP TABLE once AS
                SELECT photo_id, min(ord) AS first FROM staged
                GROUP BY photo_id HAVING count(*) > 1;
            CREATE TEMP VIEW single AS
                SELECT ord, "user", len(hashtags) > 0 AS has_word FROM staged
                LEFT JOIN once USING (photo_id) WHERE first IS NULL OR first = ord;
            CREATE TEMP TABLE users AS
                SELECT "user", count(*) AS photos, count(*) FILTER (WHERE has_word) AS words
                FROM single GROUP BY "user";
            CREATE TEMP TABLE reason_of_user AS
                SELECT "user", CASE
                    WHEN photos < {some.min_photos:d} THEN 1
                    WHEN {most} THEN 2
                    WHEN words < {some.min_kept:d} THEN 4
                END AS reason FROM users;
            CREATE TEMP VIEW judged AS
                SELECT staged.*, CASE
                    WHEN more THEN 5
                    WHEN first IS NOT NULL AND first <> ord THEN 0
                    WHEN reason IN (1, 2) THEN reason
                    WHEN len(hashtags) = 0 THEN 3
                    ELSE reason
                END AS why
                FROM staged LEFT JOIN once USING (photo_id) LEFT JOIN reason_of_user USING ("user");
            CREATE TEMP TABLE found (ord BIGINT, path VARCHAR, why_not VARCHAR)
        """)

    def _blocks(self, ending: str) -> str:
        """The table of all blocks, for SQL; "" where there are none."""
        folder = self.folder / "blocks"
        if not any(folder.glob(f"*.{ending}")):
            return ""
        return _table_of(Path(glob.escape(str(folder))) / f"*.{ending}")

    def account(self, report: Report) -> None:
        """Enter into the report who is left out here, and check that it adds up."""
        rows = self.database.execute(
            f"SELECT why, count(*), min(ord, {FIRST}), sum(len(hashtags)) FROM judged GROUP BY why"
        ).fetchall()
        reasons = self.selection.reasons()
        read = int(self._one("SELECT coalesce(sum(len(hashtags)), 0) FROM read"))
        kept = [row for row in rows if row[0] is None]
        report.rows_kept = sum(row[1] for row in kept)
        report.hashtags_kept = int(sum(row[3] for row in kept))
        for why, count, first, hashtags in sorted(row for row in rows if row[0] is not None):
            report.leave_out(reasons[why], count, map(row_of, first))
            report.leave_out_hashtags("of a photo left out", int(hashtags))
        surplus = int(self._one("SELECT sum(surplus) FROM photos") or 0) if self.joins_rows else 0
        report.leave_out_hashtags(SAME, read - surplus - int(sum(row[3] for row in rows)))
        report.leave_out_hashtags(SURPLUS, surplus)
        report.check()

    def has_pictures(self) -> bool:
        """Whether the source gave the bytes of any picture."""
        return bool(self._one("SELECT bool_or(picture IS NOT NULL) FROM staged"))

    def number_of_pictures(self) -> int:
        """How many of the kept photos come with a picture, or say where it is."""
        has_one = "(image IS NOT NULL OR picture IS NOT NULL)"
        return self._one(f"SELECT count(*) FROM judged WHERE why IS NULL AND {has_one}")

    def write_without_pictures(self, path: Path) -> None:
        """photos.parquet, in (user, time, photo_id) order, with an empty column `image`."""
        self._write("NULL::STRUCT(bytes BLOB, path VARCHAR) AS image", path)

    def write_kept(self, path: Path) -> None:
        """Parquet of ord, photo_id and image, as staged, of the kept photos, in any order."""
        query = "SELECT ord, photo_id, image FROM judged WHERE why IS NULL"
        self.database.execute(f"COPY ({query}) TO {_quoted(path)} (FORMAT parquet)")

    def find(self, wanted: Path, index: Path) -> None:
        """Give kept photos the pictures of an index (`picture_index.py`), the first one each.

        Args:
            wanted: Parquet of ord and name; a photo may be known by several names.
            index: Parquet of name, number, path, why_not.
        """
        self.database.execute(f"""
            CREATE TEMP TABLE first_of AS
                SELECT ord, min(number) AS number FROM {rows_in(wanted)}
                JOIN {rows_in(index)} USING (name) GROUP BY ord;
            INSERT INTO found
                SELECT ord, path, why_not FROM first_of
                JOIN {rows_in(index)} USING (number);
            DROP TABLE first_of
        """)

    def photos(self) -> Iterator[pa.Table]:
        """The same rows, some at a time: `image`, `picture` as staged, `path`, `why_not` found."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path, with_pictures = self.folder / "kept", self.has_pictures()
        self._write("image, ord, path, why_not", path)  # no bytes: DuckDB cannot sort gigabytes
        with pq.ParquetFile(path) as file, (self.folder / "pictures").open("wb+") as pictures:
            places = self._unpack(pictures) if with_pictures else {}
            for batch in file.iter_batches(PICTURES_AT_A_TIME if with_pictures else ROWS_AT_A_TIME):
                read = []
                for start, size in (places.get(o, (0, None)) for o in batch["ord"].to_pylist()):
                    pictures.seek(start)
                    read.append(None if size is None else pictures.read(size))
                column = pa.array(read, pa.binary())
                table = pa.Table.from_batches([batch.drop_columns("ord")])
                yield table.append_column("picture", column)

    def _unpack(self, file: BinaryIO) -> dict[int, tuple[int, int]]:
        """Write all pictures one after the other; returns where each is: ord -> (start, bytes)."""
        import pyarrow.parquet as pq

        places = {}
        for block in sorted((self.folder / "blocks").glob("*.parquet")):
            with pq.ParquetFile(block) as rows:
                for batch in rows.iter_batches(PICTURES_AT_A_TIME, columns=["ord", "picture"]):
                    for row in batch.to_pylist():
                        if row["picture"] is not None:
                            places[row["ord"]] = file.tell(), file.write(row["picture"])
        return places

    def _write(self, pictures: str, path: Path) -> None:
        import duckdb

        query = f"""
            COPY (
                SELECT photo_id, "user", "time", hashtags, {pictures}
                FROM judged LEFT JOIN found USING (ord) WHERE why IS NULL
                ORDER BY "user", "time" NULLS LAST, photo_id
            ) TO {_quoted(path)} (FORMAT parquet, COMPRESSION zstd)
        """
        try:
            self.database.execute(query)
        except duckdb.OutOfMemoryException:  # some texts of hundreds of kilobytes, which it keeps
            what = f"there are too many, or too long ones, to be sorted within {MEMORY} of memory"
            raise InputError(f"the photos' hashtags: {what}. Read fewer photos.") from None

    def _one(self, query: str) -> Any:
        return self.database.execute(query).fetchall()[0][0]

    def first(self, number: int) -> list[dict]:
        """The first kept photos, in the order of the files."""
        names = "photo_id", "user", "time", "hashtags", "image"
        columns = ", ".join(f'"{name}"' for name in names)
        rows = self.database.execute(
            f"SELECT {columns} FROM judged WHERE why IS NULL ORDER BY ord LIMIT {number:d}"
        ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def number_of_users(self, photos: Path) -> int:
        """Of the kept photos, which are written already."""
        return self._one(f'SELECT count(DISTINCT "user") FROM {rows_in(photos)}')

    def write_rejected(self, path: Path, files: list[str], numbered: Sequence[str] = ()) -> None:
        """All rows left out as CSV: file, line, reason, text (of those the source left out).

        Where rows are `numbered` otherwise, `line` is called so; `number` where files differ.

        A text that a spreadsheet would take for a formula has a ' in front: `printing.FORMULA`.
        """
        import pyarrow as pa

        names = pa.table({"number": range(len(files)), "file": files})
        reasons = pa.table({"why": range(5), "reason": self.selection.reasons()[:5]})
        self.database.register("names", names)
        self.database.register("reasons", reasons)
        rejected = self._blocks("rejected")
        texts = f"SELECT * FROM {rejected} UNION ALL" if rejected else ""
        file, reason, text = (
            f"regexp_replace({name}::VARCHAR, {_quoted(FORMULA)}, {_quoted(AS_TEXT)}) AS {name}"
            for name in ("file", "reason", "text")
        )
        kinds = {*numbered} or {"line"}
        kind = kinds.pop() if len(kinds) == 1 else "number"
        query = f"""
            SELECT {file}, nullif(ord & {(1 << LINE_BITS) - 1}, 0) AS {kind}, {reason}, {text}
            FROM ({texts} SELECT ord, reason, NULL AS text FROM judged JOIN reasons USING (why))
            JOIN names ON number = ord >> {LINE_BITS} ORDER BY ord
        """
        with whole_file(path) as partial:  # DuckDB itself would put a file in place of a link
            as_csv = f"{_quoted(partial)} (FORMAT csv, HEADER, USE_TMP_FILE false)"
            self.database.execute(f"COPY ({query}) TO {as_csv}")

    def close(self) -> None:
        """Let go of the files."""
        self.database.close()


def rows_in(photos: Path) -> str:
    """The table of a Parquet file, for SQL."""
    return _table_of(glob.escape(str(photos)))


def _table_of(pattern: str | Path) -> str:
    """The table of Parquet files; a folder `user=ann` above them is only a name."""
    return f"read_parquet({_quoted(pattern)}, hive_partitioning = false)"


def _quoted(text: str | Path) -> str:
    """A text or a path for SQL."""
    return "'" + str(text).replace("'", "''") + "'"
