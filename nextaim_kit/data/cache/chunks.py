"""A file of arrays: compressed without loss, and read by the part.

It is a zip of arrays in the zarr format, version 2, which zarr opens too. Each array lies in
chunks of about 50 x 50 x 50 values, compressed by Blosc (byte shuffle, LZ4-HC), so that reading
a patch unpacks only the chunks that it meets. A file that is both compressed and mapped into
memory there cannot be; a map of a file that goes bad or away would end the process, too. The
CRC-32 of the zip tells damage.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 2**17  # values
_NOTE = ".zattrs"
_HEAD = struct.Struct("<26xHH")  # of a member of a zip: lengths of its name and its extra field
_HEAD_BYTES = 30


class DamagedError(Exception):
    """A file is not what was written."""


def sides(shape: Sequence[int], size: int = CHUNK) -> tuple[int, ...]:
    """Shape of the chunks of an array: about `size` values, about as long as wide, all alike.

    >>> sides((200, 150, 100)), sides((1, 1024, 1024)), sides((3, 512, 512, 100))
    ((50, 50, 50), (1, 342, 342), (3, 35, 37, 34))
    """
    found, room = [1] * len(shape), float(size)
    for done, axis in enumerate(sorted(range(len(shape)), key=lambda axis: shape[axis])):
        longest = max(1, round(room ** (1 / (len(shape) - done))))
        pieces = max(1, -(-shape[axis] // longest))
        found[axis] = max(1, -(-shape[axis] // pieces))
        room /= found[axis]
    return tuple(found)


def write(path: Path, arrays: Sequence[NDArray[Any]], note: dict[str, Any]) -> None:
    """Write arrays, of any shape and type but objects, and a note in JSON."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
        for number, array in enumerate(arrays):
            _write(archive, number, array)
        archive.writestr(_NOTE, json.dumps(note))


