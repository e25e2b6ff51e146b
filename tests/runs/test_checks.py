"""What a notebook's own checks refuse is refused wherever a run is asked for, before any kernel."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from nextaim_kit import catalog
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.launcher.takes import takes
from nextaim_kit.runs.background import begin
from nextaim_kit.runs.checks import judge, judge_of
from nextaim_kit.runs.context import start
from nextaim_kit.runs.parameters import resolve
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.sweep.plan import expand

OWN = """
from pathlib import Path
from nextaim_kit.errors import RequestError

CALLS = []

def odd(size, cohort):
    CALLS.append(size)
    if size % 2 == 0:
        raise RequestError("sizes are odd here", found=str(size))
    if cohort != "synthetic" and not Path(cohort).is_absolute():
        raise RequestError("a path that counts from elsewhere")

def misspelled(sise):
    pass
"""


@pytest.fixture
def checked(toy, tmp_path, monkeypatch):
    """The toy study with checks of its own; gives its notebook and their module."""
    (tmp_path / "own_checks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_checks", raising=False)

    def make(function="odd", module="own_checks"):
        declared = {"title": "Draw", "data": ["cohort"], "checks": f"{module}:{function}"}
        toy(notebooks={"draw": declared | {"profiles": {"smoke": {"size": 3}}}})
        return catalog.find("toy/draw")

    return make


def test_a_request_is_refused_with_the_words_of_the_check_and_leaves_nothing(checked, own_folders):
    checked()
    with pytest.raises(RequestError, match=r"sizes are odd here(.|\n)*found: +4"):
        prepare("toy/draw", "smoke", {"size": "4"})
    with pytest.raises(RequestError, match="sizes are odd here"):
        begin(["toy/draw"], "smoke", {"size": 4})
    assert not (own_folders / "runs").exists()
    assert prepare("toy/draw", "smoke", {"size": 5}).parameters["size"] == 5


def test_a_check_sees_paths_that_are_whole(checked, tmp_path, monkeypatch):
    checked()
    (tmp_path / "own.csv").write_text("subject\na\n")
    monkeypatch.chdir(tmp_path)
    given = prepare("toy/draw", "smoke", {"cohort": "own.csv"}).parameters["cohort"]
    assert given == str(tmp_path / "own.csv")


def test_an_open_notebook_is_judged_at_its_start(checked, monkeypatch):
    checked()
    values = {"cohort": "synthetic", "size": 4, "kind": "mean", "rates": [0.1], "limit": None}
    with pytest.raises(RequestError, match="sizes are odd here"):
        start("toy/draw", parameters={**values, "seed": 1}, seed=1)


def test_the_form_says_what_will_be_refused(checked):
    checked()
    assert "sizes are odd here" in takes("toy/draw", "smoke", {"size": 4}, (), force=False)
    assert "sizes are odd" not in takes("toy/draw", "smoke", {"size": 5}, (), force=False)


def test_the_same_values_are_judged_once(checked):
    judged = judge_of(checked())
    for seed, size in enumerate((3, 3, 5, 3)):
        judged({"size": size, "cohort": "synthetic", "seed": seed})
    assert importlib.import_module("own_checks").CALLS == [3, 5]


def test_checks_are_imported_only_when_a_run_is_asked_for(checked):
    checked()
    assert catalog.find("toy/draw").checks == "own_checks:odd"
    assert "own_checks" not in sys.modules
    prepare("toy/draw", "smoke", {})
    assert "own_checks" in sys.modules


@pytest.mark.parametrize(
    ("named", "near"),
    [
        ({"function": "od"}, "did you mean odd"),
        ({"module": "own_check"}, "did you mean own_checks"),
        ({"function": "misspelled"}, "a parameter 'sise'(.|\n)*did you mean 'size'"),
    ],
)
def test_checks_that_are_not_there_are_refused_with_the_near_miss(checked, named, near):
    with pytest.raises(DataError, match=near):
        judge(checked(**named), {"size": 3, "cohort": "synthetic"})


NAMED = [n for s in catalog.studies() for n in s.notebooks.values() if n.checks]


@pytest.mark.parametrize("notebook", NAMED, ids=[n.id for n in NAMED])
def test_every_profile_of_the_kit_passes_its_own_checks(notebook):
    for profile in ("tutorial", *notebook.profiles):
        judge(notebook, resolve(notebook, profile, {}))


@pytest.mark.parametrize(
    ("notebook", "given", "words"),
    [
        ("challenges/memory_budget", {"machines": "v100-61"}, "did you mean v100-16"),
        ("challenges/privacy", {"film_study": "cxr_sevrity"}, "did you mean cxr_severity"),
        ("challenges/limited_data", {"transfer_from": "cxr_severity"}, "to itself"),
        ("challenges/limited_data", {"study": "breast_mases"}, "did you mean breast_masses"),
        ("challenges/explainability", {"study": "lessons"}, "offers its data"),
        (
            "ct_radiomics/extraction",
            {"definition": "ibsi", "wavelet": "true"},
            "an IBSI configuration fixes bins",
        ),
    ],
)
def test_what_a_notebook_would_stumble_over_later_is_refused_before(notebook, given, words):
    with pytest.raises(RequestError, match=words):
        prepare(notebook, "smoke", given)


def test_a_wrong_key_of_a_parameter_file_is_refused_before_a_kernel_and_in_a_sweep(tmp_path):
    (tmp_path / "own.yaml").write_text("setting: {binWidht: 25}\n")
    words = r"own\.yaml: setting 'binWidht' is not known(.|\n)*did you mean 'binWidth'"
    with pytest.raises(RequestError, match=words):
        prepare("ct_radiomics/extraction", "smoke", {"settings": str(tmp_path / "own.yaml")})
    (tmp_path / "many.yaml").write_text(
        "notebook: ct_radiomics/extraction\nseeds: [1, 2]\ngrid: {settings: [own.yaml]}\n"
    )
    with pytest.raises(RequestError, match=words):
        expand(tmp_path / "many.yaml")


def test_no_study_is_imported_to_know_what_checks_there_are(project):
    code = "import sys; from nextaim_kit.catalog import studies; studies(); "
    code += "sys.exit(any(n.startswith('nextaim_kit.studies') for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=project).returncode == 0
