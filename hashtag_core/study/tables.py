"""The paper's tables and figures of numbers, each a function from a study to a table of ours.

    study = Study(PhotoCollection.load("data/open_art"), "runs/tables/open_art", folds=5)
    table_1(study)

The rows of every table stand in `rows.py`. The paper's numbers stand beside ours; they are of other
data and do not compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hashtag_core.data.hashtags import CANDIDATES
from hashtag_core.errors import InputError
from hashtag_core.printing import progress_bar
from hashtag_core.study.one_row import (
    find_pictures,
    find_users,
    from_last_photos,
    of_size,
    with_fixed_history,
)
from hashtag_core.study.paper import with_paper
from hashtag_core.study.reproduction import FIGURE_3
from hashtag_core.study.rows import (
    QUICKSTART,
    SAME_AS,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    TABLE_ENCODERS,
    TABLE_RETRIEVAL,
    TABLE_WORDS,
    Rows,
    main_row,
    rows_for,
)
from hashtag_core.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("A@1", "A@10", "P@10", "R@1", "R@10")
Measure = Callable[[int, str, str], list[dict]]  # fold, setting, model -> rows of numbers


def quickstart(study: Study) -> pd.DataFrame:
    """Five models on the open vocabulary, to see what the user's history is worth.

    Returns:
        A row per model and set of candidates: model, candidates, the metrics in per cent, photos
        and left_out; with several folds the means, columns "A@1 std" and so on, and the photos of
        all folds; a fold without any photo to count is not in the mean.
    """
    if not study.photos.has_pictures:
        raise InputError(
            f"{study.photos.folder}: no pictures, and quickstart shows what they and the history "
            f"are worth. Try `hashtag-core table 1 --data {study.photos.folder}`."
        )
    rows = measure(study, {"open": QUICKSTART}, study.prediction)
    return summarise(rows, ["model", "candidates"])


def table_1(study: Study, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Table 1, hashtag prediction: fixed and open vocabulary, ranked among the seen hashtags.

    Args:
        study: the collection, folds, seed and folder.
        models: only these rows; any other key of `MODELS` is added. None for the paper's.

    Returns:
        A row per vocabulary and model: the metrics' means over folds in per cent, "… std" with
        several folds, "… paper", photos and left_out. The other tables are like it.
    """
    return with_paper(_seen_rows(study, TABLE_1, models), "table 1", "vocabulary")


