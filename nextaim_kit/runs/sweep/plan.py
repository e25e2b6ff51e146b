"""The plan of a sweep: a row per run, frozen in a table that the engine works from."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from nextaim_kit import catalog
from nextaim_kit.catalog import Resources
from nextaim_kit.errors import RequestError
from nextaim_kit.files import read_json, write_json, write_text
from nextaim_kit.machine.kit import kit_version
from nextaim_kit.places import plain
from nextaim_kit.runs import record as records
from nextaim_kit.runs.chain import feeders, sharing
from nextaim_kit.runs.checks import judge_of
from nextaim_kit.runs.parameters import read_parameters, resolve
from nextaim_kit.runs.schema import checked
from nextaim_kit.runs.sweep.spec import Sweep, read_sweep

TABLE, PLAN = "plan.csv", "plan.json"
_LEAD = ("index", "id", "notebook", "profile", "needs")
_UNKNOWN = Resources(minutes=60, memory_gb=2)


@dataclass(frozen=True)
class Row:
    """One run of the sweep.

    Attributes
    ----------
    index : int
        Its place in the table; rows that feed others stand before them.
    id : str
        Twelve hexadecimal digits of what identifies the run; where another row feeds it, of that
        row's id instead of its file's content.
    parameters : dict
        Those given; the profile and the notebook have the others.
    needs : dict
        Parameter -> (id of the row that feeds it, file).
    """

    index: int
    id: str
    notebook: str
    profile: str
    parameters: dict[str, Any]
    needs: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Plan:
    """A sweep's rows, in a folder of its own below the runs."""

    folder: Path
    sweep: Sweep
    rows: list[Row]
    sources: dict[str, str]  # what the rows' ids came from, to tell what changed
    file: str  # the sweep file's path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def runs(self) -> Path:
        """Folder of all runs."""
        return self.folder.parents[1]

    @cached_property
    def by_id(self) -> dict[str, Row]:
        return {row.id: row for row in self.rows}

    @property
    def last(self) -> list[Row]:
        """Rows of the last notebook: those whose metrics the sweep is about."""
        return [row for row in self.rows if row.notebook == self.sweep.notebooks[-1]]

    @property
    def metric(self) -> str:
        """Metric that the report ranks by; empty where the last notebook declares none.

        By default the first for which a number was published, else the first.
        """
        notebook = catalog.find(self.sweep.notebooks[-1])
        published = catalog.study_of(notebook.id).published
        named = {p.matches or p.metric for p in published if p.notebook in (None, notebook.stage)}
        declared = sorted(notebook.outputs.metrics, key=lambda name: name not in named)
        return self.sweep.metric or (declared[0] if declared else "")

    def resources(self, row: Row) -> Resources:
        """What a row takes, as its profile or the sweep declares it."""
        declared = catalog.find(row.notebook).resources.get(row.profile, _UNKNOWN)
        asked = {str(name): value for name, value in self.sweep.resources.items()}
        cores = math.ceil(asked.get("cores", declared.cores))
        return declared.model_copy(update=asked | {"cores": cores})

    def settings(self, row: Row) -> dict[str, Any]:
        """What varies over the sweep, as it is in a row and in those that feed it."""
        own = {
            name: row.parameters[name.rpartition(".")[2]]
            for name in self.sweep.varied()
            if self._is_said_by(name, row)
        }
        fed = [self.settings(self.by_id[feeder]) for feeder, _ in row.needs.values()]
        return {name: value for part in (*fed, own) for name, value in part.items()}

    def _is_said_by(self, name: str, row: Row) -> bool:
        """Whether a row's value is what the sweep gave under this name."""
        stage, _, bare = name.rpartition(".")
        own = row.notebook.partition("/")[2]
        said = (*self.sweep.parameters, *self.sweep.varied())
        hidden = not stage and f"{own}.{bare}" in said  # the name with its stage went before
        return bare in row.parameters and stage in ("", own) and not hidden


