"""Which rows each table has, and which of them a collection without pictures leaves out.

Rows are named as the paper names them. Two are not the paper's: `repeat recent`, the line to beat,
and on simulated collections `oracle`, the best possible ranking.
"""

from __future__ import annotations

from collections.abc import Iterable

from hashtag_core.errors import InputError
from hashtag_core.study.study import MODELS, Study

Rows = dict[str, tuple[str, ...]]  # setting -> names

QUICKSTART = (
    "frequency",
    "repeat recent",
    "user agnostic",
    "ours (hashtag)",
    "ours (image+hashtag)",
)
TABLE_1 = {
    "fixed": (
        "frequency",  # [A]
        "user agnostic",  # [B]
        "used hashtags",  # [C]
        "hashtag occurrences",  # [D]
        "tensor (MCLL)",  # [43]
        "ours (hashtag)",
        "ours (image+hashtag)",
        "repeat recent",
    ),
    "open": (
        "frequency",  # [A]
        "user agnostic",  # [B]
        "hashtag sum",  # [E]
        "tensor (MCLL)",  # [43]
        "ours (hashtag)",
        "ours w/o GloVe",
        "ours (image+hashtag)",
        "repeat recent",
    ),
}
TABLE_2 = {
    "open": (
        "user agnostic",
        "hashtag sum",
        "ours (hashtag)",
        "ours (image+hashtag)",
        "repeat recent",
    )
}
TABLE_3 = {"transductive": ("tensor (MCLL)", "ours-FH", "ours", "repeat recent")}
TABLE_4 = {
    "open": (
        "only hashtags",
        "sum",
        "concatenation",
        "bilinear",
        "GLU",
        "TIRG",
        "element-wise product",
    )
}
TABLE_5 = {
    "fixed": ("used hashtags", "hashtag occurrences", "ours (hashtag)", "ours (image+hashtag)"),
    "open": ("hashtag sum", "ours (hashtag)", "ours (image+hashtag)"),
}
TABLE_ENCODERS = {"open": ("mean pooling", "max pooling", "TCN", "GRU")}
SAME_AS = {  # rows that are a model of Table 1 under another name
    "ours": "ours (image+hashtag)",
    "ours-FH": "ours (image+hashtag)",
    "GRU": "ours (image+hashtag)",
    "element-wise product": "ours (image+hashtag)",
    "only hashtags": "ours (hashtag)",
}
TABLE_RETRIEVAL = {"open": ("user agnostic", "ours (hashtag)", "ours (image+hashtag)")}


def rows_for(
    study: Study, rows: Rows, models: Iterable[str] | None = None, oracle: bool = True
) -> Rows:
    """A table's rows as this study can measure them.

    Args:
        study: without pictures, rows that need them are left out; on a simulated collection the
            oracle comes last.
        rows: the table's.
        models: as in `choose`.
        oracle: whether the table has it.

    Raises:
        InputError: where there is no row of such a name, or none is left without pictures.
    """
    models = None if models is None else list(models)
    chosen = choose(rows, models)
    if not study.has_pictures:
        chosen = _without_pictures(chosen)
        left = {name for names in chosen.values() for name in names}
        missing = [name for name in dict.fromkeys(models or ()) if name not in left]
        if missing or not left:
            what = ", ".join(map(repr, missing)) or "every row of this table"
            raise InputError(f"{study.photos.folder}: no pictures, and {what} needs them.")
    return with_oracle(study, chosen) if oracle else chosen


def choose(rows: Rows, models: Iterable[str] | None) -> Rows:
    """A table's rows, or those of them that are named; trained models of other tables are added.

    Raises:
        InputError: where there is no row of such a name.
    """
    if models is None:
        return rows
    models = list(dict.fromkeys(models))
    of_table = {name for names in rows.values() for name in names}
    for name in models:
        if name not in of_table | set(MODELS):
            raise InputError(
                f"no row {name!r}. There are: {', '.join([*sorted(of_table), *MODELS])}."
            )
    more = tuple(name for name in models if name not in of_table)
    chosen = {
        setting: tuple(name for name in names if name in models) + more
        for setting, names in rows.items()
    }
    return {setting: names for setting, names in chosen.items() if names}


def with_oracle(study: Study, rows: Rows) -> Rows:
    """The same rows and, on a simulated collection, the oracle as the last one."""
    if not study.photos.has("oracle"):
        return rows
    return {setting: (*names, "oracle") for setting, names in rows.items()}


def needs_pictures(name: str, setting: str) -> bool:
    """Whether a row makes no sense without pictures.

    So it is where the user encoder reads images, and where the picture is all that tells two
    photos apart: [B] knows no user, and [43] only those it was trained on.
    """
    parts = MODELS.get(SAME_AS.get(name, name))
    if parts is None:  # a baseline without training
        return False
    encoder, fusion = parts.get("encoder"), parts.get("fusion")
    if encoder == "user vectors":
        return setting != "transductive"
    reads_images = encoder in (None, "mean pooling", "max pooling", "TCN")  # None: the GRU
    return encoder == "none" or (reads_images and fusion != "only hashtags")


def _without_pictures(rows: Rows) -> Rows:
    kept = {
        setting: tuple(name for name in names if not needs_pictures(name, setting))
        for setting, names in rows.items()
    }
    return {setting: names for setting, names in kept.items() if names}


def main_row(study: Study) -> str:
    """The paper's model, or where there are no pictures its variant without them."""
    return "ours (image+hashtag)" if study.has_pictures else "ours (hashtag)"


def notice(study: Study) -> str | None:
    """What to tell the user of a collection without pictures, in one line."""
    if study.has_pictures:
        return None
    left_out = [
        name if needs_pictures(name, "transductive") else f"{name} of new users"
        for name in (*MODELS, *SAME_AS)
        if needs_pictures(name, "open")
    ]
    return (
        f"{study.photos.folder}: features.npy holds no features of pictures: predictions come from "
        f"the history alone, and rows that need pictures are left out ({', '.join(left_out)})."
    )
