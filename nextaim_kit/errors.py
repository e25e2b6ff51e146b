"""The one family of errors the kit raises on purpose, and warnings that go with a result."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class KitError(Exception):
    """Something a user can mend, said in full.

    Parameters
    ----------
    what : str
        What failed; names the subject and the file where there is one.
    expected, found, mend : str, optional
        What was expected, what was there instead, and how to put it right.
    """

    exit_code = 1

    def __init__(self, what: str, *, expected: str = "", found: str = "", mend: str = "") -> None:
        self.what, self.expected, self.found, self.mend = what, expected, found, mend
        lines = [what]
        lines += [f"  expected: {expected}"] if expected else []
        lines += [f"  found:    {found}"] if found else []
        lines += [f"  to mend:  {mend}"] if mend else []
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple:
        # Exceptions pickle by their args; keywords would be lost on the way back from a worker.
        return (_rebuild, (type(self), self.what, self.expected, self.found, self.mend))


def _rebuild(kind: type[KitError], what: str, expected: str, found: str, mend: str) -> KitError:
    return kind(what, expected=expected, found=found, mend=mend)


class RequestError(KitError):
    """A request that cannot be right: unknown notebook, parameter, profile, data set."""

    exit_code = 2


class DataError(KitError):
    """Data that are missing, damaged or not what they should be."""


class RunError(KitError):
    """A notebook that failed, or that ended without what it had declared."""


class KernelDied(RunError):
    """The notebook's process was killed, most often for memory."""

    exit_code = 138


@contextmanager
def gathered_warnings() -> Iterator[list[str]]:
    """Gather what a reader or a measurement warns of, to keep it with the result.

    Yields
    ------
    list of str
        Filled at the end, each text once, sorted.
    """
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for kind in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", kind)
        yield texts
    texts += sorted({" ".join(str(w.message).split()) for w in caught})
