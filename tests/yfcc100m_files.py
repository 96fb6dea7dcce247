"""YFCC100M's metadata for the tests: single photos in each form, a small world, and damages."""

import json
import random
import sqlite3
from contextlib import closing

import pytest
from broken_files import mutated

from hashtag_core.benchmarks import yfcc100m_forms, yfcc100m_sample
from hashtag_core.benchmarks.ingest import photos_of
from hashtag_core.benchmarks.yfcc100m_forms import FORMS, write_form
from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample
from hashtag_core.prepare.ingest import NothingKept, prepare
from hashtag_core.sources.yfcc100m import Yfcc100m
from hashtag_core.sources.yfcc100m_text import FIRST_RELEASE

WORDS = ("cat", "dog", "black", "white", "the", "and", "of")
PHOTO = dict.fromkeys(FIRST_RELEASE, "") | {
    "photoid": 1, "uid": "1@N00", "datetaken": "2005-03-01 12:39:28.0",
    "dateuploaded": "1200000000", "usertags": "cat", "ext": "jpg", "marker": 0,
}  # fmt: skip


def small_world(folder):
    """Form -> the same 1,500 rows or so in it, many of them odd."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yfcc100m_sample, "PHOTOS_OF_USER", 30)
        patch.setattr(yfcc100m_sample, "ODD_SHARE", 0.2)
        patch.setattr(yfcc100m_forms, "ROWS_OF_FILE", 400)
        sample = write_yfcc100m_sample(folder / "sample", 1500)
        return {form: write_form(sample, folder / form, form) for form in FORMS}


def photo(**cells):
    return PHOTO | cells


def database(path, *rows, table="photos", types="", page=1024):
    """An SQLite file with some photos, whose columns have no type but what is given."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size={page}")
        columns = ", ".join(f"{name} {types}" for name in PHOTO)
        connection.execute(f"CREATE TABLE {table} ({columns})")
        places = ", ".join("?" for _ in PHOTO)
        rows = [[*row.values()] for row in rows]
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        connection.commit()
    return path


def json_lines(path, *lines):
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join([*texts, ""]), encoding="utf-8", errors="surrogateescape")
    return path


def read(path, out, **options):
    """(photos, report); the report adds up."""
    try:
        folder = prepare(Yfcc100m([path], WORDS), out, **options)
    except NothingKept as nothing:
        photos, report = [], nothing.report
    else:
        photos = list(photos_of(folder))
        report = json.loads((folder / "report.json").read_text())
    rows = report["rows"]
    assert rows["kept"] == len(photos)
    left_out = sum(entry["count"] for entry in rows["left_out"].values())
    assert rows["read"] == rows["kept"] + left_out
    return photos, report


def counts(report):
    rows = report["rows"]
    left_out = {reason: entry["count"] for reason, entry in rows["left_out"].items()}
    return rows["read"], rows["kept"], left_out, report["hashtags"], report["notes"]


def damaged_pages(data, seed):
    """An SQLite file with some bytes changed, mostly behind its first page."""
    rng = random.Random(seed)
    if seed % 5 == 0:
        return mutated(data, seed)
    data = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        page = rng.randrange(1, len(data) // 512)
        at = 512 * page + rng.choice([rng.randrange(12), rng.randrange(60), rng.randrange(512)])
        length = rng.choice([1, 1, 2, 8, 100, 512])
        if rng.random() < 0.3:
            other = 512 * rng.randrange(len(data) // 512)  # a page twice
            data[512 * page : 512 * page + 512] = data[other : other + 512]
        else:
            data[at : at + length] = rng.randbytes(length)
    return bytes(data[: len(data) // 512 * 512])
