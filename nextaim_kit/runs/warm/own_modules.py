"""Modules of the kit in a warm server: a fork keeps them while their files are as they were."""

from __future__ import annotations

import importlib
import os
import sys
import time

from nextaim_kit.runs.warm.place import own_files

# The command line, what runs a notebook, and what its first cell imports.
_MODULES = (
    "nextaim_kit.commands",
    "nextaim_kit.data.cohort.fingerprint",
    "nextaim_kit.data.datasets.source",
    "nextaim_kit.machine.hub",
    "nextaim_kit.machine.seeds",
    "nextaim_kit.runs.chain",
    "nextaim_kit.runs.context",
    "nextaim_kit.runs.notebook_page",
    "nextaim_kit.runs.runner",
    "nextaim_kit.runs.run_cost",
    "nextaim_kit.runs.sweep.controller",
    "nextaim_kit.runs.sweep.row",
    "nextaim_kit.runs.warm.provisioner",
    "nextaim_kit.terminal.runs",
    "nextaim_kit.terminal.sweeps",
)
# Of files that every run reads.
_FORMS = {
    "nextaim_kit.runs.schema": "Record",
    "nextaim_kit.runs.request": "Request",
    "nextaim_kit.runs.sweep.state": "Ending",
}

State = tuple[int, int, int]


def import_modules() -> dict[str, State]:
    """Import them; give the files of those that a server's name does not tell of, by module.

    A file that was written meanwhile is not known to be what was imported: it has no state.
    """
    began = time.time_ns()
    for name in _MODULES:
        importlib.import_module(name)
    _make_ready()
    named = {os.path.realpath(file) for file in own_files()}
    files = {name: module.__file__ for name, module in sys.modules.items() if _is_own(name)}
    known = {n: file for n, file in files.items() if file and os.path.realpath(file) not in named}
    states = {name: _state(file) for name, file in known.items()}
    return {name: s if s[0] < began else (0, 0, 0) for name, s in states.items()}


def _make_ready() -> None:
    """Have the kit make what it makes at its first use."""
    from nextaim_kit.machine.kit import kit_version
    from nextaim_kit.runs import record, schema

    for module, form in _FORMS.items():
        schema.checker(vars(sys.modules[module])[form])
    kit_version()
    record.packages()


def forget_changed(states: dict[str, State]) -> None:
    """Forget all of them where one is no longer what it was, so that they are imported anew."""
    if all(_state(str(sys.modules[name].__file__)) == state for name, state in states.items()):
        return
    for name in states:
        del sys.modules[name]
    for name in states:
        above, _, own = name.rpartition(".")
        if above in sys.modules:  # `from above import own` would find it there
            vars(sys.modules[above]).pop(own, None)


def _is_own(name: str) -> bool:
    return name.startswith("nextaim_kit.")


def _state(file: str) -> State:
    """When a file was written, its size and its number; what is not there is like no other."""
    try:
        found = os.stat(file)
    except OSError:
        return (-1, -1, -1)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
