"""`hashtag-core prepare …`: every way into a photo collection."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.commands import features as feature_command
from hashtag_core.commands.paths import Read, ReadSome, Rejected, Replaced, Urls
from hashtag_core.errors import InputError
from hashtag_core.printing import say

if TYPE_CHECKING:
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.prepare.staging import Source
    from hashtag_core.prepare.url_list import UrlList

NAMED = 3  # files of a folder that are not read
MOST_WORKERS = 8  # each holds a copy of the simulated world


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line, with a command of its own for each way in."""
    prepare = commands.add_parser("prepare", help="make a photo collection").add_subparsers(
        required=True, metavar="SOURCE"
    )
    art = prepare.add_parser("open-art", help="build data/open_art from its packages")
    art.add_argument(
        "packages", metavar="DIR", type=ReadSome, help="the folder with the three packages"
    )
    _add_out(art, "data/open_art")
    art.add_argument("--device", default="cpu", help="for the ConvNet; default: %(default)s")
    art.set_defaults(command=_prepare_open_art)

    sim = prepare.add_parser("simulated", help="make up users whose true tastes are known")
    sim.add_argument("--users", type=int, default=2000, help="default: %(default)s")
    sim.add_argument("--photos", type=int, default=50, help="a user, on average; default: 50")
    sim.add_argument("--hashtags", type=int, default=5000, help="about; default: %(default)s")
    sim.add_argument("--seed", type=int, default=0)
    sim.add_argument(
        "--workers", type=int, help="processes; default: 1, or one a core if it is much"
    )
    _add_out(sim, "data/simulated")
    sim.set_defaults(command=_prepare_simulated)

    _add_sources(prepare)
    feature_command.add_command(prepare)


def _add_sources(prepare: argparse._SubParsersAction) -> None:
    """The ways in that read what others wrote."""
    yfcc = prepare.add_parser(
        "yfcc100m",
        parents=[_shared_options("data/yfcc100m", 100, 200, 50)],  # the paper's
        help="read YFCC100M's metadata as it is published",
        description=(
            "FILE is the SQLite file, text of 23 or 25 columns, or JSON lines (the shards of the "
            "package yfcc100m, or metadata_*.jsonl.gz of the hub's subset): it tells by itself. "
            "Text and JSON lines may be compressed. A folder stands for all the metadata in it."
        ),
    )
    yfcc.add_argument(
        "metadata", metavar="FILE", type=Read, nargs="+", help="of the metadata, or a folder"
    )
    yfcc.add_argument(
        "--images",
        metavar="DIR",
        type=ReadSome,
        help="pictures by id or key, in folders, zips, or img2dataset's tars: see data/README.md",
    )
    yfcc.add_argument(
        "--urls", metavar="FILE", type=Urls, help="list the kept photos for img2dataset (.parquet)"
    )
    yfcc.add_argument(
        "--words", metavar="FILE", type=Read, help="word vectors; default: the installed ones"
    )
    yfcc.add_argument(
        "--sample", metavar="SHARE", type=float, default=1.0, help="of the users, drawn at random"
    )
    yfcc.add_argument("--seed", type=int, default=0, help="of the draw")
    yfcc.set_defaults(command=_prepare_yfcc100m)

    table = prepare.add_parser(
        "table",
        parents=[_shared_options("data/table")],
        help="read any table: CSV, TSV, JSON, GeoJSON, Parquet, Arrow, SQLite",
        description=(
            "COL is a column's name, or its number from 1 where there is no header. In objects, "
            "names have dots between them: user.name. Without columns it shows those of the file, "
            "and a command: also for archives of Twitter, Mastodon and Instagram."
        ),
    )
    table.add_argument("file", metavar="FILE", type=Read, help="it may be compressed")
    for name, what in (("user", "who"), ("time", "when"), ("hashtags", "which hashtags")):
        table.add_argument(f"--{name}", metavar="COL", help=what)
    table.add_argument("--one-user", metavar="NAME", help="whose all rows are, in place of --user")
    table.add_argument("--photo-id", metavar="COL", help="default: the number of the line")
    table.add_argument("--image", metavar="COL", help="the picture, or its path")
    table.add_argument(
        "--image-root", metavar="DIR", type=ReadSome, help="from here; default: FILE's folder"
    )
    table.add_argument(
        "--separator",
        metavar="S",
        help="between hashtags, or: list, '#', caption, row (one in each); default: guessed",
    )
    table.add_argument(
        "--time-format",
        metavar="F",
        help="iso, d/m/y, epoch …, or like %%d.%%m.%%Y; default: guessed",
    )
    table.add_argument("--encoding", help="of a text file; default: as its first bytes say")
    table.add_argument("--delimiter", metavar="C", help="between columns; default: guessed")
    table.add_argument("--table", metavar="NAME", help="of an SQLite file with several tables")
    table.set_defaults(command=_prepare_table)

    folder = prepare.add_parser(
        "folder",
        parents=[_shared_options("data/folder")],
        help="read your own pictures: their keywords and times",
    )
    folder.add_argument(
        "folder", metavar="DIR", type=Read, help="with pictures, and folders of them"
    )
    folder.add_argument("--user", metavar="NAME", default="me", help="default: %(default)s")
    folder.set_defaults(command=_prepare_folder)

    flickr = prepare.add_parser(
        "flickr-export",
        parents=[_shared_options("data/flickr-export")],
        help="read the archive that Flickr gives its members",
    )
    flickr.add_argument(
        "zips", metavar="ZIP", type=Read, nargs="+", help="all that Flickr gave, or a folder of it"
    )
    flickr.add_argument("--user", metavar="NAME", help="default: what the archive says")
    flickr.set_defaults(command=_prepare_flickr_export)


