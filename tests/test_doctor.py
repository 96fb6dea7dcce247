"""The doctor: each check sees what is wrong, and says what to do; none of them breaks it."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import WORDS, tiny_collection, tiny_vectors

from hashtag_core import cli, convnet, doctor, photos, training, words
from hashtag_core.errors import InputError
from hashtag_core.sources import open_art

NAMES = ["python", "packages", "memory", "disk", "device", "data", "word vectors", "ConvNet"]
NAMES += ["kernel"]


def only(monkeypatch, check: str) -> doctor.Check:
    """The outcome of one check, as `examine` gives it."""
    for name in ("python", "packages", "memory", "disk", "device", "data", "words", "convnet"):
        if name != check:
            monkeypatch.setattr(doctor, f"_{name}", lambda: doctor.Check("other", True, ""))
    if check != "kernel":
        monkeypatch.setattr(doctor, "_kernel", lambda: doctor.Check("other", True, ""))
    found = [outcome for outcome in doctor.examine() if outcome.name != "other"]
    assert len(found) == 1
    return found[0]


def doctors_word(capsys) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = cli.main(["doctor"])
    printed = capsys.readouterr()
    assert printed.err == ""
    return code, printed.out.splitlines()
