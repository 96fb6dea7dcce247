"""`.picasa.ini`: Picasa's file beside the pictures of a folder, a section for each of them.

[IMG_1.png]
keywords=sea,snow
faces=rect64(3f845bcb59418507),8e62398ebda8c1a5

It has the keywords of pictures that Picasa does not write into, PNG and GIF among them.
"""

from __future__ import annotations

import re

NAMES = (".picasa.ini", "picasa.ini")
MAX_BYTES = 4 * 2**20  # of a file; a section has some two hundred
KEYWORDS = re.compile(r"keywords\s*=(.*)", re.IGNORECASE)


def read_picasa(data: bytes) -> dict[str, list[str]]:
    """The keywords of each picture, by its name in lower case.

    Raises:
        ValueError: where it is over the bound.
    """
    if len(data) > MAX_BYTES:
        raise ValueError("too large")
    found: dict[str, list[str]] = {}
    name = ""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:  # of a Picasa before version 3
        text = data.decode("cp1252", "replace")
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1].strip().lower()
        elif match := KEYWORDS.fullmatch(line):
            found.setdefault(name, []).extend(filter(None, map(str.strip, match[1].split(","))))
    return found
