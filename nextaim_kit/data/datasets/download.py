"""Downloads that go on where they were cut, and know a web page from a file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextaim_kit.errors import DataError, mend_of
from nextaim_kit.files import write_json

if TYPE_CHECKING:
    from requests import Response

Progress = Callable[[int, int | None], None]

TRIES = 4
WAIT_SECONDS = 1.0  # before the second try, doubled before each further one
TIMEOUT_SECONDS = (10, 60)
_CHUNK = 1 << 16  # what a cut transfer loses at most
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_PAGES = {".html", ".htm", ".xhtml", ".xml", ".svg"}


class UnreachableError(DataError):
    """The host cannot be reached: the other files on it need not be tried."""


class NotThereError(DataError):
    """The host answers that it has no such file."""


class CutError(Exception):
    """A transfer ended early or the host was busy: worth another try."""


class Copier:
    """Takes a file from a folder; a downloader for pooch."""

    resumed = False

    def __init__(self, source: Path) -> None:
        self.source = source

    def __call__(self, url: str, output_file: str, pooch: Any = None) -> None:
        """Copy the source to `output_file`."""
        shutil.copyfile(self.source, output_file)
        _check_no_page(Path(output_file), self.source.name)


class Resumer:
    """Downloads over HTTP into a ``.part`` file that outlives a failure; a downloader for pooch.

    Parameters
    ----------
    part : Path
        File that keeps what has come; beside it, ``.json`` says what it is a part of.
    verifiable : bool
        Whether the whole is checked by a hash afterwards: only then is a part gone on with when
        the server gave nothing to tell versions apart.
    progress : callable, optional
        Called with the bytes so far and the bytes in all, None where unknown.
    user : tuple of str, optional
        Name and password: they stand apart from the address, which is told and noted.
    """

    def __init__(
        self,
        part: Path,
        verifiable: bool,
        progress: Progress | None = None,
        user: tuple[str, str] | None = None,
    ) -> None:
        self.part, self.verifiable, self.progress, self.user = part, verifiable, progress, user
        self.note = part.with_name(part.name + ".json")
        self.resumed = False

    def __call__(self, url: str, output_file: str, pooch: Any = None) -> None:
        """Download `url` to `output_file`.

        Raises
        ------
        UnreachableError, NotThereError, DataError
        """
        self._complete(url)
        try:
            _check_no_page(self.part, self.part.name.removesuffix(".part"))
        except DataError:
            self.discard()
            raise
        os.replace(self.part, output_file)
        self.note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget what has come so far."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _complete(self, url: str) -> None:
        import requests

        if os.environ.get("NEXTAIM_OFFLINE", "0") not in ("", "0"):
            raise UnreachableError(f"{url} cannot be reached", found="NEXTAIM_OFFLINE is set")
        last: Exception = CutError("nothing came")
        for attempt in range(TRIES):
            if attempt:
                time.sleep(WAIT_SECONDS * 2 ** (attempt - 1))
            try:
                return self._attempt(url)
            except (requests.exceptions.ChunkedEncodingError, CutError) as error:
                last = error
            except requests.exceptions.RequestException as error:
                last = error
                if not isinstance(error, requests.ConnectionError | requests.Timeout):
                    break
            except OSError as error:
                raise _unwritable(self.part, error) from error
        raise _given_up(url, last) from last

    def _attempt(self, url: str) -> None:
        import requests

        start, version = self._state(url)
        # Compression in transit would make byte ranges and sizes speak of other bytes.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            headers |= {"If-Range": version} if version else {}
        with requests.get(
            url, headers=headers, auth=self.user, stream=True, timeout=TIMEOUT_SECONDS
        ) as answer:
            if answer.status_code == 416:
                return self._past_the_end(answer, start)
            _check_status(answer, url)
            if "html" in answer.headers.get("Content-Type", ""):
                self.discard()
                _refuse_page(url, next(answer.iter_content(_CHUNK), b""))
            if answer.status_code != 206 or _range(answer)[0] != start:
                start = 0
            if not start:
                self._note(url, answer)
            self.resumed = self.resumed or start > 0
            self._receive(answer, start, url)

    def _state(self, url: str) -> tuple[int, str]:
        """Bytes to go on from, and the version they are of."""
        try:
            known = json.loads(self.note.read_text(encoding="utf-8"))
            size = self.part.stat().st_size
        except (OSError, ValueError):
            return 0, ""
        version = str(known.get("version") or "")
        usable = known.get("url") == url and (version or self.verifiable)
        return (size, version) if usable else (0, "")

    def _note(self, url: str, answer: Response) -> None:
        tag = answer.headers.get("ETag", "")
        # A weak tag may stay when bytes change, so it cannot vouch for a range.
        version = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
        self.part.unlink(missing_ok=True)
        write_json(self.note, {"url": url, "version": version})

    def _receive(self, answer: Response, start: int, url: str) -> None:
        total = _total(answer, start)
        done = start
        with self.part.open("ab" if start else "wb") as stream:
            for chunk in answer.iter_content(_CHUNK):
                stream.write(chunk)
                done += len(chunk)
                if self.progress:
                    self.progress(done, total)
        if total is not None and done < total:
            raise CutError(f"{done:,} of {total:,} bytes came")

    def _past_the_end(self, answer: Response, start: int) -> None:
        if _range(answer)[1] == start:
            return  # all of it had come before
        self.discard()
        raise CutError("the server has another version of the file")


def _check_no_page(path: Path, name: str) -> None:
    with path.open("rb") as stream:
        head = stream.read(4096)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        _refuse_page(name, head)


def _refuse_page(url: str, head: bytes) -> None:
    if Path(url.split("?")[0]).suffix.lower() in _PAGES:
        return
    title = re.search(rb"<title[^>]*>(.*?)</title>", head, re.IGNORECASE | re.DOTALL)
    words = " ".join(title[1].decode("utf-8", "replace").split())[:80] if title else ""
    raise DataError(
        f"a web page was delivered instead of the file {url}",
        expected="the file itself",
        found=f"an HTML page titled {words!r}" if words else "an HTML page",
        mend="open the address in a browser: it may ask for a login or have moved; "
        "behind a proxy, check that it lets the host through",
    )


def _check_status(answer: Response, url: str) -> None:
    code = answer.status_code
    if code in (200, 206):
        return
    if code in _TRANSIENT:
        raise CutError(f"HTTP {code} {answer.reason}")
    kind = NotThereError if code in (404, 410) else DataError
    raise kind(
        f"{url} cannot be downloaded",
        expected="HTTP 200",
        found=f"HTTP {code} {answer.reason}",
        mend="the address may have moved or ask for a login; set NEXTAIM_MIRROR if you have a copy",
    )


def _range(answer: Response) -> tuple[int | None, int | None]:
    """First byte and whole size of a Content-Range."""
    found = re.match(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if not found:
        return None, None
    first, whole = found.groups()
    return int(first) if first else None, int(whole) if whole != "*" else None


def _total(answer: Response, start: int) -> int | None:
    whole = _range(answer)[1]
    with contextlib.suppress(KeyError, ValueError):
        return whole or start + int(answer.headers["Content-Length"])
    return None


def _given_up(url: str, last: Exception) -> DataError:
    import requests

    unreachable = isinstance(last, requests.ConnectionError | requests.Timeout)
    kind = UnreachableError if unreachable else DataError
    return kind(
        f"{url} cannot be reached" if unreachable else f"{url} did not come whole",
        expected="an answer" if unreachable else "the whole file",
        found=f"{_reason(last)}, after {TRIES} tries",
        mend="run the same command again: it goes on from what has come",
    )


def _reason(error: Exception) -> str:
    inner = re.search(r"\[Errno -?\d+\] ([^)'\"]+)", str(error))
    return inner[1] if inner else " ".join(str(error).split())[:120] or type(error).__name__


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write {path.name}",
        expected=f"to write in {path.parent}; what has come is gone on from",
        found=error.strerror or str(error),
        mend=mend_of(error, "set NEXTAIM_DATA to another folder"),
    )
