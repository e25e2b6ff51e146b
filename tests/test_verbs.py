"""What notebooks import from `learn`, `data` and `show` is there, told, and shown by an example."""

from __future__ import annotations

import doctest
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest

from nextaim_kit import data, learn, show

VERBS = [(room, name) for room in (learn, data, show) for name in room.__all__]
TYPES = ("Differences", "Segmented", "alt_of")  # what goes into figures, and what reads them


def examples(verb) -> list[doctest.DocTest]:
    module = sys.modules[getattr(verb, "__wrapped__", verb).__module__]
    finder = doctest.DocTestFinder(recurse=False)
    return finder.find(verb, verb.__name__, module, globs=dict(vars(module)))


@pytest.mark.parametrize(("room", "name"), VERBS, ids=lambda one: getattr(one, "__name__", one))
def test_a_verb_has_an_example_that_gives_what_it_says(room, name, capsys):
    verb = getattr(room, name)
    found = [one for one in examples(verb) if one.examples]
    assert found or name in TYPES, f"{name} has no example"
    for example in found:
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(example, out=sys.stdout.write)
        assert runner.failures == 0, capsys.readouterr().out
    plt.close("all")


def test_the_rooms_are_imported_without_what_is_heavy():
    code = (
        "import sys; from nextaim_kit import data, learn, show; "
        "print([m for m in ('torch', 'monai', 'shap', 'radiomics', 'sklearn') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
