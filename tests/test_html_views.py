"""Pictures, hashtags and users as HTML: they show what they were given, and it stays text."""

import re

import numpy as np
import pytest
from html_reading import ODD, Page, assert_harmless, picture_in
from picture_files import BLUE, RED, claims_to_be, encode, lying_on_its_side, noise, red_and_blue

from hashtag_core.errors import InputError
from hashtag_core.plots import numbers as plots
from hashtag_core.plots.html_views import (
    BAR,
    MARKED,
    hover_map,
    photo_cards,
    picture_uri,
    ranked_hashtags,
)

PLAIN = ["one", "two", "three", "four"]  # as many as ODD
PNG = encode(red_and_blue(), "PNG")


def near(colour, other) -> bool:
    return max(abs(a - b) for a, b in zip(colour, other, strict=True)) < 40


def style(attributes: dict, name: str) -> str:
    """What a style attribute says of one property."""
    return dict(part.strip().split(": ", 1) for part in attributes["style"].split(";") if part)[
        name
    ]


# ---- pictures


@pytest.mark.parametrize(
    ("size", "pixels", "shown"),
    [((400, 200), 128, (128, 64)), ((200, 400), 60, (30, 60)), ((40, 20), 128, (40, 20))],
)
def test_a_picture_becomes_small_but_not_larger_and_keeps_its_shape(size, pixels, shown):
    picture = picture_in(picture_uri(encode(red_and_blue(*size), "PNG"), pixels))
    assert picture.format == "WEBP" and picture.size == shown


def test_a_picture_looks_as_before_and_upright():
    for data in (PNG, lying_on_its_side(red_and_blue(), "PNG")):
        picture = picture_in(picture_uri(data)).convert("RGB")
        assert picture.size == (40, 20)
        assert near(picture.getpixel((5, 10)), RED) and near(picture.getpixel((35, 10)), BLUE)


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg onload='alert(1)'/>", encode(noise(), "JPEG")[:300], claims_to_be(50_000, 50_000)],
    ids=["nothing", "svg", "cut off", "bomb"],
)
def test_what_is_no_picture_is_an_input_error(data):
    with pytest.raises(InputError):
        picture_uri(data)
    with pytest.raises(InputError):
        photo_cards([(PNG, ["a"]), (data, ["b"])])


# ---- photos with hashtags


def test_a_card_has_the_picture_and_some_hashtags_below_it():
    photos = [(PNG, list("abcde")), (PNG, list("abcd")), (PNG, []), (PNG, list("abcdefgh"))]
    page = assert_harmless(photo_cards(photos, pixels=50, most=4))
    four = ["#a", "#b", "#c", "#d"]
    assert page.texts == [*four, "and 1 more", *four, *four, "and 4 more"]
    assert [image["width"] for image in page.all("img")] == ["50"] * 4
    assert {image["src"] for image in page.all("img")} == {picture_uri(PNG, 50)}
    assert [style(card, "width") for card in page.all("div")[1:]] == ["74px"] * 4


def test_cards_are_in_the_order_given():
    pictures = [encode(red_and_blue(10 + n, 20), "PNG") for n in range(3)]
    page = Page(photo_cards(((picture, ["x"]) for picture in pictures), most=1))
    assert [image["src"] for image in page.all("img")] == [picture_uri(p, 96) for p in pictures]


def test_hashtags_of_cards_stay_text():
    odd, plain = (photo_cards([(PNG, names)]) for names in (ODD, PLAIN))
    assert assert_harmless(odd).texts == ["#" + name for name in ODD]
    assert Page(odd).structure == Page(plain).structure


@pytest.mark.parametrize(
    "html",
    [
        photo_cards([(PNG, ["a", "b", "c"])], most=2),
        ranked_hashtags([("sea", 0.5), ("sun", 0.25)], ["sun"]),
    ],
)
def test_text_has_the_colours_of_the_theme(html):
    """A colour of our own cannot be read on every background; on a bar there is no text."""
    for colour in re.findall(r"(?<!-)color: ([^;\"]+)", html):
        assert re.match(r"var\(--jp-(content-font-color[12]|brand-color1), ", colour), colour
    for colour in re.findall(r"background: ([^;\"]+)", html):
        assert colour in (BAR, MARKED, "transparent")


# ---- ranked hashtags


