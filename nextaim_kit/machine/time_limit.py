"""An end to work that does not end by itself."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any


class OutOfTime(BaseException):
    """Work took longer than it may; like an interrupt, nobody catches it by the way."""


@contextmanager
def time_limit(seconds: float, *, expendable: bool) -> Iterator[None]:
    """Interrupt what takes longer.

    By the system's alarm, which also ends a wait for a file. It reaches the main thread alone, in
    which joblib's workers and notebooks do their work; and a library's own loop only once that
    returns. So a process that may be lost ends after twice the time, whatever it does, by a watch
    that needs neither Python nor its lock.

    Parameters
    ----------
    seconds : float
    expendable : bool
        Whether this process may be lost.

    Raises
    ------
    OutOfTime

    Examples
    --------
    >>> with time_limit(0.01, expendable=False):
    ...     while True:
    ...         pass
    Traceback (most recent call last):
    ...
    nextaim_kit.machine.time_limit.OutOfTime
    """
    with _last_resort(2 * seconds) if expendable else nullcontext():
        earlier, _ = signal.getitimer(signal.ITIMER_REAL)
        # An earlier alarm, of what is around this, ends this too.
        if threading.current_thread() is not threading.main_thread() or 0 < earlier <= seconds:
            yield
            return
        before = signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if earlier:
                signal.setitimer(signal.ITIMER_REAL, earlier - seconds + left)


@contextmanager
def _last_resort(seconds: float) -> Iterator[None]:
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _interrupt(*_: Any) -> None:
    raise OutOfTime
