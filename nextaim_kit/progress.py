"""One line of progress, for what takes longer than a reader's patience."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Progress = Callable[[int, int, str], None]  # done, in all, the subject just done


class ProgressLine:
    """Say how far a loop over subjects is; to be called after each of them.

    The line is rewritten in a terminal. Elsewhere, as in a notebook or a log, a new one comes at
    most every few seconds.

    Parameters
    ----------
    what : str
        What is being done, at the start of the line.
    items : str
        What it is done to.
    """

    EVERY = 5.0  # seconds

    def __init__(self, what: str, items: str = "subjects") -> None:
        self.what, self.items = what, items
        self.start = self.last = time.monotonic()

    def __call__(self, done: int, total: int, subject: str) -> None:
        """Tell that `done` of `total` are through, `subject` the latest."""
        now, live = time.monotonic(), sys.stdout.isatty()
        if not live and done < total and now - self.last < self.EVERY:
            return
        self.last = now
        text = (
            f"{self.what}: {done} of {total} {self.items}, {now - self.start:.0f} s, last {subject}"
        )
        print(f"\r{text:<78}" if live else text, end="" if live and done < total else "\n")
        sys.stdout.flush()
