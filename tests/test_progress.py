"""The line of progress."""

from __future__ import annotations

import io
import sys

import pytest

from nextaim_kit.progress import Bar, ProgressLine, last_seen


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def live(monkeypatch):
    """What a terminal is sent, whatever the time since the line before."""
    bar = Bar()
    monkeypatch.setenv("COLUMNS", "80")

    def show(*given):
        bar.last = -1.0
        monkeypatch.setattr(sys, "stdout", screen := Terminal())
        bar.show(*given)
        return screen.getvalue()

    return show


def test_progress_in_a_log_tells_the_end_and_no_more_than_it_must(capsys):
    line = ProgressLine("radiomics")
    for done in range(1, 101):
        line(done, 100, f"P{done}")
    assert capsys.readouterr().out == "radiomics: 100 of 100 subjects, 0 s, last P100\n"


def test_a_bar_fills_on_one_line_that_stays_without_it(live):
    half, whole = live("epoch", 1, 2, "1 of 2"), live("epoch", 2, 2, "2 of 2")
    assert half.startswith("epoch [████████········] 1 of 2 ")
    assert half.endswith(" \r")
    assert whole.startswith("epoch: 2 of 2 ")
    assert len(half) == len(whole) == 80  # each covers the one before


def test_what_was_rewritten_is_kept_as_it_was_last_seen(live):
    text = live("a", 1, 2, "one") + "a warning\n" + live("a", 2, 2, "two") + "more\n"
    assert last_seen(text) == "a warning\na: two\nmore\n"


def test_a_line_longer_than_a_terminal_is_cut_until_it_is_whole_at_the_end(live):
    assert len(live("long", 1, 2, "x" * 100)) == 80
    assert "x" * 100 in live("long", 2, 2, "x" * 100)
