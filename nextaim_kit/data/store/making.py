"""Make a store of a folder."""

from __future__ import annotations

import datetime
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nextaim_kit.data.store import keys, sealed
from nextaim_kit.data.store.checking import extra
from nextaim_kit.data.store.keys import KEY
from nextaim_kit.data.store.passphrase import new_passphrase
from nextaim_kit.data.store.sealed import GONE, HEAD, Head, Sealed, Store
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import (
    atomic_path,
    files_below,
    private_folder,
    refuse_nested,
    sha256_of,
)
from nextaim_kit.progress import Progress

_ROOM = 1.01  # of the files' bytes: 16 are added to every 65,536


@dataclass(frozen=True)
class Made:
    """A store that was made: how many files were sealed now, and how many before."""

    store: Store
    written: int
    kept: int


def make_store(
    source: Path,
    folder: Path,
    *,
    license: str = "",
    agreement: str = "",
    until: str = "",
    progress: Progress | None = None,
) -> Made:
    """Seal the files of a folder into a new store; the folder stays as it is.

    What was sealed by a call that was killed is taken over where it is still what the folder
    holds. Hidden files, and those that operating systems leave, are nobody's data.

    Parameters
    ----------
    source, folder : Path
        Neither lies in the other.
    license, agreement : str, optional
        What the data may be used for, and by which agreement they were shared.
    until : str, optional
        Last day on which they may be read, as ``2027-12-31``.
    progress : callable, optional
        Called with the number done, their total and the file.

    Raises
    ------
    RequestError
        If there is a store already, or anything else; if one folder lies in the other; if the day
        is none or past, or the pass-phrase is missing, short or another one.
    DataError
        If a file cannot be read or changes, or there is no room: run again, it goes on.
    """
    head = Head(secrets.token_hex(16), license, agreement, _day(until))
    _check_places(source, folder)
    shut: list[Path] = []
    files = {path.relative_to(source).as_posix(): path for path in files_below(source, shut)}
    if shut or not files:
        found = f"{shut[0].name} is shut, or linked twice" if shut else "no file"
        raise DataError(f"{source.name} cannot be sealed", expected="files", found=found)
    private_folder(folder)
    with _alone(folder):
        store = Store(folder, head, _key(folder))
        _check_room(files, folder)
        before = {name: _taken_over(store, name, path) for name, path in files.items()}
        known = {name: found for name, found in before.items() if found}
        kept = len(known)
        for number, (name, path) in enumerate(files.items(), 1):
            if name not in known:
                known[name] = sealed.encrypt(path, store.place(name), store.key)
            if progress:
                progress(number, len(files), path.name)
        store = replace(store, files=known)
        for stray in extra(store):
            (folder / stray).unlink()
        store = replace(store, head=sealed.seal(store))
    return Made(store, len(files) - kept, kept)


def _day(text: str) -> str:
    try:
        day = datetime.date.fromisoformat(text) if text else None
    except ValueError:
        day = datetime.date.min
    if day and day < sealed.today():
        raise RequestError(
            "the last day is none that is to come",
            expected="year-month-day, such as 2027-12-31",
            found=repr(text),
        )
    return str(day or "")


def _check_places(source: Path, folder: Path) -> None:
    if not source.is_dir():
        raise RequestError(f"{source} is no folder", expected="a folder with the data")
    refuse_nested(source, folder)
    if sealed.is_store(source):
        raise RequestError(f"{source.name} is a store already")
    if (folder / HEAD).exists() or (folder / GONE).exists():
        raise RequestError(f"{folder.name} is a store already", mend="choose a new folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / KEY).is_file():
        raise RequestError(f"{folder.name} holds other things", mend="choose a new folder")


def _check_room(files: dict[str, Path], folder: Path) -> None:
    there = sum(path.stat().st_size for path in folder.rglob("*.age"))
    need = _ROOM * sum(path.stat().st_size for path in files.values()) - there
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DataError(
            f"no room for the store {folder.name}",
            expected=f"{need / 1e9:.2f} GB free on its disk",
            found=f"{free / 1e9:.2f} GB",
            mend="choose a folder on another disk",
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else makes this store meanwhile."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RequestError(f"the store {folder.name} is being made by another process") from error
    finally:
        os.close(handle)


def _key(folder: Path) -> str:
    """The key of a store that is begun: a new one, or that of the call that was killed."""
    import pyrage

    given = new_passphrase(folder.name)
    if (folder / KEY).is_file():
        return keys.unlock(folder, given=given)
    key = str(pyrage.x25519.Identity.generate())
    with atomic_path(folder / KEY, mode=0o600) as unfinished:
        unfinished.write_bytes(keys.lock(key, given))
    return key


def _taken_over(store: Store, name: str, path: Path) -> Sealed | None:
    """What is sealed already of a file, if it is what the file holds now."""
    if not store.place(name).is_file():
        return None
    try:
        found = sealed.content(store, name)
    except DataError:  # damaged: it is made anew
        return None
    return found if found.sha256 == sha256_of(path) else None
