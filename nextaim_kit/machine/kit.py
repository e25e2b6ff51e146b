"""Which state of this package runs."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import nextaim_kit


@cache
def kit_version() -> str:
    """Version with a digest of the package's sources, so that an edited kit is told apart."""
    digest = hashlib.sha256()
    for path in sorted(Path(nextaim_kit.__file__).parent.rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return f"{nextaim_kit.__version__}+{digest.hexdigest()[:8]}"
