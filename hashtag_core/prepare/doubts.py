"""Hashtags that were kept and look as if something was misread: which, and what would mend it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

EXAMPLES = 3

DOUBTS = {
    r"https?://|^www\.": "addresses as hashtags: is it the right column for --hashtags?",
    r"%[0-9a-f]{2}": "hashtags with %20 and the like inside: encoded more than twice?",
    r"^(?:na|n/a|<na>|nan|null|none|\\n)$": "hashtags NA, nan, null: is nothing meant?",
    r"[\[\](){}]": "hashtags with brackets: are they lists (--separator list)?",
    r"[;|\t；؛｜]": "hashtags with ; or | inside: is it the --separator?",
    r"[，、،]|,(?!\d)|(?<!\d),": "hashtags with a comma inside: is it the --separator?",
    r"^@": "hashtags that begin with @: are they people?",
    r"(?:\S+ ){5}": "hashtags of more than five words: is the --separator another one, or caption?",
}
KINDS = [(re.compile(pattern), doubt) for pattern, doubt in DOUBTS.items()]
ANY = re.compile("|".join(f"(?:{pattern})" for pattern in DOUBTS))


@dataclass
class Doubt:
    """How many there are, and the first of them."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, count: int, examples: list[str]) -> None:
        """Count more of them."""
        self.count += count
        for example in examples:
            if len(self.examples) < EXAMPLES and example not in self.examples:
                self.examples.append(example)


def doubt_about(hashtag: str) -> str | None:
    """What is odd about a hashtag; None where nothing is."""
    if (hashtag.isalnum() and len(hashtag) > 4) or not ANY.search(hashtag):  # most are fine
        return None
    return next(doubt for kind, doubt in KINDS if kind.search(hashtag))