def setting_text(value: Any) -> str:
    """A setting as a person would write it."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def expand(file: Path, out: str | Path | None = None) -> Plan:
    """All rows that a sweep file asks for, checked, without writing or starting anything.

    Raises
    ------
    RequestError
        On an unknown notebook, profile, parameter or metric, a value that cannot be, a sweep
        without runs, or two combinations that ask for one and the same run.
    DataError
        If data that a parameter names are missing.
    KitError
        As `judge` does of a row; what another row feeds is judged when that row is run.
    """
    sweep = read_sweep(file)
    folder = sweep_folder(file, out)
    notebooks = [catalog.find(i) for i in sweep.notebooks]
    _check_metric(sweep, notebooks[-1])
    _check_order(sweep)
    rows: dict[str, Row] = {}
    final: dict[str, dict[str, Any]] = {}
    fingerprint = _fingerprints()
    shared = sharing(sweep.notebooks, [*sweep.parameters, *sweep.varied()])
    fed_by = {i: feeders(i, sweep.notebooks[:place]) for place, i in enumerate(sweep.notebooks)}
    beside = file.resolve().parent
    judges = {notebook.id: judge_of(notebook) for notebook in notebooks if notebook.checks}
    for combination in sweep.combinations(_first_seed(sweep)):
        own = shared({**sweep.parameters, **combination})
        if sweep.where and not sweep.holds(_names(sweep, own)):
            continue
        made: dict[str, Row] = {}
        for notebook in notebooks:
            mine = _placed(notebook, own[notebook.id], beside)
            fed = {
                parameter: (made[feeder].id, output)
                for parameter, (feeder, output) in fed_by[notebook.id].items()
                if parameter not in mine
            }
            if notebook.id in judges:
                judges[notebook.id](resolve(notebook, sweep.profile, mine))
            row_id = identify(notebook, sweep.profile, mine, fed, fingerprint)
            made[notebook.id] = row = Row(len(rows), row_id, notebook.id, sweep.profile, mine, fed)
            rows.setdefault(row.id, row)
        if row.id in final:
            raise _same_run(final[row.id], combination, row)
        final[row.id] = combination
    if not rows:
        raise RequestError(
            "the sweep has no runs",
            found=f"no combination fulfils {' and '.join(sweep.where)}",
            mend="widen `where`, or give other values",
        )
    sources = {"kit": kit_version(), "sweep file": _digest(file.read_bytes())}
    sources |= {n.id: _digest(n.path.read_bytes()) for n in notebooks}
    return Plan(folder, sweep, list(rows.values()), sources, str(file.resolve()))


def sweep_folder(file: Path, out: str | Path | None = None) -> Path:
    """Folder of a sweep: named by its file, or by the file's folder if that is ``sweep.yaml``.

    Raises
    ------
    RequestError
        If a control character stands in the name: it would end a line of a job's script.
    """
    file = file.resolve()
    name = file.stem if file.stem != "sweep" else file.parent.name or file.stem
    return records.runs_folder(out) / "sweeps" / plain(name, "the sweep's name")


def _check_metric(sweep: Sweep, notebook: catalog.Notebook) -> None:
    declared = notebook.outputs.metrics
    if sweep.metric and sweep.metric not in declared:
        near = catalog.near_miss(sweep.metric, declared)
        raise RequestError(
            f"{notebook.id} declares no metric {sweep.metric!r}",
            expected=f"one of {', '.join(declared)}",
            mend=f"did you mean {near!r}?" if near else "see `nextaim show`",
        )


def _check_order(sweep: Sweep) -> None:
    for place, notebook_id in enumerate(sweep.notebooks):
        if notebook_id in sweep.notebooks[:place]:
            raise RequestError(f"the sweep names the notebook {notebook_id} twice")
        for feeder, _ in feeders(notebook_id, sweep.notebooks[place + 1 :]).values():
            raise RequestError(
                f"{notebook_id} stands before {feeder}, which feeds it",
                mend="name them in the order in which they run",
            )


def _first_seed(sweep: Sweep) -> int:
    notebook = catalog.find(sweep.notebooks[-1])
    declared = read_parameters(notebook.path).get("seed")
    default = declared.default if declared else 0
    return int(notebook.profiles.get(sweep.profile, {}).get("seed", default))


def _names(sweep: Sweep, own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a condition may speak of: every parameter, and each stage's by ``<stage>.<name>``."""
    values = {i: resolve(catalog.find(i), sweep.profile, given) for i, given in own.items()}
    plain = {name: value for part in values.values() for name, value in part.items()}
    return plain | {catalog.find(i).stage: part for i, part in values.items()}


