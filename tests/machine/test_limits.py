import os
import sys
from types import SimpleNamespace

import pytest

from nextaim_kit.machine import limits

GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A planted file system of a machine with 16 cores and 64 GiB; call it with more files."""
    for name in ("CPU_LIMIT", "MEM_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))

    def plant(groups="", **files):
        contents = {
            "proc/meminfo": f"MemTotal: {64 * 2**20} kB\nMemAvailable: {32 * 2**20} kB",
            "proc/self/cgroup": groups,
            **files,
        }
        for name, text in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path

    return plant


def test_without_any_limit_the_hardware_counts(machine):
    root = machine()
    assert limits.cpu_count(root) == 16
    assert limits.memory_limit(root) == 64 * GIB
    assert limits.memory_available(root) == 32 * GIB


def test_without_proc_the_operating_system_is_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("MEM_LIMIT", raising=False)
    assert limits.cpu_count(tmp_path) >= 1
    assert limits.memory_limit(tmp_path) > GIB


def test_version_2_quota_counts(machine):
    root = machine("0::/job", **{"sys/fs/cgroup/job/cpu.max": "400000 100000"})
    assert limits.cpu_count(root) == 4


def test_half_a_core_is_one_core(machine):
    root = machine("0::/", **{"sys/fs/cgroup/cpu.max": "50000 100000"})
    assert limits.cpu_count(root) == 1


def test_a_group_without_limit_leaves_the_hardware_s(machine):
    files = {"sys/fs/cgroup/a/cpu.max": "max 100000", "sys/fs/cgroup/a/memory.max": "max"}
    root = machine("0::/a", **files)
    assert (limits.cpu_count(root), limits.memory_limit(root)) == (16, 64 * GIB)


def test_the_smallest_limit_among_a_group_and_its_parents_counts(machine):
    files = {
        "sys/fs/cgroup/a/cpu.max": "200000 100000",
        "sys/fs/cgroup/a/b/cpu.max": "800000 100000",
        "sys/fs/cgroup/a/memory.max": str(8 * GIB),
        "sys/fs/cgroup/a/b/memory.max": str(10 * GIB),
    }
    root = machine("0::/a/b", **files)
    assert (limits.cpu_count(root), limits.memory_limit(root)) == (2, 8 * GIB)


@pytest.mark.parametrize("path", ["/outside/of/it", "/../elsewhere"])
def test_a_container_whose_path_is_not_mounted_has_the_mount_s_limit(machine, path):
    root = machine(f"0::{path}", **{"sys/fs/cgroup/memory.max": str(2 * GIB)})
    assert limits.memory_limit(root) == 2 * GIB


def test_version_1_quota_and_memory_count(machine):
    files = {
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "300000",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(6 * GIB),
    }
    root = machine("4:cpu,cpuacct:/job\n3:memory:/job\n0::/", **files)
    assert (limits.cpu_count(root), limits.memory_limit(root)) == (3, 6 * GIB)


def test_version_1_without_limit_leaves_the_hardware_s(machine):
    files = {
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    }
    root = machine("4:cpu:/\n3:memory:/", **files)
    assert (limits.cpu_count(root), limits.memory_limit(root)) == (16, 64 * GIB)


def test_the_hub_s_limits_count(machine, monkeypatch):
    monkeypatch.setenv("CPU_LIMIT", "2.5")
    monkeypatch.setenv("MEM_LIMIT", str(4 * GIB))
    root = machine()
    assert (limits.cpu_count(root), limits.memory_limit(root)) == (2, 4 * GIB)


@pytest.mark.parametrize("value", ["", "plenty", "0", "-1"])
def test_a_limit_that_says_nothing_is_passed_over(machine, monkeypatch, value):
    monkeypatch.setenv("CPU_LIMIT", value)
    assert limits.cpu_count(machine()) == 16


def test_available_memory_counts_what_the_group_holds_but_not_its_file_cache(machine):
    files = {
        "sys/fs/cgroup/memory.max": str(8 * GIB),
        "sys/fs/cgroup/memory.current": str(6 * GIB),
        "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB}",
    }
    assert limits.memory_available(machine("0::/", **files)) == 3 * GIB


def test_a_group_beyond_its_limit_has_nothing_available(machine):
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIB),
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(2 * GIB),
    }
    assert limits.memory_available(machine("3:memory:/", **files)) == 0


def test_absent_shared_memory_is_none_and_bears_no_loader(machine):
    root = machine()
    assert limits.shared_memory(root) == 0
    assert limits.loader_workers(root) == 0


@pytest.mark.parametrize(("shared", "expected"), [(64 * 2**20, 0), (512 * 2**20, 2), (GIB, 3)])
def test_loaders_are_bounded_by_shared_memory_and_cores(machine, monkeypatch, shared, expected):
    monkeypatch.setattr(limits, "shared_memory", lambda root: shared)
    monkeypatch.setenv("CPU_LIMIT", "3")
    assert limits.loader_workers(machine()) == expected


def test_loaders_are_bounded_by_memory(machine, monkeypatch):
    monkeypatch.setattr(limits, "shared_memory", lambda root: 64 * GIB)
    monkeypatch.setenv("MEM_LIMIT", str(5 * GIB))
    assert limits.loader_workers(machine()) == 2


def test_under_a_debugger_no_processes_are_started(monkeypatch):
    monkeypatch.setattr(limits, "cpu_count", lambda: 4)
    assert limits.process_count() == 4
    attached = SimpleNamespace(get_global_debugger=lambda: None)
    monkeypatch.setitem(sys.modules, "pydevd", attached)
    assert limits.process_count() == 4
    attached.get_global_debugger = lambda: object()
    assert limits.process_count() == 1


def test_processes_that_the_kernel_killed_for_memory_are_counted(tmp_path):
    assert limits.memory_kills(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 12\noom_kill 3\noom_other 9\n")
    assert limits.memory_kills(tmp_path) == 3
