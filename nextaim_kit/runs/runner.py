"""Run a notebook headless, once per request, and leave a record that can be trusted."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.errors import KernelDied, KitError, RunError, mend_of
from nextaim_kit.machine import hub
from nextaim_kit.runs import record as records
from nextaim_kit.runs.context import Ended, compose, headings, machine, missing_outputs
from nextaim_kit.runs.documents import public_text, write_documents
from nextaim_kit.runs.execution import Observer, execute_cells, without_colors
from nextaim_kit.runs.parameters import resolve
from nextaim_kit.runs.request import REQUEST, RESULT, Request

_EXECUTING = ".executing.ipynb"
_KEPT = {"checkpoints", ".lock"}  # what a run that was killed may go on from


def execute(
    request: Request,
    *,
    force: bool = False,
    wait: bool = False,
    observer: Observer | None = None,
) -> tuple[dict[str, Any], bool]:
    """Give the record of the run that answers `request`, running its notebook if need be.

    Parameters
    ----------
    request : Request
    force : bool
        Run again although the run is done.
    wait : bool
        Wait for another process that makes this run, instead of giving up.
    observer : Observer, optional
        Hears of the progress.

    Returns
    -------
    record : dict
    fresh : bool
        Whether the notebook was run now.

    Raises
    ------
    RunError
        If a cell fails, a declared output is missing, or another process makes this run.
    KernelDied
        If the notebook's process was killed.
    """
    if not force and records.is_done(request.folder):
        return records.read_record(request.folder) or {}, False
    with records.locked(request.folder, wait=wait):
        if not force and records.is_done(request.folder):  # by another process, just now
            return records.read_record(request.folder) or {}, False
        _clear(request.folder, {".lock"} if force else _KEPT)
        failed: KitError | None = None
        try:
            request.write()
            began = time.monotonic()
            try:
                with hub.kept_awake():
                    _run(request, observer or Observer())
            except KitError as error:
                failed = error
            record = _close(request, failed, began)
        except BaseException as error:
            _clear(request.folder)  # what lies there half made holds paths of the user's
            if failed and isinstance(error, KitError):
                raise failed from error  # a disk that was full before is full still
            raise
        if failed:
            raise failed
        return record, True


def _clear(folder: Path, kept: Collection[str] = _KEPT) -> None:
    for path in folder.iterdir():
        if path.name not in kept:
            linked = path.is_symlink()  # what it leads to is not the run's
            shutil.rmtree(path) if path.is_dir() and not linked else path.unlink()


def _run(request: Request, observer: Observer) -> None:
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    notebook = catalog.find(request.notebook)
    try:
        with _kernel_environment(request):
            execute_cells(
                notebook.path,
                request.folder / _EXECUTING,
                request.parameters,
                observer,
            )
    except PapermillExecutionError as error:
        if error.ename != Ended.__name__:
            raise _cell_error(request, error) from None
    except DeadKernelError:
        raise KernelDied(
            f"the notebook's process of {notebook.id} was killed",
            found="no answer from the kernel; most often memory ran out",
            mend="run a smaller profile, or on a machine with more memory",
        ) from None
    except RuntimeError as error:  # of jupyter_client, which has no kinds of them
        raise _kernel_error(notebook, str(error)) or error from None
    except OSError as error:
        raise RunError(
            f"the run of {notebook.id} could not be carried out",
            found=error.strerror or str(error),
            mend=mend_of(error, "give another folder with --out or NEXTAIM_RUNS"),
        ) from error
    _require_result(request, notebook)


def _kernel_error(notebook: catalog.Notebook, said: str) -> RunError | None:
    """Why a kernel did not come to its first cell; None of anything else."""
    if "died before" in said:
        return KernelDied(
            f"the notebook's process of {notebook.id} ended before its first cell",
            found=said,
            mend="nextaim doctor says what is wrong with the kernel; often memory ran out",
        )
    if "didn't respond" in said:
        return RunError(
            f"the notebook's process of {notebook.id} did not start in time",
            found=said,
            mend="run again when the machine is less busy",
        )
    return None


def _require_result(request: Request, notebook: catalog.Notebook) -> None:
    path = request.folder / RESULT
    result = json.loads(path.read_text()) if path.exists() else {"metrics": []}
    missing = missing_outputs(notebook, result, request.folder)
    if missing or not path.exists():
        raise RunError(
            f"{notebook.id} ended without {', '.join(missing) or 'calling run.finish()'}",
            expected="every output that study.yaml declares",
            mend="mend the notebook: its last cell calls run.finish()",
        )


def _close(request: Request, error: KitError | None, began: float) -> dict[str, Any]:
    """Write notebook, report and, last, the record, with the seconds that all of it took."""
    folder = request.folder
    record = _failed(request, error) if error else compose(request, _result(folder))
    if (folder / _EXECUTING).exists():
        text = (folder / _EXECUTING).read_text(encoding="utf-8")
        write_documents(request, text, record, Ended.__name__)
    for name in (_EXECUTING, REQUEST, RESULT):
        (folder / name).unlink(missing_ok=True)
    return records.write_record(folder, record | {"seconds": round(time.monotonic() - began, 1)})


def _result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / RESULT).read_text(encoding="utf-8"))


def _failed(request: Request, error: KitError) -> dict[str, Any]:
    empty = {"metrics": [], "tables": [], "figures": [], "failures": 0, "sections": []}
    described = {"kind": type(error).__name__, "what": public_text(str(error), request)}
    return {**request.public(), **empty, "outcome": "failed", "error": described} | machine()


def _cell_error(request: Request, error: Any) -> RunError:
    cells = json.loads(catalog.find(request.notebook).path.read_text(encoding="utf-8"))["cells"]
    heading = headings(cells).get(str(error.source).strip(), "its parameters")
    return RunError(
        f"{request.notebook} failed in the section '{heading}'",
        found=without_colors(f"{error.ename}: {error.evalue}"),
        mend=f"the traceback is in {request.folder / records.REPORT}",
    )


def _kernel_environment(request: Request) -> AbstractContextManager[None]:
    # The environment's own kernel before a user-wide one of the same name; logs stay readable.
    return environ(
        {
            "NEXTAIM_RUN": str(request.folder),
            "NEXTAIM_PROVE": "1" if _proves(request) else "",
            "JUPYTER_PREFER_ENV_PATH": "1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }
    )


def _proves(request: Request) -> bool:
    """Whether the solutions must have answers: a profile as it is declared, on the twin.

    No exercise ends a run on a user's own data or with parameters of a user's own.
    """
    synthetic = all(d["sha256"] is None for d in request.data)
    declared = resolve(catalog.find(request.notebook), request.profile, {})
    return synthetic and request.parameters == declared


@contextmanager
def environ(changes: Mapping[str, str]) -> Iterator[None]:
    """Change environment variables for a while."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
