"""The form asks for what the command line asks for, and refuses what it refuses."""

from __future__ import annotations

import re
import shlex
import sys
from html import unescape

import ipywidgets as widgets
import pytest

from nextaim_kit import catalog
from nextaim_kit.errors import RunError
from nextaim_kit.launcher.controls import Control
from nextaim_kit.launcher.form import Form, _fed
from nextaim_kit.machine.gpu import Gpu
from nextaim_kit.runs.background import Job, State, jobs
from nextaim_kit.runs.chain import before, share_out
from nextaim_kit.runs.parameters import parse_cell, read_parameters
from nextaim_kit.runs.record import runs_folder
from nextaim_kit.runs.request import prepare

NOTEBOOKS = [n for s in catalog.studies() for n in s.notebooks.values()]


def control(declaration: str) -> Control:
    return Control(next(iter(parse_cell(declaration, "a test").values())), lambda: None)


def typed_command(form: Form) -> list[str]:
    return shlex.split(unescape(re.search(r'value="([^"]*)"', form.command.value)[1]))


def test_a_notebook_that_cannot_be_read_is_named_and_nothing_of_another_is_shown_for_it(toy):
    path = toy()
    form = Form("toy/draw", "smoke")
    assert not form.start.disabled
    whole = path.read_text()
    path.write_text(whole[:200])
    form._choose_notebook("smoke")
    assert "1_draw.ipynb is no notebook that can be read" in form.refused.value
    assert form.start.disabled
    assert not form.controls
    assert not form.command.value
    path.write_text(whole)
    form._choose_notebook("smoke")
    assert not form.refused.value
    assert not form.start.disabled
    assert "toy/draw" in form.command.value


@pytest.mark.parametrize(
    ("declaration", "kind"),
    [
        ("a: int = 3  # number [1, 9]", widgets.FloatText),
        ("a: float = 0.5  # share [0, 1]", widgets.FloatText),
        ("a: bool = True  # whether", widgets.Checkbox),
        ("a: str = 'x'  # name", widgets.Text),
        ("a: list[int] = [1, 2]  # sizes", widgets.Text),
        ("a: float | None = None  # limit", widgets.Text),
        ("from typing import Literal\na: Literal['p', 'q'] = 'q'  # way", widgets.Dropdown),
    ],
)
def test_a_parameter_has_the_control_of_its_type_with_a_label_and_its_default(declaration, kind):
    shown = control(declaration)
    assert type(shown.input) is kind
    assert shown.input.description == "a"
    assert shown.parameter.help in shown.input.tooltip
    assert shown.value == shown.parameter.default
    assert type(shown.value) is type(shown.parameter.default)
    assert not shown.changed


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("a: int = 3  # number [1, 9]", 10),
        ("a: int = 3  # number [1, 9]", 2.7),
        ("a: float = 0.5  # share [0, 1]", -0.1),
        ("a: list[int] = [1, 2]  # sizes [1, 9]", "1, two"),
        ("a: float | None = None  # limit", "high"),
    ],
)
def test_a_value_that_cannot_be_is_refused_beside_its_control_in_the_kits_own_words(
    declaration, value
):
    shown = control(declaration)
    shown.input.value = value
    assert "parameter 'a' cannot take this value" in shown.refused
    assert f"expected: {shown.parameter.expected}" in shown.refused
    assert "cannot take this value" in shown.row.children[1].value
    shown.fill(shown.parameter.default)
    assert (shown.refused, shown.row.children[1].value) == ("", "")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.id)
def test_what_the_form_says_of_the_command_line_is_the_same_run(notebook):
    form = Form(notebook.id, "smoke")
    form.controls["seed"].input.value = 77
    words = typed_command(form)
    assert words[:5] == ["nextaim", "run", notebook.id, "--profile", "smoke"]
    given = dict(word.split("=", 1) for word in words[6::2])
    assert given == {"seed": "77"}
    by_form = prepare(notebook.id, "smoke", form.changed)
    assert by_form.id == prepare(notebook.id, "smoke", given).id


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.id)
def test_every_value_of_a_profile_can_be_typed(notebook):
    declared = read_parameters(notebook.path)
    for values in [{n: p.default for n, p in declared.items()}, *notebook.profiles.values()]:
        for name, value in values.items():
            assert declared[name].parse(declared[name].text(value)) == value


