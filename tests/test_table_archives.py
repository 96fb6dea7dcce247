"""Rows inside one JSON object, behind a script, and in the archives that sites give people."""

import json
import shlex

import pytest
from helpers import prepare

from hashtag_core import cli
from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import NO_HASHTAG
from hashtag_core.sources import table_json
from hashtag_core.sources.history import read_any_history
from hashtag_core.sources.table import Table

USUAL = {"user": "user", "time": "time", "hashtags": "tags"}
ROWS = [{"user": u, "time": f"2014-01-0{n}", "tags": t} for n, (u, t) in
        enumerate([("ann", "sea;sun"), ("bob", "snow"), ("ann", "sun")], 1)]  # fmt: skip
SEARCH = {"photos": {"page": 1, "total": [{"n": 1}], "photo": ROWS}, "stat": "ok"}


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def read(source):
    """(rows, problems) of a table."""
    pieces = list(source.pieces(0))
    rows = [row for piece in pieces if not isinstance(piece, str) for row in piece.data]
    return rows, [piece for piece in pieces if isinstance(piece, str)]


# ---- rows inside an object, behind a script


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("above", ["", "photos.photo."])
@pytest.mark.parametrize(
    "around", ["{}", "jsonFlickrApi({})", "var photos = {};\n", "/**/ window.A.b[0] =\n{}"]
)
def test_the_list_with_the_columns_is_found_and_told(tmp_path, indent, above, around):
    path = write(tmp_path / "t", around.replace("{}", json.dumps(SEARCH, indent=indent)))
    source = Table(path, **{what: above + name for what, name in USUAL.items()})
    assert "rows: those in photos.photo, not in photos.total" in source.understood[1:4]
    rows, problems = read(source)
    assert [row[2] for row in rows] == ROWS and not problems
    if around != "{}":
        start = " ".join(around.partition("{}")[0].split())
        assert f"in front of it, {start!r}: cut off" in source.understood


def test_a_list_behind_a_script_may_be_empty_or_cut_off(tmp_path):
    text = f"window.YTD.tweets.part0 = {json.dumps(ROWS)}"
    assert len(read(Table(write(tmp_path / "t", text), **USUAL))[0]) == 3
    rows, (problem,) = read(Table(write(tmp_path / "t", text[:-1]), **USUAL))
    assert len(rows) == 3 and problem.startswith("broken JSON after object 3")
    with pytest.raises(InputError, match="there is no row in it"):
        Table(write(tmp_path / "t", "window.YTD.tweets.part0 = [ ]"), **USUAL)


@pytest.mark.parametrize("text", ["f({}) evil()", "f({}", "{} more"])
def test_what_stands_behind_it_is_told(tmp_path, text):
    path = write(tmp_path / "t", text.replace("{}", json.dumps(SEARCH)))
    rows, problems = read(Table(path, **USUAL))
    assert len(rows) == 3 and len(problems) == (text != "f({}")


def test_of_several_lists_the_one_that_has_the_columns_is_read_or_the_longest(tmp_path):
    more = {"albums": [{"user": "x", "title": "y"}] * 9, "items": ROWS, "last": [{"user": 1}]}
    path = write(tmp_path / "t", json.dumps(more))
    source = Table(path, **USUAL)
    assert "rows: those in items, not in albums, last" in source.understood
    assert len(read(source)[0]) == 3
    with pytest.raises(InputError, match="nothing in column tags for --hashtags"):
        Table(path, **{**USUAL, "user": "title"} | {"time": "title"})


def test_the_object_itself_is_the_row_where_it_has_the_columns(tmp_path):
    row = {**ROWS[0], "tags": [{"text": "sea"}, {"text": "sun"}]}
    for text in (json.dumps(row), f"{json.dumps(row)}\n{json.dumps(row)}"):
        source = Table(write(tmp_path / "t", text), **USUAL)
        assert source.understood[0] == "t: json lines"
        assert read(source)[0][0][2] == row


def test_a_large_member_before_the_rows_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(table_json, "MAX_ITEM", 70_000)
    monkeypatch.setattr(table_json, "PIECE", 1000)
    more = {"a": {"b": [[n] * 100 for n in range(1000)]}, "rows": ROWS, "z": list(range(50_000))}
    rows, problems = read(Table(write(tmp_path / "t", json.dumps(more)), **USUAL))
    assert [row[2] for row in rows] == ROWS and not problems
    deep = '{"a": ' + "[" * 40_000 + '"' + "x" * 90_000
    with pytest.raises(InputError, match="no list of objects in it"):
        Table(write(tmp_path / "t", "f(" + deep), **USUAL)


