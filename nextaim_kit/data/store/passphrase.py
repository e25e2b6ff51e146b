"""Where the pass-phrase of a store comes from; it stands in no option, record or log."""

from __future__ import annotations

import contextlib
import getpass
import os
import stat
import sys

from nextaim_kit.errors import RequestError
from nextaim_kit.files import read_text
from nextaim_kit.places import placed

VALUE, FILE = "NEXTAIM_STORE_PASSPHRASE", "NEXTAIM_STORE_PASSPHRASE_FILE"
KEYRING = "nextaim_kit"  # the keyring's service; its user is the store's id
_SHORTEST = 12  # characters
_WHERE = f"{VALUE}, {FILE}, the keyring ({KEYRING}, the store's id), or asked for at a terminal"


def passphrase(name: str, identity: str = "") -> str:
    """Pass-phrase of a store: from the environment, a file, the keyring, or who sits there.

    Parameters
    ----------
    name : str
        What the store is called, in the words of the question.
    identity : str, optional
        The store's id, by which the system's keyring knows it.

    Raises
    ------
    RequestError
        If there is none, or others may read the file that holds it.
    """
    found = os.environ.get(VALUE) or _of_file() or _of_keyring(identity) or _asked(name)
    if not found:
        raise RequestError(
            f"the store {name} is locked",
            expected=f"its pass-phrase, by {_WHERE}",
            found="none",
            mend=f"export {FILE}=PATH, a file that you alone may read",
        )
    return found


def new_passphrase(name: str) -> str:
    """Pass-phrase for a store that is made, asked for twice where it is typed.

    Raises
    ------
    RequestError
        If there is none, it is short, or was typed in two ways.
    """
    typed = not (os.environ.get(VALUE) or os.environ.get(FILE))
    found = passphrase(name)
    if len(found) < _SHORTEST:
        raise RequestError(
            "the pass-phrase is too short",
            expected=f"{_SHORTEST} characters or more, such as six words drawn by lot",
            found=f"{len(found)}",
        )
    if typed and _asked(f"{name}, once more") != found:
        raise RequestError("the pass-phrase was typed in two ways", mend="run the command again")
    return found


def _of_file() -> str:
    if not (given := os.environ.get(FILE, "").strip()):
        return ""
    path = placed(given)
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            found, mend = "rights of others", f"chmod 600 {path}"
            raise RequestError(f"others may read {FILE}", found=found, mend=mend)
        return read_text(path).strip("\r\n")
    except OSError as error:
        raise RequestError(f"{FILE} cannot be read", found=error.strerror or "") from error


def _of_keyring(identity: str) -> str:
    if not identity:
        return ""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:  # it is no part of the kit
        return ""
    with contextlib.suppress(KeyringError):  # locked, or none: the next place is asked
        return keyring.get_password(KEYRING, identity) or ""
    return ""


def _asked(name: str) -> str:
    kernel = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    typed = kernel is not None and kernel.initialized() and "NEXTAIM_RUN" not in os.environ
    if not typed and not sys.stdin.isatty():
        return ""
    with contextlib.suppress(EOFError, NotImplementedError):  # nobody is there to answer
        return getpass.getpass(f"pass-phrase of {name}: ")
    return ""
