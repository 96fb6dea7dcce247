"""YFCC100M's rows, whichever form they come in: column by column, and what each row holds.

Rows are judged in one order: its form, then photo or video, then tags, then dates, then hashtags;
the first thing that is wrong is the reason it is left out for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hashtag_core.prepare.cleaning import (
    MANY_HASHTAGS,
    MAX_HASHTAGS,
    NO_HASHTAG,
    TWICE,
    UNKNOWN,
)
from hashtag_core.prepare.opening import BLOCK
from hashtag_core.prepare.report import FIRST, Report, Row
from hashtag_core.prepare.sqlite import MAX_VALUE
from hashtag_core.prepare.staging import LINE_BITS, Understood, ord_of, staged_schema

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = {  # of the columns in the published table -> what they are called here
    "photoid": "photo_id", "uid": "user", "datetaken": "taken", "dateuploaded": "uploaded",
    "usertags": "tags", "marker": "marker",
}  # fmt: skip
OF_PICTURES = {"hash": "key", "key": "key", "downloadurl": "url", "ext": "extension"}
MAX_TAGS = 65_536  # bytes of a photo's tags
MAX_URL = 2_000  # bytes of a download URL
FIRST_YEAR = 1990  # of a date taken; before it, cameras were not digital
DAY = 86_400
ZEROS = b"0000-00-00 00:00:00"
PAIRS = np.array([0, 2, 5, 8, 11, 14, 17])  # where two digits of it stand beside each other

ID = r"\A[0-9]{1,20}\z"
USER = r"\A[0-9]{1,20}@N[0-9]{2}\z"
EXTENSION = r"\A[a-z]{3,4}\z"
URL = r"\Ahttps?://[\x21-\x7e]+\z"
KEY = r"\A[0-9a-f]{8,64}\z"
UPLOADED = r"\A[0-9]{1,10}\z"
TAKEN = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?\z"

WRONG_ID = "the photo id is not a number"
WRONG_USER = "the user is not like 30302697@N00"
NOT_DRAWN = "of a user who is not in the sample"
WRONG_MARKER = "the marker is neither 0 (photo) nor 1 (video)"
VIDEO = "a video"
NO_TAGS = "no user tags"
LONG_TAGS = f"user tags of more than {MAX_TAGS:,} bytes"
NO_DATE = "no date, neither taken nor uploaded"
UPLOAD_DATE = f"the date taken is missing, before {FIRST_YEAR} or after the upload: uploaded counts"
NO_OBJECT = "not a JSON object of texts and numbers in one line"
UNREADABLE = f"a value of more than {MAX_VALUE // 2**20} MiB, or a damaged one"
WRONG_ROW_ID = f"the row id is not between 1 and 2^{LINE_BITS}"
LONG_LINE = f"a line of more than {BLOCK // 2**20} MiB"
NEVER = np.iinfo(np.int64).min
MALFORMED = frozenset(
    {LONG_LINE, NO_OBJECT, UNREADABLE, WRONG_ROW_ID, WRONG_ID, WRONG_USER, WRONG_MARKER}
    | {LONG_TAGS, MANY_HASHTAGS, NO_DATE}
)


class Cells(NamedTuple):
    """What stands in some rows, in whichever form they came; the same rows give the same cells."""

    columns: dict[str, pa.Array]  # of binary: those of `NAMES`, and of `OF_PICTURES` what there is
    lines: np.ndarray  # (n,) int64, of each row its line or row id
    left_out: list[tuple[str, np.ndarray]]  # rows that could not be taken apart: reason, lines
    text: Callable[[int], str]  # a line or row id -> the row as it stood


class Block:
    """The rows of one block, column by column, and why each is left out, once one knows."""

    def __init__(self, number: int, cells: Cells) -> None:
        self.number, self.columns, self.lines, self.text = number, *cells[:2], cells.text
        self.report = Report(rows_read=len(cells.lines) + sum(len(n) for _, n in cells.left_out))
        self.rejected: list[tuple[str, np.ndarray]] = []
        for reason, lines in cells.left_out:
            self._leave_out(reason, lines)
        self.left = np.ones(len(self.lines), bool)

    def _leave_out(self, reason: str, lines: np.ndarray) -> None:
        self.report.leave_out(reason, len(lines), ((self.number, int(n)) for n in lines[:FIRST]))
        self.rejected.append((reason, lines))

    def _require(self, reason: str, fits: Any) -> None:
        """Leave out the rows that do not fit and are not out already."""
        fits = np.asarray(fits)
        self._leave_out(reason, self.lines[self.left & ~fits])
        self.left &= fits

    def understand(
        self,
        clean: Callable,
        with_images: bool,
        with_texts: bool,
        is_drawn: Callable[[bytes], bool] | None = None,
    ) -> Understood:
        """All rows, as `Source.understand` says.

        Args:
            clean: a tag as it stands -> (hashtag, None, its `spelling`), or (None, why it is left
                out, None).
            with_images: whether the pictures' URLs, or paths, are asked for.
            with_texts: whether the texts of the rows left out are asked for.
            is_drawn: whether a user is in the sample; None where all are.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        of = self.columns
        sizes = pc.binary_length(of["tags"]).to_numpy()
        self._require(WRONG_ID, _matches(of["photo_id"], ID))
        self._require(WRONG_USER, _often_matches(of["user"], USER))
        if is_drawn is not None:
            users = of["user"].dictionary_encode()
            drawn = np.array([*map(is_drawn, users.dictionary.to_pylist())], bool)
            self._require(NOT_DRAWN, drawn[users.indices.to_numpy()])
        self._require(WRONG_MARKER, _often_matches(of["marker"], r"\A[01]\z"))
        self._require(VIDEO, _often_matches(of["marker"], r"\A0\z"))
        self._require(NO_TAGS, sizes > 0)
        self._require(LONG_TAGS, sizes <= MAX_TAGS)
        self._require(MANY_HASHTAGS, _few_commas(of["tags"], self.left & (sizes >= MAX_HASHTAGS)))
        seconds, from_upload = _times(of["taken"], of["uploaded"])
        self._require(NO_DATE, seconds != NEVER)
        hashtags, capitals, any_left = self._hashtags(clean)
        self._require(NO_HASHTAG, any_left)
        left = np.flatnonzero(self.left)
        self.report.note(UPLOAD_DATE, int(from_upload[left].sum()))
        self.report.rows_kept = len(left)
        lines = self.lines[left]
        no_text = pa.nulls(len(left), pa.string())
        columns = {
            "ord": pa.array(ord_of((self.number, 0)) + lines, pa.int64()),
            "photo_id": of["photo_id"].take(left).cast(pa.string()),
            "user": of["user"].take(left).cast(pa.string()),
            "time": pa.array(seconds[left] * 1_000_000, pa.timestamp("us")),
            "hashtags": hashtags.take(left),
            "capitals": capitals.take(left),
            "image": self._images(left) if with_images else no_text,
            "picture": pa.nulls(len(left), pa.binary()),
        }
        table = pa.table(columns, schema=staged_schema())
        return Understood(table, self.report, self._texts() if with_texts else [])

    def _hashtags(self, clean: Callable) -> tuple[pa.Array, pa.Array, np.ndarray]:
        """(lists of those that are kept and of their spellings, bool: any that is a hashtag).

        With a vector or not.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = np.flatnonzero(self.left)
        tags = pc.split_pattern(self.columns["tags"].take(rows), b",")
        codes = tags.flatten().dictionary_encode()
        of_row = rows[pc.list_parent_indices(tags).to_numpy()]
        names, number_of, reasons, spellings = {}, [], [], []  # of each different tag
        for tag in codes.dictionary.to_pylist():
            hashtag, why, spelled = clean(tag)
            spellings.append(spelled)
            number_of.append(-1 if hashtag is None else names.setdefault(hashtag, len(names)))
            reasons.append(why)
        indices = codes.indices.to_numpy()
        hashtag_ids = np.array(number_of, np.int64)[indices]
        keys = of_row * (len(names) + 1) + hashtag_ids
        known = np.flatnonzero(hashtag_ids >= 0)
        kept = known[np.sort(np.unique(keys[known], return_index=True)[1])]
        counts = np.bincount(indices, minlength=len(reasons))
        self.report.hashtags_read += len(indices)
        for why, count in zip(reasons, counts.tolist(), strict=True):
            if why is not None:
                self.report.leave_out_hashtags(why, count)
        self.report.leave_out_hashtags(TWICE, len(known) - len(kept))
        is_hashtag = np.array([why in (None, UNKNOWN) for why in reasons], bool)[indices]
        any_left = np.zeros(len(self.lines), bool)
        any_left[of_row[is_hashtag]] = True
        self.report.hashtags_kept += len(kept)
        offsets = np.searchsorted(of_row[kept], np.arange(len(self.lines) + 1))
        texts = pa.array(list(names), pa.string()).take(pa.array(hashtag_ids[kept]))
        spelled = pa.array(spellings, pa.string()).take(pa.array(indices[kept]))
        has_one = np.zeros(len(self.lines), bool)
        has_one[of_row[kept][spelled.is_valid().to_numpy(zero_copy_only=False)]] = True
        starts = pa.array(offsets, pa.int32())
        hashtags = pa.ListArray.from_arrays(starts, texts)
        capitals = pa.ListArray.from_arrays(starts, spelled, mask=pa.array(~has_one))
        return hashtags, capitals, any_left

    def _images(self, rows: np.ndarray) -> pa.Array:
        """Download URLs; without one, `abc/def/<key>.jpg`, and without a key `<photo id>.jpg`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        of = {name: column.take(rows) for name, column in self.columns.items()}
        extension, good = "jpg", np.ones(len(rows), bool)
        if "extension" in of:
            extension, good = _ascii(of["extension"]), _often_matches(of["extension"], EXTENSION)
        stems = _ascii(of["photo_id"])
        if "key" in of:
            good &= _matches(of["key"], KEY)
            keys = _ascii(of["key"])
            first, second = (pc.utf8_slice_codeunits(keys, i, i + 3) for i in (0, 3))
            stems = pc.binary_join_element_wise(first, second, keys, "/")
        paths = pc.binary_join_element_wise(stems, extension, ".")
        paths = pc.if_else(pa.array(good), paths, pa.scalar(None, pa.string()))
        if "url" not in of:
            return paths
        short = pc.binary_length(of["url"]).to_numpy() <= MAX_URL
        return pc.if_else(pa.array(_matches(of["url"], URL) & short), _ascii(of["url"]), paths)

    def _texts(self) -> list[tuple[Row, str, str]]:
        """The rejected rows with their text."""
        return [
            ((self.number, n), reason, self.text(n))
            for reason, lines in self.rejected
            for n in lines.tolist()
        ]


