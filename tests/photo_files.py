"""Photo files with the metadata that cameras and photo programs write, and zips as Flickr makes."""

import io
import json
import struct
import zipfile
import zlib

from picture_files import encode, red_and_blue
from PIL import Image

from hashtag_core.prepare.report import Report
from hashtag_core.sources.folder import PhotoFolder

UTF8 = b"\x1b%G"


def exif(original=None, digitized=None, file=None, keywords=None) -> Image.Exif:
    """Times like `2020:01:02 03:04:05`, and the keywords of Windows."""
    found = Image.Exif()
    part = found.get_ifd(0x8769)
    for tag, value in ((0x9003, original), (0x9004, digitized)):
        if value is not None:
            part[tag] = value
    if file is not None:
        found[0x0132] = file
    if keywords is not None:
        found[0x9C9E] = (keywords + "\0").encode("utf-16-le")
    return found


def xmp(*keywords, created=None, rest="") -> bytes:
    """A packet with dc:subject, and photoshop:DateCreated as an attribute."""
    items = "".join(f"<rdf:li>{keyword}</rdf:li>" for keyword in keywords)
    date = f'photoshop:DateCreated="{created}"' if created else ""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {date}>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">a title</rdf:li></rdf:Alt></dc:title>
   <dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>{rest}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


def iptc(*keywords: bytes, charset=None, date=None, clock=None) -> bytes:
    """The record as it stands in a JPEG's APP13."""

    def field(record: int, number: int, value: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value

    data = field(1, 90, charset) if charset else b""
    data += b"".join(field(2, 25, keyword) for keyword in keywords)
    for number, value in ((55, date), (60, clock)):
        data += field(2, number, value) if value else b""
    return data


def jpeg(exif=None, xmp=None, iptc=None, size=(40, 20)) -> bytes:
    """A JPEG with these segments."""
    data = encode(red_and_blue(*size), "JPEG", **({} if exif is None else {"exif": exif}))
    segments = b""
    if xmp is not None:
        segments += _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    if iptc is not None:
        padded = iptc + b"\0" * (len(iptc) % 2)
        block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + padded
        segments += _segment(0xED, b"Photoshop 3.0\0" + block)
    return data[:2] + segments + data[2:]


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def png(xmp: bytes, exif: Image.Exif, behind: bool) -> bytes:
    """A PNG whose metadata stands before the pixels, or behind them as ExifTool writes it."""
    data = encode(red_and_blue(), "PNG")
    at = data.index(b"IEND" if behind else b"IDAT") - 4
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    chunks = _chunk(b"iTXt", text) + _chunk(b"eXIf", exif.tobytes()[6:])
    return data[:at] + chunks + data[at:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def described(tags) -> list[dict]:
    """Tags as a description has them."""
    return [{"tag": tag, "user": "1@N00", "date_create": "2012-05-05"} for tag in tags]


def description(photo_id="5123456789", **more) -> bytes:
    """A photo_<id>.json."""
    found = {
        "id": photo_id,
        "name": "a title",
        "description": "",
        "count_views": "12",
        "date_taken": "2012-05-04 12:31:02",
        "date_imported": "2012-05-05 08:00:00",
        "photopage": f"https://www.flickr.com/photos/somebody/{photo_id}/",
        "original": f"https://live.staticflickr.com/65535/{photo_id}_abcdef_o.jpg",
        "license": "All Rights Reserved",
        "geo": [],
        "albums": [],
        "tags": described(["cat"]),
        "privacy": "private",
    }
    return json.dumps({**found, **more}).encode()


def zip_of(path, members, compression=zipfile.ZIP_DEFLATED):
    """Write a zip; returns its path."""
    path.write_bytes(zip_bytes(members, compression))
    return path


def zip_bytes(members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return file.getvalue()


def rows_of_folder(folder, **files) -> tuple[dict[str, dict], Report]:
    """Write files into a folder, read it as somebody's photos: id -> row, and the report."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    source = PhotoFolder(folder)
    found = source.understand(next(source.pieces(0)).data, False)
    found.report.check()
    return {row["photo_id"]: row for row in found.table.to_pylist()}, found.report
