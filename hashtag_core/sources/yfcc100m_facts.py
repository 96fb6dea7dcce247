"""What the paper says of its dataset (§4), beside what a collection made of YFCC100M holds.

The split is the paper's: 70, 10 and 20 per cent of the photos, by user. "The test set has a
vocabulary of 568k hashtags (about 125k are unseen)": with 442k in training, that counts all that
are to choose from at test, seen and unseen.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from hashtag_core.data.splits import split_users
from hashtag_core.errors import InputError
from hashtag_core.prepare.selection import MEMORY, rows_in

TRAIN, TEST, UNSEEN = 442_000, 568_000, 125_000  # hashtags, §4


def facts(folder: str | Path, seed: int = 0) -> dict[str, float]:
    """Counts of a collection and of one split of its users, within `MEMORY`.

    Args:
        folder: of the collection.
        seed: of the split.

    Returns:
        users, photos, photos a user, hashtags a photo; and where there are users enough to split
        them: hashtags of training, hashtags at test, unseen ones.
    """
    import duckdb
    import pyarrow as pa

    with closing(duckdb.connect(config={"memory_limit": MEMORY, "threads": 2})) as database:
        database.execute("SET enable_progress_bar = false")
        kept = rows_in(Path(folder) / "photos.parquet")
        database.execute(f"CREATE VIEW photos AS SELECT * FROM {kept}")

        def ask(query: str) -> Any:
            return database.execute(query).fetchnumpy()

        of_user = ask('SELECT "user", count(*) AS n FROM photos GROUP BY 1 ORDER BY 1')
        hashtags = ask("SELECT sum(len(hashtags)) AS n FROM photos")["n"][0]
        counts = np.asarray(of_user["n"], np.int64)
        found = {
            "users": len(counts),
            "photos": int(counts.sum()),
            "photos a user": float(counts.mean()),
            "hashtags a photo": float(hashtags / counts.sum()),
        }
        try:
            split = split_users(counts, seed)
        except InputError:
            return found
        part = np.zeros(len(counts), np.int8)
        part[split.train], part[split.test] = 1, 2
        database.register("parts", pa.table({"user": of_user["user"].tolist(), "part": part}))
        row = ask("""
            SELECT count(*) FILTER (WHERE train) AS train, count(*) FILTER (WHERE NOT train) AS new
            FROM (
                SELECT tag, bool_or(part = 1) AS train
                FROM (
                    SELECT part, unnest(hashtags) AS tag FROM photos
                    JOIN parts USING ("user") WHERE part > 0
                ) GROUP BY tag
            )
        """)
        train, new = int(row["train"][0]), int(row["new"][0])
    return {**found, "hashtags of training": train, "hashtags at test": train + new, "unseen": new}


def beside_the_paper(found: dict[str, float]) -> list[tuple[str, str, str]]:
    """Them as (what, ours, the paper's), to read."""
    rows = [
        ("users", f"{found['users']:,.0f}", "not given"),
        ("photos", f"{found['photos']:,.0f}", "not given"),
        ("photos a user", f"{found['photos a user']:.1f}", "50 to 200"),
        ("hashtags a photo", f"{found['hashtags a photo']:.1f}", "not given"),
    ]
    if "unseen" in found:
        share, paper = found["unseen"] / found["hashtags at test"], UNSEEN / TEST
        ours = f"{found['unseen']:,.0f} ({share:.0%})"
        rows += [
            ("hashtags of training", f"{found['hashtags of training']:,.0f}", f"{TRAIN:,}"),
            ("hashtags at test, seen and unseen", f"{found['hashtags at test']:,.0f}", f"{TEST:,}"),
            ("of them unseen", ours, f"about {UNSEEN:,} ({paper:.0%})"),
        ]
    return rows


def facts_text(found: dict[str, float]) -> list[str]:
    """Them as lines."""
    rows = beside_the_paper(found)
    return [f"{ours:>14}  {what}  (the paper's: {paper})" for what, ours, paper in rows]
