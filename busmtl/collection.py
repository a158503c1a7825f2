"""What is handed over for a batch: images, a labels.csv, reference masks, as files or in zips.

A member of a zip is read in memory when its turn comes and never unpacked to disk, so that its
name cannot lead anywhere. No sentence in this module names a file.
"""

import csv
import io
import math
import re
import stat
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from .images import (
    IMAGE_SUFFIXES,
    MAX_FILE_BYTES,
    START_BYTES,
    ImageError,
    check_file_size,
    has_image_name,
)
from .rows import mask_stems, natural_order, row_names
from .variants import CLASS_NAMES

MAX_ZIP_BYTES = 64 * 1024**2
MAX_FILES = 200
MAX_UNPACKED_BYTES = 400 * 1024**2
MAX_LABELS_BYTES = 1024**2
LABELS_FILE = "labels.csv"
MASKS_FOLDER = "masks"

# The list of files at the end of a zip: 200 take some 20 KB, and Python reads it whole at once.
_MAX_BYTES_TO_OPEN = 2 * 1024**2
_BESIDE = re.compile(r"(.+)_mask(?:_\d+)?", re.IGNORECASE | re.DOTALL)  # as BUSI names its masks
# For bzip2 and LZMA, Python unpacks without one.
_UNPACKED_WITH_A_LIMIT = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LEFT_BY_SYSTEMS = {"thumbs.db", "desktop.ini"}
_TOO_MANY = f"At most {MAX_FILES} files can be taken at once. Split them and try again."


class CollectionError(ValueError):
    """Nothing of it can be used; the text is a sentence for the user, free of paths and names."""


@dataclass(frozen=True)
class Member:
    """A file: where it lies, as the visitor knows it, and how its bytes are read.

    read: raises ImageError.
    """

    path: PurePosixPath
    size_bytes: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Item:
    """An image with what its owner says of it.

    name: for the column `image`. stem: of its mask file, different for each item.
    label: "benign", "malignant", or None. masks: of its lesions, one or several; may be empty.
    """

    name: str
    stem: str
    image: Member
    label: str | None
    masks: tuple[Member, ...]


@dataclass(frozen=True)
class Collection:
    """notes: sentences for the user on what was passed over."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]


@contextmanager
def open_collection(files: list[tuple[Path, str]]) -> Iterator[Collection]:
    """files: (where each lies, its name with the visitor), zips among them.

    Raises CollectionError where there is nothing to work on or too much of it. The images are read
    later, and one that cannot be raises its own ImageError then.
    """
    if not files:
        raise CollectionError("There are no files. Choose images, or one zip of them.")
    with ExitStack() as stack:
        members, notes = [], []
        for path, name in files:
            if _is_zip(path, name):
                members += _members_of_zip(stack, path, name, len(files) > 1, notes)
            else:
                members.append(_member_of_file(path, name))
        if len(members) > MAX_FILES:
            raise CollectionError(_TOO_MANY)
        if sum(member.size_bytes for member in members) > MAX_UNPACKED_BYTES:
            raise CollectionError(
                f"The files have more than {MAX_UNPACKED_BYTES // 1024**2} MB together once "
                "unpacked. Split them and try again."
            )
        yield _collect(members, notes)


# ---- files and zips


def _member_of_file(path: Path, name: str) -> Member:
    def read() -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(MAX_FILE_BYTES + 1)
        except OSError:
            raise ImageError("The file is no longer here. Choose it again.") from None

    size_bytes = path.stat().st_size if path.exists() else 0
    return Member(PurePosixPath(_clean(name).rpartition("/")[2] or "file"), size_bytes, read)


def _is_zip(path: Path, name: str) -> bool:
    if name.lower().endswith(".zip") or not path.exists():
        return name.lower().endswith(".zip")
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


class _ZipFile(io.FileIO):
    """A file of which no more than _MAX_BYTES_TO_OPEN can be read until it is known as a zip."""

    bytes_left = _MAX_BYTES_TO_OPEN

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.bytes_left:
            raise CollectionError(_TOO_MANY)
        chunk = super().read(size)
        self.bytes_left -= len(chunk)
        return chunk


def _members_of_zip(
    stack: ExitStack, path: Path, name: str, with_its_name: bool, notes: list[str]
) -> list[Member]:
    """with_its_name: whether the paths start with the zip's name, as one of several."""
    archive = _open_zip(stack, path)
    infos = [info for info in archive.infolist() if not info.is_dir() and not _is_leftover(info)]
    if len(infos) > MAX_FILES:
        raise CollectionError(_TOO_MANY)
    if infos and all(info.flag_bits & 1 for info in infos):
        raise CollectionError(
            "The zip is locked with a password. Make it again without a password."
        )
    known = [info for info in infos if _is_wanted(archive, info)]
    if len(known) < len(infos):
        notes.append(
            f"{_count(len(infos) - len(known), 'file')} in the zip passed over: the names do not "
            f"end in {', '.join(IMAGE_SUFFIXES)}, and it is not DICOM."
        )
    top = PurePosixPath(_clean(name).rpartition("/")[2]).stem if with_its_name else ""
    members = [_member_of_zip(archive, info, PurePosixPath(top)) for info in known]
    return sorted(members, key=lambda m: (m.path.parent.parts, natural_order(m.path)))


