"""A task for a worker process, and the error where the worker was killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nextaim_kit.errors import RunError

Job = tuple[Callable[..., Any], tuple, dict[str, Any]]  # as joblib's `delayed` makes it


class WorkerKilled(RunError):
    """A worker process was killed, most often for memory."""

    @classmethod
    def since(cls, found: str) -> WorkerKilled:
        """The error, with what is known of this case."""
        return cls(
            "a worker process was killed, most often for memory",
            expected="workers that live until their task is done",
            found=found,
            mend="give each worker more memory, or run fewer of them at once",
        )
