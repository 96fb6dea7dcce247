"""The one exception for what comes from outside and is not what it should be."""

import re

NOT_PRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class InputError(ValueError):
    """Bad input: the message is one line that says what was wrong, where, and what to do.

    Further arguments are further lines. What they hold is printable in `str(error)`.
    """

    def __str__(self) -> str:
        return "\n".join(printable(str(line)) for line in self.args)


def printable(text: str) -> str:
    r"""Text from outside as one line: control and direction characters as \x1b, \n, \u202e."""
    return NOT_PRINTABLE.sub(lambda c: c[0].encode("unicode_escape").decode(), text)
