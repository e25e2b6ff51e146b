"""A kernel is ready when it has replied and listeners hear it, and not before."""

from __future__ import annotations

import asyncio
from queue import Empty

import pytest
from jupyter_client.manager import AsyncKernelManager

from nextaim_kit.runs.connection import kernel_connection
from nextaim_kit.runs.kernel_client import ReadyClient


class Told(ReadyClient):
    """A client that hears what it is given: replies, and what listeners hear."""

    def hears(self, replies, said, alive=True):
        self.replies, self.said, self.alive, self.asked = iter(replies), iter(said), alive, 0
        return self

    def kernel_info(self):
        self.asked += 1
        return str(self.asked)

    async def get_shell_msg(self, timeout):
        return self._next(self.replies)

    async def get_iopub_msg(self, timeout):
        return self._next(self.said)

    async def is_alive(self):
        return self.alive

    def _next(self, messages):
        found = next(messages, None)
        if found is None:
            raise Empty
        return {"parent_header": {"msg_id": found[0]}, "content": {"execution_state": found[1]}}


def test_what_was_said_before_is_taken_away():
    said = [("0", "starting"), ("1", "busy"), ("1", "idle"), ("later", "busy")]
    client = Told().hears([("0", None), ("1", None)], said)
    asyncio.run(client.wait_for_ready(5))
    assert client.asked == 1
    assert list(client.said) == [("later", "busy")]


def test_it_is_asked_again_until_listeners_hear_it():
    client = Told().hears([("1", None), ("2", None)], [None, ("1", "idle"), ("2", "idle")])
    asyncio.run(client.wait_for_ready(5))
    assert client.asked == 2
    assert list(client.said) == []


@pytest.mark.parametrize(
    ("alive", "words"), [(False, "died before replying"), (True, "didn't respond in 0 seconds")]
)
def test_one_that_does_not_answer_is_told_as_jupyter_does(alive, words):
    with pytest.raises(RuntimeError, match=words):
        asyncio.run(Told().hears([], [], alive).wait_for_ready(0))


def test_runs_use_it_and_a_kernel_answers_the_first_cell_to_it():
    async def heard():
        with kernel_connection() as config:
            manager = AsyncKernelManager(kernel_name="python3", config=config)
            await manager.start_kernel()
            client = manager.client()
            assert type(client) is ReadyClient
            client.start_channels()
            await client.wait_for_ready(60)
            asked = client.execute("print(6 * 7)")
            first = await client.get_iopub_msg(timeout=60)
            client.stop_channels()
            await manager.shutdown_kernel(now=True)
        return asked, first

    asked, first = asyncio.run(heard())
    assert first["parent_header"]["msg_id"] == asked  # nothing older is left to be heard
