"""data/open_art: real pictures by real artists with their own keywords, openly licensed.

Built from three packages (see `PACKAGES`): the drawings of openclipart.org as Debian ships them
(public domain), and OpenMoji's emojis (CC BY-SA 4.0). An artist is a user, a keyword a hashtag.
Pictures are trimmed, scaled to fill a white square of 128 pixels, and kept as WebP.

Which pictures are kept; every other one is counted by its reason in meta.json:

- A drawing that the package files under a second name (a symbolic link) counts once. (Some are
  there twice as files, too: those stay, as two posts.)
- It names an artist, at least one keyword, and a licence that lets everybody use it.
- Keywords are lower-cased; an empty one, `unsorted`, and the traces of a script's error (`hash`,
  `0x8963570`) are no hashtags.
- Artists written in two ways are one person where the names agree after removing what stands in
  brackets, accents, dots, hyphens, case, the domain of an e-mail address, the title "Architetto",
  and the order of the words ("Rollandin Francesco" and "Architetto Francesco Rollandin").
- Skin-tone variants of an emoji are the same drawing: left out.
- Nothing that does not belong into a class: a picture with a word of `UNSUITABLE` among its
  keywords or in its title is left out. Beside that, all openclipart drawings
  were looked at.
- Of an artist the first 200 pictures, and only artists with at least 10.
- It can be drawn: it is not blank on white, and has no more pixels than `load_picture` decodes.

OpenMoji gives dates; openclipart gives almost none, so its `time` is null and an artist's pictures
stand in the order of their paths: what belongs together lies in one folder.
"""

from __future__ import annotations

import html
import io
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.pictures import load_picture
from hashtag_core.errors import InputError
from hashtag_core.model.convnet import load_convnet
from hashtag_core.prepare.features import extract_features
from hashtag_core.prepare.places import check_places, check_replaceable
from hashtag_core.prepare.writing import photo_fields, write_collection
from hashtag_core.printing import progress_bar
from hashtag_core.sources.open_art_packages import find_packages, members, sha256

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

PACKAGES = {  # file, and how to fetch it
    "openclipart-svg": ("openclipart-svg_*.deb", "apt-get download openclipart-svg"),
    "openclipart-png": ("openclipart-png_*.deb", "apt-get download openclipart-png"),
    "openmoji": ("openmoji-*.tgz", "npm pack openmoji@17.0.0"),
}
CHECKSUM = "c2443c8c39b8613098ebd08681cfcd7fb0bd3fea59f8e5993b05436b3ce29d83"  # of the shipped one
VERSION = 2  # of the collection; in 1, pictures with a word of `UNSUITABLE` were there, too
CANVAS = 128  # pixels; the drawing fills the inner 7/8, which is what the ConvNet crops to
DRAWING = CANVAS * 7 // 8
MAX_PHOTOS_OF_USER = 200
MIN_PHOTOS_OF_USER = 10
UNSUITABLE = frozenset(
    (
        "bdsm",
        "erotic",
        "erotica",
        "fetish",
        "lingerie",
        "naked",
        "nude",
        "porn",
        "sex",
        "sexy",
        "stripper",
        "striptease",
    )
)
NO_HASHTAG = re.compile(r"|unsorted|hash|0x[0-9a-f]+|hash\(.*")
NO_ARTIST = re.compile(r"|anonymous|none|unknown|hash|0x.*|hash.*0x.*")
OPENMOJI_INDEX = "package/data/openmoji.json"
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


def prepare_open_art(
    packages: str | Path, out: str | Path, device: str | torch.device = "cpu"
) -> PhotoCollection:
    """Build data/open_art from its packages; the same packages give the same pictures and rows.

    Args:
        packages: a folder with the three files of `PACKAGES`.
        out: the collection's folder.
        device: where the ConvNet computes.

    Raises:
        InputError: where a package is missing, `out` holds something else than a collection of
            ours, or the extra `prepare` is not installed.
    """
    import pyarrow as pa

    files = find_packages(Path(packages), PACKAGES)
    check_places(Path(out).resolve(), None, files.values())
    check_replaceable(Path(out).resolve())
    try:
        import debian.debfile  # noqa: F401
        import resvg_py  # noqa: F401
    except ImportError as error:
        raise InputError(f"{error.name} is missing: `pip install -e '.[prepare]'`.") from None
    left_out: Counter[str] = Counter()
    photos = [*_openclipart(files, left_out), *_openmoji(files, left_out)]
    read = len(photos) + left_out.total()
    photos = _by_artist(photos, left_out)
    pictures = _draw(files, photos, left_out)
    drawn = [photo for photo in photos if photo["photo_id"] in pictures]
    photos = _enough_of_each_user(drawn, left_out)
    for photo in photos:
        name = photo["photo_id"]
        photo["image"] = {"bytes": pictures[name], "path": f"{name}.webp"}
    texts = [(name, pa.string()) for name in ("title", "licence", "attribution")]
    schema = pa.schema([*photo_fields("s"), *texts])
    convnet = load_convnet(device=device)
    meta = {
        "source": "open_art",
        "version": VERSION,
        "inputs": {path.name: sha256(path) for path in files.values()},
        "licences": dict(sorted(Counter(p["licence"] for p in photos).items())),
        "convnet": {"name": convnet.name, "weights": convnet.weights},
        "built_with": {name: version(name) for name in ("pillow", "pyarrow", "resvg-py")},
        "read": read,
        "left_out": dict(sorted(left_out.items())),
    }
    return write_collection(
        out,
        pa.Table.from_pylist(photos, schema=schema),
        meta,
        lambda pictures, path: extract_features(pictures, path, convnet),
    )