def _matches(array: pa.Array, pattern: str) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.match_substring_regex(array, pattern).to_numpy(zero_copy_only=False)


def _often_matches(array: pa.Array, pattern: str) -> np.ndarray:
    """The same of an array with many equal texts."""
    codes = array.dictionary_encode()
    return _matches(codes.dictionary, pattern)[codes.indices.to_numpy()]


def _few_commas(tags: pa.Array, long: np.ndarray) -> np.ndarray:
    """(n,) bool: fewer than `MAX_HASHTAGS` in each text; only the long ones can have more."""
    import pyarrow.compute as pc

    fits, places = np.ones(len(long), bool), np.flatnonzero(long)
    fits[places] = pc.count_substring(tags.take(places), b",").to_numpy() < MAX_HASHTAGS
    return fits


def _ascii(array: pa.Array) -> pa.Array:
    """As text, with "" for what is not ASCII, which the patterns refuse anyway."""
    import pyarrow as pa
    import pyarrow.compute as pc

    fits = pc.match_substring_regex(array, r"\A[\x21-\x7e]*\z")
    return pc.if_else(fits, array, b"").cast(pa.string())


def _times(taken: pa.Array, uploaded: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(epoch seconds, `NEVER` where there is no date; bool: it is the date of upload)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    good = _matches(uploaded, UPLOADED)
    uploads = pc.if_else(pa.array(good), uploaded, b"0").cast(pa.string()).cast(pa.int64())
    uploads = np.where(good, uploads.to_numpy(), NEVER)
    good = _matches(taken, TAKEN)
    texts = pc.if_else(pa.array(good), taken, ZEROS).cast(pa.string())
    seconds = _seconds(pc.utf8_slice_codeunits(texts, 0, len(ZEROS)))
    bound = np.where(uploads == NEVER, np.iinfo(np.int64).max, uploads + DAY)
    believed = (seconds != NEVER) & (seconds <= bound)
    return np.where(believed, seconds, uploads), ~believed


def _seconds(texts: pa.Array) -> np.ndarray:
    """(n,) int64: epoch seconds of `YYYY-MM-DD HH:MM:SS`.

    `NEVER` where there is no such day, or it is too early.
    """
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[: len(ZEROS) * len(texts)]
    digits = np.ascontiguousarray(data.reshape(-1, len(ZEROS)).T).astype(np.int32) - ord("0")
    century, year, month, day, *clock = 10 * digits[PAIRS] + digits[PAIRS + 1]  # (n,) each
    years = 100 * century.astype(np.int64) + year
    first = (12 * (years - 1970) + month - 1).astype("M8[M]")
    dates = first.astype("M8[D]") + (day - 1)
    exists = (dates.astype("M8[M]") == first) & (month >= 1) & (month <= 12)
    seconds = DAY * dates.astype(np.int64) + 3_600 * clock[0] + 60 * clock[1] + clock[2]
    return np.where(exists & (years >= FIRST_YEAR), seconds, NEVER)
