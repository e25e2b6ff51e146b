"""What a study's card holds: its question, what was published, its notebooks, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit.catalog import Notebook, Study, Thumbnail, project_folder
from nextaim_kit.runs.board import latest_runs
from nextaim_kit.runs.compare import Comparison, compare, is_synthetic
from nextaim_kit.runs.record import FILES, read_record
from nextaim_kit.runs.run_cost import Expected, expect, machine_pace

_SIZE = (560, 315)  # pixels: twice what a card shows, for screens that have twice as many
_WHITE = "white"


@dataclass(frozen=True)
class Picture:
    """A small picture that needs no file: a data URI and what it shows."""

    uri: str
    alt: str


@dataclass(frozen=True)
class Entry:
    """A notebook on a card.

    Attributes
    ----------
    notebook : Notebook
    takes : Expected or None
        Minutes and memory: of earlier runs on this machine, else as declared; None where
        neither is known.
    folder : Path or None
        The run whose results are shown; None where nothing was run yet.
    record : mapping or None
        That run's record.
    comparisons : list of Comparison
        Its metrics that something was published for.
    """

    notebook: Notebook
    takes: Expected | None
    folder: Path | None
    record: Mapping[str, Any] | None
    comparisons: list[Comparison]

    @property
    def outcome(self) -> str:
        """How the run ended; empty where there is none."""
        return self.record["outcome"] if self.record else ""


@dataclass(frozen=True)
class Card:
    """A study as it is shown among others."""

    study: Study
    entries: list[Entry]
    picture: Picture | None

    @property
    def synthetic(self) -> bool:
        """Whether any of its results comes from synthetic data."""
        return any(e.record and is_synthetic(e.record) for e in self.entries)

    @property
    def comparisons(self) -> list[tuple[Notebook, Comparison]]:
        """What was published, beside what was measured: first the first of each notebook."""
        ranked = [(k, e.notebook, c) for e in self.entries for k, c in enumerate(e.comparisons)]
        return [(notebook, c) for _, notebook, c in sorted(ranked, key=lambda one: one[0])]


def cards(runs: Path, studies: Sequence[Study], profile: str = "tutorial") -> list[Card]:
    """A card for each study, with its latest whole runs.

    Parameters
    ----------
    runs : Path
        Folder of all runs; it need not exist.
    studies : sequence of Study
    profile : str
        Whose minutes and memory are told.
    """
    latest = {
        notebook.id: found[0][0]
        for study in studies
        for notebook in study.notebooks.values()
        if (found := latest_runs(runs / notebook.id))
    }
    pace = machine_pace(runs)
    return [card(study, latest, runs, profile, pace) for study in studies]


def card(
    study: Study, folders: Mapping[str, Path], runs: Path, profile: str, pace: float | None = None
) -> Card:
    """A study's card with the runs in these folders, by notebook."""
    entries = [
        _entry(study, n, folders.get(n.id), expect(n, profile, runs, pace=pace))
        for n in study.notebooks.values()
    ]
    return Card(study, entries, _picture(study.thumbnail, entries))


def _entry(study: Study, notebook: Notebook, folder: Path | None, takes: Expected | None) -> Entry:
    record = read_record(folder) if folder else None
    shown = compare(record or {"stage": notebook.stage, "metrics": []}, study)
    published = [c for c in shown if c.references]
    return Entry(
        notebook,
        takes,
        folder if record else None,
        record,
        published,
    )


def _picture(thumbnail: Thumbnail | None, entries: Sequence[Entry]) -> Picture | None:
    """A figure of the card's own runs, else the project's picture, else none."""
    if thumbnail is None:
        return None
    stage, _, name = thumbnail.figure.partition("/")
    folders = [e.folder for e in entries if e.notebook.stage == stage and e.folder]
    places = [folder / FILES / name for folder in folders]
    places += [project_folder() / thumbnail.until_run] if thumbnail.until_run else []
    found = next((place for place in places if place.is_file()), None)
    return small(found, thumbnail.alt) if found else None


def small(path: Path, alt: str) -> Picture | None:
    """A figure made small, on white; None where it is damaged."""
    import base64
    import io

    from PIL import Image, ImageOps

    try:
        with Image.open(path) as figure:
            whole = figure.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    whole.thumbnail(_SIZE, Image.Resampling.LANCZOS)
    page = Image.new("RGBA", whole.size, _WHITE)
    framed = ImageOps.pad(Image.alpha_composite(page, whole).convert("RGB"), _SIZE, color=_WHITE)
    stream = io.BytesIO()
    framed.save(stream, "JPEG", quality=80, optimize=True)
    code = base64.b64encode(stream.getvalue()).decode()
    return Picture(f"data:image/jpeg;base64,{code}", alt)
