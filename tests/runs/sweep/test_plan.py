"""A plan names every run before one starts, and holds only as long as nothing it names changes."""

from __future__ import annotations

import nbformat
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.sweep.plan import TABLE, expand, freeze, load, require_same, table_text
from tests.conftest import PROJECT


def test_a_sweep_ranks_by_the_first_metric_that_a_number_was_published_for(toy, sweep):
    toy(outputs={"metrics": ["patients", "mean"], "files": []})
    assert expand(sweep(grid={"size": [4]})).metric == "mean"
    assert expand(sweep("two", grid={"size": [4]}, metric="patients")).metric == "patients"


def test_a_row_s_id_is_the_id_of_its_run(toy, sweep):
    toy()
    plan = expand(sweep(grid={"size": [4, 5]}, seeds=[1, 2]))
    assert [r.parameters for r in plan.rows[:2]] == [{"size": 4, "seed": 1}, {"size": 4, "seed": 2}]
    assert [r.id for r in plan.rows] == [
        prepare("toy/draw", "smoke", {"size": size, "seed": seed}).id
        for size in (4, 5) for seed in (1, 2)
    ]  # fmt: skip


def test_runs_that_feed_several_others_are_planned_once(chain, sweep):
    chain()
    both = ["toy/draw", "toy/double"]
    plan = expand(sweep(notebooks=both, grid={"size": [4, 5], "times": [1, 2, 3]}))
    assert [r.notebook for r in plan.rows].count("toy/draw") == 2
    assert len(plan.last) == 6
    assert {r.needs["drawn"] for r in plan.last} == {
        (r.id, "numbers.txt") for r in plan.rows if r.notebook == "toy/draw"
    }
    for row in plan.last:
        assert plan.by_id[row.needs["drawn"][0]].index < row.index


def test_a_name_with_its_stage_is_meant_for_that_notebook_alone(chain, sweep):
    chain()
    both = ["toy/draw", "toy/double"]
    plan = expand(sweep(notebooks=both, parameters={"seed": 3}, grid={"double.seed": [1, 2]}))
    assert [(r.notebook, r.parameters["seed"]) for r in plan.rows] == [
        ("toy/draw", 3), ("toy/double", 1), ("toy/double", 2)
    ]  # fmt: skip
    assert [plan.settings(r) for r in plan.last] == [{"double.seed": 1}, {"double.seed": 2}]


def test_settings_of_a_row_are_those_of_its_feeders_too(chain, sweep):
    chain()
    both = ["toy/draw", "toy/double"]
    plan = expand(sweep(notebooks=both, grid={"size": [4], "times": [2.5]}))
    assert plan.settings(plan.last[0]) == {"size": 4, "times": 2.5}


def test_a_plain_name_is_shown_as_given_where_a_stage_has_its_own(chain, sweep):
    chain()
    both = ["toy/draw", "toy/double"]
    plan = expand(sweep(notebooks=both, parameters={"double.seed": 5}, seeds=[1, 2]))
    assert [plan.settings(row) for row in plan.last] == [{"seed": 1}, {"seed": 2}]


def test_notebooks_in_the_wrong_order_are_refused(chain, sweep):
    chain()
    with pytest.raises(RequestError, match="toy/double stands before toy/draw, which feeds it"):
        expand(sweep(notebooks=["toy/double", "toy/draw"]))


def test_another_file_of_the_same_name_does_not_take_over_the_sweep(toy, sweep, tmp_path):
    toy()
    freeze(expand(sweep(grid={"size": [4]})))
    (tmp_path / "other").mkdir()
    other = (tmp_path / "one.yaml").rename(tmp_path / "other" / "one.yaml")
    moved = expand(other)
    require_same(load(moved.folder), moved)  # the file was moved
    sweep(grid={"size": [5]})
    with pytest.raises(RequestError, match="another sweep of the name one"):
        require_same(load(moved.folder), moved)


def test_a_given_parameter_is_not_fed(chain, sweep):
    chain()
    both = ["toy/draw", "toy/double"]
    plan = expand(sweep(notebooks=both, parameters={"drawn": "synthetic"}))
    assert plan.last[0].needs == {}


