"""See whether a store is whole, write it out again, end it."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path

from nextaim_kit.data.store import sealed
from nextaim_kit.data.store.keys import KEY
from nextaim_kit.data.store.sealed import FILES, GONE, Store
from nextaim_kit.errors import DataError, KitError, RequestError, mend_of
from nextaim_kit.files import private_folder, take_place, write_json
from nextaim_kit.progress import Progress


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
