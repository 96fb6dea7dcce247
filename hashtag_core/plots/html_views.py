"""Pictures, hashtags and users as HTML: no script, and what came from data is escaped."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from hashtag_core.data.pictures import load_picture
from hashtag_core.errors import printable
from hashtag_core.plots.style import BLUE, GREY, STYLES, check_groups

# colours are those of JupyterLab's theme, light or dark; outside of it what stands behind the comma
TEXT = "font: 13px/1.45 sans-serif; color: var(--jp-content-font-color1, currentColor)"
QUIET = f"var(--jp-content-font-color2, {GREY})"
MARKED = f"var(--jp-brand-color1, {BLUE})"
LINE = "var(--jp-border-color1, #ccc)"
BAR = "#a0a0a0"
ON_WHITE = "font: 13px/1.45 sans-serif; color: #222; background: white"


def html_text(text: str) -> str:
    """Text from outside as HTML: no markup, on one line, and it turns nothing beside it."""
    return escape(printable(text))


def picture_uri(picture: bytes, pixels: int = 128) -> str:
    """A picture as a `data:` address for <img>: decoded within bounds, and made small.

    Raises:
        InputError: where it is no picture.
    """
    image = load_picture(picture)
    image.thumbnail((pixels, pixels))
    packed = io.BytesIO()
    image.save(packed, "WEBP", quality=70)
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode()


def photo_cards(
    photos: Iterable[tuple[bytes, Sequence[str]]], pixels: int = 96, most: int = 4
) -> str:
    """Photos side by side, each with its hashtags below it.

    Args:
        photos: (encoded picture, hashtags) of each.
        pixels: width of a picture.
        most: how many hashtags to show; how many more there are is said.
    """
    cards = []
    for picture, hashtags in photos:
        lines = [f"#{html_text(name)}" for name in hashtags[:most]]
        if len(hashtags) > most:
            lines.append(f"and {len(hashtags) - most} more")
        cards.append(
            f'<div style="width: {pixels + 24}px; overflow-wrap: anywhere">'
            f'<img src="{picture_uri(picture, pixels)}" width="{pixels}" '
            f'style="border: 1px solid {LINE}"><br>{"<br>".join(lines)}</div>'
        )
    return (
        f'<div style="display: flex; flex-wrap: wrap; gap: 6px; {TEXT}; font-size: 12px">'
        f"{''.join(cards)}</div>"
    )


def ranked_hashtags(predicted: Sequence[tuple[str, float]], true: Sequence[str] = ()) -> str:
    """Hashtags with bars as long as their share of the best score's, the true ones marked.

    Args:
        predicted: (hashtag, p) best first; p a probability.
        true: the hashtags that the photo carries.
    """
    rows = []
    largest = max((p for _, p in predicted), default=1.0) or 1.0
    for place, (name, p) in enumerate(predicted, start=1):
        hit = name in true
        look = f"color: {MARKED}; font-weight: bold" if hit else ""
        rows.append(
            # every second row of a table would be darker in JupyterLab, and hard to read
            f'<tr style="background: transparent"><td style="text-align: right; color: {QUIET}">'
            f"{place}</td>"
            f'<td style="text-align: left; {look}">{"✓ " if hit else ""}{html_text(name)}</td>'
            f'<td style="text-align: left"><div style="background: {MARKED if hit else BAR}; '
            f'height: 9px; width: {1 + 110 * p / largest:.0f}px"></div></td>'
            f'<td style="text-align: right; color: {QUIET}">{percent(p)}</td></tr>'
        )
    return f'<table style="{TEXT}; border-spacing: 6px 1px">{"".join(rows)}</table>'


def percent(p: float) -> str:
    """A probability to read."""
    return f"{100 * p:.1f} %" if p >= 0.001 else "below 0.1 %"


def hover_map(
    points: np.ndarray,
    groups: Sequence[str],
    users: Sequence[str],
    photos: Sequence[Sequence[bytes]],
    hashtags: Sequence[Sequence[str]],
    width: int = 860,
    height: int = 560,
) -> str:
    """A map of users that shows a user's pictures and hashtags where the mouse is (no script).

    Args:
        points: (U, 2), where each user is.
        groups: U group names, at most 8 different ones; a colour each.
        users: U names.
        photos: some encoded pictures of each user.
        hashtags: some hashtags of each user.
        width: of the whole, in pixels.
        height: of the map, in pixels.

    Raises:
        ValueError: where there are no users, or more than 8 groups.
    """
    if not len(users):
        raise ValueError("a map of no users.")
    check_groups(len(set(groups)))
    side, margin = 64, 24
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1)  # (U, 2) in [0, 1]
    x = margin + scaled[:, 0] * (width - 2 * margin)
    y = height - margin - scaled[:, 1] * (height - 2 * margin)
    by_size = Counter(groups).most_common()  # as in `plot_users`
    colours = {name: colour for (name, _), (colour, _) in zip(by_size, STYLES, strict=False)}
    dots, cards = [], []  # cards lie above all dots, each under a dot that cannot be seen
    rows = zip(x, y, groups, users, photos, hashtags, strict=True)
    for cx, cy, group, user, own_photos, own_hashtags in rows:
        card_width = max(2, len(own_photos)) * (side + 4) + 12
        left = max(min(cx - card_width / 2, width - card_width), 0)
        top = cy + 12 if cy < height / 2 else cy - side - 60
        pictures = "".join(
            f'<image href="{picture_uri(picture, side)}" x="{left + 6 + n * (side + 4):.0f}" '
            f'y="{top + 42:.0f}" width="{side}" height="{side}"/>'
            for n, picture in enumerate(own_photos)
        )
        tags = " ".join("#" + name for name in own_hashtags)
        tags = tags if len(tags) * 6 < card_width else tags[: int(card_width / 6) - 1] + "…"
        at = f'cx="{cx:.0f}" cy="{cy:.0f}" r="7"'
        dots.append(f'<circle {at} fill="{colours[group]}" stroke="black" stroke-width="0.6"/>')
        cards.append(
            f'<g class="user"><circle {at} opacity="0"/><g class="card">'
            f'<rect x="{left:.0f}" y="{top:.0f}" width="{card_width}" height="{side + 48}" '
            f'rx="4" fill="white" stroke="#888"/><text x="{left + 6:.0f}" y="{top + 16:.0f}" '
            f'font-weight="bold">{html_text(user)}</text><text x="{left + 6:.0f}" '
            f'y="{top + 33:.0f}" fill="{GREY}">{html_text(tags)}</text>{pictures}</g></g>'
        )
    legend = " &nbsp; ".join(
        f'<span style="white-space: nowrap"><span style="color: {colour}; font-size: 16px">'
        f"●</span> {html_text(name)}</span>"
        for name, colour in colours.items()
    )
    return (
        "<style>.hover-map .card {visibility: hidden; pointer-events: none} "
        ".hover-map .user:hover .card {visibility: visible}</style>"
        f'<div class="hover-map" style="width: {width}px; {ON_WHITE}">'
        f'<svg width="{width}" height="{height}" style="border: 1px solid #ddd" '
        f'font-family="sans-serif" font-size="12">{"".join(dots + cards)}</svg>'
        f"<div>{legend}</div></div>"
    )
