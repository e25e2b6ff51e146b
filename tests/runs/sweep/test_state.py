"""How a sweep is known to be over, without starting anything."""

from __future__ import annotations

from collections import Counter

from nextaim_kit.runs.sweep import controller, state
from nextaim_kit.runs.sweep.controller import Engine
from nextaim_kit.runs.sweep.plan import expand, freeze
from nextaim_kit.runs.sweep.state import Ending, progress, read_ending, write_ending


def ended(file):
    """A plan of which every row ended."""
    plan = expand(file)
    freeze(plan)
    for row in plan.rows:
        write_ending(plan.folder, row.id, Ending("failed", error="torn"))
    return plan


def test_a_sweep_that_is_over_is_said_again_by_one_look_at_each_row(toy, sweep, monkeypatch):
    toy()
    plan = ended(sweep(seeds=[1, 2, 3]))
    looks = Counter()

    def looked(folder, row_id):
        looks[row_id] += 1
        return read_ending(folder, row_id)

    monkeypatch.setattr(state, "read_ending", looked)
    told = []
    after = controller.run(plan, Engine.named("local"), lambda *_: None, told.append)
    assert looks == {row.id: 1 for row in plan.rows}
    assert after.counts == {"failed": 3}
    assert [len(one.endings) for one in told] == [3]


def test_only_what_is_asked_for_is_forgotten(toy, sweep):
    toy()
    plan = ended(sweep(seeds=[1, 2, 3]))
    gone, changed, _ = (row.id for row in plan.rows)
    state.ending_path(plan.folder, gone).unlink()
    write_ending(plan.folder, changed, Ending("complete", run="toy/draw/none", record="0" * 64))
    assert state.forget(progress(plan)) == 0  # two that had not ended, one that failed
    assert not state.ending_path(plan.folder, changed).exists()
    assert progress(plan).counts == {"failed": 1, "waiting": 2}
    assert state.forget(progress(plan), everything=True) == 1
    assert progress(plan).counts == {"waiting": 3}