# ---- openclipart: Dublin Core metadata in the SVG, the picture as PNG


def _openclipart(files: dict[str, Path], left_out: Counter) -> Iterator[dict]:
    for name, svg, is_link in members(files["openclipart-svg"]):
        if not name.endswith(".svg"):
            continue
        if is_link:
            left_out["openclipart: a drawing that is filed twice"] += 1
            continue
        path = PurePosixPath(name.split("/svg/", 1)[1]).with_suffix("")
        work = _dublin_core(svg)
        if work is None:
            left_out["openclipart: no readable metadata"] += 1
            continue
        creator, title = _text(work, "creator"), _text(work, "title")
        subjects = work.find(f".//{DUBLIN_CORE}subject")
        items = () if subjects is None else subjects.iter(f"{RDF}li")
        licences = [e.get(f"{RDF}resource", "") for e in work.iter() if e.tag.endswith("}license")]
        if not any(url.lower().rstrip("/").endswith("publicdomain") for url in licences):
            left_out["openclipart: not marked as public domain"] += 1
            continue
        artist = artist_name(creator)
        yield {
            "photo_id": f"openclipart/{path}",
            "artist": artist,
            "time": None,
            "hashtags": clean_hashtags(["".join(item.itertext()) for item in items]),
            "title": title,
            "licence": "public domain",
            "attribution": f"{title or path.name}, by {artist} (openclipart.org, public domain)",
        }


def _dublin_core(svg: bytes) -> ElementTree.Element | None:
    """The <metadata> element, without parsing the drawing behind it."""
    try:
        for _, element in ElementTree.iterparse(io.BytesIO(svg), events=("end",)):
            if element.tag.rpartition("}")[2] == "metadata":
                return element
    except ElementTree.ParseError:
        pass
    return None


def _text(work: ElementTree.Element, tag: str) -> str:
    element = work.find(f".//{DUBLIN_CORE}{tag}")
    return "" if element is None else " ".join("".join(element.itertext()).split())


# ---- OpenMoji: one JSON file, the picture as SVG


def _openmoji(files: dict[str, Path], left_out: Counter) -> Iterator[dict]:
    index = next(d for n, d, _ in members(files["openmoji"]) if n == OPENMOJI_INDEX)
    for emoji in json.loads(index):
        if emoji["skintone"]:
            left_out["openmoji: a skin-tone variant"] += 1
            continue
        artist = artist_name(emoji["openmoji_author"])
        keywords = f"{emoji['tags']},{emoji['openmoji_tags']}".split(",")
        title = emoji["annotation"]
        yield {
            "photo_id": f"openmoji/{emoji['hexcode']}",
            "artist": artist,
            "time": datetime.fromisoformat(emoji["openmoji_date"]),
            "hashtags": clean_hashtags(keywords),
            "title": title,
            "licence": "CC BY-SA 4.0",
            "attribution": f"{title}, by {artist} (OpenMoji, CC BY-SA 4.0, resized)",
        }


# ---- which are kept


def clean_hashtags(keywords: list[str]) -> list[str]:
    """Keywords as hashtags: lower case, one space between words, each once, in their order."""
    cleaned = (" ".join(html.unescape(k).lower().split()) for k in keywords)
    return list(dict.fromkeys(k for k in cleaned if not NO_HASHTAG.fullmatch(k)))


def is_suitable(photo: dict) -> bool:
    """Whether no word of `UNSUITABLE` is among a picture's keywords or in its title."""
    texts = " ".join([*photo["hashtags"], photo["title"] or ""]).lower()
    return UNSUITABLE.isdisjoint(re.findall(r"[^\W_]+", texts))


