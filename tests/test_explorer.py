"""The explorer: what it shows is what the model says, and it survives whatever it is given."""

import sys

import numpy as np
import pytest
from html_reading import ODD, ODD_USERS, assert_harmless
from picture_files import NO_PICTURES, encode, noise

from hashtag_core.course.explorer import NOBODY, OWNER, Explorer, Look, _as_html
from hashtag_core.data.pictures import grey_picture
from hashtag_core.errors import InputError

NEVER_USED = ["tiny", "huge"]  # hashtags with a word vector that no photo has
OWN = encode(noise(), "PNG")


@pytest.fixture
def photos(odd_photos):
    return odd_photos


@pytest.fixture
def predictor(odd_predictor):
    return odd_predictor


@pytest.fixture
def explorer(predictor, photos) -> Explorer:
    return Explorer(predictor, photos)


def rows_of(photos, user) -> list[int]:
    rows = photos.rows_of(photos.users.index(user))
    return list(range(rows.start, rows.stop))


def expected(predictor, photos, past, picture, added=()):
    """(names, scores, probabilities among all these names in float64), by the predictor alone."""
    state = predictor.new_user()
    for row in past:
        if photos.hashtags_of(row) != ["zzzz"]:
            state = predictor.add_photo(state, photos.features[row], photos.hashtags_of(row))
    vocabulary = predictor.hashtags.names
    names = vocabulary + [name for name in added if name not in vocabulary]
    found = dict(predictor.predict(picture, state, candidates=names, k=len(names)))
    scores = np.array([found[name] for name in names], dtype=np.float64)
    odds = np.exp(scores - scores.max())
    return names, scores, odds / odds.sum()


# ---- look


@pytest.mark.parametrize("user", ODD_USERS)
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
    assert look.hashtags == len(names)  # each once, though two of the added ones were there before
    assert sum(value for _, value in look.predicted) == pytest.approx(1, abs=1e-5)


def test_an_added_hashtag_is_cleaned_and_added_once(explorer):
    assert [explorer.add_hashtag(text) for text in (" #Tiny ", "tiny", "TINY")] == ["tiny"] * 3
    assert explorer.added == ["tiny"]


@pytest.mark.parametrize("text", ["", "  ", "#"])
def test_what_is_no_hashtag_is_not_added(explorer, text):
    with pytest.raises(InputError, match="no hashtag"):
        explorer.add_hashtag(text)
    assert explorer.added == []


@pytest.mark.parametrize("text", ["zzzz", "<b>zzzz</b>", "字字"])
def test_a_hashtag_without_a_word_vector_is_added_by_its_letters(explorer, predictor, text):
    assert explorer.add_hashtag(text) == text
    assert predictor.approximated([text, "tiny"]) == [text]
    (found,) = explorer.look("long", 3).added
    assert found[0] == text and 0 < found[2] < 1


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
    assert explorer.look("other", 0, ODD[0]).history_length == 5
    with pytest.raises(InputError, match="no user 'long' among the 2 of this explorer"):
        explorer.look("long", 0)
    with pytest.raises(InputError, match="no user 'long' among the 2 of this explorer"):
        explorer.look("other", 0, "long")
    assert list(Explorer(predictor, photos).users) == photos.users


@pytest.mark.parametrize("users", [[], range(0), np.array([], dtype=int)], ids=repr)
def test_no_users_are_nothing_to_explore(predictor, photos, users):
    with pytest.raises(InputError, match="no users to explore"):
        Explorer(predictor, photos, users)


@pytest.mark.parametrize("name", ["nobody_here", "", "Long"])
def test_an_unknown_user_or_reader_is_an_input_error(explorer, name):
    with pytest.raises(InputError, match=f"no user {name!r} among the {len(ODD_USERS)} of"):
        explorer.look(name, 0)
    with pytest.raises(InputError, match=f"no user {name!r} among the {len(ODD_USERS)} of"):
        explorer.look("long", 0, name)


@pytest.mark.parametrize("user", ["long", "single", "other"])
def test_a_photo_that_the_user_does_not_have_is_an_input_error(explorer, user):
    last = ODD_USERS[user] - 1
    for photo in (-1, last + 1, 1000):
        for reader in (OWNER, NOBODY, "other"):
            with pytest.raises(InputError, match=f"photo {photo}: {user} has photos 0 to {last}"):
                explorer.look(user, photo, reader)
    assert explorer.look(user, last).picture


def test_a_photo_without_a_picture_is_shown_grey(explorer, photos, without_pictures):
    rows = rows_of(photos, "long")
    before = explorer.look("long", 4)
    without_pictures(rows[4])
    look = explorer.look("long", 4)
    assert look.picture == grey_picture() and look.true == photos.hashtags_of(rows[4])
    assert look.predicted == before.predicted  # its features are there
    for t in (5, 10):  # the first and the last time it is shown before
        shown = [picture for picture, _ in explorer.look("long", t).history]
        assert shown.count(grey_picture()) == 1 and shown[4 - t] == grey_picture()
    assert "<img" in _as_html(look)[1]


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (0.5, "50.0 %"), (1.0, "100.0 %"), (0.01234, "1.2 %"), (0.001, "0.1 %"),
        (0.00099, "below 0.1 %"), (1e-30, "below 0.1 %"), (0.0, "below 0.1 %"),
    ],
)  # fmt: skip
def test_a_small_percentage_of_an_added_hashtag_is_said_in_words(p, said):
    look = Look([], 0, OWN, [], [("sea", 0.7)], [("tiny", 1234, p)], 5678)
    texts = assert_harmless("".join(_as_html(look))).texts
    assert texts[-3:] == ["added:", "tiny", f", rank 1,234 of 5,678, {said}"]


def test_looking_needs_no_widgets(explorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert len(explorer.look("long", 3).predicted) == 10
