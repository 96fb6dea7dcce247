"""YFCC100M's metadata in each public form: the same photos, and what breaks in each of them."""

import csv
import gzip
import hashlib
import json
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from broken_files import mutated

from hashtag_core import cli
from hashtag_core.benchmarks import yfcc100m_forms, yfcc100m_sample
from hashtag_core.benchmarks.ingest import csv_loop, photos_of
from hashtag_core.benchmarks.yfcc100m_forms import FORMS, write_form
from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import split_users
from hashtag_core.errors import InputError
from hashtag_core.prepare import sqlite
from hashtag_core.prepare.ingest import Images, NothingKept, prepare
from hashtag_core.prepare.opening import Lines
from hashtag_core.sources import yfcc100m
from hashtag_core.sources.yfcc100m import Yfcc100m
from hashtag_core.sources.yfcc100m_facts import facts
from hashtag_core.sources.yfcc100m_pictures import picture_paths
from hashtag_core.sources.yfcc100m_text import FIRST_RELEASE, LATER_RELEASE

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 150))
WORDS = ("cat", "dog", "black", "white", "the", "and", "of")
PHOTO = dict.fromkeys(FIRST_RELEASE, "") | {
    "photoid": 1, "uid": "1@N00", "datetaken": "2005-03-01 12:39:28.0",
    "dateuploaded": "1200000000", "usertags": "cat", "ext": "jpg", "marker": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Form -> the same 1,500 rows or so in it, many of them odd."""
    folder = tmp_path_factory.mktemp("world")
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


@pytest.mark.parametrize("images", [False, True])
def test_the_same_photos_are_the_same_collection_in_every_form(world, tmp_path, images):
    kept, told = {}, {}
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for form, path in world.items():
        if images and not kept:  # a picture for each seventh row, by its key
            for line in path.read_text(encoding="utf-8").splitlines()[::7]:
                key = naive_key(line.split("\t")[14])
                place = pictures / key[:3] / key[3:6] / f"{key}.jpg"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(b"a picture")
        source = Yfcc100m([path], WORDS, with_images=images)
        where = Images(pictures, picture_paths) if images else None
        out = prepare(source, tmp_path / form, images=where)
        kept[form] = hashlib.sha256((out / "photos.parquet").read_bytes()).hexdigest()
        told[form] = counts(json.loads((out / "report.json").read_text()))
        told[form][3]["left_out"] = dict(sorted(told[form][3]["left_out"].items()))
        if images:
            assert json.loads((out / "meta.json").read_text())["counts"]["pictures"] > 20
    assert len(set(kept.values())) == 1
    assert all(found == told["23 columns"] for found in told.values())
    expected, left_out = csv_loop([world["23 columns"]], WORDS, (1, 10**9, 1))
    assert list(photos_of(tmp_path / "sqlite")) == expected and len(expected) > 300
    assert told["sqlite"][2] == left_out


def naive_key(url):
    digits = hashlib.md5(url.encode()).hexdigest()
    pairs = [digits[i : i + 2] for i in range(0, 32, 2)]
    return "".join("0" if pair == "00" else pair.lstrip("0") for pair in pairs)


@pytest.mark.parametrize("separator", ["\t", "|"])
@pytest.mark.parametrize("header", [(), FIRST_RELEASE, LATER_RELEASE, ("usertags", "marker")])
def test_text_as_sqlite3_writes_it(tmp_path, separator, header):
    names = {(): FIRST_RELEASE, ("usertags", "marker"): tuple(reversed(FIRST_RELEASE))}
    names = names.get(header, header)
    rows = [photo(photoid=i, usertags=tags, line=7, hash="") for i, tags in ((1, "cat"), (2, ""))]
    rows.append(photo(photoid=3, usertags="b%7Cw,dog", line=8, hash=""))
    lines = [separator.join(str(row[name]) for name in names) for row in rows]
    first = 1
    if header:
        lines, first = [separator.join(names), *lines], 2
    path = tmp_path / "export.txt"
    path.write_text("\ufeff" * bool(header) + "\n".join([*lines, "one more", ""]), "utf-8")
    photos, report = read(path, tmp_path / "out")
    assert [found[2:] for found in photos] == [("1", ("cat",)), ("3", ("dog",))]
    places = {why: entry["first"][0]["line"] for why, entry in report["rows"]["left_out"].items()}
    assert places == {"no user tags": first + 1, f"not {len(names)} columns": first + 3}
    with pytest.raises(InputError, match=r"line \d: (not|no) "):
        read(path, tmp_path / "strict", strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_left_out_has_its_place_and_its_text(tmp_path, world, form):
    rejected = tmp_path / "rejected.csv"
    _, report = read(world[form], tmp_path / "out", rejected=rejected)
    with rejected.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report["rows"]["read"] - report["rows"]["kept"]
    users = [row for row in rows if row["reason"].startswith("the user is not")]
    assert len(users) > 3 and all("nobody" in row["text"] for row in users)
    (place,) = [
        e["first"] for e in report["rows"]["left_out"].values() if e["count"] == len(users)
    ][:1]
    if form == "sqlite":  # by row id
        ids = [line.split("\t")[0] for line in world["23 columns"].read_text("utf-8").splitlines()
               if line.split("\t")[1] == "nobody"]  # fmt: skip
        assert [str(found["line"]) for found in place] == sorted(ids, key=int)


def test_a_folder_stands_for_its_metadata_and_the_rest_is_told(world, tmp_path, capsys):
    (world["shards"] / "000.zip").write_bytes(b"PK\3\4 pictures")
    arguments = ["prepare", "yfcc100m", str(world["shards"]), "--out", str(tmp_path / "out")]
    everybody = ["--min-photos", "1", "--max-photos", "9999", "--min-kept-photos", "1"]
    assert cli.main([*arguments, *everybody]) == 0
    assert "1 file in it is no metadata" in capsys.readouterr().out
    source = Yfcc100m([world["shards"]], WORDS)
    assert [Path(name).name for name in source.files] == ["000.gz", "001.gz", "002.gz", "003.gz"]
    (world["shards"] / "000.zip").unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="none of the 0 files in it is YFCC100M's"):
        Yfcc100m([tmp_path / "empty"])


def test_another_table_and_values_that_nobody_expects(tmp_path):
    rows = [
        photo(photoid=1, usertags="cat"), photo(photoid="2", usertags="dog", marker="0"),
        photo(photoid=3, usertags=None), photo(photoid=4, datetaken=None, dateuploaded=1200000000),
        photo(photoid=5, usertags="c\0at,dog"), photo(photoid=6, usertags="a\tcat,dog\n\x1e"),
        photo(photoid=7, usertags=b"cat,\xff"), photo(photoid=8.5), photo(photoid=None),
        photo(photoid=9, uid=12), photo(photoid=10, marker=0.0), photo(photoid=-11),
        photo(photoid=12, datetaken="null", dateuploaded="null"), photo(photoid=13, usertags=2005),
        photo(photoid=14, title="\n\t\0|" * 50), photo(photoid=15, usertags="x" * 70_000),
    ]  # fmt: skip
    path = database(tmp_path / "my.db", *rows)
    before = path.read_bytes()
    photos, report = read(path, tmp_path / "out")
    assert {found[2]: found[3] for found in photos} == {
        "1": ("cat",), "2": ("dog",), "4": ("cat",), "5": ("dog",), "6": ("a cat", "dog"),
        "7": ("cat",), "14": ("cat",),
    }  # fmt: skip
    lines = {r: [p["line"] for p in e["first"]] for r, e in report["rows"]["left_out"].items()}
    assert lines == {
        "the photo id is not a number": [8, 9, 12],
        "the user is not like 30302697@N00": [10],
        "the marker is neither 0 (photo) nor 1 (video)": [11],
        "no user tags": [3],
        "user tags of more than 65,536 bytes": [16],
        "no date, neither taken nor uploaded": [13],
        "no hashtag with a word vector": [14],
    }
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["my.db", "out"]


def test_row_ids_of_every_size(tmp_path):
    path = database(tmp_path / "ids.db")
    ids = [-(2**63), -1, 0, 1, 2**40 - 1, 2**40, 2**63 - 1]
    with closing(sqlite3.connect(path)) as connection:
        names = ", ".join(PHOTO)
        for number, row_id in enumerate(ids, 1):
            values = [row_id, *photo(photoid=number).values()]
            places = ", ".join("?" for _ in values)
            connection.execute(f"INSERT INTO photos (rowid, {names}) VALUES ({places})", values)
        connection.commit()
    photos, report = read(path, tmp_path / "out")
    assert [found[2] for found in photos] == ["4", "5"]
    assert report["rows"]["left_out"]["the row id is not between 1 and 2^40"]["count"] == 5


def test_a_database_that_is_something_else_is_said(tmp_path):
    def refused(statements, match, name="x.db"):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(statements)
        with pytest.raises(InputError, match=match) as error:
            Yfcc100m([path], WORDS)
        assert "\n" not in str(error.value)

    columns = ", ".join(PHOTO)
    refused("CREATE TABLE a (photoid, uid, marker)", "a has no datetaken, dateuploaded, usertags")
    refused("VACUUM", "no table in it|no SQLite|23 or 25")
    refused(f"CREATE TABLE a ({columns}); CREATE TABLE b ({columns})", "several tables .*: a, b")
    refused("CREATE TABLE a (x); CREATE VIEW yfcc100m_dataset AS SELECT 1 AS photoid", "a has no")
    rows = columns.replace("photoid", "photoid PRIMARY KEY")
    refused(f"CREATE TABLE a ({rows}) WITHOUT ROWID", "a has no row ids. Copy it")
    computed = columns.replace("usertags", "usertags AS (upper(title))")
    refused(f"CREATE TABLE a ({computed})", "a has no usertags")
    path = database(tmp_path / "good.db", photo())
    (tmp_path / "good.db.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match=r"compressed SQLite file\. Unpack it"):
        Yfcc100m([tmp_path / "good.db.gz"])
    path.write_bytes(path.read_bytes()[:-1024])
    with pytest.raises(InputError, match=r"it has .* bytes of .*: is the download complete"):
        Yfcc100m([path])


def test_triggers_and_views_beside_the_table_do_nothing(tmp_path):
    path = database(tmp_path / "a.db", photo(), photo(photoid=2))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TRIGGER t AFTER INSERT ON photos BEGIN DELETE FROM photos; END;"
            "CREATE VIEW v AS SELECT * FROM photos; CREATE INDEX i ON photos (upper(usertags));"
        )
    assert len(read(path, tmp_path / "out")[0]) == 2


def test_a_value_of_17_megabytes_costs_its_row_alone(tmp_path):
    rows = [photo(photoid=i) for i in range(1, 40)]
    for number, name in ((5, "usertags"), (20, "title"), (21, "description")):
        rows[number - 1][name] = "x" * (sqlite.MAX_VALUE + 1)
    path = database(tmp_path / "a.db", *rows)
    photos, report = read(path, tmp_path / "out")
    entry = report["rows"]["left_out"]["a value of more than 16 MiB, or a damaged one"]
    lost = [place["line"] for place in entry["first"]]
    assert 5 in lost and set(lost) <= {5, 20, 21} and len(photos) == 39 - len(lost)


@pytest.mark.parametrize("page", [512, 1024, 65536])
@pytest.mark.parametrize("size", [1, 3000, 2**23])
def test_every_size_of_pages_and_blocks(world, tmp_path, monkeypatch, page, size):
    path = write_form(world["23 columns"], tmp_path / "a.sql", "sqlite", page)
    expected = list(photos_of(prepare(Yfcc100m([world["sqlite"]], WORDS), tmp_path / "expected")))
    monkeypatch.setattr(yfcc100m, "BLOCK", size)
    assert read(path, tmp_path / "out")[0] == expected


@pytest.mark.parametrize("seed", range(4))
def test_damaged_pages_cost_their_own_rows_alone(world, tmp_path, monkeypatch, seed):
    data = bytearray(world["sqlite"].read_bytes())
    rng = random.Random(seed)
    kind = {number: data[1024 * number] for number in range(1, len(data) // 1024)}
    leaves = [number for number, first in kind.items() if first == 13]
    above = [number for number, first in kind.items() if first == 5]
    broken = rng.sample(leaves, 5) if seed else [rng.choice(above[1:])]
    for number in broken:
        data[1024 * number : 1024 * number + 1024] = bytes(1024)
    path = tmp_path / "a.sql"
    path.write_bytes(data)
    monkeypatch.setattr(yfcc100m, "BLOCK", 40_000)
    photos, report = read(path, tmp_path / "out")
    reachable = set(ids_one_by_one(path, world["sqlite"]))
    everything = {found[2]: found for found in read(world["sqlite"], tmp_path / "whole")[0]}
    expected = {id_: found for id_, found in everything.items() if int(id_) in reachable}
    assert {found[2]: found for found in photos} == expected
    assert len(expected) < len(everything)
    problems = [problem["what"] for problem in report["problems"]]
    assert problems and all("damaged: no row could be read with a row id" in p for p in problems)
    ranges = [[int(n.replace(",", "")) for n in p.split() if n[0].isdigit()] for p in problems]
    for id_ in set(map(int, everything)) - reachable:
        assert any(first <= id_ and (not last or id_ <= last[0]) for first, *last in ranges)
    with pytest.raises(InputError, match="damaged"):
        read(path, tmp_path / "strict", strict=True)


def ids_one_by_one(path, whole):
    """The row ids of a database that can be read, each asked for by itself."""
    with closing(sqlite3.connect(whole)) as connection:
        ids = [row[0] for row in connection.execute("SELECT photoid FROM yfcc100m_dataset")]
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        for row_id in ids:
            try:
                query = "SELECT * FROM yfcc100m_dataset WHERE photoid = ?"
                if connection.execute(query, [row_id]).fetchall():
                    yield row_id
            except sqlite3.Error:
                continue


def test_json_lines_of_every_kind(tmp_path):
    lines = [
        photo(photoid=1), photo(photoid="2", marker="0", dateuploaded=None), "{", "[1]", "", "7",
        photo(photoid=3, usertags=["cat"]), photo(photoid=4.0), photo(photoid=True),
        photo(photoid=5, title={"deep": [1, {"x": None}]}), '{"photoid": 6}', "{}",
        json.dumps(photo(photoid=7))[:-1] + ', "photoid": 8}', "nonsense " + json.dumps(photo()),
        json.dumps(photo(photoid=9)) + json.dumps(photo(photoid=10)), photo(photoid=10**30),
        json.dumps(photo(photoid=11, usertags="dog")).replace("dog", r"\ud83d,c\u0061t"),
        json.dumps(photo(photoid=12, usertags="dog")).replace("dog", "\udcff,dog"),
        json.dumps(photo(photoid=13, usertags="dog")).replace("dog", r"d\u0000og,dog"),
        photo(photoid=14, longitude=float("nan")), "[" * 5000, photo(photoid=15, marker=1),
        '{"a": ', "1}", photo(photoid=16, datetaken=None),
    ]  # fmt: skip
    photos, report = read(json_lines(tmp_path / "a", *lines), tmp_path / "out")
    kept = {found[2]: found[3] for found in photos}
    tags = {"11": ("cat",), "12": ("dog",), "13": ("dog",)}
    assert kept == dict.fromkeys(["1", "2", "5", "8", "14", "16"], ("cat",)) | tags
    lines = {r: [p["line"] for p in e["first"]] for r, e in report["rows"]["left_out"].items()}
    assert lines == {
        "not a JSON object of texts and numbers in one line": [3, 4, 5, 6, 7, 14, 15, 21, 23, 24],
        "the photo id is not a number": [8, 9, 12, 16],
        "the user is not like 30302697@N00": [11],
        "a video": [22],
    }
    with pytest.raises(InputError, match="has no uid, usertags"):
        Yfcc100m(
            [
                json_lines(
                    tmp_path / "b", {k: v for k, v in PHOTO.items() if k not in ("uid", "usertags")}
                )
            ]
        )


def test_arrow_and_python_read_a_line_alike(world, monkeypatch):
    """Broken lines are read as the slow way alone reads them."""
    lines = gzip.decompress((world["shards"] / "000.gz").read_bytes()).splitlines(keepends=True)[
        :60
    ]
    form = Yfcc100m([world["shards"]], WORDS, with_images=True).forms[0]
    differing = 0
    for seed in range(MUTATIONS):
        broken = mutated(b"".join(lines), seed)
        data = Lines(0, 1, broken.splitlines(keepends=True))
        fast = form.cells(data)
        with monkeypatch.context() as patch:
            patch.setattr(type(form), "_by_arrow", lambda self, lines: None)
            slow = form.cells(data)
        assert fast.lines.tolist() == slow.lines.tolist()
        assert {n: c.to_pylist() for n, c in fast.columns.items()} == {
            n: c.to_pylist() for n, c in slow.columns.items()
        }
        differing += len(fast.lines) != len(data.lines)
    assert differing > MUTATIONS // 4


@pytest.mark.parametrize("form", ["sqlite", "shards"])
def test_broken_files_never_stop_a_run(world, tmp_path, form, monkeypatch):
    """Every one is read and adds up, or is refused in one line."""
    monkeypatch.setattr(yfcc100m, "BLOCK", 20_000)
    small = write_form(world["23 columns"], tmp_path / "small", form, 512)
    path = small if form == "sqlite" else small / "000.gz"
    whole = path.read_bytes() if form == "sqlite" else gzip.decompress(path.read_bytes())
    read_, kept = 0, set()
    for seed in range(MUTATIONS // 2):
        damaged = damaged_pages(whole, seed) if form == "sqlite" else mutated(whole, seed)
        path = tmp_path / f"{seed}"
        path.write_bytes(damaged)
        try:
            photos, _ = read(path, tmp_path / f"{seed}-out")
        except InputError as error:
            assert "\n" not in str(error)
            continue
        read_ += 1
        kept.add(len(photos))
    assert read_ > MUTATIONS // 8 and len(kept) > 5


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


def test_the_paper_s_facts_are_counted_and_shown_beside_its_numbers(tmp_path, capsys):
    sample = write_yfcc100m_sample(tmp_path / "s.tsv", 9000)
    out = tmp_path / "out"
    assert cli.main(["prepare", "yfcc100m", str(sample), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    photos = PhotoCollection.load(out)
    split = split_users(photos)
    tags = [set(), set(), set()]
    for part, users in enumerate(split):
        for row in photos.table.filter(photos.of_users(users)).to_pylist():
            tags[part].update(row["hashtags"])
    train, new = len(tags[0]), len(tags[2] - tags[0])
    found = facts(out)
    total = sum(map(len, photos.table["hashtags"].to_pylist()))
    assert found == {
        "users": len(photos.users), "photos": len(photos),
        "photos a user": pytest.approx(len(photos) / len(photos.users)),
        "hashtags a photo": pytest.approx(total / len(photos)),
        "hashtags of training": train, "hashtags at test": train + new, "unseen": new,
    }  # fmt: skip
    assert f"{train:,}  hashtags of training  (the paper's: 442,000)" in shown and new > 0
    assert "of them unseen  (the paper's: about 125,000 (22%))" in shown
    assert (
        cli.main(["prepare", "yfcc100m", str(sample), "--out", str(out), "--min-photos", "90"]) == 0
    )
    assert "the paper's" not in capsys.readouterr().out
