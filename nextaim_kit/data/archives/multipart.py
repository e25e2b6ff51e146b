"""Messages of several parts (RFC 2046, as PS3.18 uses them), read as they come and written."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator

_LENGTH = re.compile(rb"(?:^|\r\n)content-length:[ \t]*(\d+)", re.IGNORECASE)
_BOUNDARY = re.compile(r'boundary="?([^";]{1,70})"?', re.IGNORECASE)
_HEAD = 1 << 16  # bytes that the header of a part may have


class Cut(Exception):
    """A message that ended before its end, or is none."""


class TooLarge(Exception):
    """A part of more bytes than may be held."""


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts, by the message's type.

    Raises
    ------
    Cut
    """
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/related") or not found:
        raise Cut("the answer has no parts")
    return found[1].encode()


def parts(chunks: Iterable[bytes], boundary: bytes, most: int) -> Iterator[bytes]:
    r"""Bodies of a message's parts, one after the other; no more than one is held.

    Parameters
    ----------
    chunks : iterable of bytes
    boundary : bytes
    most : int
        Bytes that a part may have.

    Raises
    ------
    Cut
        If the message ends without its closing boundary: its last part may be half.
    TooLarge

    Examples
    --------
    >>> list(parts([b"--x\r\n\r\none\r\n-", b"-x\r\n\r\ntwo\r\n--x--"], b"x", 10))
    [b'one', b'two']
    """
    mark = b"--" + boundary
    read = _Reader(chunks)
    read.until(mark, _HEAD)
    while (end := read.peek(2)) != b"--":
        if end != b"\r\n":
            raise Cut("a boundary is followed by something else")
        head = read.until(b"\r\n\r\n", _HEAD)
        length = _LENGTH.search(head)
        if length is None:
            yield read.until(b"\r\n" + mark, most)
            continue
        body = read.exactly(int(length[1]), most)
        if read.until(mark, _HEAD) not in (b"\r\n", b""):
            raise Cut("a part is longer than it says")
        yield body


class _Reader:
    """Takes bytes from chunks as they are needed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._held = iter(chunks), bytearray()

    def _more(self) -> None:
        for chunk in self._chunks:
            if chunk:
                self._held += chunk
                return
        raise Cut("the message ends before its last part does")

    def peek(self, count: int) -> bytes:
        while len(self._held) < count:
            self._more()
        return bytes(self._held[:count])

    def exactly(self, count: int, most: int) -> bytes:
        if count > most:
            raise TooLarge
        taken = self.peek(count)
        del self._held[:count]
        return taken

    def until(self, mark: bytes, most: int) -> bytes:
        """Bytes before the mark, which is taken too."""
        start = 0
        while (at := self._held.find(mark, start)) < 0:
            start = max(0, len(self._held) - len(mark) + 1)
            if start > most:
                raise TooLarge
            self._more()
        if at > most:
            raise TooLarge
        taken = bytes(self._held[:at])
        del self._held[: at + len(mark)]
        return taken


def packed(content: bytes) -> tuple[str, bytes]:
    """Type and body of a message whose one part is a DICOM file."""
    boundary = secrets.token_hex(16)
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n".encode(),
            f"Content-Length: {len(content)}\r\n\r\n".encode(),
            content,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    return f'multipart/related; type="application/dicom"; boundary={boundary}', body
