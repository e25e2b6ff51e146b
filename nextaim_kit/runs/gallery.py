"""A static site of runs: an index with a card for each study, each report, and the board."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nextaim_kit.catalog import Notebook, Study
from nextaim_kit.errors import DataError, KitError, RequestError, mend_of
from nextaim_kit.files import cache_folder, data_folder, take_place, write_json, write_text
from nextaim_kit.machine.kit import kit_version
from nextaim_kit.runs.board import render_board, rows_of
from nextaim_kit.runs.cards import Card, Entry, card
from nextaim_kit.runs.chain import Ending
from nextaim_kit.runs.documents import without_paths
from nextaim_kit.runs.pages import render
from nextaim_kit.runs.record import NOTEBOOK, REPORT, hardware, read_record
from nextaim_kit.runs.run_cost import minutes_text

INDEX, BOARD, SUMMARY = "index.html", "board.html", "gallery.json"
_FOLDERS = re.compile(r"(?<![\w.~>])(?<!:/)~?/(?:[^\s/]+/)+")


def write_gallery(
    endings: Mapping[str, Ending],
    studies: Sequence[Study],
    to: Path,
    runs: Path,
    profile: str,
) -> None:
    """Write the site of these runs; it opens from the file system, without a network.

    Parameters
    ----------
    endings : mapping
        How each notebook ended, by its id.
    studies : sequence of Study
    to : Path
        The site's folder. It appears whole, in place of an earlier one.
    runs : Path
        Folder of all runs, whose records tell what notebooks take on this machine.
    profile : str
        What the notebooks were run with.

    Raises
    ------
    RequestError
        If the folder holds something else than a gallery.
    DataError
        If it cannot be written.
    """
    require_place(to)
    folders = {i: e.folder for i, e in endings.items() if e.folder and read_record(e.folder)}
    with _swapped(to) as site:
        for notebook_id, folder in folders.items():
            _copy(folder, site / notebook_id)
        _write_board(studies, site, runs, folders)
        shown = [card(study, folders, runs, profile) for study in studies]
        write_text(site / INDEX, _index(shown, endings, profile, runs))
        write_json(site / SUMMARY, _summary(shown, endings, profile))


def require_place(to: Path) -> None:
    """Refuse a folder that holds something else than a gallery, since it would be replaced.

    Raises
    ------
    RequestError
    """
    other = to.exists() and not (
        to.is_dir() and ((to / SUMMARY).is_file() or not any(to.iterdir()))
    )
    if other or to.is_symlink():
        raise RequestError(
            f"{to.name or to} is not replaced by a gallery",
            expected="a new folder, an empty one, or one that holds a gallery",
            found="a link" if to.is_symlink() else "something else there",
            mend="give another folder with --out",
        )


@contextlib.contextmanager
def _swapped(to: Path) -> Iterator[Path]:
    """Give a new folder beside `to` that takes its place only when the block succeeds."""
    work: Path | None = None
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".partial-", dir=to.parent))
        (work / "new").mkdir()
        yield work / "new"
        take_place(work / "new", to)
    except OSError as error:
        raise DataError(
            f"the gallery {to.name} cannot be written",
            expected=f"room and permission to write in {to.parent}",
            found=error.strerror or str(error),
            mend=mend_of(error, "choose another folder with --out"),
        ) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _copy(run: Path, to: Path) -> None:
    """What a reader opens of a run; a report holds its own figures."""
    to.mkdir(parents=True)
    for name in (REPORT, NOTEBOOK):
        if (run / name).is_file():
            shutil.copyfile(run / name, to / name)


def _write_board(
    studies: Sequence[Study], site: Path, runs: Path, folders: Mapping[str, Path]
) -> None:
    def shown(notebook: Notebook) -> list[tuple[Path, dict[str, Any]]]:
        record = read_record(folders[notebook.id]) if notebook.id in folders else None
        return [(site / notebook.id, record)] if record else []

    notebooks = [(study, n) for study in studies for n in study.notebooks.values()]
    rows = [row for study, n in notebooks for row in rows_of(study, n, shown(n))]
    render_board(rows, site / BOARD, runs)


def _index(shown: Sequence[Card], endings: Mapping[str, Ending], profile: str, runs: Path) -> str:
    entries = [entry for one in shown for entry in one.entries]
    return render(
        "gallery.html.j2",
        cards=shown,
        profile=profile,
        kit=kit_version(),
        hardware=hardware(),
        errors={i: public_text(e.error, runs) for i, e in endings.items() if e.error},
        outcome=lambda entry: _outcome(entry, endings),
        done=sum(_outcome(e, endings) in ("complete", "incomplete") for e in entries),
        total=len(entries),
        minutes=minutes_text,
        report=REPORT,
        notebook=NOTEBOOK,
        board=BOARD,
    )


def _outcome(entry: Entry, endings: Mapping[str, Ending]) -> str:
    ending = endings.get(entry.notebook.id, Ending())
    return "failed" if ending.error else entry.outcome or "not run"


def _summary(shown: Sequence[Card], endings: Mapping[str, Ending], profile: str) -> dict[str, Any]:
    outcomes = {e.notebook.id: _outcome(e, endings) for one in shown for e in one.entries}
    return {"kit": kit_version(), "profile": profile, "notebooks": outcomes}


def public_text(error: KitError, runs: Path) -> str:
    """An error as a page may show it: without the folders of this machine."""
    lines = [error.what, error.expected and f"expected: {error.expected}", error.found]
    known = {"<runs>": runs, "<cache>": cache_folder(), "<data>": data_folder()}
    text = "\n".join(line for line in lines if line)
    text = without_paths(text, [], {str(path): name for name, path in known.items()})
    return _FOLDERS.sub("", text)