def _placed(notebook: catalog.Notebook, own: Mapping[str, Any], beside: Path) -> dict[str, Any]:
    """Parameters, with paths of data that are relative counted from the sweep file's folder."""
    data = {name: own[name] for name in notebook.data if isinstance(own.get(name), str)}
    return {**own, **{name: _place(name, value, beside) for name, value in data.items()}}


def _place(name: str, value: str, beside: Path) -> str:
    from nextaim_kit.data.datasets.manifest import manifest_names
    from nextaim_kit.data.datasets.source import SYNTHETIC

    if not value.strip() or value in (SYNTHETIC, *manifest_names()) or value[0] in "/~":
        return value
    if not (beside / value).exists() and Path(value).exists():
        raise RequestError(
            f"the sweep's {name} {value!r} is not beside the sweep file",
            expected=f"a path that is absolute, or counts from {beside}",
            found="one that counts from the current folder",
            mend="a sweep's rows may run elsewhere: write the path as it is from the file",
        )
    return str(beside / value)


def _fingerprints() -> Callable[[str], dict[str, Any]]:
    @cache
    def taken(spec: str) -> dict[str, Any]:
        from nextaim_kit.data.cohort.fingerprint import fingerprint  # pandas takes its time

        return fingerprint(spec)

    return taken


def identify(
    notebook: catalog.Notebook,
    profile: str,
    own: Mapping[str, Any],
    fed: Mapping[str, tuple[str, str]],
    fingerprint: Callable[[str], dict[str, Any]],
) -> str:
    """Identity of a row: the run's own id, unless another row feeds it."""
    values = resolve(notebook, profile, own)
    values |= {parameter: "/".join(source) for parameter, source in fed.items()}
    named = [name for name in notebook.data if values[name]]
    data = [
        {"name": values[name], "sha256": None} if name in fed else fingerprint(values[name])
        for name in named
    ]
    return records.run_id(notebook, values, data)


def _same_run(first: Mapping[str, Any], second: Mapping[str, Any], row: Row) -> RequestError:
    return RequestError(
        f"the sweep asks twice for one and the same run of {row.notebook} ({row.id})",
        expected="combinations that each change what the last notebook runs with",
        found=f"{json.dumps(first)} and {json.dumps(second)}",
        mend="leave one of the two out",
    )


