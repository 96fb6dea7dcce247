"""Capitals inside a hashtag tell where its words begin: `TheRapist` is no therapist."""

import random
import re
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import collection
from test_prediction import feature, hashtags, predictor  # noqa: F401

from hashtag_core.data.hashtags import build_hashtags
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splitting import with_capitals, words_of
from hashtag_core.data.words import known_words, psi
from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import clean_hashtag, spelling
from hashtag_core.prepare.ingest import dry_run, prepare
from hashtag_core.prepare.selection import Selection
from hashtag_core.prepare.staging import Staging
from hashtag_core.sources import table as table_source
from hashtag_core.sources import yfcc100m
from hashtag_core.sources.table import Table
from hashtag_core.sources.yfcc100m import Yfcc100m

SPELLED = {
    "TheRapist": "theRapist",
    "theRapist": "theRapist",
    "BlackAndWhite": "blackAndWhite",
    "HTMLPage": "htmlPage",
    "iPhonePhoto": "iphonePhoto",
    "ThisIsATest": "thisIsATest",
    "PlanB": "planB",
    "my TheRapist": "my theRapist",
    "CaféNoir": "caféNoir",
    "БелаяНочь": "белаяНочь",
    "THERAPIST": None,
    "Therapist": None,
    "therapist": None,
    "iPhone": None,
    "my iPhone": None,
    "DVDs": None,
    "b&W": None,
    "Rock'N'Roll": None,
    "The Rapist": None,
    "The-Rapist": None,
    "中國": None,
    "": None,
}


@pytest.mark.parametrize(("typed", "spelled"), SPELLED.items())
def test_which_capitals_begin_a_word(typed, spelled):
    assert with_capitals(typed) == spelled
    if spelled is not None:
        assert with_capitals(spelled) == spelled


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        ("#TheRapist", "theRapist"),
        ("  The\u200bRapist ", "theRapist"),
        ("\uff34\uff48\uff45\uff32\uff41\uff50", "theRap"),  # full width
        ("Cafe\u0301Noir", "caf\u00e9Noir"),
        ("\u0130stanbulTur", "istanbulTur"),
        ("THERAPIST", None),
        ("\u039f\u0394\u039f\u03a3\u0391\u03bb\u03c6", None),  # a sigma that would end a word
    ],
)
def test_a_hashtag_is_cleaned_as_before_and_its_capitals_stand_beside_it(typed, spelled):
    hashtag, _ = clean_hashtag(typed)
    assert spelling(typed, hashtag) == spelled
    assert spelled is None or clean_hashtag(spelled) == (hashtag, None)


def test_the_words_are_those_that_the_capitals_tell_where_all_are_known(glove):
    assert known_words("TheRapist", glove) == ["the", "rapist"]
    assert known_words("theRapist", glove) == ["the", "rapist"]
    assert known_words("therapist", glove) == known_words("THERAPIST", glove) == ["therapist"]
    assert known_words("PenIsland", glove) == ["pen", "island"]
    assert known_words("SanFrancisco", glove) == ["san", "francisco"]
    assert words_of("TheRapist", {"therapist": 0, "the": 1}) == (["therapist"], "whole")


# ---- in a collection


