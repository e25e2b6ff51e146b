"""One line of progress, for what takes longer than a reader's patience."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable

Progress = Callable[[int, int, str], None]  # done, in all, the subject just done
_WIDTH = 100  # characters that a line takes, so that it covers the one before
_COVERED = re.compile(r".*\r(?=.)| +$", re.MULTILINE)


class Bar:
    """A line with a bar that fills: rewritten in a terminal and in a notebook.

    Elsewhere, as in a log, a new line comes at most every few seconds, without a bar.
    """

    EVERY, CELLS = 5.0, 16  # seconds between two lines of a log, characters of a bar

    def __init__(self) -> None:
        self.start = self.last = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the bar was made."""
        return time.monotonic() - self.start

    def show(self, what: str, done: int, total: int, numbers: str) -> None:
        """Tell that `done` of `total` are through; the last line stays, without its bar."""
        now, over = time.monotonic(), done >= total
        live = sys.stdout.isatty() or hasattr(sys.stdout, "pub_thread")  # ipykernel's
        if not over and now - self.last < (0.1 if live else self.EVERY):
            return
        self.last, full = now, self.CELLS * done // max(total, 1)
        filled = f" [{'█' * full}{'·' * (self.CELLS - full)}] " if live and not over else ": "
        text = f"{what}{filled}{numbers}"
        if live:
            wide = min(_WIDTH, shutil.get_terminal_size((_WIDTH + 1, 0)).columns - 1)
            text = f"{text if over else text[:wide]:<{wide}}"
        # The cursor waits at the line's begin: whatever is printed meanwhile takes its place.
        print(text, end="\r" if live and not over else "\n", flush=True)


class ProgressLine:
    """Say how far a loop over subjects is; to be called after each of them.

    Parameters
    ----------
    what : str
        What is being done, at the start of the line.
    items : str
        What it is done to.
    """

    def __init__(self, what: str, items: str = "subjects") -> None:
        self.what, self.items, self.bar = what, items, Bar()

    def __call__(self, done: int, total: int, subject: str) -> None:
        """Tell that `done` of `total` are through, `subject` the latest."""
        numbers = f"{done} of {total} {self.items}, {self.bar.seconds:.0f} s, last {subject}"
        self.bar.show(self.what, done, total, numbers)


def last_seen(text: str) -> str:
    r"""What is left to be seen of a text whose lines were rewritten.

    Examples
    --------
    >>> last_seen("1 of 2 \r2 of 2 \nend")
    '2 of 2\nend'
    """
    return _COVERED.sub("", text)