def test_a_history_is_read_from_inside_an_object_too(tmp_path):
    rows = [{"image": f"{n}.jpg", "hashtags": ["sea", f"n{n}"]} for n in range(3)]
    path = write(tmp_path / "t.json", json.dumps({"photos": {"photo": rows}}))
    history, understood = read_any_history(path)
    assert [tags for _, tags in history] == [row["hashtags"] for row in rows]
    assert "rows: those in photos.photo" in understood


# ---- one user


def test_all_rows_are_of_one_user_where_that_is_told(tmp_path, capsys):
    path = write(tmp_path / "t", "time,tags\n2014-01-01,a;b\n2014-01-02,b;c\n")
    photos = prepare(Table(path, None, "time", "tags", one_user=" me "), tmp_path / "out")
    assert photos.users == ["me"] and len(photos) == 2
    both = {"user": "time", "one_user": "me"}
    for given in (both, {"user": None}):
        with pytest.raises(InputError, match="either --user, a column, or --one-user"):
            Table(path, time="time", hashtags="tags", **given)
    for name in ("", " ", "x" * 201):
        with pytest.raises(InputError, match="--one-user: a name of 1 to 200"):
            Table(path, None, "time", "tags", one_user=name)
    options = [str(path), "--time", "time", "--hashtags", "tags", "--dry-run"]
    assert cli.main(["prepare", "table", *options, "--user", "me"]) == 2
    error = capsys.readouterr().err
    assert "no column me" in error and "`--one-user me` gives all rows to one user" in error
    assert cli.main(["prepare", "table", *options, "--one-user", "me"]) == 0
    assert "me  2014-01-01 00:00:00  #a #b" in capsys.readouterr().out


def test_rows_of_one_photo_are_joined_for_one_user(tmp_path):
    lines = [f"{n // 3},2014-01-01,t{n}" for n in range(12)]
    path = write(tmp_path / "t", "\n".join(["id,time,tag", *lines]))
    source = Table(path, None, "time", "tag", photo_id="id", one_user="me")
    photos = prepare(source, tmp_path / "out")
    assert source.joins_rows and photos.table["hashtags"].to_pylist()[0] == ["t0", "t1", "t2"]


# ---- archives: what `prepare table FILE` suggests is run as it stands


def suggested(path, capsys):
    """What the suggested command prints."""
    assert cli.main(["prepare", "table", str(path)]) == 2
    command = capsys.readouterr().err.splitlines()[-1]
    assert cli.main(shlex.split(command)[1:]) == 0, command
    return command, capsys.readouterr().out


def tweet(number, *tags):
    hashtags = [{"text": tag, "indices": ["0", "5"]} for tag in tags]
    created = f"Thu May {14 + number} 01:38:56 +0000 2020"
    entities = {"hashtags": hashtags, "user_mentions": [{"name": "x", "screen_name": "y"}]}
    return {"tweet": {"id_str": str(number), "created_at": created, "entities": entities}}


def test_twitter(tmp_path, capsys):
    tweets = [tweet(1, "cats", "Straße"), tweet(2), tweet(3, "dogs")]
    path = write(
        tmp_path / "tweets.js", f"window.YTD.tweets.part0 = {json.dumps(tweets, indent=2)}"
    )
    command, out = suggested(path, capsys)
    assert "--one-user me --time tweet.created_at --hashtags tweet.entities.hashtags" in command
    assert "me  2020-05-15 01:38:56  #cats #straße" in out and "#dogs" in out
    assert "2  kept" in out and "1  left out: no hashtags" in out and "3  hashtags read" in out


def note(number, *tags, kind="Create"):
    tag = [{"type": k, "href": "https://x", "name": name} for k, name in tags]
    inner = {"type": "Note", "content": "<p>#not this</p>", "tag": tag}
    inner = "https://other/1" if kind == "Announce" else inner
    about = {"id": f"https://m/{number}", "type": kind, "actor": "https://m/users/a"}
    return {**about, "published": f"2023-01-0{number}T00:00:00Z", "to": ["x"], "object": inner}


