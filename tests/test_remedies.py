"""What the kit tells its users to type is there: commands, options, notebooks, data sets."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from nextaim_kit.catalog import expand, find
from nextaim_kit.commands import app
from nextaim_kit.data.datasets.manifest import manifest_names
from nextaim_kit.errors import KitError
from nextaim_kit.runs.parameters import read_parameters

PROJECT = Path(__file__).parents[1]
OPEN = "{}"  # what a text fills in when it is said
# A command ends where prose or another one begins.
SAID = re.compile(r"(?<![\w/.-])nextaim ((?:[^\s`\"';,()#&>]+ ?)+)")
COMMAND = typer.main.get_command(app)


def texts_of_code(file: Path) -> Iterator[str]:
    """Every string of a module; what an f-string fills in is left open."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(p.value if isinstance(p, ast.Constant) else OPEN for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def texts() -> Iterator[tuple[Path, str]]:
    for file in sorted((PROJECT / "nextaim_kit").rglob("*.py")):
        if "nextaim " in file.read_text():
            yield from ((file, text) for text in texts_of_code(file))
    for file in [*PROJECT.glob("*.md"), *sorted((PROJECT / "docs").glob("*.md"))]:
        yield file, file.read_text()
    for file in sorted((PROJECT / "notebooks").rglob("*.ipynb")):
        for cell in json.loads(file.read_text())["cells"]:
            yield file, "".join(cell["source"])
    for file in sorted((PROJECT / "data_manifests").glob("*.yaml")):
        yield file, file.read_text()


def wrong(words: list[str]) -> str:
    """What of a command line does not exist; nothing where all of it does."""
    command: Any = COMMAND
    while words and hasattr(command, "commands"):  # a group of commands
        if words[0].startswith(("<", OPEN)) or words[0].isupper():
            return ""
        named = words.pop(0).rstrip(".:|")
        kinds = [command.commands.get(name) for name in named.split("|")]
        if None in kinds:
            return f"no command {named!r}"
        command = kinds[0] or command
    return wrong_options(command, words) or wrong_names(command, words)


def wrong_options(command: Any, words: list[str]) -> str:
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    options = [re.sub(r"[\]=.:].*", "", word.lstrip("[")) for word in words]
    unknown = [o for o in options if re.match(r"-[a-z]$|--[a-z]", o) and o not in known]
    return f"no option {unknown[0]} of {command.name}" if unknown else ""


def wrong_names(command: Any, words: list[str]) -> str:
    """A first argument that is no notebook or data set; a parameter that no such notebook has."""
    first = words[0].rstrip(".:") if words else ""
    if command.name in ("fetch", "verify", "where") and re.fullmatch(r"[a-z][a-z0-9_]+", first):
        return "" if first in manifest_names() else f"no data set {first!r}"
    if command.name not in ("run", "show") or not re.fullmatch(r"[a-z_]+(/[a-z_]+)?", first):
        return ""
    try:
        notebooks = [n for w in words if re.fullmatch(r"[a-z_]+(/[a-z_]+)?", w) for n in expand(w)]
    except KitError as error:
        return error.what
    asked = {w.partition("=")[0] for b, w in pairwise(words) if b == "-p"}
    known = {name for one in notebooks for name in read_parameters(find(one).path)}
    unknown = sorted(one for one in asked - known if OPEN not in one)
    return f"no parameter {unknown[0]!r} of {first}" if unknown else ""


def said_commands(text: str) -> list[list[str]]:
    return [found[1].split() for found in SAID.finditer(text)]


def test_every_command_that_a_text_of_the_kit_names_exists():
    found = [
        f"{file.relative_to(PROJECT)}: nextaim {' '.join(words)}: {problem}"
        for file, text in texts()
        for words in said_commands(text)
        if (problem := wrong(list(words)))
    ]
    assert found == []


def test_the_texts_name_many_commands_of_many_kinds():
    commands = {words[0] for _, text in texts() for words in said_commands(text)}
    assert {"run", "data", "sweep", "board", "doctor", "list", "show"} <= commands


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nextaim data fetch ibsi_phantoms, or give the paths", "no data set 'ibsi_phantoms'"),
        ("try nextaim dta list", "no command 'dta'"),
        ("nextaim data cache shrink", "no command 'shrink'"),
        ("nextaim run ct_radiomics/extraction --prfile smoke", "no option --prfile of run"),
        ("`nextaim run ct_radiomics/severity -p fold=3`", "no parameter 'fold'"),
        ("nextaim run ct_radiomic", "no notebook 'ct_radiomic'"),
        ("nextaim show ct_radiomics/severty", "no notebook 'ct_radiomics/severty'"),
        ("nextaim data fetch {}", ""),
        ("nextaim doctor says what is wrong", ""),
        ("nextaim sweep plan|run|status", ""),
    ],
)
def test_a_text_that_names_what_is_not_there_is_found(text, problem):
    said = "; ".join(wrong(words) for words in said_commands(text))
    assert (problem in said) if problem else said == ""
