"""What was learned of files in this process, for as long as they stay as they are."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import Any

from nextaim_kit.data.hashes import SETTLED_NS
from nextaim_kit.data.store import view

Stamp = tuple[int, ...]
Held = tuple[str, Stamp, Any]  # a file by its absolute path, as it was, and what was learned of it


def stamp_of(status: os.stat_result) -> Stamp:
    """What changes when a file does, on any machine that sees it."""
    if view.shows(status):  # it comes and goes in memory, and its time tells what it holds
        return (status.st_mtime_ns,)
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class Remembered:
    """Something about each of many files, found by path and stamp.

    Parameters
    ----------
    most : int
        Files that are remembered; of more the first ones are forgotten.
    """

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._folders: dict[str, dict[str, tuple[Stamp, Any]]] = {}
        self._lock = threading.Lock()

    def recall(self, path: str, stamp: Stamp) -> list[Any]:
        """What was learned of a file as it is now; nothing if it is not known, or was another."""
        folder, name = os.path.split(path)
        held = self._folders.get(folder, {}).get(name)
        return [held[1]] if held and held[0] == stamp else []

    def remember(self, path: str, stamp: Stamp, learned: Any) -> None:
        """Keep it, unless the file is so new that another change might not show in its stamp."""
        if time.time_ns() - stamp[0] > SETTLED_NS:
            self.learn([(path, stamp, learned)])

    def below(self, place: str) -> list[Held]:
        """What is known of a file or of all below a folder, for another process to `learn`."""
        folder, name = os.path.split(place)
        with self._lock:
            held = self._folders.get(folder, {}).get(name)
            one = [(place, *held)] if held else []
            inside = [
                (of, names)
                for of, names in self._folders.items()
                if of == place or of.startswith(place + os.sep)
            ]
            return one + [
                (os.path.join(of, name), *held)
                for of, names in inside
                for name, held in names.items()
            ]

    def learn(self, known: Iterable[Held]) -> None:
        """Take over what another process has learned; it counts while files are as they were."""
        with self._lock:
            for path, stamp, learned in known:
                folder, name = os.path.split(path)
                names = self._folders.setdefault(folder, {})
                self._count += name not in names
                names[name] = (stamp, learned)
            while self._count > self._most:
                oldest = next(iter(self._folders))
                names = self._folders[oldest]
                del names[next(iter(names))]
                self._count -= 1
                if not names:
                    del self._folders[oldest]


HEADERS = Remembered(20_000)  # of DICOM files; it has no pydicom, which takes its time