def _add_out(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Replaced, default=default, help="default: %(default)s"
    )


def _shared_options(
    out: str, least: int = 1, most: int | None = None, left: int = 1
) -> argparse.ArgumentParser:
    """What all of them understand, with the defaults of one."""
    shared = argparse.ArgumentParser(add_help=False)
    _add_out(shared, out)
    shared.add_argument("--strict", action="store_true", help="stop at the first malformed row")
    shared.add_argument(
        "--rejected", metavar="FILE", type=Rejected, help="write the rows left out to a CSV file"
    )
    shared.add_argument(
        "--dry-run", action="store_true", help="show ten photos and the counts, write nothing"
    )
    for name, number, what in (
        ("--min-photos", least, "tagged photos that a user has at least"),
        ("--max-photos", most, "and at most"),
        ("--min-kept-photos", left, "photos that a user has left at least"),
    ):
        text = what + ("; default: %(default)s" if number is not None else "; default: no bound")
        shared.add_argument(name, metavar="N", type=int, default=number, help=text)
    shared.add_argument("--no-features", action="store_true", help="run no ConvNet now")
    feature_command.add_options(shared)
    return shared


def _prepare_yfcc100m(options: argparse.Namespace) -> None:
    from hashtag_core.prepare.url_list import UrlList
    from hashtag_core.sources.yfcc100m import Yfcc100m
    from hashtag_core.sources.yfcc100m_facts import facts, facts_text
    from hashtag_core.sources.yfcc100m_pictures import key_of, picture_names, picture_paths

    urls = None if options.urls is None else UrlList(Path(options.urls), key_of)
    with_images = urls is not None or options.images is not None
    drawn = options.sample, options.seed
    source = Yfcc100m(options.metadata, options.words, with_images, *drawn)
    for folder, paths in groupby(source.passed_over, lambda path: path.parent):
        names = [path.name for path in paths]
        number = "1 file in it is" if len(names) == 1 else f"{len(names):,} files in it are"
        more = ", …" if len(names) > NAMED else ""
        say(f"{folder}: {number} no metadata: {', '.join(names[:NAMED])}{more}")
    _ingest(source, options, options.images, picture_paths, picture_names, urls=urls)
    asked = options.min_photos, options.max_photos, options.min_kept_photos
    if asked == (100, 200, 50) and options.sample == 1 and not options.dry_run:  # the paper's
        say(*facts_text(facts(options.out)))


def _prepare_table(options: argparse.Namespace) -> None:
    from hashtag_core.sources.table import Table
    from hashtag_core.sources.table_suggestion import suggest

    needed = ["user"] * (options.one_user is None) + ["time", "hashtags"]
    missing = [f"--{name}" for name in needed if not vars(options)[name]]
    if missing:
        lines, command = suggest(options.file, options.encoding, options.delimiter, options.table)
        say(*lines)
        raise InputError(f"tell the columns ({', '.join(missing)}). Perhaps:", command)
    names = "user", "time", "hashtags", "photo_id", "image", "separator", "time_format", "encoding"
    names += "delimiter", "one_user", "table"
    given = {name: getattr(options, name) for name in names}
    source = Table(options.file, **given)
    for line in source.understood:
        say(line)
    root = options.image_root or Path(options.file).parent
    _ingest(source, options, None if options.image is None else root)


def _prepare_folder(options: argparse.Namespace) -> None:
    from hashtag_core.sources.folder import PhotoFolder

    _ingest(PhotoFolder(options.folder, options.user), options, options.folder)


def _prepare_flickr_export(options: argparse.Namespace) -> None:
    from hashtag_core.sources.flickr_export import FlickrExport

    _ingest(FlickrExport(options.zips, options.user), options)


