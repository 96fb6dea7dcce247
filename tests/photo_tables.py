"""Eight photos of three users as a table, to write and to spoil."""

import numpy as np
import pyarrow as pa

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
DAYS = pa.timestamp("s")


def table_of(rows: list[tuple[str, str, int | None]], **columns) -> pa.Table:
    """Photos (photo_id, user, day); every other column can be given instead of made up."""
    day = 24 * 60 * 60
    made = {
        "photo_id": [photo_id for photo_id, _, _ in rows],
        "user": [user for _, user, _ in rows],
        "time": pa.array([None if d is None else d * day for _, _, d in rows], DAYS),
        "hashtags": [[photo_id, "all"] for photo_id, _, _ in rows],
        "image": pa.array([{"bytes": r[0].encode(), "path": None} for r in rows], IMAGE),
    }
    return pa.table(made | columns)


SHUFFLED = [
    ("p3", "bea", 1), ("p2", "ann", 9), ("p5", "bea", None), ("p4", "bea", 2),
    ("p0", "ann", 7), ("p7", "cat", None), ("p1", "ann", 9), ("p6", "cat", None),
]  # fmt: skip
IN_ORDER = [f"p{i}" for i in range(8)]
GOOD = [("p0", "ann", 1), ("p1", "ann", 2), ("p2", "bea", 1)]


def fake_features(pictures: list[bytes], path) -> None:
    """Instead of a ConvNet: photo "p7" gets the feature (7, 1)."""
    rows = [(float(picture[1:]), 1.0) for picture in pictures]
    np.save(path, np.array(rows, dtype=np.float16))
