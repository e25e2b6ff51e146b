"""How much is read of a file: what its header promises, as far as memory bears it, and no more."""

from __future__ import annotations

import gzip
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.files import require_file
from nextaim_kit.machine.limits import memory_available

GB = 10**9
_PIECE = 1 << 24  # bytes that are read at a time
_BLOCK = 1 << 18  # bytes that are unpacked at a time: they stay in the processor's cache
_CELLS = 10  # times its text that a table takes in memory


def memory_free() -> int:
    """Bytes that can still be taken, as they were within the last second: to ask takes 3 ms."""
    return _free_in(int(time.monotonic()))


@lru_cache(maxsize=1)
def _free_in(_second: int) -> int:
    return memory_available()


def require_room(size: int, path: Path) -> None:
    """Refuse what a header promises, before it is read, where memory cannot bear it.

    Parameters
    ----------
    size : int
        Bytes.
    path : Path
        Whose header it is, in the words of the error.

    Raises
    ------
    DataError
    """
    free = memory_free()
    if size > free:
        raise DataError(
            f"{path.name} is too large for this machine",
            expected=f"at most what is free, {free / GB:.2f} GB",
            found=f"{size / GB:.2f} GB by its header",
            mend="copy the file again if its header is damaged, or take a machine with more memory",
        )


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """A plain file, opened: what gzip packed is unpacked as it is read, whatever it is called.

    Raises
    ------
    DataError
        If it is no plain file.
    EOFError, OSError, zlib.error
        While it is read: if it ends too soon, a checksum is wrong, or it is damaged.
    """
    require_file(path)
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        unpack, damaged = _unpacker()
        try:
            yield cast(BinaryIO, unpack(fileobj=file))
        except damaged as error:
            raise zlib.error(str(error)) from error


@cache
def _unpacker() -> tuple[type[gzip.GzipFile], type[Exception]]:
    """What unpacks gzip, and its own error: ISA-L, twice as fast as zlib, where it is installed."""
    kind: type[gzip.GzipFile] = gzip.GzipFile
    damaged: Any = zlib.error
    try:
        from isal import igzip, isal_zlib
    except ImportError:  # there is none for every processor
        pass
    else:
        kind, damaged = igzip.IGzipFile, isal_zlib.error

    class Unpacker(kind):  # type: ignore[valid-type, misc]
        """Unpacks into the place that is given; the base would copy from another."""

        def readinto(self, room: NDArray) -> int:
            return self._buffer.readinto(room)

    return Unpacker, damaged


def fill(room: NDArray, stream: BinaryIO, skip: int, slack: int) -> None:
    """Fill an array with bytes of a stream, which is read to its end, where a checksum is.

    Parameters
    ----------
    room : contiguous array
        Its bytes have to be there.
    stream : binary file
    skip : int
        Bytes before them.
    slack : int
        Bytes that may follow them; what they are is not looked at.

    Raises
    ------
    ValueError
        If there are fewer, or more.
    """
    cells, before, there = room.reshape(-1).view(np.uint8), 0, 0
    while before < skip and (piece := stream.read(min(_PIECE, skip - before))):
        before += len(piece)
    while there < cells.size and (count := stream.readinto(cells[there : there + _BLOCK])):  # type: ignore[attr-defined]
        there += count
    if there < cells.size:
        promised = skip + cells.size
        raise ValueError(f"truncated: {before + there} bytes where the header promises {promised}")
    whole(stream, slack)


def whole(stream: BinaryIO, most: int) -> bytearray:
    """All that is left of a stream; no more is unpacked than may be there.

    Raises
    ------
    ValueError
        If it is more than `most` bytes.

    Examples
    --------
    >>> import io
    >>> whole(io.BytesIO(b"four"), 4)
    bytearray(b'four')
    """
    found = bytearray()
    while piece := stream.read(min(_PIECE, most + 1 - len(found))):
        found += piece
        if len(found) > most:
            raise ValueError(f"more than the {most:,} bytes that may be there")
    return found


def unpacked_size(stream: BinaryIO, bits: int, most: int) -> int:
    """Bytes that zlib unpacks of a stream, none of which is kept; it ends soon after `most`.

    Parameters
    ----------
    stream : binary file
    bits : int
        As zlib's ``wbits`` tell how it is packed.
    most : int
    """
    unpack, size = zlib.decompressobj(bits), 0
    packed = stream.read(1 << 20)
    while packed and not unpack.eof and size <= most:
        size += len(unpack.decompress(packed, _PIECE))
        packed = unpack.unconsumed_tail or stream.read(1 << 20)
    return size + (0 if packed else len(unpack.flush()))


def most_text() -> int:
    """Bytes of a table, unpacked, whose cells this machine can hold."""
    return memory_free() // _CELLS


def require_members(path: Path, times: int = 1) -> None:
    """Refuse a zip, such as .npz or .xlsx, whose members take more than memory bears.

    Python unpacks no more of a member than the archive says it has.

    Parameters
    ----------
    path : Path
    times : int, optional
        How much more than its members what is made of them takes.

    Raises
    ------
    DataError
    BadZipFile
    """
    require_file(path)
    with zipfile.ZipFile(path) as archive:
        require_room(times * sum(member.file_size for member in archive.infolist()), path)
