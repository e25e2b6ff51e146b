"""One way to an archive: verified, patient with a busy one, silent of patients and secrets."""

from __future__ import annotations

import codecs
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextaim_kit.data.addresses import Address
from nextaim_kit.data.archives.credentials import PASSWORD, TOKEN, TRUST, USER, credentials, trusted
from nextaim_kit.data.archives.multipart import Cut
from nextaim_kit.data.bounds import memory_free
from nextaim_kit.errors import DataError, RequestError

if TYPE_CHECKING:
    from requests import Response

TRIES = 4
WAIT_SECONDS = 1.0  # before the second try, doubled before each further one
_TIMEOUT = (10, 120)
_CHUNK = 1 << 18
_MEMBER = re.compile(r"[\s,\[]*(?={)")
_BUSY = {408, 425, 429, 500, 502, 503, 504}


class ArchiveDown(DataError):
    """The archive does not answer, or no longer."""


class NotThere(DataError):
    """The archive has no such thing, or no such service."""


class Refused(RequestError):
    """The archive does not let this user in, or no longer."""


def largest() -> int:
    """Bytes of one answer, or of one part of it, that are held in memory."""
    return memory_free() // 8


class Connection:
    """Asks an archive.

    Parameters
    ----------
    address : Address
    trust : Path, optional
        File of certificates.

    Raises
    ------
    RequestError
        If credentials or certificates are not as they have to be.
    """

    def __init__(self, address: Address, trust: Path | None = None) -> None:
        import requests

        self.address = address
        self._session = requests.Session()
        self._session.auth = credentials(address)
        self._verify = trusted(trust)

    def json(self, path: str, params: str | dict[str, str] = "", accept: str = "") -> Any:
        """What the archive answers, as JSON; an empty list where it says that there is nothing.

        Raises
        ------
        ArchiveDown, NotThere, Refused, DataError
        """
        headers = {"Accept": accept or "application/json"}
        for attempt in range(TRIES):
            try:
                with self.answer("GET", path, params=params, headers=headers) as answer:
                    content = self.content(answer)
                    return json.loads(content) if content else []
            except Cut:
                if attempt == TRIES - 1:
                    raise self.down("an answer that ends too soon") from None
                self._wait(attempt)
            except ValueError as error:
                raise DataError(f"{self.address.host} answers no JSON", expected="JSON") from error
        raise AssertionError

    def rows(self, path: str, accept: str) -> Iterator[Any]:
        """Members of a list of JSON, one after the other: the list may be longer than memory bears.

        Raises
        ------
        ArchiveDown, NotThere, Refused, DataError
        Cut
            If it ends too soon.
        """
        decoder, held = codecs.getincrementaldecoder("utf-8")(), ""
        with self.answer("GET", path, headers={"Accept": accept}) as answer:
            for chunk in self.chunks(answer):
                held += decoder.decode(chunk)
                found, held = _whole(held)
                yield from found
        if held.strip() not in ("]", ""):
            raise Cut("a list ends before its last member does")

    @contextmanager
    def answer(self, method: str, path: str, **request: Any) -> Iterator[Response]:
        """One answer, to be read as it comes.

        Raises
        ------
        ArchiveDown, NotThere, Refused, DataError
        Cut
            While it is read.
        """
        import requests

        found = self._asked(method, path, request)
        try:
            with found:
                yield found
        except requests.exceptions.RequestException:
            raise Cut("the connection ended") from None

    def _asked(self, method: str, path: str, request: dict[str, Any]) -> Response:
        """An answer that is one; a busy archive is asked again."""
        import requests

        said = ""
        for attempt in range(TRIES):
            if attempt:
                self._wait(attempt - 1)
            try:
                found = self._session.request(
                    method, self.address.url + path, stream=True, timeout=_TIMEOUT,
                    verify=self._verify, allow_redirects=False, **request,
                )  # fmt: skip
            except (requests.ConnectionError, requests.Timeout) as error:
                if "certificate" in str(error).lower():
                    raise self._unknown() from None
                said = type(error).__name__
                continue
            if found.status_code not in _BUSY or (found.status_code == 500 and attempt):
                self._check(found)
                return found
            said = f"HTTP {found.status_code}"
            found.close()
        raise self.down(said)

    @staticmethod
    def _wait(attempt: int) -> None:
        time.sleep(WAIT_SECONDS * 2**attempt)

    def content(self, answer: Response) -> bytes:
        """The whole of an answer, where memory bears it.

        Raises
        ------
        DataError
            If it does not.
        """
        most, held = largest(), bytearray()
        for chunk in answer.iter_content(_CHUNK):
            held += chunk
            if len(held) > most:
                raise DataError(
                    f"an answer of {self.address.host} is larger than memory bears",
                    expected=f"at most {most:,} bytes",
                )
        return bytes(held)

    def chunks(self, answer: Response, size: int = _CHUNK) -> Iterator[bytes]:
        """An answer, piece by piece."""
        return answer.iter_content(size)

    def _check(self, found: Response) -> None:
        """Raise for an answer that is none; what the archive writes may name patients."""
        code, host = found.status_code, self.address.host
        if code < 300:
            return
        found.close()
        if code in (401, 403):
            raise Refused(
                f"{host} does not let this user in",
                expected=f"{TOKEN}, or {USER} and {PASSWORD}, that the archive knows",
                found=f"HTTP {code}: unknown, wrong or expired",
                mend="set them anew, then give the same command: it goes on from here",
            )
        if code < 400:
            raise RequestError(
                f"{host} sends elsewhere",
                found=f"HTTP {code}; credentials are given to no other place",
                mend="give the address that it sends to",
            )
        if code in (404, 406, 410, 501):
            raise NotThere(f"{host} has no such thing", found=f"HTTP {code}")
        raise DataError(f"{host} cannot answer", expected="HTTP 200", found=f"HTTP {code}")

    def down(self, said: str) -> ArchiveDown:
        """The error for an archive that was asked often enough."""
        return ArchiveDown(
            f"{self.address.host} does not answer",
            found=f"{said}, after {TRIES} tries",
            mend="when it is there again give the same command: it goes on from here",
        )

    def _unknown(self) -> RequestError:
        host, port = self.address.host, "" if ":" in self.address.host else ":443"
        return RequestError(
            f"{host} cannot be trusted",
            expected="a certificate that this machine knows",
            found="its certificate is signed by nobody trusted here, expired, or another host's",
            mend=f"openssl s_client -showcerts -connect {host}{port} </dev/null > archive.pem; "
            "compare its fingerprint with what who runs the archive says, then --trust archive.pem "
            f"or {TRUST}=archive.pem",
        )


def _whole(text: str) -> tuple[list[Any], str]:
    """Members that stand whole in the begin of a list, or in what is left of one, and the rest."""
    found: list[Any] = []
    at = 0
    while start := _MEMBER.match(text, at):
        try:
            member, at = json.JSONDecoder().raw_decode(text, start.end())
        except ValueError:  # its end has not come
            break
        found.append(member)
    return found, text[at:]
