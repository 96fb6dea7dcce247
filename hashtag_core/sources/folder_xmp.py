"""XMP, the XML in which photo programs keep keywords and times: read in one pass, within bounds.

No tree of the XML is built: it may nest, repeat and rename its elements as it likes, what is kept
of it are the keywords and the times alone.
"""

from __future__ import annotations

import re
from html import unescape
from xml.sax.handler import ContentHandler

MAX_XMP = 2**20  # bytes
MAX_DEPTH = 100  # elements within one another; programs need some ten
MAX_NAMESPACES = 200  # that are known at one place

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
ITEM = (RDF, "li")
BAR, SLASH = "|", "/"  # between the levels of a path
MARKUP = "<"  # the text is XML once more: <Category>Animals<Category>Cat</Category></Category>
TAG = re.compile("<[^<>]*>")
KEYWORDS = {  # property -> what stands between the levels of its keywords; None: they have none
    ("http://purl.org/dc/elements/1.1/", "subject"): None,
    ("http://ns.microsoft.com/photo/1.0/", "LastKeywordIPTC"): None,
    ("http://ns.microsoft.com/photo/1.0", "LastKeywordIPTC"): None,
    ("http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject"): BAR,  # Capture One, darktable
    ("http://www.digikam.org/ns/1.0/", "TagsList"): SLASH,
    ("http://ns.microsoft.com/photo/1.0/", "LastKeywordXMP"): SLASH,
    ("http://ns.microsoft.com/photo/1.0", "LastKeywordXMP"): SLASH,
    ("http://ns.iview-multimedia.com/mediapro/1.0/", "CatalogSets"): BAR,
    ("http://www.metadataworkinggroup.com/schemas/keywords/", "Keyword"): BAR,  # each level alone
    ("http://ns.acdsee.com/iptc/1.0/", "keywords"): None,
    ("http://ns.acdsee.com/iptc/1.0/", "categories"): MARKUP,  # digiKam writes it, too
}
TIMES = (  # the first one that is there and can be is the photo's
    ("http://ns.adobe.com/exif/1.0/", "DateTimeOriginal"),
    ("http://ns.adobe.com/photoshop/1.0/", "DateCreated"),
    ("http://ns.adobe.com/xap/1.0/", "CreateDate"),
)
UTF16 = (b"\xff\xfe", b"\xfe\xff")

Name = tuple[str | None, str]  # namespace, name in it


def read_xmp(packet: bytes) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """(keywords, paths with what stands between their levels, times) of a packet; empty: none.

    Raises:
        ValueError: where it is over the bounds.
        Exception: the parser's, where it is no XML, or has entities.
    """
    from defusedxml.sax import parseString

    if len(packet) > MAX_XMP:
        raise ValueError("too large")
    if not packet.startswith(UTF16):
        packet = packet.strip(b"\0 \r\n\t")  # programs leave room behind it
    found = _Found()
    if packet:
        parseString(packet, found)
    times = ["".join(time) for name in TIMES for time in found.times[name]]
    texts = [("".join(text), KEYWORDS[name]) for name, text in found.keywords]
    plain = [text for text, between in texts if between is None]
    paths = [(text, between) for text, between in texts if between in (BAR, SLASH)]
    marked = [TAG.split(text) for text, between in texts if between == MARKUP]
    return plain, paths + [(unescape(word), BAR) for words in marked for word in words], times


class _Found(ContentHandler):
    """What the parser has met so far. An element's text is what stands before an element in it."""

    def __init__(self) -> None:
        super().__init__()
        self.keywords: list[tuple[Name, list[str]]] = []  # each in the pieces in which it came
        self.times: dict[Name, list[list[str]]] = {name: [] for name in TIMES}
        self._open: list[tuple[Name, dict[str, str]]] = []  # elements, with prefix -> namespace
        self._properties: list[Name] = []  # those of keywords that are open
        self._text: list[str] = []  # where text goes

    def startElement(self, name: str, attributes) -> None:
        """An element begins."""
        namespaces = self._open[-1][1] if self._open else {}
        declared = {key: uri for key, uri in attributes.items() if key.split(":")[0] == "xmlns"}
        if declared:
            namespaces = namespaces | {key[6:]: uri for key, uri in declared.items()}
        if len(self._open) >= MAX_DEPTH or len(namespaces) > MAX_NAMESPACES:
            raise ValueError("nested too deep, or too many namespaces")
        element = _name(name, namespaces)
        self._open.append((element, namespaces))
        self._text = []
        if element in KEYWORDS:
            self._properties.append(element)
        if self._properties and element in (ITEM, self._properties[-1]):  # a single one needs no li
            self.keywords.append((self._properties[-1], self._text))
        elif element in self.times:
            self.times[element].append(self._text)
        else:  # a property may also stand as an attribute
            for key, value in attributes.items():
                if ":" in key and (attribute := _name(key, namespaces)) in self.times:
                    self.times[attribute].append([value])
                elif ":" in key and attribute in KEYWORDS:
                    self.keywords.append((attribute, [value]))

    def characters(self, content: str) -> None:
        """A piece of text."""
        self._text.append(content)

    def endElement(self, name: str) -> None:
        """The innermost element ends."""
        element, _ = self._open.pop()
        if element in KEYWORDS:
            self._properties.pop()
        self._text = []


def _name(name: str, namespaces: dict[str, str]) -> Name:
    prefix, _, local = name.rpartition(":")
    return namespaces.get(prefix), local
