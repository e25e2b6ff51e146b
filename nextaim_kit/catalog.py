"""The studies and their notebooks, as the ``study.yaml`` files declare them."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import read_text
from nextaim_kit.places import folder
from nextaim_kit.yaml_text import parse_yaml

PROFILES = ("smoke", "tutorial", "slice", "paper")
Level = Literal["beginner", "intermediate", "advanced"]

Function = Annotated[str, Field(pattern=r"^([\w.]+:\w+)?$")]  # "module:function", imported late
Tag = Literal["pub", "slides", "code", "calc", "recall", "guess"]
_ADDRESSES = {
    r"doi:(10\.\S*[^\s,;.)])": "https://doi.org/{}",
    r"arXiv:(\d{4}\.\d{4,5})": "https://arxiv.org/abs/{}",
    r"(PMC\d+)": "https://pmc.ncbi.nlm.nih.gov/articles/{}/",
    r"INFN agenda (\d+), contribution (\d+)": "https://agenda.infn.it/event/{}/contributions/{}/",
}


def address(source: str) -> str:
    """Address of a source whose text has its DOI, arXiv or PMC number; empty of another.

    Examples
    --------
    >>> address("Fanni et al. 2023, doi:10.1016/j.ejro.2023.100512")
    'https://doi.org/10.1016/j.ejro.2023.100512'
    """
    for pattern, form in _ADDRESSES.items():
        if found := re.search(pattern, source):
            return form.format(*found.groups())
    return ""


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Published(_Declared):
    """A number from the literature and where it stands."""

    metric: str
    value: float
    tag: Tag
    where: str
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    doi: str | None = None
    notebook: str | None = None  # stage whose metric stands beside it
    matches: str | None = None  # that metric's name, where it differs from `metric`
    note: str = ""

    @property
    def link(self) -> str:
        """Address of its source; empty where it has none."""
        return address(f"doi:{self.doi}" if self.doi else self.where)


class Resources(_Declared):
    """What one run takes, as measured on two cores."""

    minutes: float
    memory_gb: float
    vram_gb: float = 0
    cores: int = 1
    fed: float | None = None  # minutes with what an earlier notebook left, where they differ

    @property
    def longest(self) -> float:
        """Minutes, however it is run."""
        return max(self.minutes, self.fed or 0)


class Outputs(_Declared):
    """What a run promises to leave behind."""

    metrics: list[str] = []
    files: list[str] = []
    optional: list[str] = []  # metrics that only some data allow, such as those against a truth


class Notebook(_Declared):
    """One stage of a study: a notebook that is used as a function."""

    id: Annotated[str, Field(pattern=r"^[\w. -]+/[\w. -]+$")]
    title: str
    italian: str = ""  # its title on the Italian start page, of a lesson
    path: Path
    data: list[str] = []  # parameters that name data
    needs: dict[str, str] = {}  # parameter -> "stage/file" of an earlier notebook's run
    profiles: dict[str, dict[str, Any]] = {}
    checks: Function = ""  # judges its parameters before a kernel starts, see `runs.checks`
    resources: dict[str, Resources] = {}
    outputs: Outputs = Outputs()

    @property
    def stage(self) -> str:
        return self.id.partition("/")[2]


class Thumbnail(_Declared):
    """The picture on a study's card."""

    figure: str  # "stage/name.png": a figure of that notebook's latest run
    alt: str
    until_run: str = ""  # a picture of the project that stands in before


class Study(_Declared):
    """A study case: its question, what was published, its notebooks in order."""

    id: Annotated[str, Field(pattern=r"^[\w. -]+$")]
    title: str
    italian: str = ""  # its title on the Italian start page
    question: str
    step: int = 99  # place on the path of the start page, and in every list
    level: Level = "intermediate"
    after: list[str] = []  # notebooks to be read before
    thumbnail: Thumbnail | None = None
    papers: list[str] = []  # of the method, to be cited, such as "Fanni et al. 2023, doi:10...."
    published: list[Published] = []
    task: Function = ""  # offers its data, see `task_of`
    notebooks: dict[str, Notebook] = Field(default_factory=dict)


def project_folder() -> Path:
    """Folder of the project that holds ``notebooks`` and ``data_manifests``."""
    return Path(__file__).resolve().parents[1]


def notebooks_folder() -> Path:
    """Folder of the notebooks: ``NEXTAIM_NOTEBOOKS``, else the project's own.

    Raises
    ------
    DataError
        If there is none, as after an installation without the project's folder.
    """
    there = folder("NEXTAIM_NOTEBOOKS", project_folder() / "notebooks")
    if not there.is_dir():
        raise DataError(
            "the kit's notebooks are not beside the package",
            expected="an installation from a clone: pip install -e .",
            found=f"no folder {there}",
            mend="clone the project, or set NEXTAIM_NOTEBOOKS to its notebooks folder",
        )
    return there


