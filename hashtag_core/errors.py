"""The one exception for what comes from outside and is not what it should be."""

import re

NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class InputError(ValueError):
    """Bad input: the message is one line that says what was wrong, where, and what to do."""


def printable(text: str) -> str:
    r"""Text from outside for a terminal: control and direction characters as \x1b, \u202e."""
    return NOT_PRINTABLE.sub(lambda c: c[0].encode("unicode_escape").decode(), text)
