"""Tables with anything wrong in them: each ends with rows that add up, or with one clear line."""

import json
import random
import time

import pytest

from hashtag_core.errors import InputError
from hashtag_core.sources.table import Table

IN_SUITE = 60
BY_NAME = {"user": "user", "time": "time", "hashtags": "tags"}
BY_NUMBER = {"user": "1", "time": "3", "hashtags": "4"}
TITLES = ['say "hi, there"', "C:\\photos\\", "plain", "two\nlines", '"', 'a "b" c', "", "x, y"]
TAGS = ["sea,sun", "c++,a+b", "caf%C3%A9", "black+white", "new york", "https://x.org/a", "", "x"]
ROWS = [[f"u{i % 4}", TITLES[i % 8], f"2014-01-{i + 1:02d} 10:00", TAGS[i % 8]] for i in range(24)]
PIECES = [
    '"', '\\"', "\\", ",", ";", "\t", "|", "\n", "\r\n", "\r", "%20", "%C3%A9", "%", "+", "++",
    "sep=;\n", "\x00", "\ufeff", "é", "\udc80", "[", "{", "]", "}", "'", "#", "NA", "0", "-1",
    "99999999999", "https://x.org", " ", '""', '"",', ',""', "\u2028", "&amp;", "\\N", "1e400",
]  # fmt: skip


def quoted(cell, backslash):
    if backslash:
        return '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return '"' + cell.replace('"', '""') + '"'


def some_table(chance):
    """(text, columns) of a table of one of the kinds that are told apart."""
    kind = chance.choice(["usual", "backslash", "ragged", "tsv", "jsonl", "sep", "number"])
    rows = [["user", "title", "time", "tags"], *chance.sample(ROWS, chance.randint(1, len(ROWS)))]
    if kind == "jsonl":
        lines = [json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:]]
        return "\n".join(lines), BY_NAME
    mark = {"tsv": "\t", "sep": ";"}.get(kind, ",")
    lines = []
    for row in rows[kind == "number" :]:
        cells = [quoted(cell, kind == "backslash") for cell in row]
        if kind in ("ragged", "number"):
            cells[-1:] = row[-1].replace(" ", ",").split(",")
        lines.append(mark.join(cells))
    text = "\n".join(["sep=;"] * (kind == "sep") + lines)
    return text, BY_NUMBER if kind == "number" else BY_NAME


def mutated(text, chance):
    """A text with a few pieces put in, cut out, doubled or moved."""
    for _ in range(chance.randint(0, 6)):
        at, size = chance.randrange(len(text) + 1), chance.randint(0, 12)
        how = chance.randrange(4)
        if how == 0:
            text = text[:at] + chance.choice(PIECES) * chance.choice([1, 1, 1, 3, 40]) + text[at:]
        elif how == 1:
            text = text[:at] + text[at + size :]
        elif how == 2:
            text = text[:at] + text[at : at + size] * 2 + text[at + size :]
        else:
            piece = chance.choice(PIECES)
            text = text.replace(chance.choice(PIECES), piece, chance.choice([1, -1]))
    return text


def read_mutation(path, number):
    """(rows read, kept) of mutation `number`; None where it is refused in one line."""
    chance = random.Random(number)
    text, columns = some_table(chance)
    path.write_bytes(mutated(text, chance).encode("utf-8", "surrogateescape"))
    try:
        source = Table(path, **columns)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 5000
        return None
    read = kept = 0
    for piece in source.pieces(0):
        if isinstance(piece, str):
            continue
        understood = source.understand(piece.data, True)
        understood.report.check()
        assert len(understood.rejected) + len(understood.table) == len(piece.data)
        assert all(
            tags and all(tag == tag.strip() and "\n" not in tag for tag in tags)
            for tags in understood.table["hashtags"].to_pylist()
        )
        read, kept = read + understood.report.rows_read, kept + len(understood.table)
    return read, kept


@pytest.mark.parametrize("number", range(IN_SUITE))
def test_whatever_is_wrong_in_a_table_its_rows_add_up(tmp_path, number):
    before = time.monotonic()
    read_mutation(tmp_path / "t", number)
    assert time.monotonic() - before < 60
