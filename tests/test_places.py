"""Paths are resolved once, where the user stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.places import VARIABLES, absolute, folder, placed


@pytest.mark.parametrize("name", ["rel", 'a b/it\'s "c"', "Über/測定", "./rel", "{a}[b]*"])
def test_a_relative_path_counts_from_the_current_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert placed(name) == tmp_path / name


def test_home_is_written_out_and_an_absolute_path_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert placed("~/runs") == tmp_path / "runs"
    assert placed("/link/../x") == Path("/link/../x")  # a link's parent is not its folder


@pytest.mark.parametrize("path", ["", "  ", "~nobody-of-this-name/x"])
def test_a_path_that_means_nothing_is_refused(path):
    with pytest.raises(RequestError, match="cannot be resolved"):
        placed(path)


def test_a_folder_that_is_gone_is_said(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(RequestError, match="current folder is gone"):
        placed("rel")


def test_in_a_kernel_a_variable_counts_from_the_shell_that_jupyter_was_started_in(
    tmp_path, monkeypatch
):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("NEXTAIM_RUNS", "mine")
    assert folder("NEXTAIM_RUNS", Path("/none")) == tmp_path / "notebooks" / "mine"
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert folder("NEXTAIM_RUNS", Path("/none")) == tmp_path / "mine"


def test_all_variables_are_made_absolute_but_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.setenv(name, "x")
    assert absolute() == dict.fromkeys(VARIABLES, str(tmp_path / "x"))
    monkeypatch.setenv("NEXTAIM_MIRROR", "https://mirror/x")
    assert absolute()["NEXTAIM_MIRROR"] == "https://mirror/x"
