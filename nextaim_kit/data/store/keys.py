"""The key of a store, locked under its pass-phrase, and what is derived from it."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from nextaim_kit.data.store.passphrase import passphrase
from nextaim_kit.errors import DataError, RequestError

KEY = "key.age"
_WORK = 17  # scrypt's rounds as a power of two: the least that OWASP asks for
_TRIES = 20  # age takes as many as it thinks are done in a second, on a busy machine too few


def unlock(folder: Path, identity: str = "", given: str = "") -> str:
    """The key of a store, by its pass-phrase, which is looked for if it is not given.

    Raises
    ------
    RequestError
        If there is no pass-phrase, or it is wrong.
    DataError
        If the key is not there.
    """
    import pyrage

    locked = stored(folder / KEY)
    given = given or passphrase(folder.name, identity)
    for _ in range(_TRIES):
        try:
            return pyrage.passphrase.decrypt(locked, given).decode()
        except pyrage.DecryptError as error:
            if not str(error).startswith("Excessive work"):
                raise RequestError(
                    f"the pass-phrase does not open the store {folder.name}",
                    expected="that by which it was made",
                    mend=f"give the right one; if it is, take {KEY} from another copy of the store",
                ) from error
    raise DataError(  # age measures how fast the machine is, each time
        f"this machine is too slow, or too busy, to open the store {folder.name}",
        mend="try again when less runs on it",
    )


def lock(key: str, given: str) -> bytes:
    """A key under a pass-phrase, with the work that guessing it has to cost.

    Raises
    ------
    DataError
        If age takes this machine for too slow for that.
    """
    import pyrage

    for _ in range(_TRIES):
        locked = pyrage.passphrase.encrypt(key.encode(), given)
        work = re.search(rb"^-> scrypt \S+ (\d+)$", locked, re.MULTILINE)
        if work and int(work[1]) >= _WORK:
            return locked
    raise DataError("this machine is too busy to lock a key well", mend="try again later")


def keyed(key: str, use: str, said: bytes) -> str:
    """HMAC-SHA256 by a key that is derived from the store's for one use."""
    derived = hmac.digest(key.encode(), f"nextaim_kit store: {use}".encode(), "sha256")
    return hmac.new(derived, said, hashlib.sha256).hexdigest()


def stored(path: Path) -> bytes:
    """A small file of a store, whole; DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path.name} of the store {path.parent.name} cannot be read",
            found=error.strerror or str(error),
            mend="take it from another copy of the store; without its key nobody reads a store",
        ) from error
