"""The process of a run in the background: runs, and writes down how far it is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from threading import Thread
from typing import Any

from nextaim_kit.errors import KitError
from nextaim_kit.files import write_json
from nextaim_kit.runs.background.job import PULSE, STATE, State
from nextaim_kit.runs.chain import run_row
from nextaim_kit.runs.documents import without_paths
from nextaim_kit.runs.execution import Observer
from nextaim_kit.runs.request import Request
from nextaim_kit.runs.runner import execute

_ENDING = (signal.SIGINT, signal.SIGTERM)


class _Teller(Observer):
    """Writes down how far the run is."""

    def __init__(self, folder: Path, out: Path, own: list[Path]) -> None:
        self.folder, self.out, self.own, self.state = folder, out, own, State()
        self._began = time.monotonic()
        self.tell()
        Thread(target=self._live, name="pulse", daemon=True).start()

    def _live(self) -> None:
        while True:
            time.sleep(PULSE)
            with contextlib.suppress(OSError):  # a disk that is away for a while
                os.utime(self.folder / STATE)

    def tell(self, **news: Any) -> None:
        seconds = round(time.monotonic() - self._began, 1)
        self.state = replace(self.state, **news, seconds=seconds)
        write_json(self.folder / STATE, asdict(self.state))

    def cell(self, number: int, total: int, heading: str) -> None:
        if heading != self.state.heading:
            print(f"-- {heading}", flush=True)
        self.tell(cell=number, cells=total, heading=heading)

    def printed(self, line: str) -> None:
        print(line, flush=True)

    def failed(self, error: KitError) -> None:
        print(f"error: {error}", flush=True)
        said = without_paths(str(error), self.own, {str(self.out): "<runs>"})
        self.tell(error=self.state.error or said, number=self.state.number + 1, cell=0)

    def run(self, request: Request, force: bool) -> dict[str, Any]:
        print(f"== {request.notebook}", flush=True)
        self.tell(folders=[*self.state.folders, request.folder.relative_to(self.out).as_posix()])
        record, fresh = execute(request, force=force, wait=True, observer=self)
        print("done" if fresh else "done already", flush=True)
        self.tell(number=self.state.number + 1, cell=0, heading="")
        return record


def main(folder: Path) -> None:
    """Run what stands in the input, until it ends or is told to end."""
    order = json.load(sys.stdin)
    out = Path(order["out"])
    given = [value for own in order["own"].values() for value in own.values()]
    own = [Path(v) for v in given if isinstance(v, str) and Path(v).is_absolute()]
    teller = _Teller(folder, out, own)
    try:
        _hear()
        endings = run_row(
            order["notebooks"],
            order["profile"],
            order["own"],
            out,
            run=lambda request: teller.run(request, order["force"]),
            failed=teller.failed,
        )
        teller.tell(ending="failed" if any(e.error for e in endings.values()) else "done")
    except KeyboardInterrupt:
        print("cancelled", flush=True)
        teller.tell(ending="cancelled")
    except BaseException as error:
        teller.tell(ending="failed", error=_unexpected(error))
        raise  # its text may hold paths: it goes to the log, which only the user reads


def _unexpected(error: BaseException) -> str:
    return str(
        KitError(
            f"the run ended by an unexpected {type(error).__name__}",
            mend="its log tells where; start it again if the cause has passed",
        )
    )


def _hear() -> None:
    """Listen to what was held back while this process came up."""
    for one in _ENDING:
        signal.signal(one, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _stop(*_: object) -> None:
    for one in _ENDING:
        signal.signal(one, signal.SIG_IGN)  # what it cleans up is not interrupted again
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(Path(sys.argv[1]))
