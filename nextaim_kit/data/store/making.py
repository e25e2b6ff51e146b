"""Make a store of a folder, see whether it is whole, write it out again, end it."""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nextaim_kit.data.store import sealed
from nextaim_kit.data.store.passphrase import new_passphrase
from nextaim_kit.data.store.sealed import FILES, GONE, HEAD, KEY, Head, Sealed, Store
from nextaim_kit.errors import DataError, KitError, RequestError, mend_of
from nextaim_kit.files import (
    atomic_path,
    files_below,
    private_folder,
    sha256_of,
    take_place,
    write_json,
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
    one, other = source.resolve(), folder.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise RequestError(
            "the store and what it is made of lie in one another",
            expected="two folders apart",
            mend="choose a store beside the folder",
        )
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
        return sealed.unlock(folder, given=given)
    key = str(pyrage.x25519.Identity.generate())
    with atomic_path(folder / KEY, mode=0o600) as unfinished:
        unfinished.write_bytes(sealed.lock(key, given))
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


def extra(store: Store) -> list[str]:
    """Files in a store's folder that are none of its own, by their paths within it."""
    own = {store.place(name) for name in store.files}
    there = (path for path in (store.folder / FILES).rglob("*") if not path.is_dir())
    return sorted(path.relative_to(store.folder).as_posix() for path in there if path not in own)


def verify(store: Store, progress: Progress | None = None) -> list[str]:
    """What is wrong with a store's files, a line each: every one is decrypted and compared.

    Only the whole store in an earlier state cannot be told from the store: compare what
    `fingerprint_of` gives with what it was.
    """
    wrong = []
    for number, name in enumerate(sorted(store.files), 1):
        try:
            if sealed.content(store, name) != store.files[name]:
                wrong.append(f"{name}: another content")
        except KitError as error:
            wrong.append(f"{name}: {error.found}")
        if progress:
            progress(number, len(store.files), name)
    return wrong + [f"{path}: not a file of this store" for path in extra(store)]


def fingerprint_of(store: Store) -> str:
    """Sixteen digits that no other state of the store has."""
    return hashlib.sha256(store.head.seal.encode()).hexdigest()[:16]


def write_out(store: Store, to: Path, progress: Progress | None = None) -> None:
    """Write the files of a store in the clear, into a new folder that its owner alone enters.

    Raises
    ------
    RequestError
        If the folder is there.
    DataError
        If a file is damaged, or there is no room; nothing is left behind.
    """
    if to.exists():
        raise RequestError(f"{to.name} is there already", mend="choose a new folder")
    partial = private_folder(to.with_name(f".partial-{secrets.token_hex(4)}-{to.name}"))
    try:
        for number, name in enumerate(sorted(store.files), 1):
            _write_out(store, name, partial / name)
            if progress:
                progress(number, len(store.files), name)
        take_place(partial, to)
    except OSError as error:
        raise DataError(f"cannot write {to}", found=str(error), mend=mend_of(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_out(store: Store, name: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("wb") as out:
        sealed.decrypt(store, name, out)


def destroy_key(folder: Path, now: bool = False) -> str:
    """Destroy the key of a store whose last day is past, and note the day on which that was.

    Its bytes are written over and the file removed; whoever has a copy of it, or of the disk as
    it was, and the pass-phrase still reads the store.

    Parameters
    ----------
    folder : Path
    now : bool, optional
        Whatever its last day.

    Returns
    -------
    str
        The day.

    Raises
    ------
    RequestError
        If the day is not past, or the key was destroyed before.
    DataError
        If it cannot be done.
    """
    sealed.refuse_gone(folder)
    head = sealed.read_head(folder)
    if not now and not head.over:
        raise RequestError(
            f"the store {folder.name} may still be read",
            expected="a store whose last day is past",
            found=head.until or "no last day",
            mend="--now destroys its key at once",
        )
    day = str(sealed.today())
    if (folder / KEY).exists():
        _overwrite(folder / KEY)
    write_json(folder / GONE, {"id": head.id, "until": head.until, "destroyed": day})
    return day


def _overwrite(path: Path) -> None:
    try:
        with path.open("r+b") as file:
            file.write(secrets.token_bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except OSError as error:
        raise DataError(
            f"{path.name} cannot be destroyed", found=str(error), mend=mend_of(error)
        ) from error
