"""Where steps are kept: a file for each value, in the user's own folder, whole or not at all.

A file is a zip that zarr opens: arrays in chunks that Blosc compressed without loss, so that a
patch is read without the rest, and the value, pickled, with numbers for its arrays; each member
has a checksum. The folder, ``steps`` in the kit's cache (``NEXTAIM_CACHE``), is open to the user
alone: pixels lie in it. A pickle may run what it likes, so that nothing is read which others
could have written.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pickle
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nextaim_kit.data.cache.identity import digest
from nextaim_kit.data.cache.space import GB, keep_to_quota, quota, steps_folder
from nextaim_kit.errors import DataError, mend_of, warn_once
from nextaim_kit.files import atomic_path, strangers_hand

_SMALL = 1024  # bytes of an array that is not worth chunks of its own
_CHUNK = 125_000  # values: 50 x 50 x 50, 354 x 354
_OWN = "set NEXTAIM_CACHE to a folder of your own"
_TOUCH = 60  # seconds for which the note of the last use may lag behind


@dataclass(frozen=True)
class Entry:
    """Where the value of a step is kept: the name of the step, and a hash for all it depends on."""

    step: str
    key: str

    @property
    def path(self) -> Path:
        """File of the value."""
        return steps_folder() / re.sub(r"[^\w.-]", "_", self.step)[-150:] / f"{self.key}.zip"

    def read(self, how: Callable[[Any], Any]) -> list[Any]:
        """What `how` makes of the opened file, in a list; an empty one where there is no value."""
        import zarr

        try:
            if doubt := strangers_hand(steps_folder()) or strangers_hand(self.path):
                where = f"{self.step} in {steps_folder()}"
                warn_once(f"an entry of {where} is not read: {doubt}; {_OWN}")
                return []
            with zarr.ZipStore(str(self.path), mode="r") as archive:  # own to a call and process
                self._touch()
                if archive["names"] != _names(archive):  # zarr would fill in what is missing
                    raise ValueError("chunks are missing")
                return [how(archive)]
        except (OSError, MemoryError):  # it is not there, or cannot be had at this moment
            return []
        except IndexError:  # of who asks for a part
            raise
        except Exception:  # whatever is wrong with it, it can be made again
            warn_once(f"a damaged entry of {self.step} in {steps_folder()} is made anew")
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
            return []

    def _touch(self) -> None:
        """Note the use in the time of change: other times need not be kept."""
        with contextlib.suppress(OSError):
            if time.time() - self.path.stat().st_mtime > _TOUCH:
                os.utime(self.path)

    def write(self, value: Any) -> None:
        """Keep a value; where there is no place for it, say so once and go on."""
        if not (allowed := quota()):
            return
        pickler = _Pickler()
        try:
            pickler.dump(value)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            what = f"what {self.step} gave cannot be kept"
            raise DataError(what, found=str(error), mend="give the arrays alone") from error
        try:
            steps_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
            steps_folder().chmod(0o700)
            with atomic_path(self.path, mode=0o600) as partial:
                _write(partial, pickler, value)
                size = partial.stat().st_size
                if size > allowed:
                    raise OSError(errno.EDQUOT, f"more than NEXTAIM_CACHE_GB, {allowed / GB:g} GB")
            keep_to_quota(size, allowed)
        except (DataError, OSError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            why = getattr(cause, "strerror", "") or str(error)
            mend = _OWN
            if isinstance(cause, OSError):
                mend = mend_of(cause, mend)
                if cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    mend = f"nextaim data cache prune makes room; or {mend}"
            warn_once(f"steps are done anew each time, not kept: {why} in {steps_folder()}; {mend}")


def whole(archive: Any) -> Any:
    """The value in an opened file."""
    return _Unpickler(archive).load()


class _Unpickler(pickle.Unpickler):
    """Puts the arrays of an opened file in the places of their numbers."""

    def __init__(self, archive: Any) -> None:
        super().__init__(io.BytesIO(_array(archive, "value")[...]))
        self.archive = archive

    def persistent_load(self, number: str) -> Any:
        return _array(self.archive, number)[...]


def part(archive: Any, name: str, how: Callable[[Any], Any]) -> list[Any]:
    """What `how` makes of the array under a name, in a list; an empty one where there is none."""
    number = json.loads(archive["places"]).get(name)
    return [] if number is None else [how(_array(archive, number))]


def _array(archive: Any, place: int | str) -> Any:
    import zarr

    return zarr.Array(archive, path=str(place), read_only=True)


def as_array(value: Any) -> Any:
    """The numbers of an array or tensor; None for anything else."""
    if type(value).__module__.partition(".")[0] in ("torch", "monai") and hasattr(value, "detach"):
        import torch

        return value.detach().as_subclass(torch.Tensor).cpu().contiguous().numpy()
    return np.asarray(value) if type(value) in (np.ndarray, np.memmap) else None


class _Pickler(pickle.Pickler):
    """Leaves arrays out, also those of tensors, and puts numbers in their places."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()
        super().__init__(self.stream, protocol=5)
        self.arrays: list[np.ndarray] = []
        self.numbers: dict[int, int] = {}  # of arrays and tensors, by their id

    def persistent_id(self, value: Any) -> int | None:
        """Number of an array; None for what is pickled."""
        if type(value) not in (np.ndarray, np.memmap) or value.nbytes <= _SMALL:
            return None
        if value.dtype.hasobject or value.dtype.names:
            return None
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.arrays)
            self.arrays.append(value)
        return self.numbers[id(value)]

    def reducer_override(self, value: Any) -> Any:
        """How a tensor is made from an array; MONAI's with its meta-data and history."""
        numbers = None if isinstance(value, type | np.ndarray) else as_array(value)
        if numbers is None:
            return NotImplemented
        if numbers.nbytes > _SMALL:
            self.numbers[id(value)] = len(self.arrays)  # the next to be met
        monai = (getattr(value, name, None) for name in ("meta", "applied_operations"))
        return _tensor, (numbers, *monai)


