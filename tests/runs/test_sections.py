"""The seconds and the memory of a run, by the headings of its notebook."""

from __future__ import annotations

from types import SimpleNamespace

from IPython.core.events import EventManager, available_events

from nextaim_kit.runs.context import _Clock


def test_what_is_done_after_a_run_is_finished_is_not_the_run_s_and_it_can_be_finished_again(
    toy, monkeypatch
):
    events = EventManager(None, available_events)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(events=events))
    clock = _Clock(toy())
    events.trigger("pre_run_cell", SimpleNamespace(raw_cell="run.finish()"))
    once = clock.stop()
    assert [section["title"] for section in once] == ["Record"]
    events.trigger("pre_run_cell", SimpleNamespace(raw_cell="pass"))
    assert clock.stop() == once
