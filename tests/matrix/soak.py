"""A long run under mixed faults: `make soak` (10 minutes; `make soak SECONDS=30` for less).

Read fifty streams at a time, of both classes, from a sandbox in another process. Print the number of requests, how they
ended, and the sockets, tasks, threads and memory of this process after the warm-up and at the end.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import re
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from stat import S_ISSOCK
from typing import Any

from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import KiloError
from kilo_gateway.data_policy import KiloDataPolicyWarning
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.outcomes import ERRORS, SUCCESSES

STREAMS = 50
WARM_UP_SECONDS = 5
SEED = 1
HASTY: dict[str, Any] = {"stream_idle_timeout": 0.3, "timeout": 5.0}

GOOD, BAD = SUCCESSES, ERRORS
SILENT = ["sandbox/stall", "sandbox/stall-keepalive"]
LOADS: list[tuple[str, dict[str, Any]]] = [("sandbox/slow-drip", {}), ("sandbox/many-frames", {"max_tokens": 500})]


class Soak:
    """One run: `ends` counts how the requests ended."""

    def __init__(self, base_url: str) -> None:
        self.ends: Counter[str] = Counter()
        account: dict[str, Any] = {"base_url": base_url, "max_retries": 0}
        self.models = [ChatKilo(**account), KiloLLM(**account)]
        self.random = random.Random(SEED)

    async def run(self, seconds: float) -> None:
        """Keep fifty streams going for this time."""
        deadline = time.monotonic() + seconds
        await asyncio.gather(*(self._worker(deadline) for _ in range(STREAMS)))

    async def _worker(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            model, call, leave = self._choice()
            try:
                end = await self._read(self.random.choice(self.models), model, call, leave)
            except KiloError as error:
                end = type(error).__name__
                if model in GOOD:
                    end = f"UNEXPECTED {end} from {model}: {error}"
            self.ends[end] += 1

    def _choice(self) -> tuple[str, dict[str, Any], bool]:
        dice = self.random.random()
        if dice < 0.45:
            return self.random.choice(GOOD), {}, False
        if dice < 0.80:
            return self.random.choice(BAD), {}, False
        if dice < 0.88:
            return self.random.choice(SILENT), HASTY, False
        if dice < 0.93:
            return *self.random.choice(LOADS), False
        return self.random.choice(SILENT), {}, True

    async def _read(self, llm: Any, model: str, call: dict[str, Any], leave: bool) -> str:
        stream = await _opened(llm, model, call)
        async for _ in stream:
            if leave:
                if self.random.random() < 0.5:
                    await stream.aclose()
                return "left early"
        if model in BAD or model in SILENT:
            return f"UNEXPECTED success of {model}"
        return "success"


async def _opened(llm: Any, model: str, call: dict[str, Any]) -> Any:
    if isinstance(llm, ChatKilo):
        stream: AsyncIterator[Any] = llm.astream("hi", model=model, **call)
        return stream
    return await llm.astream_chat([ChatMessage(role="user", content="hi")], model=model, **call)


def held() -> str:
    """Return the sockets, other tasks, threads and memory of this process."""
    gc.collect()
    sockets = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            sockets += S_ISSOCK(os.stat(f"/proc/self/fd/{name}").st_mode)
        except FileNotFoundError:  # the descriptor of this listing, already closed
            continue
    memory = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    megabytes = int(memory[1]) // 1024 if memory else 0
    tasks, threads = len(asyncio.all_tasks()) - 1, threading.active_count()
    return f"{sockets} sockets, {tasks} tasks, {threads} threads, {megabytes} MB"


async def _soak(base_url: str, seconds: float) -> bool:
    soak = Soak(base_url)
    await soak.run(WARM_UP_SECONDS)
    await asyncio.sleep(1)  # lets the tasks finish that close dropped generators
    before = held()
    soak.ends.clear()
    began = time.monotonic()
    await soak.run(seconds)
    took = time.monotonic() - began
    await asyncio.sleep(1)
    requests = soak.ends.total()
    _say(f"{requests} requests in {took:.0f} s ({requests / took:.0f} a second), {STREAMS} at a time")
    for end, count in soak.ends.most_common():
        _say(f"  {count:7}  {end}")
    _say(f"start: {before}", f"end:   {held()}")
    return not any(end.startswith("UNEXPECTED") for end in soak.ends)


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run for the seconds of the command line; return 0 if every request ended as expected."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    warnings.simplefilter("ignore", KiloDataPolicyWarning)  # other tests check the notices
    command = [sys.executable, "-u", "-m", "kilo_gateway.sandbox", "--port", "0", "--delay", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        try:
            if sandbox.stdout is None or (url := re.search(r"http://\S+", sandbox.stdout.readline())) is None:
                raise RuntimeError("the sandbox did not start")
            return 0 if asyncio.run(_soak(url[0], seconds)) else 1
        finally:
            sandbox.terminate()


if __name__ == "__main__":
    sys.exit(main())