def test_ranked_hashtags_have_place_name_bar_and_per_cent():
    page = assert_harmless(ranked_hashtags([("sea", 0.5), ("sun", 0.25), ("sky", 0.001)], ["sun"]))
    assert page.texts == ["1", "sea", "50.0 %", "2", "✓ sun", "25.0 %", "3", "sky", "0.1 %"]
    assert [style(bar, "width") for bar in page.all("div")] == ["111px", "56px", "1px"]
    names = page.all("td")[1::4]
    bold = [("color: " + MARKED in name["style"], "bold" in name["style"]) for name in names]
    assert bold == [(False, False), (True, True), (False, False)]
    colours = [style(bar, "background") for bar in page.all("div")]
    assert colours == [BAR, MARKED, BAR]


def test_hashtags_without_any_probability_have_bars_of_nothing():
    page = assert_harmless(ranked_hashtags([("sea", 0.0), ("sun", 0.0)]))
    assert [style(bar, "width") for bar in page.all("div")] == ["1px", "1px"]
    assert assert_harmless(ranked_hashtags([])).texts == []


@pytest.mark.parametrize("true", [[], [0, 1, 2, 3]], ids=["missed", "hit"])
def test_ranked_hashtags_stay_text(true):
    def made(names):
        ranked = [(name, 0.5 - i / 10) for i, name in enumerate(names)]
        return ranked_hashtags(ranked, [names[i] for i in true])

    page = assert_harmless(made(ODD))
    assert page.texts[1::3] == ["✓ " + name if true else name for name in ODD]
    assert page.structure == Page(made(PLAIN)).structure


# ---- the map


def users_map(names=PLAIN, groups=("g", "h", "g", "h"), hashtags=None, **size):
    points = np.array([[0.0, 10.0], [4.0, 0.0], [1.0, 5.0], [2.0, 2.5]])
    photos = [[PNG], [], [PNG, PNG, PNG], [PNG]]
    return hover_map(points, groups, names, photos, hashtags or [["a"]] * 4, **size)


def numbers(attributes: dict, *names: str) -> tuple[float, ...]:
    return tuple(float(attributes[name]) for name in names)


def test_users_lie_where_their_points_are():
    page = assert_harmless(users_map(width=248, height=148))
    circles = page.all("circle")
    places = [(24, 24), (224, 124), (74, 74), (124, 99)]  # a point further up has a lower y
    assert [numbers(circle, "cx", "cy") for circle in circles[:4]] == places
    assert [numbers(circle, "cx", "cy") for circle in circles[4:]] == places  # the ones to point at
    assert [circle.get("opacity") for circle in circles] == [None] * 4 + ["0"] * 4
    assert numbers(page.all("svg")[0], "width", "height") == (248, 148)


def test_users_have_the_colour_that_the_legend_gives_their_group():
    html = users_map()
    page = assert_harmless(html)
    first, second = plots.STYLES[0][0], plots.STYLES[1][0]
    assert [c["fill"] for c in page.all("circle")[:4]] == [first, second, first, second]
    assert [style(span, "color") for span in page.all("span")[1::2]] == [first, second]
    assert page.texts[-4:] == ["●", "g", "●", "h"]
    assert len({colour for colour, _ in plots.STYLES}) == 8


def test_a_card_shows_its_users_name_hashtags_and_pictures():
    hashtags = [["sun", "sea"], [], ["x" * 80], ["b"]]
    page = assert_harmless(users_map(hashtags=hashtags))
    texts = [text for text in page.texts if not text.startswith((".hover", "●"))]
    assert texts[:3] == ["one", "#sun #sea", "two"]
    assert texts[3] == "three" and re.fullmatch(r"#x+…", texts[4])
    assert 6 * len(texts[4]) <= float(page.all("rect")[2]["width"])
    assert texts[5:7] == ["four", "#b"]
    order = [tag for tag, _ in page.tags if tag in ("rect", "image")]
    assert "".join(tag[0] for tag in order) == "rirriiiri"
    assert {image["href"] for image in page.all("image")} == {picture_uri(PNG, 64)}


def test_hashtags_that_fit_the_card_are_shown_whole():
    room = int(float(Page(users_map()).all("rect")[0]["width"]) / 6)
    fits, too_long = "x" * (room - 2), "x" * room
    texts = Page(users_map(hashtags=[[fits], [too_long], ["a"], ["b"]])).texts
    assert "#" + fits in texts
    assert "#" + "x" * (room - 2) + "…" in texts


