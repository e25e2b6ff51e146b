"""Imports jsonschema, and with it nbformat and papermill, in a tenth of the time.

Where rfc3987_syntax is installed, as beside JupyterLab, jsonschema imports it, and that compiles
three dozen grammars for addresses in letters beyond ASCII: half of what it takes to come to a
notebook's first cell. No notebook has one, so they are compiled when somebody asks for the first.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

_SLOW = "rfc3987_syntax"


def import_jsonschema() -> None:
    """Import it, unless it is there already; it checks what it would have checked."""
    if "jsonschema" in sys.modules or _SLOW in sys.modules or not _found(_SLOW):
        return
    stand_in = ModuleType(_SLOW)
    stand_in.is_valid_syntax = _is_valid_syntax  # type: ignore[attr-defined]
    sys.modules[_SLOW] = stand_in
    try:
        importlib.import_module("jsonschema")
    finally:
        del sys.modules[_SLOW]


def _found(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _is_valid_syntax(term: str, value: str) -> bool:
    return importlib.import_module(_SLOW).is_valid_syntax(term, value)
