"""YFCC100M's metadata in each public form: the same photos, and what breaks in each of them."""

import csv
import gzip
import hashlib
import json
import os
from itertools import islice
from pathlib import Path

import pytest
from broken_files import mutated
from yfcc100m_files import (
    PHOTO,
    WORDS,
    counts,
    damaged_pages,
    json_lines,
    photo,
    read,
    small_world,
)

from hashtag_core import cli
from hashtag_core.benchmarks.ingest import csv_loop, photos_of
from hashtag_core.benchmarks.yfcc100m_forms import FORMS, write_form
from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import split_users
from hashtag_core.errors import InputError
from hashtag_core.prepare.ingest import Images, prepare
from hashtag_core.prepare.opening import Lines
from hashtag_core.sources import yfcc100m
from hashtag_core.sources.yfcc100m import Yfcc100m
from hashtag_core.sources.yfcc100m_facts import facts
from hashtag_core.sources.yfcc100m_pictures import picture_paths
from hashtag_core.sources.yfcc100m_text import FIRST_RELEASE, LATER_RELEASE

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 150))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return small_world(tmp_path_factory.mktemp("world"))


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
        assert [str(found["row_id"]) for found in place] == sorted(ids, key=int)
        assert [row["row_id"] for row in users] == sorted(ids, key=int)
    else:
        assert [int(row["line"]) for row in users] == [found["line"] for found in place]


def test_rows_of_several_forms_are_told_by_a_number(world, tmp_path):
    file, paths = tmp_path / "r.csv", [world["sqlite"], world["23 columns"]]
    for _ in range(2):  # its own file of before is written over
        prepare(Yfcc100m(paths, WORDS), tmp_path / "out", rejected=file)
        assert file.read_text(encoding="utf-8").startswith("file,number,reason,text\n")
        paths.reverse()


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


@pytest.mark.parametrize("form", ["sqlite", "shards", "hub"])
def test_broken_files_never_stop_a_run(world, tmp_path, form, monkeypatch):
    """Every one is read and adds up, or is refused in one line."""
    monkeypatch.setattr(yfcc100m, "BLOCK", 20_000)
    with world["23 columns"].open("rb") as file:
        (tmp_path / "few.tsv").write_bytes(b"".join(islice(file, 150)))
    small = write_form(tmp_path / "few.tsv", tmp_path / "small", form, 512)
    path = small if form == "sqlite" else sorted(small.rglob("*.gz"))[0]
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
    assert read_ > MUTATIONS // 8 and len(kept) > 3


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
