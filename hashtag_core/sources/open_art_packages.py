"""Packages as Debian and npm ship them: found, checked, and read without unpacking to disk."""

from __future__ import annotations

import hashlib
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path

from hashtag_core.errors import InputError


def find_packages(folder: Path, wanted: dict[str, tuple[str, str]]) -> dict[str, Path]:
    """The file of each package in a folder.

    Args:
        folder: where they are.
        wanted: package -> (file name pattern, the command that fetches it).

    Raises:
        InputError: where there is none, or more than one.
    """
    paths = {}
    for package, (pattern, command) in wanted.items():
        matches = sorted(folder.glob(pattern))
        if len(matches) != 1:
            raise InputError(
                f"{folder}: {len(matches)} files {pattern}, exactly one is needed. "
                f"Fetch it there with `{command}`."
            )
        paths[package] = matches[0]
    return paths


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def members(package: Path) -> Iterator[tuple[str, bytes, bool]]:
    """Name, content, is it a link: of all files in a .deb or a .tgz, never unpacked to disk."""
    if package.suffix == ".deb":
        from debian.debfile import DebFile

        archive = DebFile(filename=str(package)).data.tgz()
    else:
        archive = tarfile.open(package)  # noqa: SIM115, closed below
    contents: dict[str, bytes] = {}
    links: dict[str, str] = {}
    with archive:
        for member in archive:
            name = posixpath.normpath(str(member.name))
            if member.isreg():
                contents[name] = archive.extractfile(member).read()
                yield name, contents[name], False
            elif member.issym():
                target = posixpath.join(posixpath.dirname(name), str(member.linkname))
                links[name] = posixpath.normpath(target)
    for name, target in links.items():
        if target in contents:
            yield name, contents[target], True
