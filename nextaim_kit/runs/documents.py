"""The notebook and the report that a run leaves, without times, paths and tools' own marks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.data.store.memory import without_places
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path
from nextaim_kit.runs import record as records
from nextaim_kit.runs.request import Request, data_name


def write_documents(request: Request, text: str, record: Mapping[str, Any], ended: str) -> None:
    """Write the executed notebook and the report into the run's folder.

    Parameters
    ----------
    request : Request
    text : str
        The executed notebook as JSON.
    record : mapping
        Of the run; ``files`` is not needed yet.
    ended : str
        Name of the exception that ends a run before its last cell and is no error.

    Raises
    ------
    DataError
        If the text is cut off, or they cannot be written.
    """
    import nbformat

    from nextaim_kit.runs.notebook_page import render_report

    try:
        document = nbformat.reads(public_text(text, request), as_version=4)
    except ValueError as error:
        raise DataError(
            f"the notebook that {request.notebook} ran was not kept whole",
            expected="room for it on the disk of the runs",
            mend="free space there, or give another folder with --out or NEXTAIM_RUNS",
        ) from error
    _tidy(document, ended)
    with atomic_path(request.folder / records.NOTEBOOK) as partial:
        nbformat.write(document, partial)
    study = catalog.study_of(request.notebook)
    render_report(document, record, study, request.folder / records.REPORT)


def _tidy(document: Any, ended: str) -> None:
    """Drop times, paths and papermill's own marks, which belong in no result."""
    document.cells = [
        c for c in document.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])
    ]
    document.metadata.pop("papermill", None)
    for cell in document.cells:
        if cell.cell_type == "code":  # `Run.end` is no error; what it says is printed
            cell.outputs = [o for o in cell.outputs if o.get("ename") != ended]
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)


def public_text(text: str, request: Request) -> str:
    """A text of a run that names the user's data and no longer says where anything lies."""
    data = [request.parameters[name] for name in catalog.find(request.notebook).data]
    paths = [Path(v) for v in data if isinstance(v, str) and data_name(v) != v]
    return without_paths(text, paths, {str(request.folder): "<run>"})


def without_paths(text: str, paths: Collection[Path], places: Mapping[str, str]) -> str:
    """A text that names a user's own data and folders, and no longer says where they lie.

    Parameters
    ----------
    text : str
    paths : collection of Path
        The user's own data, of which the names stay.
    places : mapping
        Folders and what stands in their place.
    """
    text = without_places(text)
    own = {str(p): p.name for p in paths} | {f"{p.parent}/": "" for p in paths} | dict(places)
    own |= {str(catalog.project_folder()): "<kit>", str(Path.home()): "~"}
    for path, name in sorted(own.items(), key=lambda item: -len(item[0])):
        # A root, such as the home of a container's user, is in every text and tells nothing.
        if len(Path(path).parts) > 2 or path == str(Path.home()) != "/":
            text = text.replace(path, name)
    return text
