"""What an archive holds, whichever kind it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pydicom import Dataset


@dataclass(frozen=True)
class Series:
    """A series, or what XNAT calls a scan.

    Attributes
    ----------
    study, name : str
        As the archive calls them: they may tell a patient and are never shown.
    instances : int
        How many there are, by what the archive says.
    bytes : int, optional
        Where the archive tells.
    """

    study: str = field(repr=False)
    name: str = field(repr=False)
    instances: int = 0
    bytes: int | None = None


@dataclass(frozen=True)
class Offer:
    """What an archive has of what an address asks for.

    Attributes
    ----------
    series : list of Series
    others : int
        Studies and series that it offered though they do not match, and that are left there.
    repeated : int
        Those that it named more than once.
    left : int
        Files that are no DICOM, which are not pulled.
    """

    series: list[Series]
    others: int = 0
    repeated: int = 0
    left: int = 0

    @property
    def studies(self) -> int:
        return len({one.study for one in self.series})

    @property
    def instances(self) -> int:
        return sum(one.instances for one in self.series)

    @property
    def bytes(self) -> int | None:
        """Of all series, where the archive tells it of each."""
        sizes = [one.bytes for one in self.series if one.bytes is not None]
        return sum(sizes) if len(sizes) == len(self.series) else None


class Archive(Protocol):
    """What pulling asks of an archive."""

    def offer(self) -> Offer:
        """What it has."""
        ...

    def items(self, series: Series) -> list[str]:
        """Names of a series' instances, each once."""
        ...

    def headers(self, series: Series) -> Iterator[Dataset]:
        """What headers of a series say of people, before any instance comes; none if not told."""
        ...

    def fetch(self, series: Series, wanted: list[str]) -> Iterator[tuple[str, bytes | None]]:
        """Name and bytes of each wanted instance, as they come; None for one too large to hold.

        Those that do not come are left to be asked for again.
        """
        ...