def test_a_profile_fills_the_form_and_what_differs_from_it_is_marked(toy):
    toy()
    form = Form("toy/draw", "smoke")
    assert form.controls["size"].value == 2
    form.controls["size"].input.value = 5
    assert "<b>changed</b>, was 2" in form.controls["size"].row.children[0].children[1].value
    assert form.changed == {"size": 5}
    form.profile.value = "tutorial"
    assert form.controls["size"].value == 3
    assert form.changed == {}
    assert typed_command(form) == ["nextaim", "run", "toy/draw"]


def test_what_is_run_again_is_run_again_on_the_command_line_too(toy):
    toy()
    form = Form("toy/draw", "tutorial")
    form.force.value = True
    assert typed_command(form) == ["nextaim", "run", "toy/draw", "--force"]


def test_a_run_that_ended_stays_on_the_page_until_it_is_made_anew(toy):
    toy()
    form, folder = Form("toy/draw", "smoke"), runs_folder() / ".background"
    for key, began in [("a", 1.0), ("b", 2.0), ("a", 3.0)]:
        form._watch(
            Job(folder / key, ["toy/draw"], "smoke", {}, began, 1, 1, "", 0, State("failed"))
        )
    assert [(w.job.key, w.job.began) for w in form.watches] == [("a", 3.0), ("b", 2.0)]
    assert form.running.children == tuple(w.page for w in form.watches)


def test_a_refused_value_keeps_the_run_from_being_started(toy):
    toy()
    form = Form("toy/draw", "smoke")
    form.controls["size"].input.value = 1000
    assert form.start.disabled
    form.controls["size"].input.value = 10
    assert not form.start.disabled


def test_data_that_are_not_there_are_refused_in_the_form_and_nothing_starts(toy):
    toy()
    form = Form("toy/draw", "smoke")
    form.controls["cohort"].input.value = "/no/such/cohort.csv"
    form.start.click()
    assert "/no/such/cohort.csv" in unescape(form.refused.value)
    assert jobs() == []


def test_a_run_is_started_with_the_gpu_that_the_page_knows(toy, monkeypatch):
    toy()
    asked, module = {}, sys.modules[Form.__module__]

    def begin(*_, **more):
        asked.update(more)
        raise RunError("not now")

    monkeypatch.setattr(module, "begin", begin)
    monkeypatch.setattr(module, "gpu_found", lambda: Gpu("mig", "MIG 1g.10gb", 10**10, 10**10))
    form = Form("toy/draw", "smoke")
    form.start.click()
    assert asked == {"force": False, "gpu": 10**10}
    assert "not now" in form.refused.value


def test_a_notebook_can_be_run_after_what_feeds_it():
    form = Form("ct_radiomics/severity", "smoke")
    assert "features is extraction/features.parquet" in form.fed.value
    form.feeders.value = True
    form.controls["seed"].input.value = 5
    assert form.notebooks == ["ct_radiomics/extraction", "ct_radiomics/severity"]
    assert typed_command(form)[2:4] == form.notebooks
    assert share_out(form.notebooks, form.changed) == {i: {"seed": 5} for i in form.notebooks}
    assert before("ct_radiomics/extraction") == []


def test_names_of_a_study_file_are_text_in_the_form():
    notebook = catalog.find("ct_radiomics/severity")
    named = notebook.model_copy(update={"needs": {"<img src=x>": "extraction/<b>"}})
    assert "&lt;img src=x&gt; is extraction/&lt;b&gt;" in _fed(named)


def test_a_profile_that_is_too_large_says_so(monkeypatch):
    monkeypatch.setenv("MEM_LIMIT", "1000000000")
    form = Form("ct_radiomics/severity", "smoke")
    assert "does not fit this machine" in form.takes.value
    assert "2 GB of memory" in form.takes.value
