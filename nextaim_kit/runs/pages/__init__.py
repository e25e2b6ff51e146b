"""Templates of what the kit writes: reports, the board, sweeps, and their one style."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import BytecodeCache, Environment
    from jinja2.bccache import Bucket


def render(template: str, *, package: str = __package__, **values: Any) -> str:
    """Fill a template of a package; every value is escaped unless marked as safe HTML."""
    return _environment(package).get_template(template).render(**values)


def render_text(template: str, **values: Any) -> str:
    """Fill a template of plain text; nothing is escaped."""
    return _environment(__package__, escape=False).get_template(template).render(**values)


@cache
def _environment(package: str, *, escape: bool = True) -> Environment:
    return _new_environment(package, escape=escape)


def _new_environment(package: str, *, escape: bool) -> Environment:
    from importlib.resources import files

    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def load(name: str) -> str:
        return (files(package) / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(load),
        bytecode_cache=_compiled(escape),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = shlex.quote
    return environment


def compile_all() -> None:
    """Compile the templates of this package, so that a fork of this process need not.

    The fork reads each anew: what is kept is told apart by a template's text.
    """
    for file in sorted(Path(__file__).parent.glob("*.j2")):
        escape = file.suffixes != [".j2"]
        _new_environment(__package__, escape=escape).get_template(file.name)


@cache
def _compiled(escape: bool) -> BytecodeCache:
    from jinja2 import BytecodeCache

    class Compiled(BytecodeCache):
        """Compiled templates, in memory."""

        def __init__(self) -> None:
            self._codes: dict[tuple[str, str], Any] = {}

        def load_bytecode(self, bucket: Bucket) -> None:
            bucket.code = self._codes.get((bucket.key, bucket.checksum))

        def dump_bytecode(self, bucket: Bucket) -> None:
            self._codes[bucket.key, bucket.checksum] = bucket.code

    return Compiled()
