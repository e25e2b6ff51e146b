"""Templates of what the kit writes: reports, the board, sweeps, and their one style."""

from __future__ import annotations

import shlex
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, *, package: str = __package__, **values: Any) -> str:
    """Fill a template of a package; every value is escaped unless marked as safe HTML."""
    return _environment(package).get_template(template).render(**values)


def render_text(template: str, **values: Any) -> str:
    """Fill a template of plain text; nothing is escaped."""
    return _environment(__package__, escape=False).get_template(template).render(**values)


@cache
def _environment(package: str, *, escape: bool = True) -> Environment:
    from importlib.resources import files

    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def load(name: str) -> str:
        return (files(package) / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(load),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = shlex.quote
    return environment