def freeze(plan: Plan) -> None:
    """Write the plan's table, and beside it what guards it.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    table = table_text(plan)
    guard = {
        "table": _digest(table.encode()),
        "sources": plan.sources,
        "file": plan.file,
        "sweep": plan.sweep.model_dump(exclude_defaults=True),
    }
    write_text(plan.folder / TABLE, table)
    write_json(plan.folder / PLAN, guard)


def load(folder: Path) -> Plan | None:
    """The plan frozen in a folder; None where there is none.

    Raises
    ------
    RequestError
        If its table was edited after it was frozen.
    """
    try:
        guard = checked(read_json(folder / PLAN), _Guard)
        table = (folder / TABLE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RequestError(f"{folder} cannot be read", found=error.strerror or "") from error
    except ValueError as error:
        raise _damaged(folder, error) from error
    if _digest(table.encode()) != guard["table"]:
        raise RequestError(
            f"the plan {folder.name} was edited after it was frozen",
            expected="the table as `nextaim sweep plan` wrote it",
            found=f"another {TABLE}",
            mend=f"{_PLAN_ANEW}; what a sweep runs is changed in the sweep file",
        )
    try:
        sweep, rows = Sweep(**guard["sweep"]), list(_rows(table))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(folder, error) from error
    return Plan(folder, sweep, rows, guard["sources"], guard["file"])


class _Guard(TypedDict):
    table: str
    sources: dict[str, str]
    file: str
    sweep: dict[str, Any]


def _damaged(folder: Path, error: Exception) -> RequestError:
    said = str(error).partition("\n")[0]
    return RequestError(f"the plan in {folder} is damaged", found=said, mend=_PLAN_ANEW)


_PLAN_ANEW = "freeze it anew: nextaim sweep plan FILE; runs that are done stay done"


def require_same(frozen: Plan, now: Plan) -> None:
    """Refuse to go on with a frozen plan that the sweep file or a notebook no longer gives.

    Raises
    ------
    RequestError
        Naming what changed.
    """
    require_own(frozen, now)
    if table_text(frozen) == table_text(now) and frozen.sweep == now.sweep:
        return
    raise changed(frozen, now.sources)


def require_own(frozen: Plan, now: Plan) -> None:
    """Refuse a sweep file whose name another one has taken.

    Raises
    ------
    RequestError
        Naming the other one.
    """
    if frozen.file != now.file and Path(frozen.file).exists():
        raise RequestError(
            f"there is another sweep of the name {now.name}",
            found=frozen.file,
            mend="give this file another name, or its runs another folder with --out",
        )


def require_current(plan: Plan, rows: Iterable[Row]) -> None:
    """Refuse to start rows that would be others now, since kit, notebook or data changed.

    Raises
    ------
    RequestError
        Naming what changed.
    """
    fingerprint, find = _fingerprints(), cache(catalog.find)
    for row in rows:
        notebook = find(row.notebook)
        if identify(notebook, row.profile, row.parameters, row.needs, fingerprint) != row.id:
            raise changed(plan, sources_now(plan))


def changed(frozen: Plan, sources: Mapping[str, str]) -> RequestError:
    """What to say of a plan whose rows would be others now."""
    other = [name for name, digest in sources.items() if frozen.sources.get(name) != digest]
    return RequestError(
        f"the plan {frozen.name} no longer holds: {_names_of(other)} changed since it was frozen",
        expected="the same runs as planned, so that a sweep never mixes two versions",
        mend=_PLAN_ANEW,
    )


def _names_of(changed: list[str]) -> str:
    words = {"kit": "the kit", "sweep file": "the sweep file"}
    return ", ".join(words.get(name, name) for name in changed) or "its data, or a profile,"


def sources_now(plan: Plan) -> dict[str, str]:
    """Digests of kit and notebooks as they are now."""
    found = {i: _digest(catalog.find(i).path.read_bytes()) for i in plan.sweep.notebooks}
    return {"kit": kit_version(), **found}


def table_text(plan: Plan) -> str:
    """The plan as a table: a line per row, parameters as JSON, empty where a row has none."""
    names = sorted({name for row in plan.rows for name in row.parameters})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_LEAD, *names])
    for row in plan.rows:
        values = [json.dumps(row.parameters[n]) if n in row.parameters else "" for n in names]
        needs = json.dumps(row.needs) if row.needs else ""
        writer.writerow([row.index, row.id, row.notebook, row.profile, needs, *values])
    return stream.getvalue()


def _rows(table: str) -> Iterator[Row]:
    for line in csv.DictReader(io.StringIO(table)):
        index, row_id, notebook, profile, needs = (line.pop(name) for name in _LEAD)
        parameters = {name: json.loads(text) for name, text in line.items() if text}
        fed = {name: (row, file) for name, (row, file) in json.loads(needs or "{}").items()}
        yield Row(int(index), row_id, notebook, profile, parameters, fed)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