def artist_name(creator: str) -> str:
    """The artist's name without e-mail and web addresses and other brackets."""
    name = re.sub(r"[(\[<{].*?([)\]>}]|$)", " ", html.unescape(creator))
    name = re.sub(r"^mailto:|@\S*", "", name)
    return " ".join(name.split())


def artist_key(artist: str) -> str:
    """Two spellings with the same key are one person; the rule stands at the top of this file."""
    letters = unicodedata.normalize("NFKD", artist)
    letters = "".join(c for c in letters if not unicodedata.combining(c)).casefold()
    words = re.findall(r"\w+", re.sub(r"[.'’-]", "", letters))
    return " ".join(sorted(w for w in words if w != "architetto"))


def _by_artist(photos: list[dict], left_out: Counter) -> list[dict]:
    """Give each photo its user, the artist's most frequent spelling; keep whole photos."""
    spellings: dict[str, Counter] = defaultdict(Counter)
    kept = []
    for photo in photos:
        site = photo["photo_id"].split("/")[0]
        key = artist_key(photo["artist"])
        if NO_ARTIST.fullmatch(key):
            left_out[f"{site}: no artist named"] += 1
        elif not photo["hashtags"]:
            left_out[f"{site}: no keyword"] += 1
        elif not is_suitable(photo):
            left_out[f"{site}: does not belong into a class"] += 1
        else:
            photo["user"] = key
            spellings[key][photo["artist"]] += 1
            kept.append(photo)
    for photo in kept:
        names = spellings[photo["user"]]
        photo["user"] = min(names, key=lambda name: (-names[name], name))
    return _enough_of_each_user(kept, left_out)


def _enough_of_each_user(photos: list[dict], left_out: Counter) -> list[dict]:
    of_user: dict[str, list[dict]] = defaultdict(list)
    for photo in sorted(photos, key=lambda p: (p["time"] or datetime.min, p["photo_id"])):
        of_user[photo["user"]].append(photo)
    kept = []
    for series in of_user.values():
        if len(series) < MIN_PHOTOS_OF_USER:
            left_out[f"artist with fewer than {MIN_PHOTOS_OF_USER} pictures"] += len(series)
            continue
        beyond = series[MAX_PHOTOS_OF_USER:]
        left_out[f"artist's pictures beyond {MAX_PHOTOS_OF_USER}"] += len(beyond)
        kept += series[:MAX_PHOTOS_OF_USER]
    return kept


# ---- the pictures


def _draw(files: dict[str, Path], photos: list[dict], left_out: Counter) -> dict[str, bytes]:
    """The WebP of each photo that can be drawn, by photo_id."""
    import resvg_py

    waiting = {photo["photo_id"] for photo in photos}
    drawn = {}
    with progress_bar(total=len(waiting), desc="drawing") as bar:
        for package, root in (
            ("openclipart-png", "usr/share/openclipart/png/"),
            ("openmoji", "package/color/svg/"),
        ):
            site = package.split("-")[0]
            for name, data, _ in members(files[package]):
                photo_id = f"{site}/{PurePosixPath(name.removeprefix(root)).with_suffix('')}"
                if not name.startswith(root) or photo_id not in waiting:
                    continue
                waiting.remove(photo_id)
                bar.update()
                if site == "openmoji":
                    svg = data.decode("utf-8")
                    data = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=DRAWING))
                webp, why = None, "blank on white"
                try:
                    webp = _on_canvas(load_picture(data, name))
                except InputError as error:
                    why = "too many pixels" if "pixels" in str(error) else "cannot be decoded"
                if webp is None:
                    left_out[f"{site}: {why}"] += 1
                else:
                    drawn[photo_id] = webp
    for photo_id in waiting:
        left_out[f"{photo_id.split('/')[0]}: the package has no picture"] += 1
    return drawn


def _on_canvas(picture: Image) -> bytes | None:
    """The drawing without its margins, scaled to `DRAWING` pixels, amid a white square."""
    from PIL import Image, ImageChops, ImageOps

    white = Image.new("RGB", picture.size, "white")
    margins = ImageChops.difference(picture, white).getbbox()
    picture = ImageOps.contain(picture.crop(margins), (DRAWING, DRAWING), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (CANVAS, CANVAS), "white")
    canvas.paste(picture, ((CANVAS - picture.width) // 2, (CANVAS - picture.height) // 2))
    if all(low >= 250 for low, _ in canvas.getextrema()):
        return None
    webp = io.BytesIO()
    canvas.save(webp, "WEBP", quality=80, method=6)
    return webp.getvalue()
