"""Runs that go on by themselves, each in a process of its own.

What is asked and how far it is lie in a folder of the run's own below ``runs/.background``, so
that a page that is loaded anew, a kernel that was started again or a second tab find it there.
"""

from nextaim_kit.runs.background.job import Job, State, jobs, read
from nextaim_kit.runs.background.start import begin, cancel

__all__ = ["Job", "State", "begin", "cancel", "jobs", "read"]