def write(path, photos):
    """A table: a user and what was typed, in each row."""
    rows = ["id,user,time,tags"]
    for number, (user, typed) in enumerate(photos):
        rows.append(f"{number},{user},2014-01-{1 + number % 28:02d},{typed}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def read(folder, photos, selection=None):
    source = Table(write(folder / "t.csv", photos), "user", "time", "tags", "id", separator=";")
    return PhotoCollection.load(prepare(source, folder / "out", selection))


def test_a_hashtag_is_one_and_the_majority_tells_its_words(tmp_path, glove):
    typed = ["TheRapist;sun", "theRapist", "therapist;HoliDay", "holiday", "PenIsland;penisland"]
    typed += ["Holiday", "PENISLAND", "YoutubeVideo;youTubeVideo", "YouTubeVideo"]
    photos = read(tmp_path, [("ann", text) for text in typed])
    count = Counter(name for names in photos.table["hashtags"].to_pylist() for name in names)
    assert count == {
        "therapist": 3, "holiday": 3, "penisland": 2, "youtubevideo": 2, "sun": 1,
    }  # fmt: skip
    # twice of three; once of three: no; once of two: no; one and one: the first by its name
    assert photos.capitals == {"therapist": "theRapist", "youtubevideo": "youTubeVideo"}
    vocabulary = build_hashtags(photos, np.array([0]), glove)
    wanted = glove.vectors[[glove.key_to_index[word] for word in ("the", "rapist")]].sum(axis=0)
    assert np.array_equal(vocabulary.psi[vocabulary.ids["therapist"]].numpy(), wanted)
    assert np.array_equal(vocabulary.psi[vocabulary.ids["holiday"]].numpy(), psi("holiday", glove))
    line = (
        "           2  note: different hashtags whose capitals tell their words: "
        "therapist = the rapist, youtubevideo = you tube video\n"
    )
    assert line in (tmp_path / "out/report.txt").read_text(encoding="utf-8")
    source = Table(tmp_path / "t.csv", "user", "time", "tags", "id", separator=";")
    assert line.split("note: ")[1].strip() in dry_run(source)[0]["notes"]


def test_without_such_capitals_there_is_nothing_of_it(tmp_path):
    photos = read(tmp_path, [("ann", "Sun;SEA;iPhone"), ("ann", "sun")])
    assert photos.capitals == {} and "capitals" not in photos.meta
    names = {path.name for path in photos.folder.iterdir()}
    assert names == {"photos.parquet", "features.npy", "meta.json", "report.json", "report.txt"}


def counted(photos):
    """What `photos.capitals` has to be, hashtag by hashtag."""
    votes = defaultdict(Counter)
    for typed in photos:
        for text in dict((t.lower(), t) for t in reversed(typed)).values():  # the first of each
            votes[text.lower()][re.sub("^.", lambda m: m[0].lower(), text)] += 1
    found = {}
    for name, of_name in votes.items():
        plain = of_name.pop(name, 0) + of_name.pop(name[0] + name[1:].upper(), 0)
        best = min(of_name, key=lambda text: (-of_name[text], text), default=None)
        if best is not None and of_name[best] > plain:
            found[name] = best
    return found


def some_photos(seed):
    draw = random.Random(seed)
    ways = ["{a}{b}", "{A}{B}", "{a}{B}", "{A}{b}", "{a1}{B1}"]
    names = [("sun", "set"), ("pen", "island"), ("old", "town"), ("sea", "gull"), ("art", "deco")]

    def typed():
        a, b = draw.choice(names)
        way = draw.choice(ways)
        both = {"a": a, "b": b, "A": a.title(), "B": b.title()}
        return way.format(**both, a1=a + b[0], B1=b[1:].title())

    return [(f"u{draw.randrange(4)}", ";".join(typed() for _ in range(3))) for _ in range(60)]


@pytest.mark.parametrize("seed", range(5))
def test_any_votes_are_counted_as_one_by_one_whatever_the_blocks_and_when_stopped(
    tmp_path, monkeypatch, seed
):
    photos = some_photos(seed)
    folders = [tmp_path / name for name in ("whole", "small", "stopped")]
    for folder in folders:
        folder.mkdir()
    whole = read(folders[0], photos)
    assert whole.capitals == counted([text.split(";") for _, text in photos])
    monkeypatch.setattr(table_source, "ROWS_OF_PIECE", 7)
    small = read(folders[1], photos)
    piece, pieces = Staging._piece, iter(range(100))

    def stop(*arguments):
        if next(pieces) == 5:
            raise KeyboardInterrupt
        return piece(*arguments)

    monkeypatch.setattr(Staging, "_piece", stop)
    with pytest.raises(KeyboardInterrupt):
        read(folders[2], photos)
    stopped = read(folders[2], photos)
    for other in (small, stopped):
        assert other.table.to_pylist() == whole.table.to_pylist()
        if whole.capitals:
            files = [p.folder / "capitals.parquet" for p in (whole, other)]
            assert files[0].read_bytes() == files[1].read_bytes()
        assert other.capitals == whole.capitals


def test_only_kept_photos_vote(tmp_path):
    photos = [("ann", "TheRapist")] * 3 + [("bob", "therapist")] + [("bob", "sun")] * 5
    assert read(tmp_path, photos).capitals == {"therapist": "theRapist"}
    assert read(tmp_path, photos, Selection(min_photos=4)).capitals == {}


def test_rows_of_one_hashtag_each_are_votes_of_their_photo(tmp_path):
    lines = ["1,ann,2014-01-01,TheRapist", "1,ann,2014-01-01,sun", "2,ann,2014-01-02,therapist"]
    lines += ["1,ann,2014-01-01,therapist", "3,ann,2014-01-03,TheRapist"]
    (tmp_path / "t.csv").write_text("\n".join(["id,user,time,tag", *lines]), encoding="utf-8")
    source = Table(tmp_path / "t.csv", "user", "time", "tag", "id", separator="row")
    photos = PhotoCollection.load(prepare(source, tmp_path / "out"))
    assert photos.hashtags_of(0) == ["therapist", "sun"] and len(photos) == 3
    assert photos.capitals == {"therapist": "theRapist"}  # two photos of three


@pytest.mark.parametrize("block", [200, 10**6])
def test_yfcc100m_s_tags_vote_as_they_were_typed(tmp_path, monkeypatch, block):
    monkeypatch.setattr(yfcc100m, "BLOCK", block)
    tags = ["TheRapist,therapist,sun", "the%52apist,Sun", "therapist,my+PenIsland", "qqqzz", "sun"]
    lines = []
    for number, text in enumerate(tags):
        row = [""] * 23
        row[0], row[1], row[3] = str(number + 1), "1@N00", "2005-03-01 12:39:28.0"
        row[4], row[8], row[21], row[22] = "1200000000", text, "jpg", "0"
        lines.append("\t".join(row) + "\n")
    (tmp_path / "y.tsv").write_text("".join(lines), encoding="utf-8")
    words = ["the", "rapist", "therapist", "sun", "my", "pen", "island"]
    photos = PhotoCollection.load(prepare(Yfcc100m([tmp_path / "y.tsv"], words), tmp_path / "out"))
    assert photos.hashtags_of(0) == ["therapist", "sun"]
    assert photos.capitals == {"therapist": "theRapist", "my penisland": "my penIsland"}


# ---- on disk


def test_another_spelling_is_another_collection(tmp_path):
    photos = read(tmp_path, [("ann", "TheRapist")])
    plain = PhotoCollection(photos.table, photos.features, photos.meta)
    assert plain.checksum() != photos.checksum()
    unspelled = collection({"ann": [["therapist"]]})
    assert unspelled.capitals == {} and unspelled.checksum() == unspelled.checksum()


@pytest.mark.parametrize("damage", ["gone", "cut off", "null", "another column", "another file"])
def test_a_spoilt_file_is_one_line(tmp_path, damage):
    path = read(tmp_path, [("ann", "TheRapist")]).folder / "capitals.parquet"
    if damage == "gone":
        path.unlink()
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "another file":
        meta = path.with_name("meta.json")
        text = meta.read_text(encoding="utf-8").replace('"capitals.parquet"', '"../x.parquet"')
        meta.write_text(text, encoding="utf-8")
    else:
        name = {"null": "typed", "another column": "spelled"}[damage]
        pq.write_table(pa.table({"hashtag": ["a"], name: pa.array([None], pa.string())}), path)
    with pytest.raises(InputError, match="capitals"):
        PhotoCollection.load(path.parent)


def test_a_spoilt_collection_is_made_again(tmp_path):
    path = read(tmp_path, [("ann", "TheRapist")]).folder / "capitals.parquet"
    path.unlink()
    assert read(tmp_path, [("ann", "TheRapist")]).capitals == {"therapist": "theRapist"}
    assert read(tmp_path, [("ann", "therapist")]).capitals == {} and not path.exists()


# ---- in prediction


def test_capitals_tell_the_words_of_what_is_not_in_the_vocabulary(predictor, glove, feature):  # noqa: F811
    assert "penisland" not in predictor.hashtags.ids and "the rapist" not in predictor.hashtags.ids
    names, vectors = predictor.represent(["#SanFrancisco"])
    assert names == ["sanfrancisco"]
    assert np.allclose(vectors[0].cpu().numpy(), psi("san francisco", glove))
    assert not np.allclose(vectors[0].cpu().numpy(), psi("sanfrancisco", glove))
    known = predictor.hashtags.names[0]
    assert (predictor.represent([known.title()])[1][0] == predictor.psi[0]).all()
    apart = predictor.predict(feature, None, ["SanFrancisco", "san francisco"], 2)
    assert apart[0][1] == pytest.approx(apart[1][1])
    assert {name for name, _ in apart} == {"sanfrancisco", "san francisco"}
    history = [(feature, ["SanFrancisco"])], [(feature, ["san francisco"])]
    users = [predictor.user(one)[0] for one in history]
    assert np.allclose(users[0].cpu(), users[1].cpu())


def test_a_history_from_a_collection_has_its_capitals():
    photos = collection({"ann": [["therapist", "sun"]]})
    photos.capitals["therapist"] = "theRapist"
    assert [names for _, names in photos.history(range(1))] == [["theRapist", "sun"]]
