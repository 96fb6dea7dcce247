"""What training will miss of a collection is told beforehand, and it is true."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import prepare
from test_table_guesses import USUAL, table

from hashtag_core import cli
from hashtag_core.data.splits import split_users
from hashtag_core.data.words import known_words, load_word_vectors
from hashtag_core.errors import InputError
from hashtag_core.prepare import outlook as module
from hashtag_core.prepare.ingest import dry_run
from hashtag_core.prepare.outlook import FOLDS, outlook, outlook_lines
from hashtag_core.prepare.report import report_text
from hashtag_core.sources.table import Table

NOTHING = dict(photos=100, no_picture=0, users=50, one_photo=0, sampled=100, no_word=0,
               hashtags=200, hashtags_no_word=0)  # fmt: skip
SAID = "What training will miss"


def photos_of(path, histories):
    """photos.parquet of {user: [hashtags of a photo]}."""
    rows = [
        {"user": user, "hashtags": tags} for user in sorted(histories) for tags in histories[user]
    ]
    schema = pa.schema([("user", pa.string()), ("hashtags", pa.list_(pa.string()))])
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=7)
    return path


def some_histories(users, seed=0):
    chance = random.Random(seed)
    tags = ["cat", "black+white", "qqxzzy", "strawhat", "zzyzxq", "日本", "sea", "it's"]
    return {
        f"u{u:04d}": [
            chance.sample(tags, chance.randint(1, 3)) for _ in range(chance.randint(1, 6))
        ]
        for u in range(users)
    }


def counted_one_by_one(histories, pictures):
    vectors = load_word_vectors()
    photos = [tags for user in histories.values() for tags in user]
    known = [[known_words(tag, vectors) != [] for tag in tags] for tags in photos]
    return {
        "photos": len(photos),
        "no_picture": len(photos) - pictures,
        "users": len(histories),
        "one_photo": sum(len(user) == 1 for user in histories.values()),
        "sampled": len(photos),
        "no_word": sum(not any(tags) for tags in known),
        "hashtags": sum(map(len, known)),
        "hashtags_no_word": sum(tags.count(False) for tags in known),
    }


@pytest.mark.parametrize("users", [1, 2, 40])
@pytest.mark.parametrize("rows", [3, 8192])
def test_all_is_counted_as_one_by_one(tmp_path, monkeypatch, users, rows):
    monkeypatch.setattr(module, "ROWS_AT_A_TIME", rows)
    monkeypatch.setattr(module, "REMEMBERED", 2)
    histories = some_histories(users)
    path = photos_of(tmp_path / "photos.parquet", histories)
    assert outlook(path, 1) == counted_one_by_one(histories, 1)


def test_of_many_photos_every_few_are_looked_up_and_all_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 20)
    monkeypatch.setattr(module, "ROWS_AT_A_TIME", 11)
    histories = some_histories(60)
    every = [tags for user in histories.values() for tags in user]
    step = -(-len(every) // 20)
    seen = outlook(photos_of(tmp_path / "photos.parquet", histories), 0)
    whole, some = (counted_one_by_one(h, 0) for h in (histories, {"u": every[::step]}))
    assert step > 2 and seen["sampled"] == some["sampled"]
    assert {k: seen[k] for k in ("photos", "no_picture", "users", "one_photo")} == {
        k: whole[k] for k in ("photos", "no_picture", "users", "one_photo")
    }
    for key in ("no_word", "hashtags", "hashtags_no_word"):
        assert seen[key] == some[key]
    assert f"words: of {len(every[::step])} photos" in outlook_lines(seen)[0]


def test_where_no_other_hashtags_were_kept_none_is_looked_up(tmp_path):
    path = photos_of(tmp_path / "photos.parquet", {"a": [["qqxzzy", "cat"]]})
    seen = outlook(path, 0, all_known=True)
    assert seen == dict.fromkeys(seen, 0) | {"photos": 1, "no_picture": 1, "users": 1,
                                             "one_photo": 1}  # fmt: skip
    assert not any("word" in line for line in outlook_lines(seen))


def test_so_many_users_are_needed_to_split_them():
    split_users(FOLDS)
    with pytest.raises(InputError):
        split_users(FOLDS - 1)


def test_nothing_is_said_where_nothing_matters():
    assert outlook_lines(NOTHING) == []
    few = {"one_photo": 2, "no_picture": 4, "no_word": 4, "hashtags_no_word": 9}
    assert outlook_lines({**NOTHING, **few}) == []  # less than 5 %


@pytest.mark.parametrize(
    "key, number, said",
    [
        ("users", 4, "4  user(s): `train` and `table` need 5"),
        ("one_photo", 3, "6.0%  of the users have one photo only"),
        ("no_picture", 5, "5.0%  of the photos have no picture"),
        ("no_picture", 100, "100.0%  of the photos have no picture"),
        ("hashtags_no_word", 11, "5.5%  of the hashtags have no word vector"),
        ("no_word", 6, "6.0%  of the photos have no hashtag with a word vector"),
    ],
)
def test_what_matters_is_said_with_its_threshold(key, number, said):
    head, line = outlook_lines({**NOTHING, key: number})
    assert head.startswith(SAID) and "5%" in head
    assert said in line


def test_the_report_the_terminal_and_a_dry_run_tell_it(tmp_path, capsys):
    rows = [("ann", "2014-01-01", "cat qqxzzy"), ("ann", "2014-01-02", "zzyzxq"),
            ("bob", "2014-01-01", "sea")]  # fmt: skip
    path = table(tmp_path / "t.csv", rows)
    report, _ = dry_run(Table(path, **USUAL))
    expected = dict(photos=3, no_picture=3, users=2, one_photo=1, sampled=3, no_word=1, hashtags=4,
                    hashtags_no_word=2)  # fmt: skip
    assert report["outlook"] == expected
    folder = prepare(Table(path, **USUAL), tmp_path / "out").folder
    assert json.loads((folder / "report.json").read_text())["outlook"] == expected
    text = (folder / "report.txt").read_text()
    lines = text[text.index(SAID) :].splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["2", "50.0%", "100.0%", "50.0%", "33.3%"]
    options = ["--user", "user", "--time", "time", "--hashtags", "tags"]
    for more in (["--dry-run"], ["--out", str(tmp_path / "out"), "--no-features"]):
        assert cli.main(["prepare", "table", str(path), *options, *more]) == 0
        assert "\n".join(lines) in capsys.readouterr().out


def test_a_dry_run_counts_the_pictures_that_are_named(tmp_path):
    rows = [("ann", "2014-01-01", "cat", "a.jpg"), ("bob", "2014-01-01", "sea", "")]
    path = table(tmp_path / "t.csv", rows, ("user", "time", "tags", "file"))
    report, _ = dry_run(Table(path, **USUAL, image="file"))
    assert report["outlook"]["no_picture"] == 1


def test_a_dry_run_that_keeps_nothing_has_none(tmp_path):
    path = table(tmp_path / "t.csv", [("ann", "2014-01-01", "#"), ("ann", "2014-01-01", "")])
    assert "outlook" not in dry_run(Table(path, **USUAL))[0]


def test_a_report_without_an_outlook_is_still_read(tmp_path):
    path = table(tmp_path / "t.csv", [("ann", "2014-01-01", "cat")])
    folder = prepare(Table(path, **USUAL), tmp_path / "out").folder
    report = json.loads((folder / "report.json").read_text())
    del report["outlook"]
    (folder / "report.json").write_text(json.dumps(report))
    assert SAID not in report_text(report)
    options = ["--user", "user", "--time", "time", "--hashtags", "tags", "--out", str(folder)]
    assert cli.main(["prepare", "table", str(path), *options, "--no-features", "--strict"]) == 0


def test_other_ways_in_tell_it_too(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "MUCH", -1)
    command = ["prepare", "simulated", "--users", "10", "--photos", "10", "--hashtags", "400"]
    assert cli.main([*command, "--out", str(tmp_path / "s")]) == 0
    shown = capsys.readouterr().out
    assert SAID in shown and "0.0%  of the photos have no picture" in shown
