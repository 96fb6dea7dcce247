"""The explorer: step through a user's photos and see what the model makes of each (ipywidgets).

    explorer = Explorer(predictor, photos)
    explorer.show()

Everything it shows comes from `look`, which needs no widgets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.pictures import load_picture
from hashtag_core.errors import InputError
from hashtag_core.plots.html_views import (
    QUIET,
    TEXT,
    html_text,
    percent,
    photo_cards,
    picture_uri,
    ranked_hashtags,
)
from hashtag_core.plots.style import ORANGE
from hashtag_core.prediction import HashtagPredictor

NOBODY = "nobody in particular"
OWNER = "the user who posted it"
HISTORY = 6  # photos of the history to show
SMALL = f"{TEXT}; color: {QUIET}"


@dataclass(frozen=True)
class Look:
    """One photo, read through one history.

    Attributes:
        history: the last photos of the history, (encoded picture, hashtags), oldest first.
        history_length: how many photos it has.
        picture: the encoded picture.
        true: its hashtags; empty for a picture of one's own.
        predicted: (hashtag, p of Equation 8 among all hashtags that are ranked), best first.
        added: for each added hashtag (name, its rank among all hashtags from 1, p).
        hashtags: how many hashtags are ranked.
    """

    history: list[tuple[bytes, list[str]]]
    history_length: int
    picture: bytes
    true: list[str]
    predicted: list[tuple[str, float]]
    added: list[tuple[str, int, float]]
    hashtags: int


class Explorer:
    """A user's photos one by one: history, picture, true and predicted hashtags.

    Args:
        predictor: a trained model in use.
        photos: the collection.
        users: which users to offer, by number; None for all.
    """

    def __init__(
        self,
        predictor: HashtagPredictor,
        photos: PhotoCollection,
        users: Sequence[int] | None = None,
    ) -> None:
        self.predictor = predictor
        self.photos = photos
        numbers = range(len(photos.users)) if users is None else users
        if not len(numbers):
            raise InputError("no users to explore.")
        self.users = {photos.users[number]: int(number) for number in numbers}
        self.added: list[str] = []
        self.own_picture: bytes | None = None

    def look(self, user: str, photo: int, reader: str = OWNER, k: int = 10) -> Look:
        """What the model makes of a user's photo, or of one's own picture where there is one.

        Args:
            user: whose photo.
            photo: which one, from 0.
            reader: through whose history: `OWNER` (the photos before), `NOBODY` (none), or the
                name of another user (all of theirs).
            k: how many hashtags.

        Raises:
            InputError: where there is no such user or photo, or a picture cannot be read.
        """
        rows = self.photos.rows_of(self._number(user))
        row = rows.start + photo
        if not rows.start <= row < rows.stop:
            raise InputError(f"photo {photo}: {user} has photos 0 to {rows.stop - rows.start - 1}.")
        past = range(rows.start if reader == OWNER else row, row)  # of nobody: empty
        if reader not in (OWNER, NOBODY):
            other = self.photos.rows_of(self._number(reader))
            past = range(other.start, other.stop)
        if self.own_picture is None:
            picture, true = self.photos.card(row)
            feature = self.photos.to_predict[row]
        else:
            picture, true, feature = self.own_picture, [], self.own_picture
        user_vector, _ = self.predictor.user(self.photos.history(past))
        names, p = self.predictor.probabilities(feature, user_vector, self.added)
        best = p.argsort(descending=True, stable=True)[:k].tolist()
        places = [(name, names.index(name)) for name in self.added]
        return Look(
            history=[self.photos.card(r) for r in past[-HISTORY:]],
            history_length=len(past),
            picture=picture,
            true=true,
            predicted=[(names[i], float(p[i])) for i in best],
            added=[(name, int((p > p[i]).sum()) + 1, float(p[i])) for name, i in places],
            hashtags=len(names),
        )

    def add_hashtag(self, text: str) -> str:
        """Let the model choose this hashtag too, whether anybody has used it or not.

        Raises:
            InputError: where it is none.
        """
        names, _ = self.predictor.represent([text])
        if not names:
            raise InputError(f"no hashtag: {text.strip()!r}.")
        if names[0] not in self.added:
            self.added.append(names[0])
        return names[0]

    def _number(self, user: str) -> int:
        if user not in self.users:
            raise InputError(f"no user {user!r} among the {len(self.users)} of this explorer.")
        return self.users[user]

    def show(self) -> None:
        """Show the widgets in a notebook."""
        from IPython.display import display

        display(self.widgets())

    def widgets(self):
        """The widgets, an `ipywidgets.VBox`; `show` displays it."""
        import ipywidgets as w

        wide = {"style": {"description_width": "110px"}, "layout": w.Layout(width="430px")}
        button = w.Layout(width="200px")
        names = list(self.users)
        user = w.Dropdown(options=names, description="photos of", **wide)
        reader = w.Dropdown(options=[OWNER, NOBODY, *names], description="read as", **wide)
        photo = w.IntSlider(min=1, max=2, description="photo", continuous_update=False, **wide)
        back, on = w.Button(description="◀ before"), w.Button(description="next ▶")
        text = w.Text(description="add a hashtag", continuous_update=False, **wide)
        text.placeholder = "any word, then Enter"
        upload = w.FileUpload(accept="image/*", description="a picture of your own", layout=button)
        clear = w.Button(description="back to the photos", layout=button)
        history, picture, ranking, message = w.HTML(), w.HTML(), w.HTML(), w.HTML()

        @contextmanager
        def saying_errors() -> Iterator[None]:
            try:
                yield
            except InputError as error:
                message.value = f'<span style="color: {ORANGE}">{html_text(str(error))}</span>'

        def draw() -> None:
            parts = ("", "", "")
            with saying_errors():  # a picture of the collection may be broken
                parts = _as_html(self.look(user.value, photo.value - 1, reader.value))
            history.value, picture.value, ranking.value = parts

        def change_user(_=None) -> None:
            rows = self.photos.rows_of(self.users[user.value])
            photo.max = rows.stop - rows.start
            photo.value = min(photo.max, 1 + HISTORY)

        def redraw(_=None) -> None:
            message.value = ""
            draw()

        def add_one(change) -> None:
            if change["new"].strip():
                message.value = ""
                with saying_errors():
                    self.add_hashtag(text.value)
                    text.value = ""
                draw()

        def take_upload(change) -> None:
            if change["new"]:
                message.value, content = "", bytes(change["new"][-1]["content"])
                self.own_picture = None  # it goes on with the user's photo, if this is no picture
                with saying_errors():
                    load_picture(content, "the uploaded file")
                    self.own_picture = content
                if self.own_picture is None:
                    upload.value = ()
                draw()

        def drop_upload(_) -> None:
            self.own_picture, upload.value = None, ()
            redraw()

        def step(by: int) -> None:
            photo.value += by  # the slider keeps it within its bounds

        change_user()
        draw()
        user.observe(change_user, "value")
        for widget in (user, reader, photo):
            widget.observe(redraw, "value")
        back.on_click(lambda _: step(-1))
        on.on_click(lambda _: step(1))
        text.observe(add_one, "value")  # Enter, or leaving the field
        upload.observe(take_upload, "value")
        clear.on_click(drop_upload)
        rows = [user, reader], [photo, back, on], [text, upload, clear], [picture, ranking]
        *above, last = map(w.HBox, rows)
        return w.VBox([*above, message, history, last])


def _as_html(look: Look) -> tuple[str, str, str]:
    """The three parts: history, picture with its true hashtags, ranking."""
    shown = len(look.history)
    heading = f"the last {shown} of {look.history_length} photos of the history"
    history = f'<div style="{SMALL}">{heading if shown else "no history"}</div>'
    history += photo_cards(look.history, pixels=72, most=3) if shown else ""
    own = "posted with" if look.true else "your own picture"
    tags = "<br>".join(f"#{html_text(name)}" for name in look.true)
    picture = (
        f'<div style="{TEXT}; width: 230px; overflow-wrap: anywhere">'
        f'<img src="{picture_uri(look.picture, 200)}" width="200"><br>'
        f'<span style="color: {QUIET}">{own}</span><br>{tags}</div>'
    )
    ranking = f'<div style="{SMALL}">the best of {look.hashtags:,} hashtags</div>'
    ranking += ranked_hashtags(look.predicted, look.true)
    for name, rank, p in look.added:
        ranking += (
            f'<div style="{TEXT}">added: <b>{html_text(name)}</b>, '
            f"rank {rank:,} of {look.hashtags:,}, {percent(p)}</div>"
        )
    return history, picture, ranking
