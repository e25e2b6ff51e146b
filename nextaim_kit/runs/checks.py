"""What a notebook says of its parameters beyond their types: judged before a kernel starts.

``checks: package.module:function`` below a notebook in its ``study.yaml`` names a function. Its
arguments are the parameters that it judges, by their names; it raises `RequestError` or `DataError`
of what the notebook would stumble over later.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from nextaim_kit.catalog import Notebook, named_function, near_miss
from nextaim_kit.errors import DataError

Judge = Callable[[Mapping[str, Any]], None]


def judge(notebook: Notebook, values: Mapping[str, Any]) -> None:
    """Raise what the notebook's own checks say against these values of its parameters.

    Parameters
    ----------
    notebook : Notebook
    values : mapping
        Of all parameters, as `resolve` gives them; paths absolute, or counted from this folder.

    Raises
    ------
    KitError
        Of the check: a `RequestError` or a `DataError`.
    DataError
        If the function that its ``study.yaml`` names is not there, or has arguments that are none
        of its parameters; names the near miss.
    """
    judge_of(notebook)(values)


def judge_of(notebook: Notebook) -> Judge:
    """What `judge` does with values of one notebook: the same are judged once.

    Parameters
    ----------
    notebook : Notebook
    """
    if not notebook.checks:
        return lambda values: None
    function = named_function(notebook.id.partition("/")[0], "checks", notebook.checks)
    names = list(inspect.signature(function).parameters)
    passed = set[str]()

    def judged(values: Mapping[str, Any]) -> None:
        own = {name: _value(name, values, notebook) for name in names}
        said = json.dumps(own)
        if said not in passed:
            function(**own)
            passed.add(said)

    return judged


def _value(name: str, values: Mapping[str, Any], notebook: Notebook) -> Any:
    if name not in values:
        near = near_miss(name, values)
        raise DataError(
            f"the checks of {notebook.id} judge a parameter {name!r}, which it does not have",
            expected=f"arguments of {notebook.checks} among {', '.join(values)}",
            mend=f"did you mean {near!r}?" if near else "correct the function",
        )
    return values[name]
