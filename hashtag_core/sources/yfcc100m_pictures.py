"""How the pictures of YFCC100M are called, wherever people have them: by key, by id, by URL.

A picture's key is made of the MD5 of its download URL: the 16 bytes in hexadecimal, each without
its leading zero. In the public bucket, and in zips made of it, `abcdef…` is
`data/images/abc/def/abcdef….jpg`.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

IN_BUCKET = "data/images/"
WEB = ("http://", "https://")


def key_of(url: str) -> str:
    """The key of the picture that is downloaded from here."""
    return "".join(f"{byte:x}" for byte in _md5(url).digest())


def picture_paths(photo_id: str, image: str | None) -> list[str]:
    """Where a picture may lie in the folder of `--images`.

    Args:
        photo_id: of the photo.
        image: its download URL; or its hash or id, as `abc/def/abcdef….jpg`, `123.jpg`.
    """
    paths = [] if image is None else [image]
    if image is not None and image.startswith(WEB):
        keys = _keys(image)
        folded = [f"{key[:3]}/{key[3:6]}/{key}.jpg" for key in keys]
        paths = [*folded, *(IN_BUCKET + path for path in folded), *(f"{key}.jpg" for key in keys)]
    ending = PurePosixPath(image or "").suffix
    return list(dict.fromkeys([*paths, f"{photo_id}{ending or '.jpg'}", f"{photo_id}.jpg"]))


def picture_names(photo_id: str, image: str | None) -> list[str]:
    """By what it may be called in zips, tars and numbered folders: id, URL, keys."""
    if image is None:
        return [photo_id]
    if image.startswith(WEB):
        return [photo_id, image, *_keys(image)]
    return [photo_id, PurePosixPath(image).stem]


def _keys(url: str) -> list[str]:
    """The key, and the whole hash, by which some have their pictures."""
    return list(dict.fromkeys([key_of(url), _md5(url).hexdigest()]))


def _md5(url: str) -> hashlib._Hash:
    return hashlib.md5(url.encode(), usedforsecurity=False)