def studies() -> list[Study]:
    """All studies, in the order of the path: by step, then by name."""
    found = map(_load, notebooks_folder().glob("*/study.yaml"))
    return sorted(found, key=lambda study: (study.step, study.id))


def study_of(notebook_id: str) -> Study:
    """Study that a notebook id such as ``ct_radiomics/severity`` belongs to."""
    return next(s for s in studies() if s.id == find(notebook_id).id.partition("/")[0])


def find(notebook_id: str) -> Notebook:
    """Notebook of an id ``<study>/<stage>``.

    Raises
    ------
    RequestError
        If there is no such notebook; names the nearest one.
    """
    known = {n.id: n for s in studies() for n in s.notebooks.values()}
    if notebook_id in known:
        return known[notebook_id]
    near = near_miss(notebook_id, known)
    raise RequestError(
        f"no notebook {notebook_id!r}",
        expected=f"one of {', '.join(sorted(known))}",
        mend=f"did you mean {near}?" if near else "see `nextaim list`",
    )


def with_task() -> list[str]:
    """Studies that offer their data for questions that cut across, in the order of the path."""
    return [study.id for study in studies() if study.task]


def require_task(study_id: str) -> str:
    """What a study's ``task`` names, by which it offers its data; nothing is imported.

    Raises
    ------
    RequestError
        If there is no such study, or it offers none; names the nearest one that does.
    """
    task = next((study.task for study in studies() if study.id == study_id), "")
    if not task:
        near = near_miss(study_id, with_task())
        raise RequestError(
            f"no study {study_id!r} offers its data",
            expected=f"one of {', '.join(with_task())}",
            mend=f"did you mean {near}?" if near else "name a task in its study.yaml",
        )
    return task


def task_of(study_id: str) -> Callable[..., Any]:
    """The function by which a study offers its data: its ``task``, imported when it is asked for.

    Raises
    ------
    RequestError
        As `require_task` does.
    DataError
        As `named_function` does.
    """
    return named_function(study_id, "task", require_task(study_id))


def named_function(study_id: str, line: str, named: str) -> Callable[..., Any]:
    """The function that a line of a study file names as ``module:function``, imported now.

    Parameters
    ----------
    study_id, line, named : str
        As ``ct_radiomics``, ``task`` and ``nextaim_kit.studies.ct_radiomics.task:task``.

    Raises
    ------
    DataError
        If the module or the function is not there; names the near miss.
    """
    module, _, name = named.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks a package
        raise _not_there(study_id, line, named, module, _beside(str(error.name))) from error
    if not callable(getattr(found, name, None)):
        functions = [n for n, one in vars(found).items() if callable(one)]
        raise _not_there(study_id, line, named, name, functions)
    return getattr(found, name)


def _beside(module: str) -> list[str]:
    """Modules of the package that this one would be in."""
    package = module.rpartition(".")[0]
    paths = importlib.import_module(package).__path__ if package else None
    return [f"{package}.{one.name}".lstrip(".") for one in pkgutil.iter_modules(paths)]


def _not_there(study: str, line: str, named: str, absent: str, known: list[str]) -> DataError:
    near = near_miss(absent, known)
    return DataError(
        f"study file {study}/study.yaml names a function that is not there: {line}",
        expected="module:function, which can be imported",
        found=f"{named}, without {absent}",
        mend=f"did you mean {near}?" if near else f"correct its line `{line}:`",
    )


def expand(name: str) -> list[str]:
    """Notebook ids that a name stands for: a study's all, in order, or one of its own.

    Raises
    ------
    RequestError
        If it is neither a study nor a notebook.
    """
    for study in studies():
        if study.id == name:
            return [notebook.id for notebook in study.notebooks.values()]
    return [find(name).id]


def near_miss(name: str, known: Any) -> str | None:
    """Known name closest to `name`, if any is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def _load(path: Path) -> Study:
    return _parse(path, path.stat().st_mtime_ns)


@cache
def _parse(path: Path, _changed: int) -> Study:
    study = path.parent.name
    try:
        declared = parse_yaml(read_text(path))
        notebooks = {
            stage: {"id": f"{study}/{stage}", "path": _notebook_path(path.parent, stage)} | entry
            for stage, entry in declared.pop("notebooks", {}).items()
        }
        return Study(id=study, notebooks=notebooks, **declared)
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"study file {study}/study.yaml is not well formed", found=str(error)
        ) from error


def _notebook_path(folder: Path, stage: str) -> Path:
    found = sorted(folder.glob(f"[0-9]*_{stage}.ipynb"))
    if len(found) != 1:
        raise DataError(
            f"study file {folder.name}/study.yaml declares the notebook {stage!r}",
            expected=f"one file {folder.name}/<number>_{stage}.ipynb",
            found=f"{len(found)} of them",
        )
    return found[0]
