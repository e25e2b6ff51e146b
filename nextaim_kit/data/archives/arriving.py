"""What comes of an archive: instance by instance, but series that may show a face as a whole."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydicom import Dataset

from nextaim_kit.data.archives.archive import Archive, Series
from nextaim_kit.data.archives.ledger import Arrived, Ledger
from nextaim_kit.data.bounds import memory_free
from nextaim_kit.data.images.dicom import parsed
from nextaim_kit.data.privacy.faces import Faces, body_part, is_section, words_of_part

_MOST = 600_000_000  # bytes of a series that is held: 1,000 slices of 512 by 512
_TOO_LARGE = "larger than memory bears"
_TOO_LONG = "its series may show a face, and is too long to be held until that is cut off"
_UNREAD = "its header cannot be read"


class Came(NamedTuple):
    """An instance as it came: what stands for its name, its bytes, where its face is cut."""

    item: str
    content: bytes
    faces: Faces


class Wanted(NamedTuple):
    """A series, names of its instances, and whether they are cleaned only all together."""

    series: Series
    names: list[str]
    whole: bool


def most_held() -> int:
    """Bytes of a series that may be held in memory."""
    return min(_MOST, memory_free() // 4)


@dataclass
class Arriving:
    """What an archive gives, as it is to be cleaned.

    Of a series that may show a face nothing is given before all of it is there: only then it is
    known where the face is cut. If some of it came earlier, all of it comes again.

    Parameters
    ----------
    archive : Archive
    ledger : Ledger
    keep : bool
        Faces stay: nothing is held.
    """

    archive: Archive
    ledger: Ledger
    keep: bool = False
    _said: dict[tuple[str, str], str] = field(default_factory=dict)

    def hear(self, series: Series, header: Dataset) -> None:
        """Learn what a header of a series says of the part of the body."""
        key = (series.study, series.name)
        self._said[key] = f"{self._said.get(key, '')} {words_of_part(header)}"[:4000]

    def wanted(self, series: Series, lacking: list[str]) -> Wanted:
        """What of a series has to come so that nothing is lacking."""
        part = body_part(self._said.get((series.study, series.name), ""))
        if self.keep or part == "elsewhere":
            return Wanted(series, lacking, whole=False)
        return Wanted(series, self.archive.items(series), whole=True)

    def all(self, wanted: Iterable[Wanted]) -> Iterator[Came]:
        """Give what is wanted, as it comes; what cannot be held is noted in the ledger."""
        for series, names, whole in wanted:
            coming = self.archive.fetch(series, names)
            if whole:
                yield from self._held(series, coming, names)
            else:
                yield from self._passed_on(coming)

    def _passed_on(self, coming: Iterator[tuple[str, bytes | None]]) -> Iterator[Came]:
        for name, content in coming:
            item = self.ledger.item(name)
            if content is None:
                self._leave_out([item], _TOO_LARGE)
            elif item not in self.ledger.lines:
                yield Came(item, content, Faces(self.keep))

    def _held(
        self, series: Series, coming: Iterator[tuple[str, bytes | None]], names: list[str]
    ) -> Iterator[Came]:
        """A series whose sections of CT and MR are held until all of them have come.

        Where the archive told nothing of it, the first section says whether it is of elsewhere.
        """
        told = self._said.get((series.study, series.name), "").strip()
        faces, held, left = Faces(), deque[tuple[str, bytes]](), dict.fromkeys(names)
        for name, content in coming:
            item, header = self.ledger.item(name), _header(content)
            if content is None or header is None:
                self._leave_out([item], _TOO_LARGE if content is None else _UNREAD)
            elif not is_section(header):  # nor could a face be cut off it
                yield from self._passed_on(iter([(name, content)]))
            elif not (told or held) and body_part(words_of_part(header)) == "elsewhere":
                yield from self._passed_on(iter([(name, content)]))
                yield from self._passed_on(coming)
                return
            else:
                faces.see(Path(item), header, partial(_parsed, content, item))
                held.append((item, content))
            left.pop(name, None)
            if sum(len(content) for _, content in held) > most_held():
                items = [*(item for item, _ in held), *map(self.ledger.item, left)]
                self._leave_out(items, _TOO_LONG)
                return
        if not left:  # else the others wait for what did not come
            yield from self._cut(held, faces)

    def _cut(self, held: deque[tuple[str, bytes]], faces: Faces) -> Iterator[Came]:
        self.ledger.forget(item for item, _ in held)
        decided = faces.decided()
        while held:
            yield Came(*held.popleft(), decided)

    def _leave_out(self, items: list[str], why: str) -> None:
        self.ledger.forget(items)
        for item in items:
            self.ledger.add(Arrived(item, left_out=why))


def _parsed(content: bytes, item: str, **options: Any) -> Dataset:
    return parsed(io.BytesIO(content), Path(item), **options)


def _header(content: bytes | None) -> Dataset | None:
    """Header of a file in memory, or nothing where it cannot be read."""
    try:
        return None if content is None else _parsed(content, "", stop_before_pixels=True)
    except Exception:  # a damaged file may raise anything
        return None
