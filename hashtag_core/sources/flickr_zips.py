"""What lies where in the zips of a Flickr archive, and how a member of a zip is read within bounds.

A folder into which they were unpacked stands for a zip (`flickr_folder.py`).

A zip's directory is read once; then only numbers of members are kept. What a directory says of a
member's size is not believed: no more is unpacked than the bound allows. Members that lie over one
another, as thousands of large ones do in a small zip that was made to be one, are not read.
"""

from __future__ import annotations

import io
import re
import zipfile
from itertools import pairwise
from pathlib import Path
from threading import Lock

from hashtag_core.data.pictures import TOO_LARGE as TOO_LARGE_FILE
from hashtag_core.data.pictures import PictureError
from hashtag_core.prepare.shard_members import LONGEST_END, MAX_DIRECTORY, directory_size
from hashtag_core.sources.flickr_folder import UnpackedFolder, UnpackedMember

MAX_OPEN, MAX_MEMBERS = 100, 100_000  # zips that are kept open, and their members
LOCAL_HEAD = 30  # bytes in front of a member, and its name
MAX_PROFILE = 2**20  # bytes

TOO_LARGE = "too large"
ENCRYPTED = "encrypted in the zip"
OVERLAPPING = "lies over another one in the zip"
COMPRESSION = "a compression that is not read"
DAMAGED = "damaged in the zip"
UNREADABLE = "the file cannot be read"
REASONS = (TOO_LARGE, ENCRYPTED, OVERLAPPING, COMPRESSION, DAMAGED, UNREADABLE)

PHOTO = re.compile(r"(?:.*/)?photo_(\d{1,20})\.json", re.ASCII | re.DOTALL)
PROFILE = re.compile(r"(?:.*/)?account_profile\.json", re.DOTALL)
MEDIUM = re.compile(
    r".*\.(?:(jpe?g|png|gif|tiff?|webp|heic)|mp4|m4v|mov|avi|wmv|mpe?g|3gp|ogv|mkv)", re.I | re.S
)
ID_AT_END = re.compile(r"(?:^|[/_])(\d{1,20})(?:_o)?\.\w+$", re.ASCII)  # title_<id>_o.jpg
ID_IN_FRONT = re.compile(r"(?:^|/)(\d{1,20})_[0-9a-f]+_o\.\w+$", re.ASCII)  # <id>_<secret>_o.jpg

Member = tuple[int, int]  # number of the zip, number in its directory


class MemberError(Exception):
    """A zip, or a member of one, that cannot be read; `str` of it is the reason."""


class Zips:
    """What lies where.

    Args:
        paths: of the zips.

    Attributes:
        photos: of each zip, the members that describe a photo.
        names: their names, one zip after the other.
        media: a photo's id -> its picture or video.
        videos: the ids whose medium is a video.
        lone: how many pictures and videos have no description.
        profile: account_profile.json, where there is one that can be read.
        problems: of each zip, what is wrong with it as a whole.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.photos: list[list[int]] = [[] for _ in paths]
        self.names: list[str] = []
        self.media: dict[str, Member] = {}
        self.videos: set[str] = set()
        self.profile: bytes | None = None
        self.problems: list[list[str]] = [[] for _ in paths]
        self._ids: set[str] = set()
        self._media: list[tuple[str, Member]] = []
        for number in range(len(paths)):
            try:
                self._read_directory(number)
            except MemberError as error:
                self.problems[number].append(str(error))
        self.lone = sum(not self._match(*medium) for medium in self._media)
        del self._ids, self._media

    def _read_directory(self, number: int) -> None:
        with open_zip(self.paths[number]) as archive:
            for at, member in enumerate(archive.infolist()):
                name = member.filename
                if photo := PHOTO.fullmatch(name):
                    self._ids.add(photo[1])
                    self.photos[number].append(at)
                    self.names.append(f"{self.paths[number].name}/{name}")
                elif MEDIUM.fullmatch(name):
                    self._media.append((name, (number, at)))
                elif PROFILE.fullmatch(name) and not (self.profile or self.problems[number]):
                    try:
                        self.profile = read_member(archive, member, MAX_PROFILE)
                    except MemberError as error:
                        self.problems[number].append(f"account_profile.json: {error}")

    def _match(self, name: str, member: Member) -> bool:
        """Give a medium to its photo. A name may hold several numbers: one of them is an id."""
        for pattern in (ID_AT_END, ID_IN_FRONT):
            match = pattern.search(name)
            if match and match[1] in self._ids:
                self.media.setdefault(match[1], member)
                if MEDIUM.fullmatch(name)[1] is None:
                    self.videos.add(match[1])
                return True
        return False


class Archive(zipfile.ZipFile):
    """A zip that knows which of its members lie over the next one, by where they begin."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        ends = [
            (member.header_offset, member.header_offset + LOCAL_HEAD + member.compress_size)
            for member in self.infolist()
        ]
        ends = sorted([*ends, (self.start_dir, self.start_dir)])
        self.overlapping = {start for (start, end), (after, _) in pairwise(ends) if end > after}


