"""The face in a terminal: what a warm process can do at once is left to one, all else done here."""

from __future__ import annotations

import os
import sys

_WARM = "run"  # takes longer to import than to begin
_COMMANDS = "nextaim_kit"  # its __main__: it hands nothing over


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; give 0 for done, 1 failed, 2 wrong request, 138 kernel killed.

    Parameters
    ----------
    arguments : list of str, optional
        For this very process; without them those it was started with, also for a warm one.
    """
    if arguments is None:
        _speak_utf8()
        code = _handed_over()
        if code is not None:
            return code
    from nextaim_kit.commands import obey

    return obey(arguments)


def _handed_over() -> int | None:
    """Exit code of a warm process that did it; None where there is none, or it is not for one."""
    options = _options()
    if options is None or sys.argv[1:2] != [_WARM] or os.environ.get("NEXTAIM_WARM") == "0":
        return None
    from nextaim_kit.runs.warm.client import hand_over

    return hand_over([sys.executable, *options, "-m", _COMMANDS, *sys.argv[1:]])


def _options() -> list[str] | None:
    """The interpreter's, to begin as this process did; None where no other process can.

    A script of its own has nothing of the current folder imported, a module has.
    """
    started = sys.orig_argv[1:]
    if started == sys.argv:
        return ["-P"]
    return [] if started == ["-m", "nextaim_kit.cli", *sys.argv[1:]] else None


def _speak_utf8() -> None:
    """Begin again in UTF-8 where the locale is without: names of files are more than ASCII."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"  # for kernels too
        os.execv(sys.executable, sys.orig_argv)


if __name__ == "__main__":
    sys.exit(main())
