"""Half of the processes have the tests that wait, the others compute, and nobody hoards work."""

from __future__ import annotations

from types import SimpleNamespace

from tests.scheduling import Scheduling

WAITING = ["tests/runs/test_a.py::x", "tests/binder/test_browser.py::x",
           "tests/runs/sweep/engines/test_slurm_one.py::x",
           "tests/runs/sweep/engines/test_slurm_two.py::x"]  # fmt: skip
COMPUTING = ["tests/learn/test_a.py::x", "tests/learn/test_a.py::y",
             "tests/notebooks/test_notebooks.py::x[s/one]",
             "tests/notebooks/test_notebooks.py::x[s/two]", "tests/test_b.py::x"]  # fmt: skip


class Process:
    """Runs what it is sent, one test after the other."""

    shutting_down = False

    def __init__(self, name):
        self.gateway, self.sent = SimpleNamespace(id=name), []

    def send_runtest_some(self, indices):
        self.sent += indices

    def shutdown(self):
        self.shutting_down = True


def test_those_that_wait_go_to_half_of_the_processes_longest_first_and_notebooks_one_by_one():
    tests = WAITING + COMPUTING
    config = SimpleNamespace(getvalue=lambda _: ["2*popen"],
                             option=SimpleNamespace(loadscopereorder=True))  # fmt: skip
    scheduling, processes = Scheduling(config), [Process("a"), Process("b")]
    for process in processes:
        scheduling.add_node(process)
        scheduling.add_node_collection(process, tests)
    scheduling.schedule()
    assert [len(process.sent) for process in processes] == [3, 2]  # a unit, and the next one
    for process in processes * len(tests):
        done = sum(sum(unit.values()) for unit in scheduling.assigned_work[process].values())
        if done < len(process.sent):
            scheduling.mark_test_complete(process, process.sent[done])
    first, second = ([tests[index] for index in process.sent] for process in processes)
    assert first[:4] == [WAITING[1], *WAITING[2:], WAITING[0]]
    assert second[:4] == [*COMPUTING[2:4], *COMPUTING[:2]]
    assert sorted(first + second) == sorted(tests)
