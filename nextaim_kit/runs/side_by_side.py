"""Runs of one notebook beside each other: what was set otherwise, and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.catalog import Study
from nextaim_kit.errors import RequestError
from nextaim_kit.runs.compare import compare
from nextaim_kit.runs.record import RECORD, outcome_text, read_record, record_files
from nextaim_kit.runs.run_cost import age

_DATA = "data"
_MOST = 6  # runs beside each other, where nobody says which

Line = tuple[str, list[str]]


@dataclass(frozen=True)
class SideBySide:
    """Runs of a notebook, a column each.

    Attributes
    ----------
    notebook : str
    runs : list of str
        Their ids.
    settings : list of (str, list of str)
        The data; then profile, parameters, kit and outcome, as far as they are not the same in all.
    metrics : list of (str, list of str)
        Each number with its interval and unit; a dash where a run has none.
    """

    notebook: str
    runs: list[str]
    settings: list[Line]
    metrics: list[Line]


def side_by_side(records: Sequence[Mapping[str, Any]], study: Study) -> SideBySide:
    """Put runs of one notebook beside each other.

    Parameters
    ----------
    records : sequence of mapping
        Run records of one notebook.
    study : Study
    """
    settings = [_settings(record) for record in records]
    measured = [{c.name: c for c in compare(r, study) if c.measured} for r in records]
    labels = {name: c.label for one in measured for name, c in one.items()}
    lines = [(n, [one.get(n, "-") for one in settings]) for n in dict.fromkeys(_names(settings))]
    return SideBySide(
        records[0]["notebook"],
        [record["id"] for record in records],
        [line for line in lines if line[0] == _DATA or len(set(line[1])) > 1],
        [(label, [one[name].text if name in one else "-" for one in measured])
         for name, label in labels.items()],
    )  # fmt: skip


def _names(settings: Sequence[Mapping[str, str]]) -> Iterator[str]:
    return (name for one in settings for name in one)


def _settings(record: Mapping[str, Any]) -> dict[str, str]:
    names = {str(d["name"]) for d in record["data"]}
    own = {n: v for n, v in record.get("parameters", {}).items() if str(v) not in names}
    return {
        _DATA: ", ".join(map(_data_said, record["data"])) or "none",
        "profile": record["profile"],
        **{name: _said(value) for name, value in own.items()},
        "kit": record.get("kit", ""),
        "outcome": outcome_text(record),
    }


def _data_said(data: Mapping[str, Any]) -> str:
    """Name and the first digits of the content; synthetic ones in capitals."""
    if data.get("synthetic"):
        return "SYNTHETIC" if data["name"] == "synthetic" else f"SYNTHETIC: {data['name']}"
    return f"{data['name']} ({data['sha256'][:6]})" if data["sha256"] else str(data["name"])


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in ("", None) else str(value)


def newest_of(folder: Path, studies: Sequence[Study]) -> dict[str, SideBySide]:
    """The newest runs of each notebook that was run more than once, by the notebook's id."""
    found = {}
    for study in studies:
        for notebook in study.notebooks.values():
            runs = list(islice(_runs(folder / notebook.id), _MOST))
            if len(runs) > 1:
                found[notebook.id] = side_by_side(runs, study)
    return found


def asked_for(folder: Path, names: Sequence[str]) -> SideBySide:
    """The runs that somebody names, beside each other.

    Parameters
    ----------
    folder : Path
        Of all runs.
    names : sequence of str
        Ids of runs, or how they begin; a notebook's id stands for its newest runs.

    Raises
    ------
    RequestError
        If a name stands for no run or for several, or the runs are not of one notebook or fewer
        than two.
    """
    records = [record for name in names for record in _named(folder, name)]
    notebooks = sorted({record["notebook"] for record in records})
    if len(notebooks) > 1 or len(records) < 2:
        raise RequestError(
            "these runs cannot be put beside each other",
            expected="two runs or more of one notebook that did not fail",
            found=f"{len(records)} of {', '.join(notebooks) or 'none'}",
            mend="nextaim board <study>/<stage> shows the newest of one notebook",
        )
    return side_by_side(records, catalog.study_of(notebooks[0]))


def _named(folder: Path, name: str) -> list[dict[str, Any]]:
    if "/" in name:
        return list(islice(_runs(folder / catalog.find(name).id), _MOST))
    paths = [path for path in sorted(folder.glob(f"*/*/*/{RECORD}")) if _is(path, name)]
    record = read_record(paths[0].parent) if len(paths) == 1 else None
    if record is None:
        raise RequestError(
            f"no run {name!r}" if len(paths) < 2 else f"{name!r} begins the ids of several runs",
            expected="the id of one run, as its folder is called, or its first letters",
            found=", ".join(path.parent.name for path in paths) or f"none of it in {folder}",
            mend="nextaim board <study>/<stage> tells the ids of a notebook's newest runs",
        )
    return [record]


def _is(path: Path, name: str) -> bool:
    return path.parent.name.startswith(name)


def _runs(folder: Path) -> Iterator[dict[str, Any]]:
    """A notebook's runs that did not fail, the newest first."""
    for path in sorted(record_files(folder), key=age):
        record = read_record(path.parent)
        if record and record["outcome"] != "failed":
            yield record
