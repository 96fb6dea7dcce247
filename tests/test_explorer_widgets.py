"""The explorer's widgets: they follow what one does, and survive whatever they are given."""

import re

import pytest
from html_reading import ODD, ODD_USERS, Page, assert_harmless
from picture_files import NO_PICTURES, encode, noise

from hashtag_core.course.explorer import NOBODY, OWNER, Explorer
from hashtag_core.plots.html_views import picture_uri

OWN = encode(noise(), "PNG")


@pytest.fixture
def explorer(odd_predictor, odd_photos) -> Explorer:
    return Explorer(odd_predictor, odd_photos)


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
        """Choose a file: what the browser sends."""
        sent = {"name": "<b>.png", "type": "image/png", "size": len(data),
                "content": memoryview(data), "last_modified": 1_700_000_000_000}  # fmt: skip
        self.file.set_state({"value": [sent]})

    def names(self) -> list[str]:
        """The ranked hashtags that are shown."""
        table = self.ranking.value.partition("<table")[2].partition("</table>")[0]
        return [text.removeprefix("✓ ") for text in Page("<table" + table).texts[1::3]]

    def nothing_but(self, message: str) -> None:
        """Fails unless there is this message (a pattern), and no photo."""
        (text,) = assert_harmless(self.message.value).texts
        assert re.fullmatch(message, text)
        assert [w.value for w in (self.history, self.picture, self.ranking)] == ["", "", ""]

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
        assert pages[1].texts == ["your own picture" if own else "posted with", *tags]
        assert self.names() == [name for name, _ in look.predicted]
        hits = [name for name, _ in look.predicted if name in look.true]
        assert [t[2:] for t in pages[2].texts if t.startswith("✓ ")] == hits


@pytest.fixture
def hands(explorer) -> Hands:
    return Hands(explorer)


def test_the_first_thing_shown_is_a_photo_of_the_first_user(hands, odd_photos):
    assert hands.user.value == odd_photos.users[0] == ODD[1]
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
    for user, size in [*ODD_USERS.items(), *reversed(ODD_USERS.items())]:
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


def test_users_with_odd_names_are_offered_as_they_are(hands, odd_photos):
    assert hands.user.options == tuple(odd_photos.users)
    assert hands.reader.options == (OWNER, NOBODY, *odd_photos.users)
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
        assert p >= 0.001 and said == f", rank {rank} of {look.hashtags}, {100 * p:.1f} %"
    hands.shows("long", 7)


def test_a_bad_hashtag_gives_a_message_and_the_next_good_one_takes_it_away(hands):
    bad, before = "#", hands.ranking.value
    hands.text.value = bad
    page = assert_harmless(hands.message.value)
    assert page.texts == ["no hashtag: '#'."]
    assert [tag for tag, _ in page.tags] == ["span"] and hands.ranking.value == before
    assert hands.text.value == bad  # to be mended
    hands.text.value = "   "
    assert hands.message.value and hands.ranking.value == before
    hands.text.value = "tiny"
    assert hands.message.value == "" and hands.explorer.added == ["tiny"]


def test_an_odd_hashtag_without_a_word_is_added_and_harmless(hands):
    odd = "<b onclick='alert(1)'>zzzz</b>"
    hands.text.value = odd
    assert hands.message.value == "" and hands.explorer.added == [odd]
    assert odd in assert_harmless(hands.ranking.value).texts


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
    assert len(page.texts) == 1 and page.texts[0].startswith("the uploaded file: ")
    assert hands.explorer.own_picture is None
    hands.shows("long", 7)
    hands.on.click()
    hands.shows("long", 8)
    assert hands.message.value == ""
    hands.upload(OWN)
    hands.shows("long", 8, own=True)


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_the_same_bad_file_chosen_again_gives_the_message_again(hands, kind):
    hands.user.value = "long"
    for _ in range(3):
        hands.upload(NO_PICTURES[kind])
        assert assert_harmless(hands.message.value).texts[0].startswith("the uploaded file: ")
        assert hands.file.value == () and hands.explorer.own_picture is None
        hands.on.click()
        assert hands.message.value == ""


def test_the_same_good_file_can_be_chosen_again_after_going_back(hands):
    hands.user.value = "long"
    for _ in range(2):
        hands.upload(OWN)
        hands.shows("long", 7, own=True)
        hands.clear.click()
        hands.shows("long", 7)


# ---- photos without pictures


def test_a_photo_without_a_picture_is_shown_grey_and_the_next_one_too(
    hands, odd_photos, without_pictures
):
    start = odd_photos.rows_of(odd_photos.users.index("long")).start
    without_pictures(start + 2)
    hands.user.value = "long"
    hands.photo.value = 3
    for _ in range(2):  # the photo, then the next one, in whose history it is
        assert hands.message.value == ""
        hands.on.click()
    hands.shows("long", 5)


def test_a_collection_without_any_picture_never_breaks(odd_predictor, odd_photos, without_pictures):
    without_pictures()
    hands = Hands(Explorer(odd_predictor, odd_photos))
    hands.user.value = "long"
    for reader in (NOBODY, "other"):
        hands.reader.value = reader
        assert hands.message.value == ""
    hands.text.value = "tiny"
    assert hands.explorer.added == ["tiny"] and hands.message.value == ""
    hands.upload(OWN)
    assert hands.message.value == ""
    hands.upload(b"")
    assert len(assert_harmless(hands.message.value).texts) == 1


def test_a_damaged_picture_in_the_collection_gives_a_message(hands, odd_photos, monkeypatch):
    damaged = {"bytes": NO_PICTURES["cut off"], "path": None}
    monkeypatch.setitem(odd_photos._pictures.__dict__, "image", lambda row: damaged)
    hands.user.value = "long"
    hands.nothing_but("picture: .*")


def test_show_displays_the_widgets(explorer, monkeypatch):
    w = pytest.importorskip("ipywidgets")
    display = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(display, "display", shown.append)
    assert explorer.show() is None
    assert len(shown) == 1 and isinstance(shown[0], w.VBox) and len(shown[0].children) == 6
