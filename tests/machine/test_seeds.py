import os
import random
import subprocess
import sys

import numpy as np
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.machine import seeds


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    for name in (*seeds._THREAD_VARIABLES, "PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "1")
        monkeypatch.delenv(name)


def draw():
    return random.random(), np.random.rand()


def test_the_same_seed_gives_the_same_numbers():
    seeds.seed_everything(5)
    first = draw()
    seeds.seed_everything(5)
    assert draw() == first


def test_another_seed_gives_other_numbers():
    seeds.seed_everything(5)
    first = draw()
    seeds.seed_everything(6)
    assert draw() != first


def test_torch_is_seeded_where_it_is_imported_and_never_imported():
    code = """if True:
        import sys
        from nextaim_kit.machine.seeds import seed_everything
        seed_everything(1)
        assert "torch" not in sys.modules
        import torch
        seed_everything(1)
        a = torch.rand(3)
        seed_everything(1)
        assert torch.equal(a, torch.rand(3))
        assert torch.are_deterministic_algorithms_enabled()
    """
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_bounds_is_refused(seed):
    with pytest.raises(RequestError, match="out of bounds"):
        seeds.seed_everything(seed)


def test_threads_are_as_many_as_the_cores(monkeypatch):
    monkeypatch.setenv("CPU_LIMIT", "1")
    assert seeds.size_threads() == 1
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_fewer_threads_asked_for_are_kept(monkeypatch):
    monkeypatch.setattr(seeds, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert seeds.size_threads() == 2


def test_more_threads_than_cores_are_cut(monkeypatch):
    monkeypatch.setattr(seeds, "cpu_count", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert seeds.size_threads() == 2


def test_the_pools_that_are_loaded_are_resized(monkeypatch):
    from threadpoolctl import threadpool_info

    monkeypatch.setattr(seeds, "cpu_count", lambda: 1)
    np.ones((4, 4)) @ np.ones((4, 4))
    seeds.size_threads()
    assert {pool["num_threads"] for pool in threadpool_info()} == {1}


@pytest.mark.parametrize(
    ("own", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")]
)
def test_threads_that_wait_sleep_unless_they_are_told_otherwise(own, policy):
    code = "import nextaim_kit, os; print(os.environ['OMP_WAIT_POLICY'])"
    env = {name: v for name, v in os.environ.items() if name != "OMP_WAIT_POLICY"} | own
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert said.stdout.strip() == policy


def test_in_one_thread_torch_and_simpleitk_have_one_too_and_get_their_own_back():
    import SimpleITK as sitk
    import torch

    def pools():
        return torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()

    before = pools()
    with seeds.one_thread():
        assert pools() == (1, 1)
    assert pools() == before