class Archives:
    """The zips from which something was read last, open: to open one is to read its directory."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        # by number, the one read last at the end
        self._open: dict[int, Archive | UnpackedFolder] = {}
        self._lock = Lock()

    def read(self, number: int, at: int, limit: int) -> bytes:
        """A member of a zip, by its number in the directory, as `read_member`; in any thread."""
        with self._lock:
            archive = self._open.pop(number, None) or open_zip(self.paths[number])
            self._open[number] = archive
            while len(self._open) > 1 and self._are_many():
                self._open.pop(next(iter(self._open))).close()
            return read_member(archive, archive.infolist()[at], limit)

    def _are_many(self) -> bool:
        members = sum(len(archive.infolist()) for archive in self._open.values())
        return len(self._open) > MAX_OPEN or members > MAX_MEMBERS


def open_zip(path: Path) -> Archive | UnpackedFolder:
    """Open a zip, or what stands for one; its directory is in memory then.

    Raises:
        MemberError: where it is no zip, or damaged, or has too many members.
    """
    if path.is_dir():
        return UnpackedFolder(path)
    try:
        with path.open("rb") as file:
            file.seek(-min(path.stat().st_size, LONGEST_END), io.SEEK_END)
            size = directory_size(file.read())
        if size <= MAX_DIRECTORY:
            return Archive(path)
    except Exception:  # zipfile raises whatever a broken directory makes it raise
        raise MemberError("not a zip file, or not a whole one: download it again") from None
    raise MemberError(f"its directory has more than {MAX_DIRECTORY // 2**20} MiB: not read")


def read_member(
    archive: Archive | UnpackedFolder, member: zipfile.ZipInfo | UnpackedMember, limit: int
) -> bytes:
    """Unpack a member of at most `limit` bytes.

    Raises:
        MemberError: of `REASONS`.
    """
    if isinstance(archive, UnpackedFolder):
        try:
            data = archive.read(member, limit)
        except PictureError as error:
            is_large = error.reason == TOO_LARGE_FILE
            raise MemberError(TOO_LARGE if is_large else UNREADABLE) from None
        if len(data) > limit:
            raise MemberError(TOO_LARGE)
        return data
    if member.flag_bits & 1:
        raise MemberError(ENCRYPTED)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise MemberError(COMPRESSION)  # the others unpack without a bound
    if member.file_size > limit:
        raise MemberError(TOO_LARGE)
    if member.header_offset in archive.overlapping:
        raise MemberError(OVERLAPPING)
    try:
        with archive.open(member) as file:
            data = file.read(limit + 1)
    except Exception:
        raise MemberError(DAMAGED) from None
    if len(data) > limit:
        raise MemberError(TOO_LARGE)
    return data
