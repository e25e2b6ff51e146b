"""Whether a profile fits this machine, as its study file declares what it takes."""

from __future__ import annotations

from nextaim_kit.catalog import PROFILES, Notebook, Resources
from nextaim_kit.errors import RequestError
from nextaim_kit.machine.gpu import device_sizes
from nextaim_kit.machine.limits import memory_limit

GB = 10**9


def check_fits(
    notebook: Notebook, profile: str, gpu: int | None = None, *, anyway: bool = False
) -> str:
    """Refuse a profile that needs more memory than this machine's GPU slice or limit has.

    A profile that declares nothing is let through.

    Parameters
    ----------
    notebook : Notebook
    profile : str
    gpu : int, optional
        Bytes that the largest GPU or slice has, 0 without any; asked of torch unless given.
    anyway : bool
        Where there is no GPU at all, let its networks train on the CPU.

    Returns
    -------
    str
        What the user should know; empty where there is nothing to say.

    Raises
    ------
    RequestError
        Naming the next smaller profile that fits, or the largest need that could be met.
    """
    takes = notebook.resources.get(profile)
    if takes is None:
        return ""
    memory = memory_limit() / GB
    if gpu is None:
        gpu = max(device_sizes(), default=0) if takes.vram_gb else 0
    largest = gpu / GB
    on_cpu = bool(takes.vram_gb) and not largest
    obstacle = _obstacle(takes, memory, largest, anyway)
    if obstacle:
        expected, found = obstacle
        mend = _mend(notebook, profile, memory, largest)
        if on_cpu and takes.memory_gb <= memory:
            mend += "; with --force (in the form: run anyway) it trains on the CPU, far longer"
        raise RequestError(
            f"the profile {profile} of {notebook.id} does not fit this machine",
            expected=expected,
            found=found,
            mend=mend,
        )
    if on_cpu:
        return (
            f"{notebook.id}: the profile {profile} takes {_hours(takes)} on a GPU; none is found "
            "here: it trains on the CPU, many times as long"
        )
    return ""


def _obstacle(
    takes: Resources, memory: float, gpu: float, anyway: bool = False
) -> tuple[str, str] | None:
    """What is needed and what there is, where it does not fit; GB of 10**9 bytes."""
    if takes.memory_gb > memory:
        return f"{takes.memory_gb:g} GB of memory", f"{memory:.1f} GB may be used"
    if gpu and takes.vram_gb > gpu:
        return f"{takes.vram_gb:g} GB of GPU memory", f"a GPU or slice with {gpu:.1f} GB"
    if takes.vram_gb and not gpu and not anyway:
        return f"a GPU with {takes.vram_gb:g} GB, on which it takes {_hours(takes)}", "no GPU"
    return None


def _hours(takes: Resources) -> str:
    return f"{takes.minutes:g} min" if takes.minutes < 100 else f"{takes.minutes / 60:.3g} h"


def _mend(notebook: Notebook, profile: str, memory: float, gpu: float) -> str:
    """The nearest smaller profile that fits, else any."""
    known = [name for name in PROFILES if name in notebook.resources]
    known += [name for name in notebook.resources if name not in known]
    place = known.index(profile)
    for name in [*reversed(known[:place]), *known[place + 1 :]]:
        if _obstacle(notebook.resources[name], memory, gpu) is None:
            return f"--profile {name} fits; parameters may be changed from there with -p name=value"
    return "run it on a larger machine or slice: no profile of this notebook fits here"
