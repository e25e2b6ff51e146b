"""Parameters of an open notebook, where people and tools put them: as strict as the command line.

papermill adds a cell below the parameters, Snakemake an object, others assign what they like. A
kernel sees only the cells it has run (IPython keeps them in ``In``) and the names they left.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from nextaim_kit.catalog import Notebook, near_miss
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.runs.parameters import Parameter, parse_cell, read_parameters, refuse_unknown

_MARK = "# Parameters"  # first line of the cell that papermill adds


def declared_here(values: Mapping[str, Any], notebook: Notebook) -> dict[str, Parameter]:
    """What the parameters cell declares as this kernel ran it, else as the notebook's file has it.

    The file is what was saved last, perhaps in the middle of a word. A line without a comment has
    the meaning and the bounds that the file gives it, if any.

    Parameters
    ----------
    values : mapping
        The notebook's ``globals()``.
    notebook : Notebook

    Raises
    ------
    DataError
        If the cell that was run, or without one the file's, holds anything but declarations.
    """
    try:
        saved, unread = read_parameters(notebook.path, commented=False), None
    except DataError as error:
        saved, unread = {}, error
    source = _declaring((values.get("In") or [])[:-1], {*saved, *notebook.data, "seed"})
    if source is None:
        if unread:
            raise unread
        return saved
    ran = parse_cell(source, notebook.path.name, commented=False)
    lost = ", ".join(name for name in saved if name not in values)
    unlike = unread.found.partition("\n")[0] if unread else lost
    if unlike:
        print(f"The parameters are those that this kernel ran. The saved cell differs: {unlike}.")
    here = {n: p for n, p in saved.items() if n in values or n in notebook.data}
    return here | {name: p if p.help else saved.get(name, p) for name, p in ran.items()}


def _declaring(cells: list[str], known: set[str]) -> str | None:
    """The last of some cells that only assigns, and declares a known name."""
    for source in reversed(cells):
        try:
            lines = ast.parse(source).body
        except SyntaxError:  # a magic
            continue
        plain = all(isinstance(x, ast.AnnAssign | ast.Assign | ast.ImportFrom) for x in lines)
        named = {ast.unparse(x.target) for x in lines if isinstance(x, ast.AnnAssign)}
        if plain and named & known:
            return source
    return None


def taken(
    values: Mapping[str, Any], declared: Mapping[str, Parameter], where: str
) -> dict[str, Any]:
    """The declared parameters of an open notebook, checked.

    Parameters
    ----------
    values : mapping
        The notebook's ``globals()``.
    declared : mapping
        Its parameters, by name.
    where : str
        The notebook's id.

    Raises
    ------
    RequestError
        If a value is missing, of a wrong type or out of bounds, or a tool gave a parameter that
        the notebook does not have or does not take.
    """
    cells = values.get("In") or []
    refuse_unknown(_injected(cells[:-1], declared), declared, where)  # the last one calls this
    for name in declared:
        if name not in values:
            near = near_miss(name, [n for n in values if n not in declared])
            raise RequestError(
                f"{where} has no value for its parameter {name!r}",
                mend=f"is it written {near!r}?" if near else "run the parameters cell first",
            )
    found = {name: p.check(values[name]) for name, p in declared.items()}
    _refuse_snakemake(values.get("snakemake"), found, where)
    return found


def _injected(cells: list[str], declared: Mapping[str, Parameter]) -> list[str]:
    """Names that a tool assigned.

    Without papermill's mark a cell of constants right before the notebook's start is taken for a
    tool's, but for names unlike any parameter's, which are a reader's own.
    """
    for source in reversed(cells):
        if source.partition("\n")[0].strip() == _MARK:
            return _assigned(source)
    names = _assigned(cells[-1]) if cells else []
    return [name for name in names if near_miss(name, declared)]


def _assigned(source: str) -> list[str]:
    """Names that a cell assigns, if it does nothing else; annotated ones are declared by hand."""
    try:
        lines = ast.parse(source).body
    except SyntaxError:  # a magic
        return []
    targets = [t for line in lines if isinstance(line, ast.Assign) for t in line.targets]
    plain = all(isinstance(line, ast.Assign) for line in lines)
    return [t.id for t in targets if isinstance(t, ast.Name)] if plain else []


def _refuse_snakemake(job: Any, found: Mapping[str, Any], where: str) -> None:
    """Refuse ``params`` of Snakemake's notebook directive, which change no variable."""
    params: Any = getattr(job, "params", None)
    given = dict(params.items()) if hasattr(params, "items") else {}
    refuse_unknown(given, found, where)
    for name, value in given.items():
        if value != found[name]:
            raise RequestError(
                f"Snakemake's parameter {name!r} does not reach {where}",
                expected=f"{name} = {found[name]!r}, as its cell says",
                found=f"params: {name}={value!r}",
                mend=f"use a shell rule: nextaim run {where} -p {name}={value}",
            )
