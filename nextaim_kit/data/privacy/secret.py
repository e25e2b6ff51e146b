"""The key, and what follows from it: pseudonyms, UIDs, one shift of dates a patient."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stat
from datetime import date, timedelta
from pathlib import Path

from nextaim_kit.errors import RequestError
from nextaim_kit.files import write_text

_BYTES, _LEAST = 32, 16  # of a key that is made, and the fewest of one that is given
_WEEKS = (52, 520)  # how far dates may move back: one to ten years, on the same day of the week
# The standard's own UIDs name kinds, no instances; a long number in one is somebody's.
_WELL_KNOWN = re.compile(r"1\.2\.840\.10008(?:\.\d{1,4}){1,10}$")


class Key:
    """What turns identities into pseudonyms: the same ones for the same key.

    Parameters
    ----------
    secret : bytes
        At least 16 bytes. HMAC-SHA256 (RFC 2104) with it cannot be undone without it.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def _digest(self, use: str, text: str) -> bytes:
        return hmac.new(self._secret, f"{use}|{text}".encode(), hashlib.sha256).digest()

    def pseudonym(self, patient: str) -> str:
        """Eleven characters that stand for a patient: a P and ten letters or digits."""
        return "P" + base64.b32encode(self._digest("patient", patient.strip()))[:10].decode()

    def code(self, kind: str, value: str) -> str:
        """Ten characters that stand for a number of another kind, such as an accession number."""
        return base64.b32encode(self._digest(kind, value.strip()))[:10].decode()

    def uid(self, uid: str) -> str:
        """UID below 2.25 (ISO/IEC 9834-8) for another; those of the standard stay as they are."""
        if _WELL_KNOWN.match(uid):
            return uid
        return f"2.25.{int.from_bytes(self._digest('uid', uid.strip())[:16], 'big')}"

    def weeks(self, patient: str) -> int:
        """How many weeks a patient's dates are moved back."""
        low, high = _WEEKS
        number = int.from_bytes(self._digest("dates", patient.strip())[:8], "big")
        return low + number % (high - low + 1)

    def moved(self, day: date, patient: str) -> date:
        """A date moved back by the patient's own shift; no further than the first of year 1."""
        shift = timedelta(weeks=self.weeks(patient))
        return day - shift if day - date.min > shift else date.min


def load_key(path: Path, out: Path) -> tuple[Key, bool]:
    """Read the key's file, or make one that only its owner reads.

    Parameters
    ----------
    path : Path
    out : Path
        The folder that is given away: the key may not lie in it.

    Returns
    -------
    key : Key
    made : bool
        Whether the file is new.

    Raises
    ------
    RequestError
        If the key would lie in `out`, is too short, or others may read it.
    """
    if path.resolve().is_relative_to(out.resolve()):
        raise RequestError(
            f"the key {path.name} would lie in the output",
            expected="a file elsewhere: who has the key knows who the patients are",
            mend="give another place with --key",
        )
    if not path.exists():
        write_text(path, secrets.token_hex(_BYTES) + "\n", mode=0o600)
        return Key(path.read_bytes().strip()), True
    if not path.is_file():
        raise RequestError(f"the key {path} is no file", mend="give a file with --key")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise RequestError(
            f"others may read the key {path}",
            expected="a file of its owner alone",
            mend=f"chmod 600 {path}",
        )
    secret = path.read_bytes().strip()
    if len(secret) < _LEAST:
        raise RequestError(f"the key {path} is too short", expected=f"at least {_LEAST} bytes")
    return Key(secret), False
