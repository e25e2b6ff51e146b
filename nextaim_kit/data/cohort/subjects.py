"""Do something to every subject of a table, so that no subject loses the others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import PicklingError
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.cache.step import lazy
from nextaim_kit.data.cache.store import Entry, whole
from nextaim_kit.data.cohort.tables import PATHS, check_columns
from nextaim_kit.data.hashes import at_once
from nextaim_kit.data.images.remembered import HEADERS, Held
from nextaim_kit.data.paths import split_choice
from nextaim_kit.data.store import view
from nextaim_kit.errors import DataError, KitError, RequestError
from nextaim_kit.machine import limits
from nextaim_kit.machine.jobs import Job, WorkerKilled
from nextaim_kit.machine.time_limit import OutOfTime, time_limit
from nextaim_kit.machine.workers import isolated, scheduler
from nextaim_kit.progress import Progress, ProgressLine

_LATE = "; or it took twice the minutes of NEXTAIM_SUBJECT_MINUTES"
Row = Mapping[str, Any]
Step = Callable[..., Any]


@dataclass(frozen=True)
class Done:
    """What `each` gives, in the table's order.

    Attributes
    ----------
    results : list
        Of the subjects for which the step gave one.
    done : array of bool, shape (rows of the table,)
        Which these are.
    rows : DataFrame
        Their rows of the table, with its index.
    failures : DataFrame
        The others: ``subject``, ``site`` where the table has it, and ``problem``, one line that
        says what failed, what was expected and found, and how to mend it.
    """

    results: list[Any]
    done: NDArray[np.bool_]
    rows: pd.DataFrame
    failures: pd.DataFrame

    def table(self, *columns: str) -> pd.DataFrame:
        """Results that are dicts as a table: behind `columns` of the subjects' rows."""
        first = self.rows.reindex(columns=list(columns))
        found = pd.DataFrame(self.results, index=first.index)
        return pd.concat([first, found], axis=1).reset_index(drop=True)


def each(
    table: pd.DataFrame,
    step: Step,
    *,
    columns: Sequence[str] | None = None,
    keep: Any = False,
    workers: int | None = None,
    memory: Callable[[Row], int] | None = None,
    progress: str | Progress = "",
    key: str = "",
    **parameters: Any,
) -> Done:
    """Call ``step(row, **parameters)`` for every subject of a table.

    Whatever the step raises for a subject, the death of the process that works on it, and more than
    ``NEXTAIM_SUBJECT_MINUTES`` (240), become a row of `Done.failures`; the others go on.

    Parameters
    ----------
    table : DataFrame
        A row for each subject, named in the column ``subject``.
    step : callable
        Is given the row as a dict; a missing value (NA) is None.
    columns : sequence of str, optional
        All that the step is given of a row; by default the whole row.
    keep : bool, or a version
        Keep results in the cache of steps and take them from there: a call that was killed goes on
        where it was. They are found by the contents of the row's files, its other values (so name
        `columns`, or another label makes all anew), `parameters`, the step's own source and the
        version, which is changed when what the step calls changes.
    workers : int, optional
        Processes; by default as many as there are cores. 1 stays in this process. With
        ``NEXTAIM_DASK`` (`machine.workers`) any other number stands for all workers of that
        scheduler, who need absolute paths in a file system that is shared.
    memory : callable, optional
        Bytes that a worker needs for a row: no more of them than the largest row allows.
    progress : str or callable
        What the line of progress begins with, none by default; or what is called with the number
        done, their total and the subject just done.
    key : str
        As for `data.cache.cached`: stands for a step that is a lambda or closure and kept.
    **parameters
        What else the step is told.

    Raises
    ------
    DataError
        If the table lacks a column.
    RequestError
        If the table repeats a subject, `workers` is below 1, the step cannot be sent to a process,
        or cannot be told from others where results are kept; or the minutes are no time.
    RunError
        If the workers of ``NEXTAIM_DASK`` cannot be used.

    Examples
    --------
    >>> import math
    >>> table = pd.DataFrame({"subject": ["A-1", "A-2"], "volume": [8.0, -1.0]})
    >>> found = each(table, lambda row: {"log": math.log2(row["volume"])}, workers=1)
    >>> found.table("subject").to_dict("records")
    [{'subject': 'A-1', 'log': 3.0}]
    >>> found.failures["subject"].tolist(), found.failures["problem"][0][:10]
    (['A-2'], 'ValueError')
    """
    if workers is not None and workers < 1:
        raise RequestError("workers is out of bounds", expected="1 or more", found=str(workers))
    rows, names = _rows(table, columns), table["subject"].astype(str).tolist()
    report = progress if callable(progress) else ProgressLine(progress) if progress else None
    told = {"version": None if keep is True else keep, "key": key, **parameters}
    with at_once():
        entries = [_entry(step, row, **told) if keep else None for row in rows]
    found: dict[int, Any] = {}
    work = partial(_tried, step, _minutes(), os.getpid(), **parameters)
    for at, outcome in _outcomes(rows, work, entries, workers, memory):
        found[at] = outcome
        if report:
            report(len(found), len(rows), names[at])
    ordered = [found[at] for at in range(len(rows))]
    done = np.array([not isinstance(one, _Problem) for one in ordered], bool)
    failures = table.loc[~done, [name for name in ("subject", "site") if name in table]]
    problems = [str(one) for one in ordered if isinstance(one, _Problem)]
    failures = failures.assign(problem=pd.Series(problems, failures.index, dtype="str"))
    results = [one for one in ordered if not isinstance(one, _Problem)]
    return Done(results, done, table[done], failures.reset_index(drop=True))