def _tensor(numbers: np.ndarray, meta: dict | None, history: list | None) -> Any:
    import torch

    tensor = torch.from_numpy(numbers)
    if meta is None:
        return tensor
    from monai.data import MetaTensor

    return MetaTensor(tensor, meta=meta, applied_operations=history)


def _write(path: Path, pickler: _Pickler, value: Any) -> None:
    import zarr
    from numcodecs import Blosc

    codec = Blosc("lz4hc", 5, Blosc.SHUFFLE)
    named = value.items() if isinstance(value, dict) else [("", value)]
    places = {name: pickler.numbers[id(one)] for name, one in named if id(one) in pickler.numbers}
    with zarr.ZipStore(str(path), mode="w") as archive:
        group = zarr.group(archive)
        pickled = np.frombuffer(pickler.stream.getbuffer(), np.uint8)
        for place, one in [*enumerate(pickler.arrays), ("value", pickled)]:
            options = {"chunks": chunks(one.shape), "compressor": codec, "fill_value": None}
            group.create_dataset(str(place), data=one, **options)
        archive["places"] = json.dumps(places, skipkeys=True).encode()
        archive["names"] = _names(archive)


def chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the chunks of an array: about as long as wide, but for short axes.

    >>> chunks((200, 150, 100)), chunks((1, 1024, 1024)), chunks((3, 512, 512, 100))
    ((50, 50, 50), (1, 354, 354), (3, 50, 50, 50))
    """
    side = round(_CHUNK ** (1 / max(1, sum(n > 8 for n in shape))))
    return tuple(min(n, side) for n in shape)


def _names(archive: Any) -> bytes:
    """Hash of the members' names: a zip has checksums for their contents alone."""
    return digest(sorted(name for name in archive if name != "names")).encode()
