"""The one family of errors the kit raises on purpose, and warnings that go with a result."""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_USER = re.compile(r"(?<=://)[^\s/?#]*@")


UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def without_control(text: str) -> str:
    r"""A text whose control characters are spelled out, but for tabs and new lines.

    Examples
    --------
    >>> print(without_control("a\x1b[31m name"))
    a\x1b[31m name
    """
    return UNSEEN.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def without_user(text: str) -> str:
    """A text whose addresses hold neither user nor password.

    Examples
    --------
    >>> without_user("no answer from https://ada:pw@example.org/set")
    'no answer from https://example.org/set'
    """
    return _USER.sub("", text)


class KitError(Exception):
    """Something a user can mend, said in full.

    Parameters
    ----------
    what : str
        What failed; names the subject and the file where there is one.
    expected, found, mend : str, optional
        What was expected, what was there instead, and how to put it right.

    Users and passwords in addresses are left out of all of them, control characters spelled out.
    """

    exit_code = 1

    def __init__(self, what: str, *, expected: str = "", found: str = "", mend: str = "") -> None:
        said = (without_control(without_user(one)) for one in (what, expected, found, mend))
        self.what, self.expected, self.found, self.mend = said
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


_MENDS = {
    errno.ENOSPC: "free space on that disk, or {elsewhere}",
    errno.EDQUOT: "your quota there is used up: remove files of yours, or {elsewhere}",
    errno.EACCES: "see to the rights of the file and its folder, or {elsewhere}",
    errno.EPERM: "see to the rights of the file and its folder, or {elsewhere}",
    errno.EROFS: "that disk can only be read: {elsewhere}",
    errno.ENOENT: "see whether the folder is still there, or {elsewhere}",
    errno.ENOTDIR: "a file stands where a folder has to: move it, or {elsewhere}",
    errno.EEXIST: "a file stands where a folder has to: move it, or {elsewhere}",
    errno.EISDIR: "a folder stands where a file has to: move it, or {elsewhere}",
    errno.ENAMETOOLONG: "shorten the name, or {elsewhere} with a shorter path",
    errno.EFBIG: "a file may not be so large here (ulimit -f): {elsewhere}",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run again",
    errno.ENFILE: "close other programs: this machine has too many files open",
    errno.ENOMEM: "close other kernels, or run where there is more memory",
    errno.EAGAIN: "close other kernels: no more processes or locks are to be had (ulimit -u)",
    errno.ETIMEDOUT: "nothing answered in time: run again when the machine or network is less busy",
    errno.EIO: "the disk does not answer as it should: {elsewhere}, and tell who runs it",
    errno.ESTALE: "the network file system lost the file: run again, or {elsewhere}",
}


def mend_of(error: OSError, elsewhere: str = "choose another folder") -> str:
    """How to put right what the system refused, by its own reason.

    Parameters
    ----------
    error : OSError
    elsewhere : str
        What another place for the files is chosen by, such as ``set NEXTAIM_DATA to another``.
    """
    if isinstance(error, TimeoutError):
        return _MENDS[errno.ETIMEDOUT]
    if isinstance(error, ConnectionError):
        return "the other side hung up: run again; if it stays so, see whether it still runs"
    found = _MENDS.get(error.errno or 0, "mend what the system names, then run again")
    return found.format(elsewhere=elsewhere)


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
def refused_if_damaged(what: str) -> Iterator[None]:
    """Around a reader, or above it: whatever it stumbles over is an error of the family.

    Raises
    ------
    DataError
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError) as e:
        said = " ".join(f"{type(e).__name__} {e}".split())[:200]
        raise DataError(what, expected="a whole one, as it was written", found=said) from e


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


_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Warn, once in this process."""
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, stacklevel=2)
