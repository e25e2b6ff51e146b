"""Which process of pytest-xdist runs which tests, for ``--dist loadscope``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xdist.scheduler import LoadScopeScheduling

# These wait for much of their time: for a browser, a queue, a kernel. Half of the processes have
# them, while the others compute; so few of them disturb one another. Long ones first.
WAITING = ("tests/binder/test_browser", "tests/runs/sweep/test_controller", "slurm",
           "tests/runs/test_runner", "tests/runs/sweep", "tests/binder", "tests/runs",
           "tests/launcher", "tests/test_cli")  # fmt: skip
# What computes for longest begins first: at the end short ones fill the gaps. Notebooks are next.
LONG = ("[breast_masses/prototypes]", "test_text_model", "[ct_lungquant/", "test_detection",
        "test_elsewhere", "test_twin", "test_training", "test_notebooks")  # fmt: skip


class Scheduling(LoadScopeScheduling):
    """Each process gets whole files, whose tests share fixtures; but notebooks one by one.

    There is one Slurm on a machine: all its tests go to one process.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        if file.name.startswith("test_slurm"):
            return "slurm"
        return nodeid if file.name == "test_notebooks.py" else str(file)

    def _assign_work_unit(self, node: Any) -> None:
        """Take the next unit of the process's own kind; of the other when there is none."""
        waits, units = node in self.nodes[: len(self.nodes) // 2], self.workqueue
        best = min(units, key=lambda u: (_waits(u) != waits, _rank(u), -len(units[u])))
        units.move_to_end(best, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        """Give a process no more than the next unit ahead: others may be idle before it is."""
        if not self.workqueue or self._pending_of(self.assigned_work[node]) <= 1:
            super()._reschedule(node)


def _waits(scope: str) -> bool:
    return scope.startswith(WAITING)


def _rank(scope: str) -> int:
    names = WAITING if _waits(scope) else LONG
    return next((rank for rank, name in enumerate(names) if name in scope), len(names))
