"""Reading the HTML that the library writes, and names that would like to be HTML."""

import base64
import io
from html.parser import HTMLParser

from PIL import Image

ODD = ["<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "&amp;", "'"]
ODD_USERS = {"long": 12, "single": 1, "other": 8} | dict.fromkeys(ODD, 5)  # user -> photos


class Page(HTMLParser):
    """What a browser makes of a piece of HTML.

    Attributes:
        tags: (tag, attributes) of each element, in order.
        texts: each run of text between two tags, blanks around it cut off, none empty.
        structure: opening and closing tags with their attributes, without any text.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.structure: list[str] = []
        self.texts: list[str] = []
        self._text = ""
        self.feed(html)
        self.close()
        self._end_text()

    def handle_starttag(self, tag, attributes):
        self._end_text()
        self.tags.append((tag, dict(attributes)))
        self.structure.append(f"{tag} {sorted(attributes)}")

    def handle_endtag(self, tag):
        self._end_text()
        self.structure.append(f"/{tag}")

    def handle_data(self, data):
        self._text += data

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def _end_text(self):
        if self._text.strip():
            self.texts.append(self._text.strip())
        self._text = ""

    def all(self, tag: str) -> list[dict]:
        """The attributes of each element of this kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def assert_harmless(html: str) -> Page:
    """No script, nothing from elsewhere, and every tag is closed; returns the page."""
    page = Page(html)
    open_tags = []
    for entry in page.structure:
        tag = entry.split()[0]
        if tag.startswith("/"):
            assert open_tags.pop() == tag[1:]
        elif tag not in ("br", "img"):
            open_tags.append(tag)
    assert not open_tags
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "link", "a", "form")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert attributes.get(name, "data:image/webp;base64,").startswith(
                "data:image/webp;base64,"
            )
    return page


def picture_in(uri: str) -> Image.Image:
    """The picture of a `data:` address."""
    kind, data = uri.split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
