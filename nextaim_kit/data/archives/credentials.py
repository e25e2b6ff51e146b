"""Who asks an archive: from the environment or the system's keyring, and kept nowhere else."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from requests.auth import AuthBase

from nextaim_kit.data.addresses import Address
from nextaim_kit.errors import RequestError
from nextaim_kit.places import CONTROL, placed

if TYPE_CHECKING:
    from requests import PreparedRequest

USER, PASSWORD, TOKEN, TRUST = (
    f"NEXTAIM_ARCHIVE_{name}" for name in ("USER", "PASSWORD", "TOKEN", "TRUST")
)


class Nobody(AuthBase):
    """Asks without a name; where there is nothing at all, requests would look into ~/.netrc."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Leave a request as it is."""
        return request


class Bearer(AuthBase):
    """Asks with a token (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put the token into a request's header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def credentials(address: Address) -> AuthBase:
    """Who asks: a token, else user and password, else what the keyring has for the host.

    Raises
    ------
    RequestError
        If one of user and password is missing, or a value holds a control character.
    """
    from requests.auth import HTTPBasicAuth

    if token := _secret(TOKEN):
        return Bearer(token)
    user, password = _secret(USER), _secret(PASSWORD)
    if bool(user) != bool(password):
        raise RequestError(
            f"{USER if user else PASSWORD} is set and {PASSWORD if user else USER} is not",
            expected="both, or neither",
        )
    if not user:
        user, password = _from_keyring(address.host)
    return HTTPBasicAuth(user.encode(), password.encode()) if user else Nobody()


def _secret(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if CONTROL.search(value):
        raise RequestError(f"{name} holds a control character", mend="set it anew")
    return value


def _from_keyring(host: str) -> tuple[str, str]:
    """User and password that the system's keyring keeps for the service ``nextaim HOST``."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:  # it is no part of the kit
        return "", ""
    try:
        found = keyring.get_credential(f"nextaim {host}", None)
    except KeyringError as error:
        raise RequestError(
            "the system's keyring cannot be asked",
            found=type(error).__name__,
            mend=f"unlock it, or set {USER} and {PASSWORD}",
        ) from None
    return (found.username, found.password) if found else ("", "")


def trusted(trust: Path | None = None) -> str | bool:
    """File of certificates that are trusted: given, of ``NEXTAIM_ARCHIVE_TRUST``, or the system's.

    Raises
    ------
    RequestError
        If it is none.
    """
    named = trust or os.environ.get(TRUST, "").strip()
    if not named:
        return True
    path = placed(named)
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise RequestError(
            f"{path.name} is no file of certificates",
            expected="PEM: lines from BEGIN CERTIFICATE to END CERTIFICATE",
            found=getattr(error, "reason", None) or error.strerror or type(error).__name__,
            mend=f"give another with --trust or {TRUST}",
        ) from error
    return str(path)
