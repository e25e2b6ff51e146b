"""What a run takes here: by its earlier runs, else as declared at the pace of other notebooks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.catalog import Notebook
from nextaim_kit.errors import DataError
from nextaim_kit.runs.parameters import resolve
from nextaim_kit.runs.record import hardware, read_record, record_files

_LOOKED_AT = 200  # latest records of a notebook
_PACED_MINUTES = 1  # that those runs are to take in all: in short ones a first import counts
_PACED = 3  # runs that tell how fast a machine is, and latest ones of a notebook looked at for it


@dataclass(frozen=True)
class Expected:
    """Of one run.

    Attributes
    ----------
    minutes : float
        The median of earlier runs, else as declared.
    memory_gb : float
        As declared, or the highest of earlier runs where that is more: a record counts the
        notebook's own process, not those that it starts.
    runs : int
        Earlier runs that it comes from; 0 where the declared numbers stand in.
    twins : bool
        Whether those are declared for the synthetic twin, and other data are given.
    paced : bool
        Whether the declared minutes were adapted to this machine.
    """

    minutes: float
    memory_gb: float
    runs: int
    twins: bool = False
    paced: bool = False

    @property
    def text(self) -> str:
        """The minutes, and whether they are another data set's."""
        other = " for the synthetic twin, not for these data" if self.twins else ""
        return minutes_text(self.minutes) + other


def expect(
    notebook: Notebook,
    profile: str,
    runs: Path,
    given: Mapping[str, Any] | None = None,
    pace: float | None = None,
) -> Expected | None:
    """What a run of a profile takes here; None where nothing is known.

    Only runs with the same parameters count, but for the seed; of data, that they were given.
    Where there is none, the declared minutes are adapted to this machine, but for a GPU's.

    Parameters
    ----------
    notebook : Notebook
    profile : str
    runs : Path
        Folder of all runs.
    given : mapping, optional
        Parameters that are not the profile's; those that name data with any text.
    pace : float, optional
        As `machine_pace` found it; looked up where it is needed.

    Raises
    ------
    RequestError
        As `resolve` does.
    """
    if profile not in ("tutorial", *notebook.profiles):
        return None
    declared = notebook.resources.get(profile)
    try:
        plain = resolve(notebook, profile, {})
        asked = _settings(notebook, resolve(notebook, profile, given or {}), plain)
    except DataError:  # a reader has changed its cell of parameters to what cannot be read
        return Expected(declared.minutes, declared.memory_gb, 0) if declared else None
    same = [
        record
        for record in _here(runs / notebook.id, profile)
        if _settings(notebook, plain | record["parameters"], plain) == asked
    ]
    if same:
        minutes, memory = taken(same)
        return Expected(minutes, max(memory, declared.memory_gb if declared else 0.0), len(same))
    if declared is None:
        return None
    fed = any(asked[name] for name in notebook.needs)
    minutes = declared.fed if fed and declared.fed else declared.minutes
    own = any(asked[name] for name in notebook.data if name not in notebook.needs)
    times = 1.0 if declared.vram_gb else pace or machine_pace(runs)
    return Expected(minutes * times, declared.memory_gb, 0, own, times != 1.0)


def machine_pace(runs: Path) -> float:
    """How many times as long as declared notebooks take here, by the newest run of each.

    Those with other parameters or data than their profile's, and those on a GPU, do not count;
    1.0 where there are fewer than three, or less than a minute of them.
    """
    seen, told = [], []
    for notebook in (n for study in catalog.studies() for n in study.notebooks.values()):
        for profile, declared in notebook.resources.items():
            if declared.vram_gb:
                continue
            if record := _plain_run(notebook, profile, runs):
                seen.append(_minutes(record))
                told.append(declared.minutes)
    known = len(seen) >= _PACED and sum(told) >= _PACED_MINUTES
    return sum(seen) / sum(told) if known else 1.0


def _plain_run(notebook: Notebook, profile: str, runs: Path) -> dict[str, Any] | None:
    """The newest run with a profile's own parameters, but for the seed."""
    try:
        plain = resolve(notebook, profile, {})
    except DataError:
        return None
    own = _settings(notebook, plain, plain)
    few = islice(_here(runs / notebook.id, profile), _PACED)
    return next(
        (r for r in few if _settings(notebook, plain | r["parameters"], plain) == own), None
    )


def _settings(
    notebook: Notebook, parameters: Mapping[str, Any], plain: Mapping[str, Any]
) -> dict[str, Any]:
    """What the time of a run depends on: of data only whether they are the profile's."""
    return {
        name: value != plain.get(name) if name in notebook.data else value
        for name, value in parameters.items()
        if name != "seed"
    }


def minutes_text(minutes: float) -> str:
    """A time such as ``20 s``, ``2.5 min`` or ``10 h``."""
    if minutes < 0.95:
        return f"{max(1, round(minutes * 60))} s"
    return f"{minutes:.2g} min" if minutes < 99.5 else f"{minutes / 60:.3g} h"


def taken(records: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """Median of the minutes and highest peak in GB of some runs."""
    every = list(records)
    peaks = [section["peak_mb"] / 1000 for record in every for section in record["sections"]]
    return statistics.median(map(_minutes, every)), max(peaks, default=0.0)


def _minutes(record: Mapping[str, Any]) -> float:
    """From the request to its end, the kernel's start included; of old records its cells only."""
    cells = sum(section["seconds"] for section in record["sections"])
    return float(record.get("seconds", cells)) / 60


def earlier(folder: Path, profile: str) -> Iterator[dict[str, Any]]:
    """Records of a notebook's latest runs of a profile that did not fail."""
    for path in sorted(record_files(folder), key=age)[:_LOOKED_AT]:
        record = read_record(path.parent)
        if record and record["profile"] == profile and record["outcome"] != "failed":
            yield record


def _here(folder: Path, profile: str) -> Iterator[dict[str, Any]]:
    """Those of `earlier` that ran on such a machine as this."""
    here = hardware()
    for record in earlier(folder, profile):
        if all(record["hardware"][key] == here[key] for key in ("processor", "cores")):
            yield record


def age(path: Path) -> float:
    """Sorts files, the latest first."""
    try:
        return -path.stat().st_mtime
    except OSError:  # a run that is made anew just now
        return 0.0
