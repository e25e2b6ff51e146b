"""Speaks with a kernel, and knows at once when it is ready."""

from __future__ import annotations

import math
import time
from queue import Empty

import zmq
from jupyter_client.asynchronous import AsyncKernelClient

_TRY = 10  # ms between two tries to reach a socket that is not bound yet
_REPLY, _TELL = 1.0, 0.2  # seconds to reply in, and to tell listeners in, before it is asked again


class ReadyClient(AsyncKernelClient):
    """A client that waits for a kernel's answer alone.

    Jupyter's own hears what a new kernel prints until it is silent for 0.2 s. That the kernel has
    replied, and has told all listeners that it is idle, says the same.
    """

    def start_channels(self, *given: bool, **more: bool) -> None:
        """Connect; a kernel that does not listen yet is tried again soon, not in 0.1 s."""
        self.context.setsockopt(zmq.RECONNECT_IVL, _TRY)
        super().start_channels(*given, **more)

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel answers; what it said before is not heard later.

        Raises
        ------
        RuntimeError
            If it ends, or does not answer within `timeout` seconds; worded as Jupyter's.
        """
        until = time.monotonic() + (math.inf if timeout is None else timeout)
        while not await self._answers(self.kernel_info()):
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > until:
                raise RuntimeError(f"Kernel didn't respond in {timeout:.0f} seconds")

    async def _answers(self, asked: str) -> bool:
        """Whether it replies to a request, and whoever listens hears that it is through with it."""
        try:
            while (await self.get_shell_msg(timeout=_REPLY))["parent_header"]["msg_id"] != asked:
                pass  # a reply to an earlier request
            while True:
                said = await self.get_iopub_msg(timeout=_TELL)
                of_it = said["parent_header"].get("msg_id") == asked
                if of_it and said["content"].get("execution_state") == "idle":
                    return True
        except Empty:
            return False
