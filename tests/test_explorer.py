"""The explorer: what it shows is what the model says, and it survives whatever it is given."""

import datetime
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from gensim.models import KeyedVectors
from helpers import D_I, D_W, WORDS, tiny_model
from html_reading import ODD, Page, assert_harmless
from photo_tables import IMAGE
from picture_files import claims_to_be, encode, noise, red_and_blue

from hashtag_core.errors import InputError
from hashtag_core.explorer import NOBODY, OWNER, Explorer
from hashtag_core.hashtags import build_hashtags
from hashtag_core.html_views import picture_uri
from hashtag_core.photos import write_collection
from hashtag_core.prediction import HashtagPredictor

SIZES = {"long": 12, "single": 1, "other": 8} | dict.fromkeys(ODD, 5)  # user -> photos
NEVER_USED = ["tiny", "huge"]  # hashtags with a word vector that no photo has
OWN = encode(noise(), "PNG")
NO_PICTURES = {
    "empty": b"",
    "text": b"<svg onload='alert(1)'/>",
    "cut off": encode(noise(), "JPEG")[:300],
    "bomb": claims_to_be(50_000, 50_000),
    "strip": claims_to_be(5_000, 10),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Users and hashtags with odd names; some photos have only hashtags without a vector."""
    rng = np.random.default_rng(0)
    rows = [(user, t) for user, size in SIZES.items() for t in range(size)]
    names = WORDS[:30] + ODD
    tags = [rng.choice(names, size=rng.integers(1, 5), replace=False).tolist() for _ in rows]
    tags[2] = tags[14] = ["zzzz"]
    tags[3].append("zzzz")
    images = [encode(red_and_blue(10 + n, 20), "PNG") for n in range(len(rows))]
    table = pa.table(
        {
            "photo_id": [f"{n:02d}" for n in range(len(rows))],
            "user": [user for user, _ in rows],
            "time": pa.array([86_400 * t for _, t in rows], pa.timestamp("s")),
            "hashtags": tags,
            "image": pa.array([{"bytes": i, "path": None} for i in images], IMAGE),
        }
    )

    def extract(pictures, path):
        np.save(path, rng.normal(size=(len(pictures), D_I)).astype(np.float16))

    return write_collection(tmp_path_factory.mktemp("data") / "odd", table, {}, extract)


@pytest.fixture(scope="module")
def predictor(photos):
    words = [*WORDS, "img", *ODD[1:]]  # "img" stands in ODD[0]
    vectors = KeyedVectors(D_W, count=0)
    vectors.add_vectors(
        words, np.random.default_rng(1).normal(size=(len(words), D_W)).astype(np.float32)
    )
    train = [photos.users.index(user) for user in ("long", "single", *ODD[:2])]
    hashtags = build_hashtags(photos, np.array(train), vectors)
    assert 0 < hashtags.num_seen < len(hashtags)
    model = tiny_model()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.7)  # else all scores are about the same
    made = HashtagPredictor(model, hashtags, device="cpu")
    made.vectors = vectors
    made.convnet = lambda pictures: torch.linspace(-1, 1, D_I)[None] * pictures[0].size[0] / 64
    return made


@pytest.fixture
def explorer(predictor, photos) -> Explorer:
    return Explorer(predictor, photos)


def rows_of(photos, user) -> list[int]:
    rows = photos.rows_of(photos.users.index(user))
    return list(range(rows.start, rows.stop))


def expected(predictor, photos, past, picture, added=()):
    """(names, scores, probabilities in float64), by the predictor alone."""
    state = predictor.new_user()
    for row in past:
        if photos.hashtags_of(row) != ["zzzz"]:
            state = predictor.add_photo(state, photos.features[row], photos.hashtags_of(row))
    vocabulary = predictor.hashtags.names
    names = vocabulary + [name for name in added if name not in vocabulary]
    found = dict(predictor.predict(picture, state, candidates=names, k=len(names)))
    scores = np.array([found[name] for name in names], dtype=np.float64)
    odds = np.exp(scores - scores.max())
    return names, scores, odds / odds[: predictor.hashtags.num_seen].sum()


# ---- look


@pytest.mark.parametrize("user", SIZES)
@pytest.mark.parametrize("reader", [OWNER, NOBODY, "other", ODD[1]])
def test_a_look_is_what_the_predictor_says_step_by_step(explorer, predictor, photos, user, reader):
    rows = rows_of(photos, user)
    for t in sorted({0, len(rows) // 2, len(rows) - 1}):
        known = {OWNER: rows[:t], NOBODY: []}
        past = known[reader] if reader in known else rows_of(photos, reader)
        names, scores, p = expected(predictor, photos, past, photos.features[rows[t]])
        look = explorer.look(user, t, reader, k=len(names))
        best = np.argsort(-scores, kind="stable")
        assert [name for name, _ in look.predicted] == [names[i] for i in best]
        np.testing.assert_allclose([value for _, value in look.predicted], p[best], rtol=1e-4)
        assert look.history_length == len(past)
        assert look.history == [(photos.picture(r), photos.hashtags_of(r)) for r in past[-6:]]
        assert look.picture == photos.picture(rows[t]) and look.true == photos.hashtags_of(rows[t])
        assert look.added == [] and look.hashtags == len(names)


def test_the_readers_make_a_difference_and_k_is_how_many(explorer):
    found = [explorer.look("long", 6, reader).predicted for reader in (OWNER, NOBODY, "other")]
    assert all(len(predicted) == 10 for predicted in found)
    assert found[0] != found[1] != found[2] != found[0]
    assert explorer.look("long", 6, k=3).predicted == found[0][:3]


def test_a_user_read_as_themselves_has_all_their_photos(explorer):
    assert explorer.look("long", 6, "long").history_length == 12
    assert explorer.look("long", 6, OWNER).history_length == 6


@pytest.mark.parametrize("picture", [None, OWN], ids=["posted", "own"])
def test_added_hashtags_get_the_rank_that_counting_gives(explorer, predictor, photos, picture):
    in_vocabulary = [predictor.hashtags.names[0], predictor.hashtags.names[-1]]
    assert not set(NEVER_USED) & set(predictor.hashtags.names)
    added = [NEVER_USED[0], in_vocabulary[0], NEVER_USED[1], in_vocabulary[1]]
    assert [explorer.add_hashtag(name) for name in added] == added
    explorer.own_picture = picture
    rows = rows_of(photos, "long")
    given = photos.features[rows[5]] if picture is None else picture
    names, scores, p = expected(predictor, photos, rows[:5], given, added)
    assert len(names) == len(predictor.hashtags) + 2
    look = explorer.look("long", 5, k=100)
    for (name, rank, value), wanted in zip(look.added, added, strict=True):
        i = names.index(wanted)
        assert (name, rank) == (wanted, 1 + sum(score > scores[i] for score in scores))
        assert value == pytest.approx(p[i], rel=1e-4)
    assert sorted(name for name, _ in look.predicted) == sorted(names)


def test_an_added_hashtag_is_cleaned_and_added_once(explorer):
    assert [explorer.add_hashtag(text) for text in (" #Tiny ", "tiny", "TINY")] == ["tiny"] * 3
    assert explorer.added == ["tiny"]


@pytest.mark.parametrize("text", ["zzzz", "", "  ", "#", "<b>zzzz</b>"])
def test_a_hashtag_without_a_word_vector_is_not_added(explorer, text):
    with pytest.raises(InputError, match="no word vector"):
        explorer.add_hashtag(text)
    assert explorer.added == []


def test_ones_own_picture_is_read_through_the_history_and_has_no_true_hashtags(
    explorer, predictor, photos
):
    explorer.own_picture = OWN
    rows = rows_of(photos, "long")
    names, scores, _ = expected(predictor, photos, rows[:4], OWN)
    look = explorer.look("long", 4)
    best = np.argsort(-scores, kind="stable")[:10]
    assert [name for name, _ in look.predicted] == [names[i] for i in best]
    assert (look.picture, look.true, look.history_length) == (OWN, [], 4)


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_looking_at_what_is_no_picture_is_an_input_error(explorer, kind):
    explorer.own_picture = NO_PICTURES[kind]
    with pytest.raises(InputError):
        explorer.look("long", 4)


def test_only_some_users_are_offered(predictor, photos):
    numbers = np.array([photos.users.index("other"), photos.users.index(ODD[0])])
    explorer = Explorer(predictor, photos, numbers)
    assert explorer.users == {"other": numbers[0], ODD[0]: numbers[1]}
    with pytest.raises(KeyError):
        explorer.look("long", 0)
    assert list(Explorer(predictor, photos).users) == photos.users


# ---- widgets


class Hands:
    """The widgets by name, and what one does with them."""

    def __init__(self, explorer: Explorer) -> None:
        pytest.importorskip("ipywidgets")
        self.explorer, self.box = explorer, explorer.widgets()
        first, second, third, self.message, self.history, last = self.box.children
        self.user, self.reader = first.children
        self.photo, self.back, self.on = second.children
        self.text, self.file, self.clear = third.children
        self.picture, self.ranking = last.children

    def upload(self, data: bytes) -> None:
        now = datetime.datetime.now(datetime.UTC)
        self.file.value = (
            {"name": "<b>.png", "type": "image/png", "size": len(data),
             "content": memoryview(data), "last_modified": now},
        )  # fmt: skip

    def names(self) -> list[str]:
        """The ranked hashtags that are shown."""
        table = self.ranking.value.partition("<table")[2].partition("</table>")[0]
        return [text.removeprefix("✓ ") for text in Page("<table" + table).texts[1::3]]

    def shows(self, user, photo, reader=OWNER, own=False) -> None:
        """Fails unless all that is shown belongs to this photo and reader."""
        pages = [assert_harmless(w.value) for w in (self.history, self.picture, self.ranking)]
        look = self.explorer.look(user, photo - 1, reader)
        history = look.history
        said = f"the last {len(history)} of {look.history_length} photos of the history"
        assert pages[0].texts[0] == (said if history else "no history")
        assert [i["src"] for i in pages[0].all("img")] == [picture_uri(p, 72) for p, _ in history]
        assert [i["src"] for i in pages[1].all("img")] == [picture_uri(look.picture, 200)]
        tags = ["#" + name for name in look.true]
        assert pages[1].texts == ["a picture of your own" if own else "posted with", *tags]
        assert self.names() == [name for name, _ in look.predicted]
        hits = [name for name, _ in look.predicted if name in look.true]
        assert [t[2:] for t in pages[2].texts if t.startswith("✓ ")] == hits


@pytest.fixture
def hands(explorer) -> Hands:
    return Hands(explorer)


def test_the_first_thing_shown_is_a_photo_of_the_first_user(hands, photos):
    assert hands.user.value == photos.users[0] == ODD[1]
    hands.shows(ODD[1], 5)
    assert hands.message.value == ""


def test_a_change_of_user_photo_or_reader_shows_that_photo(hands):
    hands.user.value = "long"
    assert (hands.photo.min, hands.photo.max, hands.photo.value) == (1, 12, 7)
    hands.shows("long", 7)
    for photo in (1, 3, 12):
        hands.photo.value = photo
        hands.shows("long", photo)
    for reader in (NOBODY, ODD[0], "other", OWNER):
        hands.reader.value = reader
        hands.shows("long", 12, reader)


def test_the_slider_never_leaves_the_users_photos(hands):
    for user, size in [*SIZES.items(), *reversed(SIZES.items())]:
        hands.user.value = user
        assert (hands.photo.max, hands.photo.value) == (size, min(size, 7))
        hands.photo.value = 99
        hands.shows(user, size)
        hands.photo.value = -5
        hands.shows(user, 1)
        hands.photo.value = 99


def test_the_buttons_step_through_the_photos_and_stop_at_the_ends(hands):
    hands.user.value = "other"
    assert hands.photo.value == 7
    for place in (8, 8, 8):
        hands.on.click()
        hands.shows("other", place)
        assert hands.photo.value == place
    for place in (7, 6, 5, 4, 3, 2, 1, 1, 1):
        hands.back.click()
        assert hands.photo.value == place
    hands.shows("other", 1)
    hands.on.click()
    hands.shows("other", 2)


def test_users_with_odd_names_are_offered_as_they_are(hands, photos):
    assert hands.user.options == tuple(photos.users)
    assert hands.reader.options == (OWNER, NOBODY, *photos.users)
    for name in ODD:
        hands.user.value = hands.reader.value = name
        hands.shows(name, 5, name)


def test_an_added_hashtag_is_shown_with_its_rank(hands):
    hands.user.value = "long"
    for text in ["tiny", *ODD]:
        hands.text.value = text
        assert hands.text.value == "" and hands.message.value == ""
    look = hands.explorer.look("long", 6)
    texts = assert_harmless(hands.ranking.value).texts
    shown = [texts[i + 1 : i + 3] for i, text in enumerate(texts) if text == "added:"]
    assert [name for name, _ in shown] == ["tiny", *ODD]
    for (name, said), (added, rank, p) in zip(shown, look.added, strict=True):
        assert name == added
        assert said == f", rank {rank} of {look.hashtags}, {100 * p:.2g} %"
    hands.shows("long", 7)


def test_a_bad_hashtag_gives_a_message_and_the_next_good_one_takes_it_away(hands):
    bad = "<b onclick='alert(1)'>zzzz</b>"
    before = hands.ranking.value
    hands.text.value = bad
    page = assert_harmless(hands.message.value)
    assert page.texts == [f"no word vector for {bad!r}: try another spelling."]
    assert [tag for tag, _ in page.tags] == ["span"] and hands.ranking.value == before
    assert hands.text.value == bad  # to be mended
    hands.text.value = "   "
    assert hands.message.value and hands.ranking.value == before
    hands.text.value = "tiny"
    assert hands.message.value == "" and hands.explorer.added == ["tiny"]


def test_a_picture_of_ones_own_is_shown_until_one_goes_back(hands):
    hands.user.value = "long"
    hands.upload(OWN)
    assert hands.explorer.own_picture == OWN and hands.message.value == ""
    hands.shows("long", 7, own=True)
    hands.reader.value = NOBODY
    hands.shows("long", 7, NOBODY, own=True)
    hands.clear.click()
    assert hands.explorer.own_picture is None and hands.file.value == ()
    hands.shows("long", 7, NOBODY)


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_an_upload_that_is_no_picture_gives_a_message_and_the_explorer_goes_on(hands, kind):
    hands.user.value = "long"
    hands.upload(NO_PICTURES[kind])
    page = assert_harmless(hands.message.value)
    assert len(page.texts) == 1 and page.texts[0].startswith("picture: ")
    assert hands.explorer.own_picture is None
    hands.shows("long", 7)
    hands.on.click()
    hands.shows("long", 8)
    assert hands.message.value == ""
    hands.upload(OWN)
    hands.shows("long", 8, own=True)


def test_show_displays_the_widgets(explorer, monkeypatch):
    w = pytest.importorskip("ipywidgets")
    display = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(display, "display", shown.append)
    assert explorer.show() is None
    assert len(shown) == 1 and isinstance(shown[0], w.VBox) and len(shown[0].children) == 6


def test_looking_needs_no_widgets(explorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert len(explorer.look("long", 3).predicted) == 10
