"""Archives, opened within bounds; and what word processors pack their text into."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from nextaim_kit.data.privacy import pdf
from nextaim_kit.errors import DataError
from nextaim_kit.files import files_below

_DEPTH = 3  # archives within archives
_RATIO, _FREELY = 300, 1 << 20  # bytes from one that is packed, in files of more than these
_MEMBERS, _LETTERS = 200_000, 1 << 28  # of an archive; bytes of a document's text
DOCUMENTS = (".docx", ".odt", ".pdf")
_PARTS = ("document", "header", "footer", "footnotes", "endnotes", "comments")


def unpack(path: Path, into: Path, *, depth: int = 1) -> list[tuple[Path, str]]:
    """Unpack a ZIP archive, and those within it, into a folder.

    Parameters
    ----------
    path, into : Path
    depth : int
        Of this one.

    Returns
    -------
    list of (Path, str)
        Archives within it that are not unpacked, and why.

    Raises
    ------
    DataError
        If it is damaged, locked, larger than the disk bears, packs far more than files do, or has
        names that lead elsewhere; then nothing of it is left.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(members, path, shutil.disk_usage(into.parent).free)
            for member in members:
                if not member.is_dir():
                    place = into.joinpath(*PurePosixPath(member.filename).parts)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as packed, place.open("xb") as plain:
                        shutil.copyfileobj(packed, plain, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as error:
        shutil.rmtree(into, ignore_errors=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _refused(path, f"it is damaged ({error})") from error
    return _within(into, depth)


def _within(folder: Path, depth: int) -> list[tuple[Path, str]]:
    """Unpack the archives that were in an archive, each in place of itself."""
    failed = []
    for inner in [one for one in files_below(folder) if is_archive(one)]:
        try:
            if depth >= _DEPTH:
                raise _refused(inner, f"it lies in {_DEPTH} others")
            failed += unpack(inner, inner.with_name(f"{inner.name}.d"), depth=depth + 1)
        except DataError as error:
            failed.append((inner, f"{error.what}: {error.found}"))
        inner.unlink()
    return failed


def is_archive(path: Path) -> bool:
    """Whether a file is a ZIP archive and no document, by its name."""
    return path.suffix.lower() == ".zip"


def _check(members: list[zipfile.ZipInfo], path: Path, free: int) -> None:
    """Refuse an archive that would do harm.

    Raises
    ------
    DataError
    """
    names = [member.filename for member in members]
    size = sum(member.file_size for member in members)
    if len(members) > _MEMBERS or size > free // 2:
        raise _refused(path, f"{len(members)} files of {size / 1e9:.1f} GB")
    if len(set(map(str.casefold, names))) < len(names):
        raise _refused(path, "two files of one name")
    for member in members:
        parts = PurePosixPath(member.filename).parts
        linked = stat.S_ISLNK(member.external_attr >> 16)
        if not parts or ".." in parts or parts[0].startswith(("/", "\\")) or ":" in parts[0]:
            raise _refused(path, "a name that leads elsewhere")
        if linked or member.flag_bits & 1:
            raise _refused(path, "a link" if linked else "a password")
        if member.file_size > max(_FREELY, _RATIO * member.compress_size):
            raise _refused(path, "a file packed to less than any image is")


def _refused(path: Path, found: str) -> DataError:
    return DataError(
        f"{path.name} is left out: an archive that is not opened",
        found=found,
        mend="unpack it by hand, once looked at",
    )


def text_of(path: Path) -> str:
    """Text of a DOCX, ODT or PDF file: paragraphs as lines, notes, headers and comments too.

    Raises
    ------
    DataError
        If it is damaged, locked, too large, or shows text as a picture.
    """
    if path.suffix.lower() == ".pdf":
        return pdf.text_of(path)
    try:
        with zipfile.ZipFile(path) as archive:
            rows = [row for part in _parts(archive) for row in _rows(archive, part)]
    except Exception as error:  # a damaged one may make its reader raise anything
        raise DataError(f"{path.name} is no whole document ({type(error).__name__})") from error
    return "\n".join(rows) + "\n"


def _parts(archive: zipfile.ZipFile) -> list[str]:
    names = sorted(archive.namelist(), key=lambda name: ("document" not in name, name))
    own = tuple(f"word/{part}" for part in _PARTS)
    return [n for n in names if (n.startswith(own) and n.endswith(".xml")) or n == "content.xml"]


def _rows(archive: zipfile.ZipFile, part: str) -> Iterator[str]:
    """Paragraphs of one part of a document."""
    from defusedxml import ElementTree

    if archive.getinfo(part).file_size > _LETTERS:
        raise DataError("a text too large")
    for element in ElementTree.fromstring(archive.read(part)).iter():
        if _local(element.tag) in ("p", "h"):
            yield "".join(_said(element)).strip("\n")


def _said(paragraph) -> Iterator[str]:  # type: ignore[no-untyped-def]  # of a library without types
    for element in paragraph.iter():
        name = _local(element.tag)
        if name in ("tab", "s"):
            yield " "
        elif name in ("br", "cr", "line-break"):
            yield "\n"
        if name in ("t", "delText", "p", "h", "span", "a") and element.text:
            yield element.text
        if element is not paragraph and element.tail and name not in ("t", "delText"):
            yield element.tail


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
