"""What the form says that a run takes: minutes and memory as known, or that it is done."""

from __future__ import annotations

from nextaim_kit import catalog
from nextaim_kit.launcher.takes import takes
from nextaim_kit.runs.record import hardware, write_record
from nextaim_kit.runs.request import prepare
from tests.conftest import WHOLE


def left(request):
    """Leave the record of a whole run."""
    request.folder.mkdir(parents=True)
    record = {"hardware": hardware(), "sections": [{"title": "t", "seconds": 90, "peak_mb": 1}]}
    write_record(request.folder, WHOLE | request.public() | record)


def test_a_run_that_is_there_is_said_to_be_done_unless_it_is_forced(toy):
    toy()
    before = takes("toy/draw", "smoke", {}, (), force=False)
    left(request := prepare("toy/draw", "smoke", {}))
    after = takes("toy/draw", "smoke", {}, (), force=False)
    assert "no time or memory is known" in before
    assert f"is done with these parameters (run <code>{request.id}</code>)" in after
    assert "1.5 min" in takes("toy/draw", "smoke", {}, (), force=True)
    assert "is done" not in takes("toy/draw", "smoke", {"size": 4}, (), force=False)


def test_a_cohort_is_not_read_to_know_whether_its_run_is_done(toy):
    toy()
    left(prepare("toy/draw", "smoke", {}))
    assert "is done" not in takes(
        "toy/draw", "smoke", {"cohort": "no such folder"}, (), force=False
    )


def test_with_thresholds_a_quantification_is_told_to_be_quicker_than_with_networks():
    tutorial = catalog.find("ct_lungquant/quantification").resources["tutorial"]
    name = "ct_lungquant/quantification"
    assert f"{tutorial.minutes:g} min" in takes(name, "tutorial", {}, (), force=False)
    assert f"{tutorial.fed:g} min" in takes(name, "tutorial", {}, {"weights"}, force=False)
