"""Whole files only: atomic writing, hashing, and where the kit keeps its own files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nextaim_kit.errors import DataError, RequestError, mend_of
from nextaim_kit.places import folder

_TEXT = 10**9  # bytes of the longest text that is read
# What operating systems leave in folders.
_SYSTEM = {"__MACOSX", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"}


@contextlib.contextmanager
def atomic_path(path: str | Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its name only when the block succeeds.

    The temporary file keeps the suffixes of `path`, since writers choose their format by them. It
    gets the rights of `mode`, as far as the umask allows.

    Raises
    ------
    DataError
        If it cannot be written, with the mend for the reason; nothing is left behind.
    """
    path = Path(path)
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=".partial-", suffix="".join(path.suffixes), dir=path.parent
        )
        os.close(handle)
        partial = Path(name)
        yield partial
        _sync(partial, mode)
        os.replace(partial, path)
    except OSError as error:
        raise DataError(
            f"cannot write {path.name}",
            expected=f"room and permission to write in {path.parent}",
            found=error.strerror or str(error),
            mend=mend_of(error, _elsewhere(path)),
        ) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _elsewhere(path: Path) -> str:
    folders = {"NEXTAIM_CACHE": cache_folder(), "NEXTAIM_DATA": data_folder()}
    named = [name for name, folder in folders.items() if path.is_relative_to(folder)]
    return f"set {named[0]} to another folder" if named else "choose another folder"


def _sync(path: Path, mode: int) -> None:
    umask = os.umask(0o077)  # which can only be read by setting it: meanwhile nothing is open
    os.umask(umask)
    path.chmod(mode & ~umask)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def private_folder(path: Path) -> Path:
    """Make a folder, and what is missing above it, that nobody but this user enters.

    ``NEXTAIM_SHARED=group`` lets the folder's group in, as far as the umask does. What is there
    already keeps its rights.

    Raises
    ------
    RequestError
        If it cannot be made, or ``NEXTAIM_SHARED`` says anything else.
    """
    shared = os.environ.get("NEXTAIM_SHARED", "").strip()
    if shared not in ("", "group"):
        raise RequestError(
            "NEXTAIM_SHARED says with whom new runs are shared",
            expected="group, or nothing: then they are yours alone",
            found=repr(shared),
        )
    try:
        if not path.parent.is_dir():
            private_folder(path.parent)
        path.mkdir(mode=0o770 if shared else 0o700, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def unwritable(folder: Path, error: OSError) -> RequestError:
    """What to say of a folder of runs that the system refuses."""
    return RequestError(
        f"the folder {folder} cannot be made, or not written to",
        found=error.strerror or str(error),
        mend=mend_of(error, "give another folder with --out or NEXTAIM_RUNS"),
    )


def take_place(new: Path, target: Path) -> None:
    """Put a folder, whole, in the place of an earlier one, which is kept beside `new`.

    Both lie on one file system. If it fails the earlier folder stands where it stood.

    Raises
    ------
    OSError
    """
    old = new.with_name(f".old-{target.name}")
    if not target.exists():
        os.replace(new, target)
        return
    os.replace(target, old)
    try:
        os.replace(new, target)
    except OSError:
        os.replace(old, target)
        raise


def write_text(path: str | Path, text: str, *, mode: int = 0o666) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all, with the rights of `mode`."""
    with atomic_path(path, mode=mode) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any, *, indent: int | None = 1) -> None:
    """Write `value` as JSON that every parser reads: whole, and without NaN or infinity.

    Raises
    ------
    DataError
        If a number in it is not finite, or the file cannot be written.
    """
    try:
        text = json.dumps(value, indent=indent, allow_nan=False)
    except ValueError as error:
        raise DataError(
            f"{Path(path).name} would hold NaN or infinity, which JSON does not have",
            expected="finite numbers, or None for what could not be computed",
        ) from error
    write_text(path, f"{text}\n")


_LARGEST = 1 << 26  # bytes of a file of JSON that is read


def read_json(path: Path) -> Any:
    """Read JSON as `write_json` writes it.

    Raises
    ------
    OSError
        If there is none, or it cannot be read.
    ValueError
        If it is no plain file, too large, too deep or no JSON, or holds NaN or infinity.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
        raise ValueError("not a plain file, or one of more than 64 MB")
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is no number of JSON")


def files_below(folder: Path, shut: list[Path] | None = None) -> list[Path]:
    """Files below a folder, sorted by path; those of systems and programs are nobody's data.

    Links are followed. Folders that cannot be opened, or were seen before under another name, go
    to `shut`.
    """
    shut = [] if shut is None else shut
    files: list[Path] = []
    seen = {os.path.realpath(folder)}

    def refuse(error: OSError) -> None:
        shut.append(Path(str(error.filename)))

    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        files += [Path(place, name) for name in names if _is_data(name)]
        within = sorted(name for name in folders if _is_data(name))
        folders.clear()
        for name in within:
            real = os.path.realpath(os.path.join(place, name))
            (shut.append(Path(place, name)) if real in seen else folders.append(name))
            seen.add(real)
    return sorted(files)


def refuse_nested(source: Path, out: Path) -> None:
    """Refuse a folder that is made of another where one of them lies within the other.

    Raises
    ------
    RequestError
    """
    one, other = source.resolve(), out.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise RequestError(
            f"{source.name} and {out.name} lie in one another",
            expected="an output beside the input: else what is made lies with what it is made of",
            mend="give another output",
        )


def _is_data(name: str) -> bool:
    return not name.startswith((".", "~$")) and name not in _SYSTEM


_first: list[Callable[[str | Path], None]] = []


def before_reading(work: Callable[[str | Path], None]) -> None:
    """Call this with each path that `require_file` is asked for, before it is looked at."""
    _first.append(work)


def require_file(path: str | Path) -> None:
    """Refuse what is there but no plain file, before it is opened: a pipe may never answer.

    Raises
    ------
    DataError
        If it is a folder, pipe, socket or device, also behind a link.
    """
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    for work in _first:
        work(path)
    with contextlib.suppress(OSError):  # who opens it says what is wrong
        kind = stat.S_IFMT(os.stat(path).st_mode)
        if kind != stat.S_IFREG:
            raise DataError(
                f"{Path(path).name} cannot be read",
                expected="a file",
                found=f"a {kinds.get(kind, 'device')}",
                mend="give the file itself, or take this out of the folder",
            )


def read_text(path: Path) -> str:
    """Text in UTF-8 of a plain file; DataError where it is none, or of more than 1 GB."""
    require_file(path)
    if path.stat().st_size > _TEXT:
        raise DataError(f"{path.name} is too large for a text", expected="at most 1 GB")
    return path.read_text(encoding="utf-8")


def strangers_hand(path: Path) -> str:
    """Why others may have made what lies at a path; nothing where only this user or root can.

    Root may do as this user anyway, and may keep a cache for all.

    Raises
    ------
    OSError
        If nothing is there.
    """
    for status in (path.lstat(), path.stat()):  # a link, and what it leads to
        if status.st_uid not in (os.geteuid(), 0):
            return "it belongs to another user"
    return "others may write to it" if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    require_file(path)
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cache_folder() -> Path:
    """Folder for what can be made again: ``NEXTAIM_CACHE``, else ``~/.cache/nextaim_kit``."""
    return folder("NEXTAIM_CACHE", Path.home() / ".cache" / "nextaim_kit")


def data_folder() -> Path:
    """Folder for fetched data sets: ``NEXTAIM_DATA``, else ``~/nextaim_data``."""
    return folder("NEXTAIM_DATA", Path.home() / "nextaim_data")