class _Problem(str):
    """Why a subject has no result."""

    @classmethod
    def of(cls, error: BaseException) -> _Problem:
        if isinstance(error, MemoryError):
            error = DataError("not enough memory", mend="fewer workers, or more memory")
        elif not isinstance(error, KitError):
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            error = DataError(said, mend="look at the files and values of this subject")
        return cls(" ".join(str(error).split()))


def _rows(table: pd.DataFrame, columns: Sequence[str] | None) -> list[Row]:
    wanted = list(table.columns if columns is None else columns)
    check_columns(list(table.columns), wanted, Path("the cohort"))
    twice = table.loc[table["subject"].duplicated(), "subject"]
    if len(twice):
        raise RequestError(
            f"subject {twice.iloc[0]} is in the cohort twice",
            expected="one row per subject",
            mend="give each region of a patient a subject of its own, or drop the repetition",
        )
    records = table[wanted].to_dict("records")
    return [{str(name): _cell(name, value) for name, value in row.items()} for row in records]


def _cell(name: Any, value: Any) -> Any:
    """A value that can be sent and told from others: a path says from where it counts."""
    if name in PATHS and isinstance(value, str) and value:
        return os.path.join(os.getcwd(), os.path.expanduser(value))
    return None if value is pd.NA else value


def _entry(step: Step, row: Row, **told: Any) -> Entry | None:
    try:
        return lazy(step, row, **told).entry
    except DataError:  # a file that cannot be read: the step itself says it better
        return None


def _outcomes(
    rows: list[Row],
    work: Step,
    entries: list[Entry | None],
    workers: int | None,
    memory: Callable[[Row], int] | None,
) -> Iterator[tuple[int, Any]]:
    """Place and result of each row, or its `_Problem`: those that are kept, then as they come."""
    left = []
    for at, entry in enumerate(entries):
        held = entry.read(whole) if entry else []
        if held:
            yield at, held[0]
        else:
            left.append(at)
    n_jobs = _count([rows[at] for at in left], workers, memory)
    jobs: list[Job] = [
        (work, (rows[at], _known(rows[at]) if n_jobs > 1 else []), {}) for at in left
    ]
    began = time.monotonic()
    try:
        for number, outcome in isolated(jobs, n_jobs):
            entry = entries[left[number]]
            if isinstance(outcome, WorkerKilled):
                late = time.monotonic() - began > 120 * _minutes()
                outcome = _Problem(f"{_Problem.of(outcome)}{_LATE * late}")
            if entry and not isinstance(outcome, _Problem):
                entry.write(outcome)
            yield left[number], outcome
    except (PicklingError, TypeError, AttributeError, BrokenExecutor) as error:
        raise RequestError(
            "the step, or what it gave, cannot be sent to another process",
            expected="a step, parameters and results that can be pickled",
            found=" ".join(str(error.__cause__ or error).split())[:300],
            mend="open files and the like in the step itself, or give workers=1",
        ) from error


def _minutes() -> float:
    """How long a step may take for a subject."""
    given = os.environ.get("NEXTAIM_SUBJECT_MINUTES", "").strip() or "240"
    with suppress(ValueError):
        if 0 < float(given) < 1e6:
            return float(given)
    expected = "minutes that a step may take for a subject, such as 30"
    raise RequestError("NEXTAIM_SUBJECT_MINUTES is no time", expected=expected, found=repr(given))


def _known(row: Row) -> list[Held]:
    """What this process knows of the headers of a row's files, so that no worker reads them."""
    places = [value for name, value in row.items() if name in PATHS and isinstance(value, str)]
    return [one for place in places if place for one in HEADERS.below(str(split_choice(place)[0]))]


def _tried(
    step: Step, minutes: float, caller: int, row: Row, headers: list[Held], /, **parameters: Any
) -> Any:
    HEADERS.learn(headers)
    try:
        view.attend(row.values())
        with time_limit(60 * minutes, expendable=os.getpid() != caller):
            return step(row, **parameters)
    except OutOfTime:
        mend = "look at the files of this subject, or give NEXTAIM_SUBJECT_MINUTES more"
        return _Problem.of(DataError(f"not done in {minutes:g} minutes", mend=mend))
    except Exception as error:  # a sick subject can make a step raise anything
        return _Problem.of(error)  # as text: an error holds on to the arrays of its frames


def _count(rows: list[Row], wanted: int | None, memory: Callable[[Row], int] | None) -> int:
    if wanted == 1 or len(rows) < 2:
        return 1
    if scheduler():
        return len(rows)  # their memory is not this machine's
    most = min(wanted or limits.process_count(), len(rows))
    if memory and most > 1:
        most = min(most, limits.memory_available() // max(1, *map(memory, rows)))
    return max(1, most)
