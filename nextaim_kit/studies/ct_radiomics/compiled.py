"""Machine code of `kernels` and `passes`: made once by Numba, kept where Python keeps its bytecode.

Run as a program it makes all of it: ``python -m nextaim_kit.studies.ct_radiomics.compiled``, as
the installation does, so that nobody waits for it later.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from nextaim_kit.errors import KitError, warn_once
from nextaim_kit.files import cache_folder, private_folder, strangers_hand
from nextaim_kit.studies.ct_radiomics import kernels, passes

_REGION = "{0}[::1], int64[:, ::1], int64[::1]"
_SIGNATURES = {
    "cooccurrence": f"void({_REGION}, uint32[:, :, ::1])",
    "run_places": f"void({_REGION}, uint32[:, :, ::1])",
    "dependence": f"void({_REGION}, uint16[::1], {{0}}, uint32[:, ::1])",
    "tone": f"void({_REGION}, uint16[::1], int64[:, ::1], float64[::1])",
    "zones": f"Tuple((int32[::1], {{0}}[::1]))"
    f"({_REGION}, uint16[::1], boolean[::1], int64, int64[::1])",
    "zone_links": "int64[::1](int64[::1])",
    "recursive": f"void({{0}}[:, ::1]{', {0}[::1]' * 4}{', {0}[:, ::1]' * 2}, float32[:, ::1])",
    "convolve": "void({0}[:, ::1], {0}[::1], int64[::1], {0}[:, ::1])",
}
_ONE = threading.Lock()  # for threads what `_kept` is for processes
_KINDS = {"zone_links": ("uint8",), "recursive": ("float64",), "convolve": ("float32", "float64")}


@cache
def kernel(name: str, kind: str = "uint8") -> Callable[..., Any] | None:
    """A loop as machine code for numbers of one type: levels in uint8 or uint16, values in floats.

    None where there can be none; why is said in a warning.
    """
    try:
        return _compiled(name, kind)
    except (ImportError, OSError, RuntimeError) as error:
        warn_once(f"radiomics are measured without machine code, which takes longer: {error}")
        return None


def _compiled(name: str, kind: str) -> Any:
    import numba

    try:
        with _ONE, _kept() as kept:
            signature = _SIGNATURES[name].format(kind)
            make = numba.njit(signature, cache=kept, nogil=True, error_model="numpy")
            return make(getattr(passes if hasattr(passes, name) else kernels, name))
    except numba.core.errors.NumbaError as error:
        raise RuntimeError(f"it cannot be compiled: {error}") from error


def compile_all() -> None:
    """Make the machine code of all functions, or find it made."""
    for name in _SIGNATURES:
        for kind in _KINDS.get(name, ("uint8", "uint16")):
            kernel(name, kind)


@contextlib.contextmanager
def _kept() -> Iterator[bool]:
    """Have Numba keep what it makes; of several processes one makes it, the others wait.

    It lies beside the module's bytecode, or, where this user cannot write there, in the kit's
    cache; ``NUMBA_CACHE_DIR`` goes before both.
    """
    import numba

    config: Any = numba.config  # its attributes are made when it is imported
    beside = Path(kernels.__file__).parent / "__pycache__"
    if config.CACHE_DIR or os.access(beside if beside.exists() else beside.parent, os.W_OK):
        with _alone_in(Path(config.CACHE_DIR or beside.parent)):
            yield True
        return
    folder = _own_folder(beside)
    if folder is None:
        yield False
        return
    config.CACHE_DIR = str(folder)
    try:
        with _alone_in(folder):
            yield True
    finally:
        config.CACHE_DIR = ""


def _own_folder(beside: Path) -> Path | None:
    """Folder in the kit's cache, with what the installation left; None where there can be none.

    What is kept may run what it likes when it is read: others must not write it.
    """
    from numba.core.caching import UserProvidedCacheLocator

    folder = cache_folder() / "compiled"
    try:
        doubt = strangers_hand(private_folder(folder))
        if not doubt:
            within = UserProvidedCacheLocator.get_suitable_cache_subpath(kernels.__file__)
            place = private_folder(folder / within)
            for file in beside.glob("*.nb?"):
                if not (place / file.name).exists():
                    shutil.copyfile(file, place / file.name)
    except (OSError, KitError) as error:
        doubt = str(error)
    if doubt:
        warn_once(f"machine code is made anew in each process: {folder} is not used: {doubt}")
    return None if doubt else folder


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process is making machine code here."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


if __name__ == "__main__":
    compile_all()