def _write(archive: zipfile.ZipFile, number: int, array: NDArray[Any]) -> None:
    from numcodecs import Blosc

    codec, chunk = Blosc("lz4hc", 5, Blosc.SHUFFLE), sides(array.shape)
    about = {
        "zarr_format": 2, "shape": array.shape, "chunks": chunk, "dtype": array.dtype.str,
        "compressor": codec.get_config(), "fill_value": None, "order": "C", "filters": None,
    }  # fmt: skip
    archive.writestr(f"{number}/.zarray", json.dumps(about))
    for place in itertools.product(
        *(range(-(-n // side)) for n, side in zip(array.shape, chunk, strict=True))
    ):
        part = array[tuple(slice(i * s, (i + 1) * s) for i, s in zip(place, chunk, strict=True))]
        whole = np.zeros(chunk, array.dtype)  # zarr fills up the chunks at the edges
        whole[tuple(map(slice, part.shape))] = part
        archive.writestr(_member(number, place), bytes(codec.encode(whole)))


def _member(number: int, place: Sequence[int]) -> str:
    return f"{number}/{'.'.join(map(str, place)) or '0'}"


class Entry:
    """An open file of arrays.

    Parameters
    ----------
    descriptor : int
        Of the file, opened for this entry alone; the caller closes it. Arrays are read without
        moving its position.

    Attributes
    ----------
    note : dict
        What was written beside the arrays.

    Raises
    ------
    DamagedError
        Here or in reading, if anything is not as it was written.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        try:
            with os.fdopen(os.dup(descriptor), "rb") as stream, zipfile.ZipFile(stream) as archive:
                self._members = {info.filename: info for info in archive.infolist()}
        except (zipfile.BadZipFile, ValueError, OSError, struct.error) as error:
            raise DamagedError(str(error)) from error
        self.note: dict[str, Any] = self._json(_NOTE)

    def array(self, number: int) -> NDArray[Any]:
        """A whole array."""
        return self.lazily(number)[...]

    def lazily(self, number: int) -> Chunked:
        """An array of which parts are read as they are asked for."""
        return Chunked(self, number, self._json(f"{number}/.zarray"))

    def check(self) -> None:
        """Compare all that is in the file with its checksums."""
        for name in self._members:
            self.bytes(name)

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self.bytes(name))
        except ValueError as error:
            raise DamagedError(str(error)) from error

    def bytes(self, name: str) -> bytes:
        """One member of the zip."""
        try:
            info = self._members[name]
            start, size = info.header_offset, info.file_size
            content = os.pread(self._descriptor, _HEAD_BYTES + len(name) + size, start)
            lengths = _HEAD.unpack(content[:_HEAD_BYTES])
        except (KeyError, OSError, struct.error) as error:
            raise DamagedError(f"{name}: {error}") from error
        content = content[_HEAD_BYTES + len(name) :]
        if lengths != (len(name), 0) or len(content) != size or zlib.crc32(content) != info.CRC:
            raise DamagedError(f"{name} has another checksum")
        return content


class Chunked:
    """An array in a file, indexed as numpy's are; only the chunks that are met are read."""

    def __init__(self, entry: Entry, number: int, about: dict[str, Any]) -> None:
        from numcodecs import get_codec

        self._entry, self._number = entry, number
        self.shape: tuple[int, ...] = tuple(about["shape"])
        self.dtype = np.dtype(about["dtype"])
        self._chunk = tuple(about["chunks"])
        self._codec = get_codec(about["compressor"])

    def __getitem__(self, where: Any) -> NDArray[Any]:
        wanted, after = _box(where, self.shape)
        out = np.empty([r.stop - r.start for r in wanted], self.dtype)
        for place, source, target in self._met(wanted):
            out[target] = self._decoded(place)[source]
        return out[after] if after else out

    def _met(self, wanted: Sequence[slice]) -> Iterator[tuple]:
        """Chunks that lie in a box, the part that is wanted of each, and where it goes."""
        axes = []
        for box, side in zip(wanted, self._chunk, strict=True):
            first, last = box.start // side, -(-box.stop // side)
            axes.append([(i, *_overlap(i * side, side, box)) for i in range(first, last)])
        for parts in itertools.product(*axes):
            yield tuple(zip(*parts, strict=True)) if parts else ((), (), ())

    def _decoded(self, place: Sequence[int]) -> NDArray[Any]:
        packed = self._entry.bytes(_member(self._number, place))
        try:
            values = np.frombuffer(self._codec.decode(packed), self.dtype)
            return values.reshape(self._chunk)
        except (RuntimeError, ValueError) as error:
            raise DamagedError(str(error)) from error


def _overlap(start: int, side: int, box: slice) -> tuple[slice, slice]:
    """Of a chunk and a box along one axis: the part in the chunk, and in the box."""
    low, high = max(start, box.start), min(start + side, box.stop)
    return slice(low - start, high - start), slice(low - box.start, high - box.start)


def _box(where: Any, shape: tuple[int, ...]) -> tuple[list[slice], tuple]:
    """The box to read, and what to index it by after that: steps, single planes, new axes."""
    given = where if isinstance(where, tuple) else (where,)
    simple = all(isinstance(one, slice | int | np.integer | type(...)) for one in given)
    if not simple or given.count(...) > 1 or len(given) - given.count(...) > len(shape):
        return [slice(0, n) for n in shape], given
    at = given.index(...) if ... in given else len(given)
    left = len(shape) - len(given) + given.count(...)
    every = [*given[:at], *[slice(None)] * left, *given[at + 1 :]]
    found = [_range(one, n) for one, n in zip(every, shape, strict=True)]
    after = tuple(rest for _, rest in found)
    return [box for box, _ in found], () if all(r == slice(None) for r in after) else after


def _range(one: Any, n: int) -> tuple[slice, Any]:
    if not isinstance(one, slice):
        index = int(one) + n * (one < 0)
        if not 0 <= index < n:
            raise IndexError(f"index {one} is out of bounds for an axis of {n}")
        return slice(index, index + 1), 0
    start, stop, step = one.indices(n)
    if step == 1:
        return slice(start, max(start, stop)), slice(None)
    return slice(0, n), one
