"""Profiles are held to the machine before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextaim_kit.catalog import Notebook, Resources
from nextaim_kit.errors import RequestError
from nextaim_kit.memory.fitting import check_fits


@pytest.fixture
def machine(monkeypatch):
    """Plant a machine with so much memory and such GPUs, in GB."""

    def plant(memory, *gpus):
        sizes = [int(size * 1e9) for size in gpus]
        monkeypatch.setattr("nextaim_kit.memory.fitting.memory_limit", lambda: int(memory * 1e9))
        monkeypatch.setattr("nextaim_kit.memory.fitting.device_sizes", lambda: sizes)

    return plant


def notebook(**resources):
    made = {k: Resources(minutes=1, memory_gb=m, vram_gb=v) for k, (m, v) in resources.items()}
    return Notebook(id="toy/draw", title="Draw", path=Path("none"), resources=made)


NETS = notebook(smoke=(2, 0), tutorial=(3, 0), slice=(4, 9), paper=(8, 30))


def test_a_profile_that_fits_is_let_through_without_a_word(machine):
    machine(16, 10)
    assert check_fits(NETS, "slice") == ""


def test_a_slice_that_is_too_small_is_refused_with_the_next_profile(machine):
    machine(16, 10.2)
    said = r"paper of toy/draw(.|\n)*30 GB of GPU memory(.|\n)*10\.2 GB(.|\n)*--profile slice fits"
    with pytest.raises(RequestError, match=said):
        check_fits(NETS, "paper")


def test_a_slice_of_half_the_size_gets_the_one_before(machine):
    machine(16, 5)
    with pytest.raises(RequestError, match="--profile tutorial fits"):
        check_fits(NETS, "paper")


def test_the_largest_of_several_gpus_counts(machine):
    machine(16, 5, 40)
    assert check_fits(NETS, "paper") == ""


def test_too_little_memory_is_refused_with_the_next_profile(machine):
    machine(2.5)
    with pytest.raises(RequestError, match=r"3 GB of memory(.|\n)*2\.5 GB(.|\n)*smoke fits"):
        check_fits(NETS, "tutorial")


def test_where_no_profile_fits_that_is_said(machine):
    machine(1)
    with pytest.raises(RequestError, match="no profile of this notebook fits"):
        check_fits(NETS, "smoke")


def test_without_any_gpu_what_is_made_for_one_is_refused_unless_it_is_wanted_all_the_same(machine):
    machine(16)
    said = r"a GPU with 9 GB, on which it takes 1 min(.|\n)*--profile tutorial fits(.|\n)*--force"
    with pytest.raises(RequestError, match=said):
        check_fits(NETS, "slice")
    assert "many times as long" in check_fits(NETS, "slice", anyway=True)
    assert check_fits(NETS, "tutorial") == ""
    machine(3.5)
    with pytest.raises(RequestError, match="may be used"):
        check_fits(NETS, "slice", anyway=True)


def test_a_profile_that_declares_nothing_is_let_through(machine):
    machine(1)
    assert check_fits(NETS, "own") == ""
