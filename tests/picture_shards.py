"""Pictures of YFCC100M as people have them: zips, and tars of img2dataset; and the metadata."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from picture_files import encode
from PIL import Image

EPOCH = 1_200_000_000


def url_of(photo: int) -> str:
    return f"http://farm1.staticflickr.com/2/{photo}_0123456789.jpg"


def key_by_hand(photo: int) -> str:
    """Pair by pair, `0a` as `a` and `00` as `0`: written down a second time, slowly."""
    whole = hashlib.md5(url_of(photo).encode()).hexdigest()
    pairs = [whole[i : i + 2] for i in range(0, 32, 2)]
    return "".join(pair[1] if pair[0] == "0" else pair for pair in pairs)


def member_of(photo: int) -> str:
    key = key_by_hand(photo)
    return f"data/images/{key[:3]}/{key[3:6]}/{key}.jpg"


def picture(photo: int) -> bytes:
    return encode(Image.new("RGB", (8, 8), (photo % 256, 3 * photo % 256, 90)), "JPEG")


def metadata(path: Path, photos, users: int = 3) -> Path:
    """Rows of the first release; the users' photos alternate."""
    rows = []
    for photo in photos:
        cells = [photo, f"{photo % users}@N00", "nick", "2005-03-01 12:39:28.0", EPOCH, "", "", ""]
        cells += ["cat,dog", "", "", "", "", "", url_of(photo), "", "", "", "", "", "", "jpg", 0]
        rows.append("\t".join(map(str, cells)) + "\n")
    path.write_text("".join(rows))
    return path


def as_zip(path: Path, members: dict[str, bytes], packed: int = zipfile.ZIP_STORED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tar_member(name: str, data: bytes, **about) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime = EPOCH + 0.25  # as img2dataset writes it: an extra header each
    for key, value in about.items():
        setattr(info, key, value)
    return info, data


def as_tar(path: Path, members, form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def as_img2dataset(
    path: Path, photos, failed: dict[int, str] | None = None, with_id: bool = True, **columns
) -> Path:
    """A tar with its Parquet of outcomes: the photos fetched, and why others were not."""
    members, rows = [], []
    for number, photo in enumerate([*photos, *(failed or {})]):
        why = (failed or {}).get(photo)
        key = f"{path.stem}{number:04d}"
        rows.append({"url": url_of(photo), "key": key, "error_message": why, "width": 8,
                     "status": "failed_to_download" if why else "success"})  # fmt: skip
        if with_id:
            rows[-1]["photo_id"] = str(photo)
        if why is None:
            members += [tar_member(f"{key}.jpg", picture(photo)), tar_member(f"{key}.json", b"{}")]
    as_tar(path, members)
    pq.write_table(pa.Table.from_pylist(rows), path.with_suffix(".parquet"))
    return path
