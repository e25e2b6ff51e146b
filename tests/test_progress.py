"""The line of progress."""

from __future__ import annotations

from nextaim_kit.progress import ProgressLine


def test_progress_in_a_log_tells_the_end_and_no_more_than_it_must(capsys):
    line = ProgressLine("radiomics")
    for done in range(1, 101):
        line(done, 100, f"P{done}")
    assert capsys.readouterr().out == "radiomics: 100 of 100 subjects, 0 s, last P100\n"
