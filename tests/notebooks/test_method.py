"""A notebook imports few names, shows its method as code, and its prose holds no stale numbers."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap

import pytest

from nextaim_kit import catalog

NOTEBOOKS = [n for s in catalog.studies() for n in s.notebooks.values()]
every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.id)
LINES = 15
NUMBER = re.compile(r"\d\.\d|\d ?%|\d of \d")
# What was found, of which a run with other parameters may find another number.
FOUND = re.compile(
    r"\b(on the twin|had|gave|took|reached|marked|missed|lost|fell|rose|agreed|measured|stays?|"
    r"moves?|(was|were)(?! \w+ed\b)|(?<!are )found)\b",
    re.IGNORECASE,
)
# Somebody else's number, a question, or one that says of which run it is.
SAID_OF_WHAT = re.compile(
    r"\]\(http|\]\[tag |\[(pub|slides|calc|code|guess|recall)\]|\b(published|paper|benchmark)\b|"
    r"at the tutorial's settings|\?$",
    re.IGNORECASE,
)


def cells(notebook):
    return json.loads(notebook.path.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def code(notebook):
    return [c for c in cells(notebook) if c["cell_type"] == "code"]


def imported(notebook):
    """Kit imports of a notebook: the statement, where from, and the name."""
    for cell in code(notebook):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.Import):
                assert not [a.name for a in node.names if a.name.startswith("nextaim_kit")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nextaim_kit"):
                yield from ((node, node.module, alias) for alias in node.names)


@every_notebook
def test_it_imports_twelve_names_of_the_kit_at_most_and_six_of_its_study_without_aliases(notebook):
    names = {(module, alias.name) for _, module, alias in imported(notebook)}
    assert len(names) <= 12, sorted(names)
    own = {pair for pair in names if pair[0].startswith("nextaim_kit.studies")}
    assert len(own) <= 6, sorted(own)
    assert not [alias.asname for _, _, alias in imported(notebook) if alias.asname]


def shown(notebook, cell):
    """What a cell shows by `run.source`."""
    calls = [node for node in ast.walk(ast.parse(source(cell))) if isinstance(node, ast.Call)]
    asked = [c.args[0] for c in calls if ast.unparse(c.func) == "run.source"]
    known: dict = {}
    if asked:
        for node, _, _ in imported(notebook):
            exec(compile(ast.Module([node], []), "imports", "exec"), known)
    return [eval(ast.unparse(one), known) for one in asked]


def lines(text):
    return sum(bool(line.strip()) for line in text.splitlines())


def body_lines(thing):
    """Lines of a function's body, or of those of a class, without docstrings."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    inside = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else tree.body
    parts = [part for one in inside if isinstance(one, ast.FunctionDef) for part in one.body]
    told = (isinstance(p, ast.Expr) and isinstance(p.value, ast.Constant) for p in parts)
    kept = [part for part, doc in zip(parts, told, strict=True) if not doc]
    return sum(part.end_lineno - part.lineno + 1 for part in kept)


@every_notebook
def test_its_method_is_seen_as_fifteen_lines_of_code_with_prose_beside_them(notebook):
    document = cells(notebook)
    places = [k for k, c in enumerate(document) if "method" in c["metadata"].get("tags", [])]
    assert places
    for k in places:
        assert lines(source(document[k])) <= LINES
        assert "markdown" in {document[k - 1]["cell_type"], document[k + 1]["cell_type"]}
        for thing in shown(notebook, document[k]):
            assert body_lines(thing) <= LINES, thing


def sentences(text):
    """Sentences of prose that are neither an exercise, a heading nor a formula."""
    text = re.sub(r"^\[[^\]]+\]: .*$|^#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", "", text, flags=re.DOTALL)
    return [s.strip() for s in re.split(r"(?<=[.?!:])\s+|\n\n|\n[|-] ?", text) if s.strip()]


def stale(text):
    """Sentences that tell a number as found without saying of what."""
    return [
        s for s in sentences(text)
        if NUMBER.search(s) and FOUND.search(s) and not SAID_OF_WHAT.search(s)
    ]  # fmt: skip


@every_notebook
def test_no_number_of_its_prose_is_one_that_another_run_would_not_find(notebook):
    prose = [source(c) for c in cells(notebook)[1:] if c["cell_type"] == "markdown"]
    told = [p for p in prose if not re.search(r"\*\*(Exercise )?\d|^## The record", p)]
    assert not [sentence for text in told for sentence in stale(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("After 14 it marked 42 % of the masses.", True),
        ("On the twin the volume moves by less than 1 % in every way.", True),
        ("At the tutorial's settings it marked 42 %.", False),
        ("Readers agreed in 85 % ([Cohen 1960](https://doi.org/10.1177/0)).", False),
        ("Published was 0.96.", False),
        ("Which share was above 0.5?", False),
        ("Masks are cut at 0.5. It had no threshold of its own.", False),
        ("The AUC was 0.9, and it stays there.", True),
    ],
)
def test_a_number_is_stale_where_a_run_found_it_and_nothing_says_which(text, found):
    assert bool(stale(text)) is found