def test_cards_are_on_the_map_with_their_pictures_inside_and_above_all_dots():
    page = assert_harmless(users_map())
    svg_width, svg_height = numbers(page.all("svg")[0], "width", "height")
    place = None
    for tag, attributes in page.tags:
        if tag == "rect":
            place = numbers(attributes, "x", "y", "width", "height")
            assert place[0] >= 0 and place[0] + place[2] <= svg_width
            assert place[1] >= 0 and place[1] + place[3] <= svg_height
        if tag == "image":
            x, y, width, height = numbers(attributes, "x", "y", "width", "height")
            assert place[0] < x and x + width < place[0] + place[2]
            assert place[1] < y and y + height < place[1] + place[3]
    kinds = [a.get("class", "dot") for tag, a in page.tags if tag in ("circle", "g")]
    assert kinds[:4] == ["dot"] * 4 and kinds[4:] == ["user", "dot", "card"] * 4


def test_a_card_leaves_its_users_dot_free():
    page = assert_harmless(users_map())
    for circle, card in zip(page.all("circle")[4:], page.all("rect"), strict=True):
        y, radius = numbers(circle, "cy", "r")
        top, height = numbers(card, "y", "height")
        assert top > y + radius or top + height < y - radius


def test_a_card_is_hidden_until_the_mouse_is_there():
    style_sheet = next(text for text in Page(users_map()).texts if text.startswith("."))
    assert ".card {visibility: hidden" in style_sheet
    assert ".user:hover .card {visibility: visible}" in style_sheet


def test_users_in_one_place_are_drawn():
    html = hover_map(np.ones((2, 2)), ["g", "g"], ["a", "b"], [[PNG], []], [["x"], ["y"]])
    circles = assert_harmless(html).all("circle")
    assert {numbers(circle, "cx", "cy") for circle in circles} == {(24, 536)}


def test_the_largest_group_has_the_first_colour_as_in_the_figure_of_users():
    page = assert_harmless(users_map(groups=("g", "h", "h", "i")))
    colours = [colour for colour, _ in plots.STYLES[:3]]
    assert page.texts[-6:] == ["●", "h", "●", "g", "●", "i"]
    assert [style(span, "color") for span in page.all("span")[1::2]] == colours
    fills = [circle["fill"] for circle in page.all("circle")[:4]]
    assert fills == [colours[1], colours[0], colours[0], colours[2]]


@pytest.mark.parametrize("number", [8, 9])
def test_more_than_eight_groups_are_refused(number):
    names = [f"g{i}" for i in range(number)]
    points, photos = np.arange(2.0 * number).reshape(number, 2), [[PNG]] * number

    def made():
        return hover_map(points, names, names, photos, [["a"]] * number)

    if number > 8:
        with pytest.raises(ValueError, match="9 groups: at most 8"):
            made()
    else:
        assert len({circle["fill"] for circle in Page(made()).all("circle")[:number]}) == 8


def test_a_map_of_no_users_is_refused():
    with pytest.raises(ValueError, match="a map of no users"):
        hover_map(np.empty((0, 2)), [], [], [], [])


@pytest.mark.parametrize("number", [12, 14])  # 828 and 964 pixels wide, on a map of 860
def test_a_card_of_many_pictures_begins_on_the_map(number):
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    html = hover_map(points, ["g"] * 3, PLAIN[:3], [[PNG] * number] * 3, [["a"]] * 3)
    page = assert_harmless(html)
    assert len(page.all("image")) == 3 * number
    assert min(numbers(card, "x")[0] for card in page.all("rect")) >= 0
    assert min(numbers(picture, "x")[0] for picture in page.all("image")) >= 0


def test_names_groups_and_hashtags_on_the_map_stay_text():
    page = assert_harmless(users_map(ODD, ODD, [[name] for name in ODD]))
    for name in ODD:
        assert page.texts.count(name) == 2  # the user and the group
        shown = [text for text in page.texts if text.startswith("#" + name[:20])]
        assert shown and all(text.rstrip("…") in "#" + name for text in shown)
    plain = users_map(PLAIN, PLAIN, [[name] for name in PLAIN])
    assert page.structure == Page(plain).structure
