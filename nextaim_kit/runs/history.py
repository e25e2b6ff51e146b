"""What earlier runs of a notebook took, and what is to be expected of the next."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit.catalog import Resources
from nextaim_kit.runs.record import RECORD, read_record

_LOOKED_AT = 200  # latest records of a notebook


@dataclass(frozen=True)
class Takes:
    """What one run takes.

    Attributes
    ----------
    minutes : float
        The median of earlier runs, else as declared.
    memory_gb : float
        The highest of earlier runs, else as declared.
    runs : int
        Earlier runs that it comes from; 0 where the declared numbers stand in.
    """

    minutes: float
    memory_gb: float
    runs: int


def takes(earlier: Sequence[dict[str, Any]], declared: Resources) -> Takes:
    """What the next run takes, from the records of earlier ones."""
    minutes = [sum(s["seconds"] for s in r["sections"]) / 60 for r in earlier]
    peaks = [s["peak_mb"] / 1000 for r in earlier for s in r["sections"]]
    return Takes(
        statistics.median(minutes) if minutes else declared.minutes,
        max(peaks) if peaks else declared.memory_gb,
        len(earlier),
    )


def earlier_runs(runs: Path, notebook: str, profile: str) -> Iterator[dict[str, Any]]:
    """Records of a notebook's latest runs that did not fail, the last one first."""
    paths = sorted((runs / notebook).glob(f"*/{RECORD}"), key=_age)[:_LOOKED_AT]
    for path in paths:
        record = read_record(path.parent)
        if record and record["profile"] == profile and record["outcome"] != "failed":
            yield record


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # a run that is made anew just now
        return 0.0
