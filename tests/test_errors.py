"""The mend of what the system refuses is the one for its reason."""

from __future__ import annotations

import errno
import os

import pytest

from nextaim_kit.errors import mend_of


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free space"), (errno.EDQUOT, "quota"), (errno.EACCES, "rights"),
        (errno.EPERM, "rights"), (errno.EROFS, "only be read"), (errno.ENAMETOOLONG, "shorten"),
        (errno.EMFILE, "ulimit -n"), (errno.ENFILE, "open"), (errno.ENOMEM, "memory"),
        (errno.EAGAIN, "ulimit -u"), (errno.ETIMEDOUT, "in time"), (errno.ECONNRESET, "hung up"),
        (errno.EPIPE, "hung up"), (errno.ENOENT, "still there"), (errno.ENOTDIR, "a file stands"),
        (errno.EIO, "does not answer"), (errno.EFBIG, "ulimit -f"), (errno.ESTALE, "network"),
        (errno.EXDEV, "names"),
    ],
)  # fmt: skip
def test_each_reason_has_its_own_mend(number, words):
    mend = mend_of(OSError(number, os.strerror(number)), "set NEXTAIM_X")
    assert words in mend
    assert ("free space" in mend) == (number == errno.ENOSPC)


def test_a_timeout_without_a_number_is_no_full_disk():
    assert "in time" in mend_of(TimeoutError("60 s"))
