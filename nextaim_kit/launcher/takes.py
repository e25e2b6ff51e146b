"""What a run takes, whether that fits this machine, and whether it is done: words of the form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.errors import KitError
from nextaim_kit.launcher.later import gpu_found
from nextaim_kit.machine.limits import memory_available
from nextaim_kit.memory.fitting import GB, check_fits
from nextaim_kit.runs.checks import judge
from nextaim_kit.runs.parameters import resolve
from nextaim_kit.runs.record import is_done, runs_folder
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.run_cost import Expected, expect, minutes_text


def profile_words(notebook: catalog.Notebook, profile: str) -> str:
    """A profile's name with its time."""
    takes = expect(notebook, profile, runs_folder())
    return f"{profile}, about {minutes_text(takes.minutes)}" if takes else profile


def takes(
    notebook_id: str, profile: str, own: Mapping[str, Any], fed: Collection[str], *, force: bool
) -> str:
    """Minutes, memory and whether they fit, of one notebook; or that it is done, or refused.

    Parameters
    ----------
    notebook_id, profile : str
    own : mapping
        Parameters that are not the profile's.
    fed : collection of str
        Those that an earlier notebook of the same request will give.
    force : bool
        Whether it is run again if it is done.
    """
    notebook = catalog.find(notebook_id)
    try:
        judge(notebook, resolve(notebook, profile, own))
        done = "" if force or fed else _done(notebook, profile, own)
    except KitError as error:
        return f"<div class='nextaim-takes'>{_refused(error)}</div>"
    if done:
        return f"<div class='nextaim-takes'><p>✓ {done}.</p></div>"
    expected = expect(notebook, profile, runs_folder(), {**own, **dict.fromkeys(fed, "given")})
    declared = notebook.resources.get(profile)
    where = "a GPU" if declared and declared.vram_gb else "two cores"
    amount = _amount(expected, profile, where)
    fits = _fits(notebook, profile, force)
    return f"<div class='nextaim-takes'><p>{escape(notebook_id)}: {amount}.</p>{fits}</div>"


def _done(notebook: catalog.Notebook, profile: str, own: Mapping[str, Any]) -> str:
    """That a run is there; nothing where data are given, which would have to be read to know."""
    if set(own) & set(notebook.data):
        return ""
    request = prepare(notebook.id, profile, own)
    if not is_done(request.folder):
        return ""
    run = f"run <code>{request.id}</code>"
    return (
        f"{escape(notebook.id)} is done with these parameters ({run}): it is shown, not run again"
    )


def _amount(takes: Expected | None, profile: str, where: str) -> str:
    """Minutes and memory, and how they are known."""
    if takes is None:
        return f"no time or memory is known yet for {escape(profile)}"
    source = f"as in {takes.runs} runs here" if takes.runs > 1 else "as in a run here"
    declared = "at the pace of other notebooks here" if takes.paced else f"as declared, for {where}"
    source = source if takes.runs else declared
    return f"{takes.text}, and {takes.memory_gb:.1f} GB of memory, {source}"


def _fits(notebook: catalog.Notebook, profile: str, force: bool) -> str:
    declared, gpu = notebook.resources.get(profile), gpu_found()
    if declared and declared.vram_gb and gpu is None:
        return "<p>Looking for a GPU …</p>"
    try:
        note = check_fits(notebook, profile, gpu.total if gpu else 0, anyway=force)
    except KitError as error:
        return _refused(error)
    free = memory_available() / GB
    if declared and declared.memory_gb > free:
        note = note or f"only {free:.1f} GB of memory are free now: close other kernels first"
    return f"<p>⚠ {escape(note)}.</p>" if note else "<p>✓ It fits this machine.</p>"


def _refused(error: KitError) -> str:
    return f"<pre role=alert>✗ {escape(str(error))}</pre>"
