"""Which rows each table has, and which of them a collection without pictures leaves out.

Rows are named as the paper names them. Not the paper's are `repeat recent` and its rivals, `ours+`,
and on simulated collections `oracle`, the best possible ranking.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError


class Trained(NamedTuple):
    """A row that is trained.

    Attributes:
        parts: how its ModelConfig differs from the paper's model.
        needs_pictures: whether it makes no sense without pictures: its user encoder reads images,
            or the picture is all that tells two photos apart.
    """

    parts: dict[str, Any]
    needs_pictures: bool


MODELS = {
    "user agnostic": Trained({"encoder": "none"}, True),  # [B]
    "used hashtags": Trained({"encoder": "used hashtags"}, False),  # [C]
    "hashtag occurrences": Trained({"encoder": "hashtag occurrences"}, False),  # [D]
    "hashtag sum": Trained({"encoder": "hashtag sum"}, False),  # [E]
    "tensor (MCLL)": Trained({"encoder": "user vectors"}, True),  # [43]; not in Table 3
    "ours (hashtag)": Trained({"fusion": "only hashtags"}, False),
    "ours w/o GloVe": Trained({"learned_psi": True}, True),
    "ours (image+hashtag)": Trained({}, True),
    "ours (unit psi)": Trained({"unit_psi": True}, True),  # not the paper's
} | {
    name: Trained({part: name}, True)
    for part, names in (
        ("fusion", ("sum", "concatenation", "bilinear", "GLU", "TIRG")),
        ("encoder", ("mean pooling", "max pooling", "TCN")),
    )
    for name in names
}

Rows = dict[str, tuple[str, ...]]  # setting -> names

RIVALS = {  # name -> the rule, of `evaluation.rivals`
    "tuned decay": "decayed", "base-level learning": "base_level", "TIFU-KNN": "tifu_knn",
    "UP-CF@r": "up_cf", "personal and global": "personal_and_global",
}  # fmt: skip
IN_SECONDS = "base-level learning (seconds)"  # where every photo has a time
COPYING = "repeat recent", "tuned decay", "base-level learning"  # the line to beat
RULES = (*COPYING, "personal and global")  # those that are cheap at any size

OURS = ("ours (hashtag)", "ours (image+hashtag)")
QUICKSTART = ("frequency", "repeat recent", "user agnostic", *OURS, "ours+")
TABLE_1 = {
    "fixed": (
        "frequency", "user agnostic", "used hashtags", "hashtag occurrences", "tensor (MCLL)",
        *OURS, *RULES,
    ),
    "open": (
        "frequency", "user agnostic", "hashtag sum", "tensor (MCLL)", "ours (hashtag)",
        "ours w/o GloVe", "ours (image+hashtag)", *RULES,
    ),
}  # fmt: skip
TABLE_2 = {"open": ("user agnostic", "hashtag sum", *OURS, *RULES)}
TABLE_3 = {"transductive": ("tensor (MCLL)", "ours-FH", "ours", *RULES)}
TABLE_4 = {
    "open": (
        "only hashtags", "sum", "concatenation", "bilinear", "GLU", "TIRG", "element-wise product",
    )
}  # fmt: skip
TABLE_5 = {"fixed": ("used hashtags", "hashtag occurrences", *OURS), "open": ("hashtag sum", *OURS)}
TABLE_ENCODERS = {"open": ("mean pooling", "max pooling", "TCN", "GRU")}
TABLE_WORDS = {"open": ("ours (image+hashtag)", "ours (unit psi)")}
PLUS = {  # name -> which part it goes without
    "ours+": (), "ours+ w/o usage": ("usage",), "ours+ w/o own pictures": ("pictures",),
    "ours+ w/o memory": ("memory",), "ours+ w/o f": ("f",), "ours+ w/o looks": ("looks",),
}  # fmt: skip
UNGUARDED = "ours+ unguarded"  # trusted in any case
TABLE_BEYOND = {
    "open": (
        "frequency", "user agnostic", "hashtag sum", *OURS, "repeat recent", *RIVALS, IN_SECONDS,
        *(name for name in PLUS if name != "ours+ w/o looks"),  # that one by name: few have looks
    )
}  # fmt: skip
OWN_PICTURES = "own pictures with it"  # no model, as the next
NEAREST_HASHTAG = "pictures of the nearest hashtag"
TABLE_RETRIEVAL = {"open": ("user agnostic", *OURS, "ours+", NEAREST_HASHTAG, OWN_PICTURES)}
SAME_AS = {"only hashtags": "ours (hashtag)"} | dict.fromkeys(  # models of Table 1, as others say
    ("ours", "ours-FH", "GRU", "element-wise product"), "ours (image+hashtag)"
)


def rows_for(
    photos: PhotoCollection, rows: Rows, models: Iterable[str] | None = None, in_time: bool = True
) -> Rows:
    """A table's rows as they can be measured on a collection.

    Args:
        photos: without pictures, rows that need them are left out, and without times the one that
            needs these; on a simulated collection the oracle comes last.
        rows: the table's.
        models: as in `choose`.
        in_time: whether the photos are in the order of time, which the oracle and the row in
            seconds go by.

    Raises:
        InputError: where there is no row of such a name, or none is left without pictures.
    """
    models = None if models is None else list(models)
    chosen = choose(rows, models)
    if not in_time or photos.table["time"].null_count:
        if IN_SECONDS in (models or ()):
            raise InputError(f"{IN_SECONDS!r} needs photos in the order of time, and all times.")
        chosen = {
            setting: tuple(name for name in names if name != IN_SECONDS)
            for setting, names in chosen.items()
        }
    if not photos.has_pictures:
        chosen = {
            setting: tuple(name for name in names if not needs_pictures(name, setting))
            for setting, names in chosen.items()
        }
        chosen = {setting: names for setting, names in chosen.items() if names}
        left = {name for names in chosen.values() for name in names}
        missing = [name for name in dict.fromkeys(models or ()) if name not in left]
        if missing or not left:
            what = ", ".join(map(repr, missing)) or "every row of this table"
            raise InputError(f"{photos.folder}: no pictures, and {what} needs them.")
    return with_oracle(photos, chosen) if in_time else chosen


def choose(rows: Rows, models: Iterable[str] | None) -> Rows:
    """A table's rows, or those of them that are named.

    Trained models of other tables are added, and the rivals where there is `repeat recent`, and
    where there is `ours+` also it without its guard or a part.

    Raises:
        InputError: where there is no row of such a name.
    """
    if models is None:
        return rows
    models = list(dict.fromkeys(models))
    of_table = {name for names in rows.values() for name in names}
    known = of_table | set(MODELS)
    if "repeat recent" in of_table:
        known |= {*RIVALS, IN_SECONDS}
    if "ours+" in of_table:
        known |= {UNGUARDED, *PLUS}
    for name in models:
        if name not in known:
            there = dict.fromkeys([*sorted(of_table), *MODELS, *sorted(known)])
            raise InputError(f"no row {name!r}. There are: {', '.join(there)}.")
    more = tuple(name for name in models if name not in of_table)
    chosen = {
        setting: tuple(name for name in names if name in models) + more
        for setting, names in rows.items()
    }
    return {setting: names for setting, names in chosen.items() if names}


def with_oracle(photos: PhotoCollection, rows: Rows) -> Rows:
    """The same rows and, on a simulated collection, the oracle as the last one."""
    if not photos.has("oracle"):
        return rows
    return {setting: (*names, "oracle") for setting, names in rows.items()}


def needs_pictures(name: str, setting: str) -> bool:
    """Whether a row needs pictures; [43] does not where it was trained on the very users."""
    row = MODELS.get(SAME_AS.get(name, name))  # None: a baseline without training
    knows_users = name == "tensor (MCLL)" and setting == "transductive"
    return row is not None and row.needs_pictures and not knows_users


def main_row(photos: PhotoCollection) -> str:
    """The paper's model, or where there are no pictures its variant without them."""
    return "ours (image+hashtag)" if photos.has_pictures else "ours (hashtag)"


def notice(photos: PhotoCollection) -> str | None:
    """What to tell the user of a collection without pictures, in one line."""
    if photos.has_pictures:
        return None
    left_out = [
        name if needs_pictures(name, "transductive") else f"{name} of new users"
        for name in (*MODELS, *SAME_AS)
        if needs_pictures(name, "open")
    ]
    return (
        f"{photos.folder}: features.npy holds no features of pictures: predictions come from "
        f"the history alone, and rows that need pictures are left out ({', '.join(left_out)})."
    )