def table_2(study: Study, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Table 2, hashtags that no training user has used: ranked among the unseen, and among all."""
    rows = prediction_by_fold(study, TABLE_2, models)
    rows = rows[rows["candidates"] != "seen"].sort_values(
        "candidates", key=lambda column: column == "all", kind="stable"
    )
    return with_paper(summarise(rows, ["candidates", "model"]), "table 2", "candidates")


def table_3(study: Study, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Table 3, the same users in training and test (transductive), fixed vocabulary.

    Ours-FH has the fixed history of the training photos; ours also reads the test photos before
    the one to predict.
    """

    def one(number: int, setting: str, row: str) -> list[dict]:
        if row != "ours-FH":
            return study.prediction(number, setting, SAME_AS.get(row, row))
        return study.kept(number, setting, SAME_AS[row], "fixed-history", with_fixed_history)

    rows = measure(study, _rows(study, TABLE_3, models), one)
    return with_paper(summarise(rows, ["vocabulary", "model"]), "table 3", "vocabulary")


def table_4(study: Study, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Table 4, the fusion of images and hashtags in the user encoder (Equation 4)."""
    return with_paper(_seen_rows(study, TABLE_4, models), "table 4", "vocabulary")


def table_encoders(study: Study, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Not a table of the paper: what §3.1 says in words, pooling and a TCN in place of the GRU."""
    return _seen_rows(study, TABLE_ENCODERS, models)


def table_words(study: Study, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Not a table of the paper: psi as the sum of the words (§3.1), and scaled to one length.

    In a sum, hashtags of several words are longer, and what is longer scores higher or lower.
    """
    rows = prediction_by_fold(study, TABLE_WORDS, models)
    rows = rows.sort_values("candidates", key=lambda c: c.map(CANDIDATES.index), kind="stable")
    return summarise(rows, ["candidates", "model"])


def table_5(study: Study, models: Iterable[str] | None = None, history: int = 20) -> pd.DataFrame:
    """Table 5, user retrieval: the nearest user representation should be of the same user.

    Args:
        study: as in `table_1`.
        models: as in `table_1`.
        history: photos of each history; test users with fewer than two such are left out.

    Returns:
        A row per vocabulary and model: A@1, A@10 (per cent), MR (median rank), dim (size of the
        representation), queries (histories) and users.
    """
    what = f"user-retrieval-{history}"
    rows = measure(
        study,
        rows_for(study.photos, TABLE_5, models, in_time=False),
        lambda *job: study.kept(*job, what, find_users, history),
    )
    table = summarise(rows, ["vocabulary", "model"], ("A@1", "A@10", "MR"), ("queries", "users"))
    table["dim"] = rows.groupby(["vocabulary", "model"], sort=False)["dim"].first().to_numpy()
    return with_paper(table, "table 5", "vocabulary")


def table_retrieval(study: Study, models: Iterable[str] | None = None) -> pd.DataFrame:
    """A.5, pictures for a hashtag: as everyone means it, as the asking user, as another user.

    Two rows are no model's: pictures like those of training users with the hashtag whose words are
    the nearest, and pictures like the user's own ones with the hashtag. `ours+` is left out where a
    second ConvNet made the features of the pictures to predict.
    """
    if not study.photos.has_pictures:
        raise InputError(f"{study.photos.folder}: no pictures to find for a hashtag.")
    names = TABLE_RETRIEVAL["open"]
    if study.photos.query_features is not None:  # s compares new pictures with past ones
        names = tuple(name for name in names if name != "ours+")
    rows = measure(
        study,
        rows_for(study.photos, {"open": names}, models, in_time=False),
        lambda *job: study.kept(*job, "image-retrieval", find_pictures),
    )
    by = ["relevant", "model", "reading"]
    return summarise(rows, by, ("A@1", "A@10", "P@10", "MR"), ("queries", "pictures"))


def figure_3(study: Study, sizes: Iterable[int] | None = None) -> pd.DataFrame:
    """Figure 3: metrics, and the time of the user representation, against its size d_u.

    Args:
        study: as in `table_1`.
        sizes: the d_u to train with. None for 32 to 1024, and in a study of the paper's sizes for
            its 32 to 8192.

    Returns:
        A row per d_u: the metrics, and "ms per photo", the user encoder's time on the test users.
    """
    row = main_row(study.photos)
    sizes = sizes or FIGURE_3[study.sizes]
    rows = measure(
        study,
        {"open": [f"{row}, d_u = {size}" for size in sizes]},
        lambda *job: study.kept(*job, "prediction", of_size, row),
    )
    return summarise(rows, ["model", "d_u"], (*METRICS, "ms per photo"))


def figure_history(
    study: Study,
    models: Iterable[str] | None = None,
    lengths: Iterable[int] = (0, 1, 2, 5, 10, 20, 50, 100),
) -> pd.DataFrame:
    """A.6: metrics against the length of the history, the newest photos of it.

    Args:
        study: as in `table_1`.
        models: as in `table_1`, those with a GRU.
        lengths: at most so many photos are read before each photo; all photos are predicted,
            also those that have fewer before them.

    Returns:
        A row per model and number of photos.
    """

    def one(*job) -> list[dict]:
        kept = (study.kept(*job, f"history-{n}", from_last_photos, n) for n in lengths)
        return [row for rows in kept for row in rows]

    names = {"open": ("ours (hashtag)", "ours (image+hashtag)")}
    rows = measure(study, rows_for(study.photos, names, models, in_time=False), one)
    return summarise(rows, ["model", "photos of history"])


TABLES = {
    "1": table_1,
    "2": table_2,
    "3": table_3,
    "4": table_4,
    "5": table_5,
    "encoders": table_encoders,
    "words": table_words,
    "retrieval": table_retrieval,
}


def prediction_by_fold(
    study: Study, rows: dict[str, tuple[str, ...]], models: Iterable[str] | None = None
) -> pd.DataFrame:
    """Hashtag prediction, a row per fold, vocabulary, model and candidates: not yet summarised."""
    return measure(
        study,
        _rows(study, rows, models),
        lambda number, setting, row: study.prediction(number, setting, SAME_AS.get(row, row)),
    )


def _rows(study: Study, rows: Rows, models: Iterable[str] | None) -> Rows:
    """`rows_for`, in the order of the study."""
    return rows_for(study.photos, rows, models, in_time=study.order == "time")


def _seen_rows(study: Study, rows: Rows, models: Iterable[str] | None) -> pd.DataFrame:
    by_fold = prediction_by_fold(study, rows, models)
    return summarise(by_fold[by_fold["candidates"] == "seen"], ["vocabulary", "model"])


def measure(study: Study, rows: dict[str, Iterable[str]], one: Measure) -> pd.DataFrame:
    """Measure every row in every fold, with a progress bar: columns vocabulary, model, fold, …."""
    import pandas as pd

    jobs = [(n, setting, row) for n in study.numbers for setting in rows for row in rows[setting]]
    measured = []
    for number, setting, row in (bar := progress_bar(jobs, desc="rows")):
        bar.set_postfix_str(f"fold {number + 1}: {setting}, {row}")
        for values in one(number, setting, row):
            measured.append({"vocabulary": setting, "model": row, "fold": number + 1, **values})
    return pd.DataFrame(measured)


def summarise(
    rows: pd.DataFrame,
    by: list[str],
    metrics: tuple[str, ...] = METRICS,
    counts: tuple[str, ...] = ("photos", "left_out"),
) -> pd.DataFrame:
    """The mean and standard deviation over folds of each group of rows, in their order.

    A fold in which no photo counted is not in the mean. Counts are added up over folds. The table's
    `attrs` name under "failed" the trained rows that have failed to learn (`Study.failed`).
    """
    import pandas as pd

    folds = rows["fold"].nunique()
    table = []
    for key, group in rows.groupby(by, sort=False):
        row = dict(zip(by, key, strict=True))
        for metric in metrics:
            row[metric] = group[metric].mean()
            if folds > 1:
                row[f"{metric} std"] = group[metric].std()  # with n - 1
        table.append({**row, **{count: int(group[count].sum()) for count in counts}})
    result = pd.DataFrame(table)
    if "failed" in rows:
        failed = rows[rows["failed"] == 1]
        names = zip(failed["model"], failed["vocabulary"], failed["fold"], strict=True)
        result.attrs["failed"] = list(dict.fromkeys(f"{m} ({v}, fold {n})" for m, v, n in names))
    return result
