"""Notebooks that stand in a row: whose a parameter is, and what one hands to the next."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.errors import KitError, RunError
from nextaim_kit.memory.fitting import check_fits
from nextaim_kit.runs.parameters import read_parameters, refuse_unknown
from nextaim_kit.runs.record import FILES, is_done
from nextaim_kit.runs.request import Request, prepare


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
    return sharing(notebook_ids, given)(given)


def sharing(
    notebook_ids: Sequence[str], names: Iterable[str]
) -> Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]]:
    """What `share_out` does with any values of these names: whose each is, is found out once.

    Raises
    ------
    RequestError
        For a name that no notebook has.
    """
    whose: list[tuple[str, str, str]] = []
    for name in sorted(names, key=lambda name: "." in name):
        stage, _, bare = name.rpartition(".")
        asked = [i for i in notebook_ids if stage in ("", catalog.find(i).stage)]
        declared = {i: read_parameters(catalog.find(i).path) for i in asked or notebook_ids}
        every = list(dict.fromkeys(n for names in declared.values() for n in names))
        refuse_unknown([bare if asked else name], every, " ".join(declared))
        whose += [(name, bare, i) for i in asked if bare in declared[i]]

    def shared(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        own: dict[str, dict[str, Any]] = {i: {} for i in notebook_ids}
        for name, bare, notebook_id in whose:
            own[notebook_id][bare] = given[name]
        return own

    return shared


def check_row(
    notebook_ids: Sequence[str],
    profile: str,
    own: Mapping[str, Mapping[str, Any]],
    out: str | Path | None,
    force: bool,
    gpu: int | None = None,
) -> tuple[list[Request], list[str]]:
    """Refuse whatever can be refused before the first one starts.

    Parameters
    ----------
    notebook_ids, profile, own, out, force
        As `run_row` and `execute` take them.
    gpu : int, optional
        Bytes of the GPU or slice, as `check_fits` takes them.

    Returns
    -------
    requests : list of Request
    notes : list of str
        What is to be known of those that are not done yet, such as that there is no GPU where
        `force` lets them run without one.
    """
    requests = [prepare(i, profile, own[i], out) for i in notebook_ids]
    ahead = [r.notebook for r in requests if force or not is_done(r.folder)]
    notes = [check_fits(catalog.find(i), profile, gpu, anyway=force) for i in ahead]
    return requests, [note for note in notes if note]


def feeders(notebook_id: str, earlier: Collection[str]) -> dict[str, tuple[str, str]]:
    """What notebooks that stand before a notebook feed it: parameter -> (notebook, file)."""
    study = notebook_id.partition("/")[0]
    found = {}
    for parameter, source in catalog.find(notebook_id).needs.items():
        stage, _, file = source.partition("/")
        if f"{study}/{stage}" in earlier:
            found[parameter] = (f"{study}/{stage}", file)
    return found


def before(notebook_id: str) -> list[str]:
    """Notebooks that feed a notebook, and those that feed them, in the study's order."""
    notebooks = catalog.study_of(notebook_id).notebooks
    wanted = {catalog.find(notebook_id).stage}
    for stage, notebook in reversed(notebooks.items()):
        if stage in wanted:
            wanted |= {source.partition("/")[0] for source in notebook.needs.values()}
    return [n.id for stage, n in notebooks.items() if stage in wanted and n.id != notebook_id]


def command_line(
    notebook_ids: Sequence[str], profile: str, given: Mapping[str, Any], force: bool = False
) -> str:
    """The command that asks for the same run; values as `Parameter.parse` reads them."""
    declared = {
        n: p for i in notebook_ids for n, p in read_parameters(catalog.find(i).path).items()
    }
    words = ["nextaim", "run", *notebook_ids]
    words += [] if profile == "tutorial" else ["--profile", profile]
    for name, value in given.items():
        words += ["-p", f"{name}={declared[name].text(value)}"]
    return shlex.join([*words, *(["--force"] if force else [])])


def run_row(
    notebook_ids: Sequence[str],
    profile: str,
    own: Mapping[str, Mapping[str, Any]],
    out: Path | None,
    run: Callable[[Request], Mapping[str, Any]],
    failed: Callable[[KitError], None],
) -> dict[str, Ending]:
    """Run notebooks one after another, each fed by those before it that did not fail.

    Parameters
    ----------
    notebook_ids : sequence of str
    profile : str
    own : mapping
        Each notebook's own parameters, as `share_out` gives them.
    out : Path, optional
        Folder of the runs.
    run : callable
        Makes one run and gives its record.
    failed : callable
        Hears of a notebook that failed; the rest goes on.
    """
    finished: dict[str, Path] = {}
    endings: dict[str, Ending] = {}
    for number, notebook_id in enumerate(notebook_ids):
        fed = feeders(notebook_id, finished)
        handed = {name: str(finished[who] / FILES / file) for name, (who, file) in fed.items()}
        folder = None
        try:
            _require_sources(notebook_id, notebook_ids[:number], finished, own[notebook_id])
            request = prepare(notebook_id, profile, {**handed, **own[notebook_id]}, out)
            folder = request.folder
            record = run(request)
        except KitError as error:
            failed(error)
            endings[notebook_id] = Ending(folder, error)
            continue
        endings[notebook_id] = Ending(folder)
        if record["outcome"] != "failed":
            finished[notebook_id] = folder
    return endings


def _require_sources(
    notebook_id: str,
    earlier: Sequence[str],
    finished: Mapping[str, Path],
    given: Mapping[str, Any],
) -> None:
    """Refuse to run on something else where the notebook that was to feed this one failed."""
    for parameter, (feeder, file) in feeders(notebook_id, earlier).items():
        if feeder not in finished and parameter not in given:
            raise RunError(
                f"{notebook_id} is not run",
                expected=f"{file} from {feeder}",
                found="that notebook failed",
                mend=f"mend what failed there, or give -p {parameter}=...",
            )
