"""Test an interpreter that exits with open streams."""

import subprocess
import sys
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.ways import both

PROGRAM = """
import asyncio, threading
from {module} import {name}
llm = {name}(model="sandbox/stall", base_url={url!r})
if {name!r} == "ChatKilo":
    stream = lambda: llm.stream("hi")
    async def astream(): return llm.astream("hi")
else:
    from llama_index.core.llms import ChatMessage
    stream = lambda: llm.stream_chat([ChatMessage(content="hi")])
    async def astream(): return await llm.astream_chat([ChatMessage(content="hi")])
async def leave():
    async for _ in await astream():
        break
held = []
async def hold():
    held.append(await astream())
    await anext(held[-1])
asyncio.run(leave())
asyncio.run(hold())
threading.Thread(target=lambda: next(stream())).start()
items = stream()
next(items)
loop = asyncio.new_event_loop()
loop.run_until_complete(hold())
"""


@pytest.mark.skipif(
    sys.version_info[:3] == (3, 13, 0),
    reason="CPython 3.13.0 crashes at exit with an open sync stream, also with the openai client alone",
)
@both
def test_an_exit_with_streams_open_prints_nothing(kilo_sandbox: Sandbox, cls: Any) -> None:
    """Streams: sync, in a thread, async and left early, kept after their loop closed, and in a loop that stays open."""
    module = cls.__module__.partition(".")[0]
    program = PROGRAM.format(module=module, name=cls.__name__, url=kilo_sandbox.base_url)
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert len(kilo_sandbox.requests) == 5
    assert kilo_sandbox.wait_for(lambda record: record.disconnected)
