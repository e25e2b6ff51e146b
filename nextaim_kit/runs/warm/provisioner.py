"""Starts a kernel by asking the warm server, for papermill, nbclient and JupyterLab alike."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from functools import partial
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from nextaim_kit.errors import KitError
from nextaim_kit.runs.warm.client import Fork

_AT_ONCE = 0.5  # seconds in which a kernel ends that does nothing
_TAKEN = {"cwd", "env", "kernel_id", "extra_arguments", "start_new_session"}


class WarmProvisioner(LocalProvisioner):
    """A local kernel that is forked warm, or started cold where that is not possible."""

    process: Any = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Launch the kernel; says in one line why it is a cold one, if it is."""
        # nbclient asks this of a kernel called python3. Who types has a session with a name.
        typed = "JPY_SESSION_NAME" in (kwargs.get("env") or os.environ)
        cmd = cmd if typed else [*cmd, "--HistoryManager.hist_file=:memory:"]
        try:
            # What else a process can be started with, such as other files to print into.
            others = [name for name in kwargs if name not in _TAKEN and kwargs[name] is not None]
            if others:
                raise OSError(f"{', '.join(others)} cannot be given to one")
            env = dict(kwargs.get("env") or os.environ) | {"JPY_PARENT_PID": str(os.getpid())}
            # In a thread: a server that is not there yet imports for seconds.
            fork = partial(Fork, cmd, env=env, cwd=kwargs.get("cwd"))
            self.process = await asyncio.to_thread(fork)
        except (OSError, KitError) as error:
            why = error.what if isinstance(error, KitError) else str(error)
            print(f"no warm kernel ({why}): a cold one is started", file=sys.stderr)
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.process.pid  # it leads a session of its own
        self.cwd = kwargs.get("cwd", "")
        return self.connection_info

    async def shutdown_requested(self, restart: bool = False) -> None:
        """Wait for a kernel that was asked to end: its manager would look ten times a second."""
        if isinstance(self.process, Fork):
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self.process.wait, _AT_ONCE)