def test_a_frozen_plan_is_read_back_as_it_was(chain, sweep):
    chain()
    both = ["toy/draw", "toy/double"]
    rates = [[0.1], [0.2, 0.3]]
    plan = expand(sweep(notebooks=both, grid={"rates": rates, "limit": [None, 1.5]}))
    freeze(plan)
    again = load(plan.folder)
    assert again.rows == plan.rows
    assert again.sweep == plan.sweep
    require_same(again, plan)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"grid": {"sise": [1]}}, "no parameter 'sise'(.|\n)*did you mean 'size'"),
        ({"grid": {"size": [1, 1000]}}, "'size' cannot take this value(.|\n)*1000"),
        ({"grid": {"size": ["many"]}}, "'size' cannot take this value"),
        ({"grid": {"other.size": [1]}}, r"no parameter 'other\.size'"),
        ({"grid": {"size": [3, 3]}}, "twice for one and the same run"),
        ({"grid": {"size": [3, 4]}, "where": "size > 10"}, "no combination fulfils size > 10"),
        ({"notebooks": ["toy/drew"]}, "no notebook 'toy/drew'"),
        ({"profile": "smok"}, "no profile 'smok'"),
        ({"metric": "maen"}, "no metric 'maen'(.|\n)*'mean'"),
        ({"parameters": {"cohort": "nowhere/at/all"}}, "no data at"),
        ({"parameters": {"seed": "many"}}, "'seed' cannot take this value"),
        ({"parameters": {"seed": None}}, "'seed' cannot take this value"),
        ({"notebooks": ["toy/draw", "toy/draw"]}, "names the notebook toy/draw twice"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(toy, sweep, said, words):
    toy()
    with pytest.raises(RequestError, match=words):
        expand(sweep(**said))


def test_a_plan_edited_after_freezing_is_refused(toy, sweep):
    toy()
    plan = expand(sweep(grid={"size": [4, 5]}))
    freeze(plan)
    table = plan.folder / TABLE
    table.write_text(table.read_text().replace(",4,", ",6,").replace(",4\n", ",6\n"))
    with pytest.raises(RequestError, match="was edited after it was frozen"):
        load(plan.folder)


def test_a_notebook_that_changed_since_is_named(toy, sweep):
    path = toy()
    file = sweep(grid={"size": [4, 5]})
    freeze(expand(file))
    document = nbformat.read(path, 4)
    document.cells[3].source += "\n# another thought"
    nbformat.write(document, path)
    now = expand(file)
    with pytest.raises(RequestError, match="no longer holds: toy/draw changed"):
        require_same(load(now.folder), now)


def test_a_sweep_file_that_changed_since_is_named_but_not_for_a_comment(toy, sweep):
    toy()
    file = sweep(grid={"size": [4, 5]})
    freeze(expand(file))
    file.write_text("# a thought\n" + file.read_text())
    require_same(load(expand(file).folder), expand(file))
    now = expand(sweep(grid={"size": [4, 6]}))
    with pytest.raises(RequestError, match="no longer holds: the sweep file changed"):
        require_same(load(now.folder), now)


def test_data_that_changed_since_are_told(toy, sweep, tmp_path):
    toy()
    (tmp_path / "c.csv").write_text("subject\nA\n")
    file = sweep(parameters={"cohort": "c.csv"})
    freeze(expand(file))
    (tmp_path / "c.csv").write_text("subject\nB\n")
    now = expand(file)
    with pytest.raises(RequestError, match=r"no longer holds: its data, or a profile, changed"):
        require_same(load(now.folder), now)


def test_a_relative_path_counts_from_the_sweep_file(toy, sweep, tmp_path, monkeypatch):
    toy()
    (tmp_path / "c.csv").write_text("subject\nA\n")
    monkeypatch.chdir("/")
    row = expand(sweep(parameters={"cohort": "c.csv"})).rows[0]
    assert row.parameters["cohort"] == str(tmp_path / "c.csv")


def test_a_sweep_is_named_by_its_file_or_by_the_folder_of_a_sweep_yaml(toy, sweep, tmp_path):
    toy()
    assert expand(sweep("mine")).name == "mine"
    assert expand(sweep("sweep")).name == tmp_path.name


@pytest.mark.parametrize("path", sorted((PROJECT / "notebooks").glob("*/sweep*.yaml")))
def test_the_examples_can_be_planned(path):
    plan = expand(path)
    assert plan.name == path.parent.name
    assert len(plan.last) > 1


def test_a_path_that_counts_from_the_current_folder_is_refused(toy, sweep, tmp_path, monkeypatch):
    toy()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "c.csv").write_text("subject\nA\n")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(RequestError, match=r"'c\.csv' is not beside the sweep file"):
        expand(sweep(parameters={"cohort": "c.csv"}))


def test_a_folder_of_a_known_name_does_not_stand_for_the_data_of_that_name(toy, sweep, tmp_path):
    toy()
    (tmp_path / "synthetic").mkdir()
    row = expand(sweep(parameters={"cohort": "synthetic"})).rows[0]
    assert row.parameters["cohort"] == "synthetic"


def test_the_table_can_be_read_by_people(toy, sweep):
    toy()
    lines = table_text(expand(sweep(grid={"kind": ["sum"], "size": [4]}))).splitlines()
    assert lines[0] == "index,id,notebook,profile,needs,kind,size"
    assert lines[1].startswith("0,")
    assert lines[1].endswith(',toy/draw,smoke,,"""sum""",4')


def test_resources_of_the_sweep_go_before_those_of_the_profile(toy, sweep):
    toy()
    plan = expand(sweep(resources={"cores": 3, "memory_gb": 7.5}))
    takes = plan.resources(plan.rows[0])
    assert (takes.cores, takes.memory_gb, takes.minutes) == (3, 7.5, 60)