OUTBOX = {
    "@context": ["https://www.w3.org/ns/activitystreams", {"toot": "x"}],
    "id": "outbox.json",
    "type": "OrderedCollection",
    "orderedItems": [
        note(1, ("Hashtag", "#Cats"), ("Mention", "@bob@m"), ("Hashtag", "#Sun")),
        note(2, ("Mention", "@bob@m")),
        note(3, kind="Announce"),
        note(4, ("Hashtag", "#sea"), ("Emoji", ":blob:")),
    ],
}


def test_mastodon_has_hashtags_and_its_mentions_are_none(tmp_path, capsys):
    path = write(tmp_path / "outbox.json", json.dumps(OUTBOX))
    command, out = suggested(path, capsys)
    assert "--one-user me --time published --hashtags object.tag" in command
    assert "#cats #sun\n" in out and "#sea\n" in out and "2  kept" in out
    for column in ("object.tag", "object.tag.name", "orderedItems.object.tag.name"):
        source = Table(path, None, "published", column, one_user="me")
        report = prepare(source, tmp_path / column).meta["report"]
        assert report["hashtags"] == {"read": 3, "kept": 3, "left_out": {}}
        reasons = report["rows"]["left_out"]
        assert sum(reasons.values()) == 2 and reasons.keys() <= {"no hashtags", NO_HASHTAG}


def as_instagram_writes(text):
    return text.encode().decode("latin-1")


def test_instagram(tmp_path, capsys):
    caption = as_instagram_writes("A day à la plage #café #été, #naïve\n#東京 😍")

    def medium(name, time, title=""):
        return {"uri": f"media/posts/{name}", "creation_timestamp": time, "title": title}

    posts = [
        {"media": [medium("1.jpg", 1_600_000_000, caption)]},
        {"media": [medium("2.jpg", 1_600_000_001), medium("3.jpg", 1_600_000_002)],
         "title": "two of #them and more words", "creation_timestamp": 1_600_000_009},
        {"media": [medium("4.jpg", 1_600_000_003, "nothing here at all")]},
    ]  # fmt: skip
    (tmp_path / "media" / "posts").mkdir(parents=True)
    for n in "124":
        (tmp_path / "media" / "posts" / f"{n}.jpg").write_bytes(b"x")
    (tmp_path / "content").mkdir()
    text = json.dumps(posts, indent=2)
    assert r"caf\u00c3\u00a9" in text
    command, out = suggested(write(tmp_path / "content" / "posts_1.json", text), capsys)
    about = "--time creation_timestamp --hashtags title --separator caption --image uri"
    assert f"{about} --image-root" in command
    assert "me  2020-09-13 12:26:40  #café #été #naïve #東京  [media/posts/1.jpg]" in out
    assert "me  2020-09-13 12:26:49  #them  [media/posts/2.jpg]" in out
    assert "2  kept" in out and "hashtags in UTF-8 that was read as Latin-1: decoded" in out


def test_older_archives_of_instagram_are_objects_with_lists(tmp_path, capsys):
    photos = [{"caption": f"some words of #tag{n} here", "taken_at": f"2018-01-0{n + 1}T10:00:00",
               "path": "photos/1.jpg"} for n in range(3)]  # fmt: skip
    path = write(tmp_path / "media.json", json.dumps({"stories": photos[:1], "photos": photos}))
    assert cli.main(["prepare", "table", str(path)]) == 2
    told = capsys.readouterr()
    assert "--time taken_at --hashtags caption" in told.err
    assert "rows: those in photos, not in stories" in told.out
    source = Table(path, None, "taken_at", "caption", one_user="me")
    assert "rows: those in photos, not in stories" in source.understood  # the same, by columns
    assert len(read(source)[0]) == 3


def test_short_captions_of_instagram_are_no_hashtags(tmp_path, capsys):
    posts = [
        {"media": [{"uri": f"{n}.jpg", "creation_timestamp": 1_600_000_000 + n, "title": title}]}
        for n, title in enumerate(["Beach day #sea", "Home #sun", "Lake"])
    ]
    _, out = suggested(write(tmp_path / "posts_1.json", json.dumps(posts)), capsys)
    assert "#sea\n" in out and "#beach" not in out and "2  hashtags read" in out
