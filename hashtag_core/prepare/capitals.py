"""Where words end in the hashtags of the kept photos, as the capitals of most people tell.

A hashtag is one whatever its capitals are. But `TheRapist` is made of other words than `therapist`.
So each photo votes with what its user typed: with capitals inside, or without. The hashtags that
were most often typed with capitals inside, in one way, stand with them in the collection's
capitals.parquet, for psi (`data/splitting.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.data.meta import CAPITALS
from hashtag_core.data.splitting import by_capitals
from hashtag_core.prepare.selection import rows_in

if TYPE_CHECKING:
    import duckdb

FIRST = 3  # that the report shows
TOLD = "different hashtags whose capitals tell their words"
COUNT = """
    CREATE TEMP TABLE votes AS
        SELECT hashtag, typed, count(*) AS votes
        FROM (
            SELECT unnest(hashtags) AS hashtag, unnest(capitals) AS typed
            FROM judged WHERE why IS NULL AND capitals IS NOT NULL
        ) WHERE typed IS NOT NULL GROUP BY ALL;
    CREATE TEMP TABLE most AS
        SELECT hashtag, list(typed ORDER BY votes DESC, typed)[1] AS typed,
            max(votes) AS votes, sum(votes) AS with_capitals
        FROM votes GROUP BY hashtag;
    CREATE TEMP TABLE spelled AS
        SELECT hashtag, any_value(typed) AS typed, count(*) AS photos
        FROM (SELECT unnest(hashtags) AS hashtag FROM {kept}) JOIN most USING (hashtag)
        GROUP BY hashtag HAVING any_value(votes) > count(*) - any_value(with_capitals);
"""  # equally often: without


class Capitals:
    """The votes of the kept photos, counted.

    Args:
        database: with the table `judged` of `Selected`.
        photos: the kept photos, where they are written already: reading them is faster.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection, photos: Path | None = None) -> None:
        self.database = database
        kept = "judged WHERE why IS NULL" if photos is None else rows_in(photos)
        database.execute(COUNT.format(kept=kept))
        self.number = database.execute("SELECT count(*) FROM spelled").fetchall()[0][0]

    def notes(self) -> dict[str, int]:
        """A line for the report, with those that are on the most photos."""
        rows = self.database.execute(
            f"SELECT hashtag, typed FROM spelled ORDER BY photos DESC, hashtag LIMIT {FIRST:d}"
        ).fetchall()
        words = [(hashtag, " ".join(by_capitals(typed)).lower()) for hashtag, typed in rows]
        shown = ", ".join(f"{hashtag} = {apart}" for hashtag, apart in words)
        more = ", …" if self.number > FIRST else ""
        return {f"{TOLD}: {shown}{more}": self.number} if rows else {}

    def write(self, folder: Path) -> dict[str, str]:
        """The file, where there is anything to write; returns what meta.json says of it."""
        import pyarrow.parquet as pq

        if not self.number:
            return {}
        rows = self.database.sql("SELECT hashtag, typed FROM spelled ORDER BY hashtag")
        pq.write_table(rows.to_arrow_table(), folder / CAPITALS, compression="zstd")
        return {"capitals": CAPITALS}
