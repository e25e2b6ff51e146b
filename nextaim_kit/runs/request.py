"""What is asked of a run: checked, fingerprinted and named before a kernel starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.errors import DataError
from nextaim_kit.files import read_json, write_json
from nextaim_kit.machine.kit import kit_version
from nextaim_kit.runs import record as records
from nextaim_kit.runs.checks import judge
from nextaim_kit.runs.parameters import resolve
from nextaim_kit.runs.schema import checked

REQUEST, RESULT = "request.json", "result.json"


@dataclass(frozen=True)
class Request:
    """One run that is asked for."""

    notebook: str
    profile: str
    parameters: dict[str, Any]
    data: list[dict[str, Any]]
    id: str
    folder: Path

    def public(self) -> dict[str, Any]:
        """What the record says of the request: of a user's own data only the name."""
        notebook = catalog.find(self.notebook)
        own = {n: data_name(self.parameters[n]) for n in notebook.data}
        return {
            "id": self.id,
            "notebook": self.notebook,
            "study": self.notebook.partition("/")[0],
            "stage": notebook.stage,
            "title": notebook.title,
            "profile": self.profile,
            "parameters": self.parameters | own,
            "data": self.data,
            "kit": kit_version(),
        }

    def write(self) -> None:
        """Leave the request in its folder, where the kernel finds it."""
        described = asdict(self) | {"folder": None}
        write_json(self.folder / REQUEST, described)

    @classmethod
    def read(cls, folder: Path) -> Request:
        """The request that was left in `folder`.

        Raises
        ------
        DataError
            If there is none that can be read.
        """
        try:
            return checked({**read_json(folder / REQUEST), "folder": folder}, cls)
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"the run's {REQUEST} cannot be read", found=str(error)) from error


def prepare(
    notebook_id: str,
    profile: str,
    given: Mapping[str, Any],
    out: str | Path | None = None,
    *,
    live: bool = False,
) -> Request:
    """Check a request and name the run that answers it, without starting anything.

    A live one comes from a notebook that is open: its parameters are those given, checked.

    Raises
    ------
    RequestError
        On an unknown notebook, profile or parameter, or a value that cannot be.
    DataError
        If data that a parameter names are missing.
    KitError
        As `judge` does.
    """
    from nextaim_kit.data.cohort.fingerprint import fingerprint  # pandas takes its time
    from nextaim_kit.data.datasets.source import find_source

    notebook = catalog.find(notebook_id)
    values = dict(given) if live else resolve(notebook, profile, given)
    sources = {name: find_source(values[name]) for name in notebook.data if values[name]}
    values |= {name: source.spec for name, source in sources.items()}
    judge(notebook, values)
    data = [fingerprint(source) for source in sources.values()]
    identity = records.run_id(notebook, values, data) + ("-live" if live else "")
    folder = records.runs_folder(out) / notebook.id / identity
    return Request(notebook.id, profile, values, data, identity, folder)


def data_name(value: Any) -> Any:
    """The name of a data path, without the folders that lead to it."""
    return Path(value).name if isinstance(value, str) and "/" in value else value
