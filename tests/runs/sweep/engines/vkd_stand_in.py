"""A stand-in for ``vkd``, the AI_INFN platform's command, that enforces its documented interface.

It takes ``vkd from-snakemake JOBSCRIPT --queue QUEUE [--priority PRIORITY]`` and nothing else, asks
for what the platform's template reads from the script's properties, runs the script where nothing
of the caller's environment is left, ends it after ``runtime`` *seconds*, and returns when it has
ended: 0, or 1 with a traceback. With a file ``forget`` in its folder it waits without end after the
job's own, as it does for a job that the platform has forgotten. All requests are kept in
``requests.jsonl`` there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

QUEUES = {"small", "gpu"}


def main() -> int:
    """Serve one call."""
    folder = Path(__file__).parent
    parser = argparse.ArgumentParser(prog="vkd", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    job = commands.add_parser("from-snakemake", allow_abbrev=False)
    job.add_argument("jobscript", type=Path)
    job.add_argument("--queue", required=True)
    job.add_argument("--priority", default="lowest")
    asked = parser.parse_args()
    script = asked.jobscript.read_text()
    request = _request(script, asked.queue, asked.priority)
    with (folder / "requests.jsonl").open("a") as log:
        log.write(json.dumps(request) + "\n")
    code = _pod(script, request["active_deadline_seconds"])
    while (folder / "forget").exists():
        time.sleep(1)
    if code:
        raise RuntimeError(f"VKD failed processing rule {request['name']}")
    return 0


def _request(script: str, queue: str, priority: str) -> dict:
    """What the platform would be sent, by its template."""
    if queue not in QUEUES:
        raise ValueError(f"no queue {queue}")
    lines = re.findall(r"^# properties = (.+)$", script, re.MULTILINE)
    if len(lines) != 1:
        raise OSError("cannot parse the Snakemake script: one line of properties is needed")
    properties = json.loads(lines[0])
    for category in ("input", "output", "log"):
        if not isinstance(properties[category], list):
            raise TypeError(f"{category} is no list")
    resources = properties["resources"]
    request = {
        "name": properties["rule"],
        "queue": queue,
        "priority": priority,
        "cpu_request": int(properties["threads"]),
        "memory_request": f"{int(resources['mem_mb'])}Mi",
        "active_deadline_seconds": int(resources["runtime"]),
    }
    if "gpu_mb" in resources:
        request["gpu_memory_request"] = f"{int(resources['gpu_mb'])}Mi"
    return request


def _pod(script: str, deadline: int) -> int:
    bare = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    try:
        return subprocess.run(
            ["sh", "-c", script], env=bare, timeout=deadline, check=False,
            stdin=subprocess.DEVNULL, start_new_session=True,
        ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        return 137


if __name__ == "__main__":
    sys.exit(main())