def _ingest(
    source: Source,
    options: argparse.Namespace,
    root: str | Path | None = None,
    *find: Callable,
    urls: UrlList | None = None,
) -> None:
    """Make the collection, tell what was done, and extract the features of its pictures.

    Where they lie outside of it, they are below `root`, and found as `find` says: see `Images`.
    """
    from hashtag_core.data.meta import read_meta
    from hashtag_core.prepare.ingest import Images, NothingKept, dry_run, prepare
    from hashtag_core.prepare.report import report_text
    from hashtag_core.prepare.selection import Selection

    images = None if root is None else Images(Path(root), *find)
    selection = Selection(options.min_photos, options.max_photos, options.min_kept_photos)
    if options.dry_run:
        report, photos = dry_run(source, selection)
        for photo in photos:
            hashtags = " ".join(f"#{hashtag}" for hashtag in photo["hashtags"])
            picture = f"  [{photo['image']}]" if photo["image"] else ""
            say(f"{photo['user']}  {photo['time']}  {hashtags}{picture}")
        say(*report_text(report).split("\n"))
        return
    before = _changed(options.out)
    try:
        what = source, options.out, selection, images, options.rejected, options.strict, urls
        out = prepare(*what)
    except NothingKept as nothing:
        say(*report_text(nothing.report).split("\n"))
        raise
    meta = read_meta(out)
    counts = ("photos", "users", "pictures")
    photos, users, pictures = (meta["counts"].get(name, 0) for name in counts)
    say(*(out / "report.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    say(f"{photos:,} photos of {users:,} users, {pictures:,} with a picture.")
    if _changed(out) == before:
        since = "" if images is None else " Pictures that came since are not looked for."
        say(f"It was there, made of the same files: {out}.{since} Delete it to begin anew.")
    else:
        say(f"Written: {out}")
    if urls is not None:
        say(f"Written: {urls.path}. data/README.md tells how img2dataset downloads them.")
    if not pictures:
        say("There are no pictures: models learn from the hashtags alone.")
    elif convnet := meta.get("convnet"):
        say(f"Features of {convnet.get('name')}; `prepare features` makes those of another.")
    elif not options.no_features:
        feature_command.extract(options, out)
    where = shlex.quote(str(options.out))
    history = f"predict --image YOUR.jpg --history {where}"
    say(f"Next:    hashtag-core {history if users == 1 else f'table 1 --data {where}'}")


def _changed(folder: str | Path) -> int | None:
    """When a collection was written; None where there is none."""
    try:
        return (Path(folder) / "photos.parquet").stat().st_mtime_ns
    except OSError:
        return None


def _prepare_simulated(options: argparse.Namespace) -> None:
    from hashtag_core.sources.simulated import estimate_simulated, prepare_simulated

    size = options.users, options.photos, options.hashtags, options.seed
    about = estimate_simulated(*size)
    cores = min(os.cpu_count() or 1, MOST_WORKERS)
    if options.workers is not None and options.workers < 1:
        raise InputError(f"--workers {options.workers}: at least 1.")
    workers = options.workers or (cores if about["seconds"] > 60 else 1)
    seconds = about["seconds"] / min(workers, cores)
    say(
        f"{about['photos']:,} photos of {options.users:,} users: about "
        + (f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min")
        + f" with {workers} process(es), {about['bytes'] / 1e9:.2f} GB on disk.",
        flush=True,
    )
    photos = prepare_simulated(options.out, *size, workers)
    hashtags = len(photos.hashtag_names.dictionary)
    say(f"{len(photos):,} photos of {len(photos.users):,} made-up users, {hashtags:,} hashtags.")
    _tell_outlook(photos)
    say(f"Written: {photos.folder}")
    say(f"Next:    hashtag-core table 1 --data {options.out}")


def _tell_outlook(photos: PhotoCollection) -> None:
    """What training will miss of photos of which each has a picture's features."""
    from hashtag_core.prepare.outlook import outlook, outlook_lines

    say(*outlook_lines(outlook(photos.folder / "photos.parquet", len(photos))))


def _prepare_open_art(options: argparse.Namespace) -> None:
    from hashtag_core.devices import choose_device
    from hashtag_core.sources.open_art import prepare_open_art

    device = choose_device(options.device)
    photos = prepare_open_art(options.packages, options.out, device)
    meta = photos.meta
    say(f"{meta['read']:,} pictures read, {len(photos):,} kept of {len(photos.users)} artists.")
    for reason, count in meta["left_out"].items():
        say(f"{count:6,d}  left out: {reason}")
    _tell_outlook(photos)
    say(f"Written: {photos.folder}")
