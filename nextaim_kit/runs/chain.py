"""Notebooks that stand in a row: whose a parameter is, and what one hands to the next."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.errors import KitError
from nextaim_kit.runs.parameters import read_parameters, refuse_unknown


@dataclass(frozen=True)
class Ending:
    """How a notebook in a row ended: its run's folder, None where none began, and its error."""

    folder: Path | None = None
    error: KitError | None = None

    @property
    def exit_code(self) -> int:
        """What a command that ran only this notebook would end with."""
        return self.error.exit_code if self.error else 0


def share_out(notebook_ids: Sequence[str], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each notebook's own of the given parameters.

    A name goes to every notebook that has such a parameter; ``<stage>.<name>`` only to the
    notebook of that stage, and it wins over the plain name.

    Raises
    ------
    RequestError
        For a name that none of them has.
    """
    own: dict[str, dict[str, Any]] = {i: {} for i in notebook_ids}
    for name in sorted(given, key=lambda name: "." in name):
        stage, _, bare = name.rpartition(".")
        asked = [i for i in notebook_ids if stage in ("", catalog.find(i).stage)]
        declared = {i: read_parameters(catalog.find(i).path) for i in asked or notebook_ids}
        every = list(dict.fromkeys(n for names in declared.values() for n in names))
        refuse_unknown([bare if asked else name], every, " ".join(declared))
        for notebook_id in asked:
            if bare in declared[notebook_id]:
                own[notebook_id][bare] = given[name]
    return own


def feeders(notebook_id: str, before: Collection[str]) -> dict[str, tuple[str, str]]:
    """What notebooks that stand before a notebook feed it: parameter -> (notebook, file)."""
    study = notebook_id.partition("/")[0]
    found = {}
    for parameter, source in catalog.find(notebook_id).needs.items():
        stage, _, file = source.partition("/")
        if f"{study}/{stage}" in before:
            found[parameter] = (f"{study}/{stage}", file)
    return found
