"""The memory grid: its laws, what is measured, what is skipped by name."""

from __future__ import annotations

from functools import partial

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.memory.dry_run import dry_run
from nextaim_kit.memory.step_memory import GB
from nextaim_kit.studies.challenges import memory_laws
from nextaim_kit.studies.challenges.network import builder, check_edges

BUILD = builder(4, 3)


def check(edge):
    check_edges([edge], 3)


@pytest.fixture(scope="module")
def grid():
    return memory_laws.memory_grid(BUILD, [32, 64, 45], [1, 2, 3, 8], check=check)


def test_a_cell_of_the_line_is_what_a_dry_run_says(grid):
    cell = grid[0].query("edge == 64 and batch == 3").iloc[0]
    assert cell["how"] == "law"
    assert cell["gb"] == pytest.approx(dry_run(memory_laws.cube(BUILD, 64, 3)).peak / GB, rel=1e-3)
    assert grid[0]["law_error"].abs().max() < 0.1


def test_an_edge_that_cannot_be_is_named_and_the_others_stay(grid):
    assert grid[1]["edge"].tolist() == [45]
    assert "44 or 48" in grid[1]["problem"][0]
    assert len(grid[0]) == 2 * 4


def test_memory_is_linear_in_the_batch_and_cubic_in_the_edge(grid):
    found = memory_laws.laws(grid[0])
    assert found["edge_exponent"] == pytest.approx(3, abs=0.01)
    assert found["fixed_gb"] == pytest.approx(0.5, abs=0.02)  # CUDA's context
    expected = found["fixed_gb"] + found["bytes_per_voxel"] * 64**3 * 8 / GB
    assert expected == pytest.approx(grid[0].query("edge == 64 and batch == 8")["gb"].item())


def test_no_law_is_fitted_to_a_single_edge(grid):
    with pytest.raises(RequestError, match="no law can be fitted"):
        memory_laws.laws(grid[0][grid[0]["edge"] == 32])


def test_an_empty_grid_is_refused():
    with pytest.raises(RequestError, match="the grid is empty"):
        memory_laws.memory_grid(BUILD, [], [1], check=check)


def test_cells_beyond_what_is_allowed_are_skipped_by_name(grid):
    cells = memory_laws.measured_cells(BUILD, grid[0], limit_gb=0.04, device="cpu")
    run = cells["skipped"] == ""
    assert 0 < run.sum() < len(cells)
    assert cells.loc[~run, "skipped"].str.contains("allowed are 0.04 GB").all()
    assert cells.loc[~run, "measured_mb"].isna().all()


def test_where_no_cell_can_be_measured_it_is_said(grid):
    with pytest.raises(RequestError, match="no cell of the grid can be measured"):
        memory_laws.measured_cells(BUILD, grid[0], limit_gb=1e-4, device="cpu")


def test_full_resolution_holds_most_and_each_level_a_quarter_of_the_one_above():
    levels = memory_laws.by_level(BUILD, 64)
    assert levels["edge"].tolist() == [64, 32, 16]
    assert levels["share"].sum() == pytest.approx(100)
    assert levels["share"][0] > 70
    assert levels["mb"][1] / levels["mb"][0] == pytest.approx(0.25, abs=0.03)


def test_the_parts_of_a_cell_add_up_to_its_memory(grid):
    parts = memory_laws.parts_of(BUILD, [(32, 1), (64, 2)])
    total = parts.drop(columns=["edge", "batch"]).sum(axis=1).tolist()
    at = grid[0].set_index(["edge", "batch"])["gb"]
    assert total == pytest.approx([at[32, 1], at[64, 2]])


def test_a_plan_carries_at_least_as_far_as_no_plan():
    found = memory_laws.largest_edges(BUILD, [32, 64, 96], 0.7)
    assert (found["planned_fits"] >= found["plain_fits"]).all()
    assert (found["planned_gb"] <= found["plain_gb"]).all()


def test_a_budget_below_the_context_fits_nothing_and_is_no_error():
    assert not memory_laws.largest_edges(BUILD, [32], 0.1)["planned_fits"].any()


def test_a_card_that_no_torch_has_code_for_runs_nothing_and_the_others_tell_their_plan():
    table = memory_laws.by_card(BUILD, 64, 2, ["k80", "t4", "mig-10"]).set_index("card")
    assert not table.loc["k80", "runs"]
    assert table.loc["k80", "plan"] == "no torch has code for it"
    assert table.loc[["t4", "mig-10"], "plan"].tolist() == ["as it is"] * 2
    assert table.loc["t4", "planned_gb"] == table.loc["mig-10", "planned_gb"]


def test_what_no_card_can_hold_is_said_and_what_is_tight_takes_tricks():
    table = memory_laws.by_card(BUILD, 256, 8, ["mig-10", "a100-40"]).set_index("card")
    plain = memory_laws.step_gb(BUILD, (1, 256, 256, 256), 8)
    for name, row in table.iterrows():
        if plain > row["memory_gb"]:
            assert row["plan"] != "as it is", name
    assert (table["planned_gb"].dropna() <= table["memory_gb"]).all()


@pytest.mark.parametrize("budget", [0.0, -1.0])
def test_no_budget_is_refused(budget):
    with pytest.raises(RequestError, match="no memory to plan with"):
        memory_laws.largest_edges(BUILD, [32], budget)


def test_checkpointing_takes_less_memory_and_more_time():
    less, longer = memory_laws.checkpointing(partial(BUILD), 64)
    assert 0.5 < less < 1 < longer < 1.5
