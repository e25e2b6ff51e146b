"""The gallery as the command line makes it: every notebook is run, then the site is written."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from nextaim_kit import catalog
from nextaim_kit.errors import KitError
from nextaim_kit.runs.chain import Ending
from nextaim_kit.runs.gallery import INDEX, require_place, write_gallery
from nextaim_kit.runs.record import runs_folder
from nextaim_kit.terminal.runs import run_each


def make(console: Console, to: Path, profile: str) -> int:
    """Run each study's notebooks, those that are not done; write the site; give the exit code."""
    require_place(to)
    endings: dict[str, Ending] = {}
    studies = catalog.studies()
    for study in studies:
        endings |= _run(study, profile)
    write_gallery(endings, studies, to, runs_folder(), profile)
    failed = [notebook for notebook, ending in endings.items() if ending.error]
    console.print(f"the gallery: {escape(str(to / INDEX))}")
    if failed:
        console.print(f"[bold red]failed:[/] {', '.join(failed)}")
    return 1 if failed else 0


def _run(study: catalog.Study, profile: str) -> dict[str, Ending]:
    """A study that is refused as a whole is shown so, and does not keep the others back."""
    notebooks = catalog.expand(study.id)
    try:
        return run_each(notebooks, profile, {})
    except KitError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error:[/] {escape(str(error))}"
        )
        return dict.fromkeys(notebooks, Ending(error=error))
