"""YAML as its version 1.2 means it, for every file that a user writes.

A plain scalar is a number, a truth value or null only where nobody can take it for something
else. All the rest stays text, which the reader of the field takes or refuses: ``010`` is not
eight, ``1:30`` not ninety, ``on`` not true, ``2020-01-01`` no date.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

_RESOLVED = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (
        r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C if there
    yaml_implicit_resolvers: ClassVar[dict[str, list]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise yaml.YAMLError(f"{twice[0]!r} is said twice, line {node.start_mark.line + 1} on")
        return super().construct_mapping(node, deep)


for _name, (_pattern, _first) in _RESOLVED.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first
    )
# Its own readers know octal, sexagesimal and underscores, which `!!int` would bring back.
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))


def parse_yaml(text: str) -> Any:
    """What a YAML text says.

    Raises
    ------
    ValueError
        If it is none, or says a name twice; in one line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error
