"""How a store lies on disk, and what in it can be believed.

``store.json``
    What the store is (id, license, agreement, last day), for who has no pass-phrase, and a seal.
``key.age``
    The key of the store, an age identity, under its pass-phrase.
``manifest.age``
    Names, sizes and hashes of the files; ``files/``: one age file for each, under a name that
    tells nothing.

Files are those of `age <https://age-encryption.org/v1>`_ (X25519, ChaCha20-Poly1305; the
pass-phrase by scrypt): ``age -d -i <(age -d key.age) manifest.age`` reads them without this kit.
The seal is an HMAC-SHA256 (RFC 2104), by a key that only the pass-phrase opens, of the head and
the hash of the manifest, which holds the hash of each file: what others changed, took away, added
or put in another's place is seen.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from nextaim_kit.data.store import keys
from nextaim_kit.data.store.keys import KEY, keyed, stored
from nextaim_kit.errors import DataError, RequestError, refused_if_damaged
from nextaim_kit.files import atomic_path, read_json, require_file, write_json

FORMAT = "nextaim_kit store 1"
HEAD, MANIFEST, FILES, GONE = "store.json", "manifest.age", "files", "key_destroyed.json"


@dataclass(frozen=True)
class Sealed:
    """A file of a store: bytes and SHA-256 of its content, SHA-256 of the file that holds it."""

    size: int
    sha256: str
    sealed: str


@dataclass(frozen=True)
class Head:
    """What a store says of itself to who has no pass-phrase."""

    id: str
    license: str = ""
    agreement: str = ""
    until: str = ""  # last day on which it may be read, as 2027-12-31
    seal: str = ""
    format: str = FORMAT

    @property
    def over(self) -> bool:
        """Whether its last day is past, by this machine's clock."""
        return bool(self.until) and datetime.date.fromisoformat(self.until) < today()