def _open_zip(stack: ExitStack, path: Path) -> zipfile.ZipFile:
    try:
        if path.stat().st_size > MAX_ZIP_BYTES:
            raise CollectionError(
                f"The zip is larger than {MAX_ZIP_BYTES // 1024**2} MB. Split it and try again."
            )
        file = stack.enter_context(_ZipFile(path))
        archive = stack.enter_context(zipfile.ZipFile(file))
        file.bytes_left = math.inf
        return archive
    except CollectionError:
        raise
    except FileNotFoundError:
        raise CollectionError("The zip is no longer here. Choose it again.") from None
    except Exception as error:  # damaged ones raise BadZipFile, struct.error, UnicodeError, more
        raise CollectionError(
            "The file is not a zip, or it is incomplete or damaged. Make the zip again."
        ) from error


def _member_of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, top: PurePosixPath) -> Member:
    name = _clean(info.filename)
    leads_outside = name.startswith("/") or ":" in name[:2] or ".." in name.split("/")
    path = PurePosixPath(name.rpartition("/")[2] if leads_outside else name)
    return Member(top / path, info.file_size, partial(_read_zipped, archive, info, leads_outside))


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, leads_outside: bool) -> bytes:
    if leads_outside:
        raise ImageError(
            "The name of this file in the zip leads outside of it. Make the zip again from a "
            "folder of images."
        )
    if info.flag_bits & 1:
        raise ImageError("This file is locked with a password. Make the zip again without one.")
    if info.compress_type not in _UNPACKED_WITH_A_LIMIT:
        raise ImageError(
            "This file is packed in an unusual way. Make the zip again with ordinary compression."
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ImageError("This is a link to a file, not an image. Put the image into the zip.")
    check_file_size(info.file_size)
    try:
        return archive.read(info)  # at most file_size bytes, whatever is packed there
    except Exception:  # BadZipFile, zlib.error, EOFError, RuntimeError: there is no closed list
        raise ImageError("This file is damaged in the zip. Make the zip again.") from None


def _is_leftover(info: zipfile.ZipInfo) -> bool:
    """What systems leave in zips and nobody means."""
    *folders, name = _clean(info.filename).split("/")
    return "__MACOSX" in folders or name.startswith(".") or name.casefold() in _LEFT_BY_SYSTEMS


def _is_wanted(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """An image or a table."""
    path = PurePosixPath(_clean(info.filename))
    return path.suffix.lower() == ".csv" or has_image_name(path, partial(_start, archive, info))


def _start(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The first START_BYTES; nothing of a file that cannot be unpacked."""
    if info.compress_type not in _UNPACKED_WITH_A_LIMIT:
        return b""
    try:
        with archive.open(info) as file:
            return file.read(START_BYTES)
    except Exception:  # as in _read_zipped
        return b""


def _clean(name: str) -> str:
    """With / between folders, and with nothing that UTF-8 cannot hold."""
    return name.replace("\\", "/").encode("utf-8", "backslashreplace").decode("utf-8")


# ---- which file is what


def _collect(members: list[Member], notes: list[str]) -> Collection:
    tables = [member for member in members if member.path.suffix.lower() == ".csv"]
    images, masks = _split(members)
    if not images:
        raise CollectionError("There are no images in it. Choose PNG, JPEG, or DICOM images.")
    labels = _read_tables(tables, notes)
    label_of = _match_labels(images, labels, notes)
    masks_of = _match_masks(images, masks, notes)
    paths = [image.path for image in images]
    items = zip(row_names(paths), mask_stems(paths), images, label_of, masks_of, strict=True)
    return Collection(tuple(Item(*item) for item in items), tuple(notes))


def _split(members: list[Member]) -> tuple[list[Member], list[Member]]:
    """(images, reference masks). A name such as a_mask is a mask's where an image a lies beside."""
    members = [member for member in members if member.path.suffix.lower() != ".csv"]
    beside = {(member.path.parent, member.path.stem.casefold()) for member in members}
    images, masks = [], []
    for member in members:
        match = _BESIDE.fullmatch(member.path.stem)
        is_beside = match and (member.path.parent, match[1].casefold()) in beside
        is_mask = is_beside or _masks_base(member.path) is not None
        (masks if is_mask else images).append(member)
    return images, masks


def _masks_base(path: PurePosixPath) -> PurePosixPath | None:
    """The folder that holds the folder of masks in which a file lies."""
    folders = [each for each in path.parents if each.name.casefold() == MASKS_FOLDER]
    return folders[0].parent if folders else None


def _match_masks(
    images: list[Member], masks: list[Member], notes: list[str]
) -> list[tuple[Member, ...]]:
    """For each image its masks: those beside it, else those of the nearest folder of masks."""
    by_stem = defaultdict(list)
    for mask in masks:
        match = _BESIDE.fullmatch(mask.path.stem)
        for stem in {mask.path.stem.casefold(), match and match[1].casefold()} - {None}:
            by_stem[stem].append(mask)
    found = [_nearest(image, by_stem[image.path.stem.casefold()]) for image in images]
    uses = Counter(mask.path for group in found for mask in group)
    unused = sum(mask.path not in uses for mask in masks)
    if unused:
        notes.append(f"{_count(unused, 'reference mask')} passed over: no image has that name.")
    shared = sum(count > 1 for count in uses.values())
    if shared:
        notes.append(
            f"{_count(shared, 'reference mask')} passed over: more than one image has that name."
        )
    return [tuple(m for m in group if uses[m.path] == 1) for group in found]


def _nearest(image: Member, masks: list[Member]) -> list[Member]:
    """Of masks with the image's stem, those of the best place: beside it, or under the deepest
    folder that holds both, where one in a folder of the image's own folder's name goes first.
    """

    def rank(mask: Member) -> tuple[int, bool] | None:
        base = _masks_base(mask.path)
        if base is None:
            return (math.inf, True) if mask.path.parent == image.path.parent else None
        if base != image.path.parent and base not in image.path.parents:
            return None
        return len(base.parts), mask.path.parent.name == image.path.parent.name

    ranked = [(rank(mask), mask) for mask in masks]
    best = max((each for each, _ in ranked if each is not None), default=None)
    return [mask for each, mask in ranked if each is not None and each == best]


# ---- labels.csv


def _read_tables(tables: list[Member], notes: list[str]) -> dict[str, str]:
    labels = {}
    for table in tables:
        if table.path.name.casefold() != LABELS_FILE:
            notes.append(f"A table passed over: only {LABELS_FILE} is read.")
            continue
        try:
            labels |= read_labels(table.read(), notes)
        except ImageError as error:
            notes.append(f"{LABELS_FILE}: {error}")
    return labels


def read_labels(data: bytes, notes: list[str]) -> dict[str, str]:
    """Name of the image (as the table has it, case folded) → "benign" or "malignant".

    Comma, semicolon, or tab between the columns. What cannot be used adds a sentence to notes.
    """
    try:
        lines = _table_lines(data)
    except (csv.Error, ValueError):
        notes.append(
            f"{LABELS_FILE} cannot be used. Its first line must be image,label, and each line "
            "after it the name of an image and benign or malignant."
        )
        return {}
    labels, bad_lines, contradicted = {}, [], set()
    for number, name, label in lines:
        if label not in CLASS_NAMES:
            bad_lines.append(number)
        elif labels.setdefault(name, label) != label:
            contradicted.add(name)
    if bad_lines:
        notes.append(
            f"{LABELS_FILE}: {_count(len(bad_lines), 'line')} passed over, the first of them line "
            f"{bad_lines[0]}: the label is neither benign nor malignant."
        )
    if contradicted:
        notes.append(f"{LABELS_FILE}: {_count(len(contradicted), 'image')} with both labels.")
    return {name: label for name, label in labels.items() if name not in contradicted}


def _table_lines(data: bytes) -> list[tuple[int, str, str]]:
    """(line number, name, label), both case folded. ValueError where the columns are missing."""
    if len(data) > MAX_LABELS_BYTES:
        raise ValueError("too large")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # as some spreadsheets save it
    separator = max(",;\t", key=text.partition("\n")[0].count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    header = [cell.strip().casefold() for cell in next(table, [])]
    image, label = header.index("image"), header.index("label")
    lines = []
    for cells in table:
        padded = [cell.strip().casefold() for cell in cells] + [""] * len(header)
        if any(padded):
            lines.append((table.line_num, _clean(padded[image]), padded[label]))
    return lines


def _match_labels(
    images: list[Member], labels: dict[str, str], notes: list[str]
) -> list[str | None]:
    """By the path in the zip, the file's name, or the name without its ending."""
    used, found = set(), []
    for image in images:
        keys = (str(image.path), image.path.name, image.path.stem)
        key = next((key.casefold() for key in keys if key.casefold() in labels), None)
        used.add(key)
        found.append(labels.get(key))
    without_image = len(labels.keys() - used)
    if without_image:
        notes.append(f"{LABELS_FILE}: {_count(without_image, 'name')} without an image here.")
    without_label = found.count(None)
    if labels and without_label:
        notes.append(f"{_count(without_label, 'image')} without a label in {LABELS_FILE}.")
    return found


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
