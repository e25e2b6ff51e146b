"""Zip archives unpacked whole or not at all, and never outside their folder."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from nextaim_kit.errors import DataError, mend_of
from nextaim_kit.files import take_place


def unpack(archive: Path) -> Path:
    """Unpack ``x.zip`` into the folder ``x`` beside it.

    A single folder of the archive's own name inside it is not repeated. A folder from an earlier
    time is replaced.

    Raises
    ------
    DataError
        If the archive is damaged, would write outside its folder, or does not fit on the disk.
    """
    target = archive.with_suffix("")
    try:
        work = Path(tempfile.mkdtemp(prefix=".unpack-", dir=archive.parent))
    except OSError as error:
        raise _refused(archive, error.strerror or str(error), mend_of(error)) from error
    try:
        with zipfile.ZipFile(archive) as content:
            _check(content, archive)
            content.extractall(work / "new")
        inside = list((work / "new").iterdir())
        whole = inside[0] if [p.name for p in inside] == [target.name] else work / "new"
        take_place(whole, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise _refused(archive, str(error), "delete the archive and fetch it again") from error
    except OSError as error:
        raise _refused(archive, error.strerror or str(error), mend_of(error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _check(content: zipfile.ZipFile, archive: Path) -> None:
    for item in content.infolist():
        if _leaves(item):
            raise _refused(
                archive, f"the entry {item.filename!r}", "do not use this archive; tell its source"
            )
    needed = sum(item.file_size for item in content.infolist())
    free = shutil.disk_usage(archive.parent).free
    if needed > free:
        raise _refused(archive, f"{needed:,} bytes to write, {free:,} free", "free space")


def _leaves(item: zipfile.ZipInfo) -> bool:
    """Whether an entry is a link or has a path that could lead out of the folder."""
    # zipfile has already cut the name at a NUL and turned the system's separator into "/".
    name = item.orig_filename
    parts = PurePosixPath(name).parts
    return (
        stat.S_ISLNK(item.external_attr >> 16)
        or name.startswith("/")
        or ".." in parts
        or any(sign in name for sign in "\\:\0")
    )


def _refused(archive: Path, found: str, mend: str) -> DataError:
    return DataError(
        f"{archive.name} cannot be unpacked",
        expected="a whole zip archive whose files stay inside their folder, and room for them",
        found=found,
        mend=mend,
    )