@dataclass(frozen=True)
class Store:
    """An opened store: its folder, head, key, and its files by their paths within."""

    folder: Path
    head: Head
    key: str = field(repr=False)
    files: Mapping[str, Sealed] = field(repr=False, default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.resolve().name

    def place(self, path: str) -> Path:
        """Where a file of this path is kept."""
        name = keyed(self.key, "name", os.fsencode(path))[:32]
        return self.folder / FILES / name[:2] / f"{name[2:]}.age"


def today() -> datetime.date:
    """The day, by this machine's clock."""
    return datetime.date.today()


def is_store(folder: Path) -> bool:
    """Whether a folder is a store, be it finished or not."""
    return (folder / MANIFEST).is_file() or (folder / KEY).is_file() or (folder / GONE).is_file()


def read_head(folder: Path) -> Head:
    """What a store says of itself; whether it is true is seen when it is opened.

    Raises
    ------
    DataError
        If it was not finished, or is damaged.
    """
    if not (folder / HEAD).is_file():
        raise DataError(
            f"the store {folder.name} is not finished",
            expected=f"a {HEAD}, which is written last",
            mend="run the command that makes it again: it goes on where it was",
        )
    with refused_if_damaged(f"{HEAD} of the store {folder.name} is damaged"):
        head = Head(**read_json(folder / HEAD))
        if head.format != FORMAT or not all(isinstance(v, str) for v in asdict(head).values()):
            raise ValueError(f"the form is {str(head.format)[:40]!r}, not {FORMAT!r}")
        datetime.date.fromisoformat(head.until or "2000-01-01")
        return head


def open_store(folder: Path, key: str = "") -> Store:
    """Open a store, and make sure that head and manifest are those that were sealed.

    Parameters
    ----------
    folder : Path
    key : str, optional
        Its key where that is known; by default the pass-phrase opens it.

    Raises
    ------
    RequestError
        If its last day is past or its key destroyed, or the pass-phrase is missing or wrong.
    DataError
        If it is not finished, damaged or changed.
    """
    head = read_head(folder)
    refuse_gone(folder)
    key = key or keys.unlock(folder, head.id)
    sealed = stored(folder / MANIFEST)
    if not hmac.compare_digest(head.seal, seal_of(head, key, sealed)):
        raise DataError(
            f"{HEAD} or {MANIFEST} of the store {folder.name} is not what was sealed",
            expected="both as they were written together",
            mend="take both from one copy of the store",
        )
    if head.over:
        raise RequestError(
            f"the store {folder.name} may not be read any more",
            expected=f"a day up to {head.until}, for which its data were given",
            found=str(today()),
            mend=f"nextaim data store expire {folder} destroys its key, as was agreed",
        )
    said = json.loads(_decrypted(sealed, key, folder / MANIFEST))
    return Store(folder, head, key, {name: Sealed(*of) for name, of in said.items()})


def refuse_gone(folder: Path) -> None:
    """Refuse a store whose key was destroyed."""
    if (folder / GONE).is_file():
        with refused_if_damaged(f"{GONE} of the store {folder.name} is damaged"):
            when = str(read_json(folder / GONE)["destroyed"])
        raise RequestError(
            f"the key of the store {folder.name} was destroyed", found=f"on {when}: nobody reads it"
        )


def seal(store: Store) -> Head:
    """Write the manifest, then the head: a store is finished when the head is there."""
    import pyrage

    said = {name: [of.size, of.sha256, of.sealed] for name, of in sorted(store.files.items())}
    whole = pyrage.encrypt(json.dumps(said).encode(), [_recipient(store.key)])
    with atomic_path(store.folder / MANIFEST, mode=0o600) as unfinished:
        unfinished.write_bytes(whole)
    head = replace(store.head, seal=seal_of(store.head, store.key, whole))
    write_json(store.folder / HEAD, asdict(head))
    return head


def seal_of(head: Head, key: str, manifest: bytes) -> str:
    """HMAC of a head and of the manifest that goes with it."""
    said = [*asdict(replace(head, seal="")).items(), hashlib.sha256(manifest).hexdigest()]
    return keyed(key, "seal", json.dumps(said).encode())


def encrypt(source: Path, to: Path, key: str) -> Sealed:
    """Seal a file, whole or not at all.

    Raises
    ------
    DataError
        If it changes meanwhile, or there is no room.
    """
    import pyrage

    require_file(source)
    with _opened(source) as plain, atomic_path(to, mode=0o600) as unfinished:
        before = os.fstat(plain.fileno())
        with unfinished.open("wb") as out:
            read, written = _Read(plain), _Written(out)
            pyrage.encrypt_io(read, written, [_recipient(key)])
        after = os.fstat(plain.fileno())
        if (after.st_mtime_ns, after.st_size) != (before.st_mtime_ns, read.size):
            raise DataError(f"{source.name} changed while it was read", mend="run it again")
    return Sealed(read.size, read.hash.hexdigest(), written.hash.hexdigest())


def decrypt(store: Store, path: str, out: Any) -> str:
    """Write the content of a file of a store; the SHA-256 of the file that holds it.

    What was written before an error is not to be used.

    Raises
    ------
    DataError
        If the file is not there, damaged, or not what was sealed under this path.
    OSError
        If `out` cannot be written.
    """
    import pyrage

    place, known = store.place(path), store.files.get(path)
    try:
        with place.open("rb") as whole:
            read = _Read(whole)
            pyrage.decrypt_io(read, out, [pyrage.x25519.Identity.from_str(store.key)])
    except FileNotFoundError as error:
        raise changed(store, path, "no file") from error
    except (pyrage.DecryptError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise changed(store, path, "damaged bytes") from error
    found = read.hash.hexdigest()
    if known and found != known.sealed:
        raise changed(store, path, "an earlier or another file's")
    return found


def content(store: Store, path: str) -> Sealed:
    """What a file of a store holds: it is decrypted, and kept nowhere; errors as for `decrypt`."""
    with open(os.devnull, "wb") as nowhere:
        written = _Written(nowhere)
        found = decrypt(store, path, written)
    return Sealed(written.size, written.hash.hexdigest(), found)


def changed(store: Store, path: str, found: str) -> DataError:
    """What to say of a file of a store that is not what was sealed."""
    return DataError(
        f"{path} of the store {store.name} is not what was sealed",
        expected=f"it in {store.place(path).relative_to(store.folder)}",
        found=found,
        mend="take that file from another copy of the store",
    )


def _decrypted(sealed: bytes, key: str, path: Path) -> bytes:
    import pyrage

    try:
        return pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(key)])
    except pyrage.DecryptError as error:
        raise DataError(f"{path.name} of {path.parent.name} is damaged") from error


def _recipient(key: str) -> Any:
    import pyrage

    return pyrage.x25519.Identity.from_str(key).to_public()


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path.name} cannot be read", found=error.strerror or "") from error


class _Read:
    """A stream that is hashed as it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self.hash, self.size, self._read = hashlib.sha256(), 0, stream.read

    def read(self, most: int = -1) -> bytes:
        piece = self._read(most)
        self.hash.update(piece)
        self.size += len(piece)
        return piece


class _Written:
    """A stream that is hashed as it is written."""

    def __init__(self, stream: BinaryIO) -> None:
        self.hash, self.size = hashlib.sha256(), 0
        self._write: Callable[[bytes], int] = stream.write
        self.flush = stream.flush

    def write(self, piece: bytes) -> int:
        self.hash.update(piece)
        self.size += len(piece)
        return self._write(piece)
