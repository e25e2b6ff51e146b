"""The true source of the kit's functions, to be read where a notebook uses them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import partial
from typing import Any

from nextaim_kit.errors import RequestError


def source_markdown(thing: Any) -> str:
    """Source of a function, method or class, folded in Markdown that notebooks highlight.

    A docstring is cut to its first line: the whole one is a `help` away.

    Raises
    ------
    RequestError
        If `thing` has no source in Python.
    """
    while isinstance(thing, partial):
        thing = thing.func
    thing = inspect.unwrap(thing) if callable(thing) else thing
    try:
        text = textwrap.dedent(inspect.getsource(thing)).rstrip()
    except (TypeError, OSError) as error:
        raise RequestError(
            "there is no source to show",
            expected="a function, a method or a class that is written in Python",
            found=repr(thing)[:80],
        ) from error
    shown = _with_short_docs(text)
    where = f"{thing.__module__}.{thing.__qualname__}"
    lines = len(shown.splitlines())
    fold = f"<details open><summary><code>{where}</code>, {lines} lines</summary>"
    return f"{fold}\n\n~~~~~python\n{shown}\n~~~~~\n\n</details>\n"


def _with_short_docs(text: str) -> str:
    lines = text.split("\n")
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    long = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds) and "\n" in (ast.get_docstring(node) or "")
    ]
    for doc in sorted(long, key=lambda doc: -doc.lineno):
        first = lines[doc.lineno - 1].rstrip()
        lines[doc.lineno - 1 : doc.end_lineno] = [f'{first}"""']
    return "\n".join(lines)
