"""Between Snakemake and ``vkd``, the command through which AI_INFN takes batch jobs.

    python -m nextaim_kit.runs.workflow.vkd submit JOBSCRIPT
    python -m nextaim_kit.runs.workflow.vkd status ID

``vkd from-snakemake JOBSCRIPT --queue QUEUE`` reads the job's needs from the line ``# properties``
of the script and returns when the job has ended. Three things stand between it and a sweep:

- It waits, while Snakemake submits one job after the other: here each waits in the background.
- It takes ``runtime`` for seconds, which in Snakemake are minutes.
- The platform forgets a job an hour after its end, and then `vkd` waits without end: here a row
  that left its ending has succeeded, and one that gave signs of life and gives none is lost.

The interface is that of github.com/landerlini/vkd-client.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from nextaim_kit.runs.sweep.state import ALIVE

JOBS = Path(".snakemake", "vkd")
SILENT = 900.0  # seconds without a sign of life after which a row that had started is lost
_LAG = 60  # seconds that a file may take to be seen from another machine, and a job to be told of
# Waits for `vkd`, and no longer than it takes to be told of a row that has left its ending.
_WAIT = """\
"$0" from-snakemake "$1" --queue "$2" & vkd=$!
while kill -0 $vkd 2>/dev/null; do
    sleep 1
    if [ -e "$4" ]; then (sleep "$5"; kill $vkd 2>/dev/null) & break; fi
done
wait $vkd; echo $? > "$3"
"""
_PROPERTIES = re.compile(r"^# properties = (.+)$", re.MULTILINE)


def submit(script: Path) -> str:
    """Hand a job to ``vkd`` and give an id to ask after it."""
    text = script.read_text(encoding="utf-8")
    properties = _properties(text)
    resources = properties["resources"]
    queue = resources.get("vkd_queue") or sys.exit("no queue: give one with -r vkd_queue=NAME")
    program = shutil.which("vkd") or sys.exit("no command vkd: this runs on the AI_INFN platform")
    if "runtime" in resources:
        resources["runtime"] *= 60
    JOBS.mkdir(parents=True, exist_ok=True)
    job = uuid.uuid4().hex[:12]
    corrected = _PROPERTIES.sub(lambda _: f"# properties = {json.dumps(properties)}", text, count=1)
    _file(job, "sh").write_text(corrected, encoding="utf-8")
    ending = properties["output"][0]
    words = [program, _file(job, "sh"), queue, _file(job, "exit"), ending, _LAG]
    with _file(job, "log").open("w") as log:
        waiting = subprocess.Popen(
            ["sh", "-c", _WAIT, *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    _file(job, "pid").write_text(str(waiting.pid))
    return job


def status(job: str) -> str:
    """``running``, ``success`` or ``failed``."""
    ending = Path(_properties(_file(job, "sh").read_text(encoding="utf-8"))["output"][0])
    said = _file(job, "exit").read_text().strip() if _file(job, "exit").exists() else ""
    if ending.exists():
        return "success"
    if said == "0" and time.time() - _file(job, "exit").stat().st_mtime < _LAG:
        return "running"  # its ending may be on the way to this machine
    age = _silence(Path(ALIVE, ending.stem))
    started, alive = age is not None, age is not None and age < SILENT
    if said:
        return "failed"
    if (started and not alive) or not (alive or _is_waiting(job)):
        _stop_waiting(job)
        return "failed"
    return "running"


def _silence(sign: Path) -> float | None:
    """Seconds since a row's last sign of life; None if it does not run."""
    try:
        last = sign.stat().st_mtime
    except OSError:
        return None
    return time.time() - last if last else None


def _is_waiting(job: str) -> bool:
    try:
        os.kill(int(_file(job, "pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def _stop_waiting(job: str) -> None:
    with suppress(ProcessLookupError):
        os.killpg(int(_file(job, "pid").read_text()), signal.SIGTERM)


def _properties(script: str) -> dict[str, Any]:
    found = _PROPERTIES.search(script)
    if not found:
        sys.exit("the job's script has no line of properties")
    return json.loads(found[1])


def _file(job: str, kind: str) -> Path:
    return JOBS / f"{job}.{kind}"


if __name__ == "__main__":
    print(submit(Path(sys.argv[2])) if sys.argv[1] == "submit" else status(sys.argv[2]))
