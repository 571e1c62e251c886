"""Measure every rival that is installed, interleaved, and print the figures as JSON.

CPU figures are CPU time of this process alone; the server is another process. Run by benchmarks/run.py.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.rivals import FLOOR_LANGCHAIN, FLOOR_LLAMA_INDEX, RAW, Rival, installed, on_each_interface

CHUNKS = 500
CALLS = 60
STREAMS = 500
FLOORS = (FLOOR_LANGCHAIN, FLOOR_LLAMA_INDEX)
OURS = (RAW, "ChatKilo", "KiloLLM")
PACKAGES = ("openai", "langchain-core", "llama-index-core", "pydantic", "langchain-openai", "langchain-openrouter")
PACKAGES += ("langchain-anthropic", "llama-index-llms-openai-like", "langgraph")

# Async clients keep their connections for one event loop, so all passes share one.
LOOP = asyncio.new_event_loop()

# One pass of work; it returns its number of units.
Pass = Callable[[], int]


def streamed(rival: Rival, url: str) -> Pass:
    """Return a pass over one stream."""
    model = rival.make(url)
    return lambda: sum(1 for _ in rival.stream(model))


def astreamed(rival: Rival, url: str) -> Pass:
    """Return a pass over one async stream."""
    model = rival.make(url)
    return lambda: LOOP.run_until_complete(chunks_of(rival, model))


async def chunks_of(rival: Rival, model: Any) -> int:
    """Return the number of chunks of one async stream."""
    chunks = 0
    if rival.astream:
        async for _ in rival.astream(model):
            chunks += 1
    return chunks


def invoked(rival: Rival, url: str) -> Pass:
    """Return a pass of calls that are not streamed."""
    model = rival.make(url)
    return lambda: sum(rival.invoke(model) is not None for _ in range(CALLS)) if rival.invoke else 0


def ainvoked(rival: Rival, url: str) -> Pass:
    """Return a pass of async calls that are not streamed."""
    model = rival.make(url)

    async def calls() -> int:
        return sum([await rival.ainvoke(model) is not None for _ in range(CALLS)]) if rival.ainvoke else 0

    return lambda: LOOP.run_until_complete(calls())


def interleaved(passes: dict[str, Pass], rounds: int) -> dict[str, list[float]]:
    """Return the CPU microseconds per unit of each pass, one figure per round; the passes take turns in each round."""
    figures: dict[str, list[float]] = {name: [] for name in passes}
    for run in passes.values():
        run()
    for _ in range(rounds):
        for name, run in passes.items():
            gc.collect()
            before = time.process_time()
            units = run()
            figures[name].append((time.process_time() - before) / units * 1e6)
    return figures


def growth(rivals: list[Rival], url: str, rounds: int) -> dict[str, list[float]]:
    """Return the cost of a long stream's chunk relative to a short one's, for ours and the floors, per round."""
    from benchmarks.agents import function_agent, graph_agent

    agents = {"ChatKilo in a LangGraph agent": graph_agent, "KiloLLM in a FunctionAgent": function_agent}
    passes: dict[str, tuple[Pass, Pass]] = {}
    for kind in ("text", "reasoning", "tools"):
        for rival in rivals:
            if rival.name in ("ChatKilo", "KiloLLM") or (rival.name in FLOORS and kind == "text"):
                few, many, more = (streamed(rival, f"{url}/{kind}/{CHUNKS * times}") for times in (1, 16, 64))
                passes[f"{rival.name}, {kind}"] = (few, many)
                if kind == "text":
                    passes[f"{rival.name}, {kind}, 32,000 against 8,000"] = (many, more)
    for kind in ("text", "tools"):
        for name, agent in agents.items():
            passes[f"{name}, {kind}"] = (agent(f"{url}/{kind}/{CHUNKS}"), agent(f"{url}/{kind}/{16 * CHUNKS}"))
    ratios_by_name: dict[str, list[float]] = {}
    for collecting in (True, False):
        for name, (short, long) in passes.items():
            # LangChain keeps the chunks of a stream, so Python's garbage collector visits more and more of them.
            (gc.enable if collecting else gc.disable)()
            turns: dict[str, Pass] = {"short": partial(repeated, short), "long": long}
            both = interleaved(turns, rounds)
            ratios = [many / few for few, many in zip(both["short"], both["long"], strict=True)]
            ratios_by_name[name if collecting else f"{name}, garbage collector off"] = ratios
    gc.enable()
    return ratios_by_name


def repeated(run: Pass) -> int:
    """Repeat a short pass often enough to measure it."""
    return sum(run() for _ in range(4))


def first_token(rivals: list[Rival], url: str) -> dict[str, list[float]]:
    """Return the milliseconds from the call to the first chunk, on a warm connection pool."""
    milliseconds: dict[str, list[float]] = {rival.name: [] for rival in rivals}
    models = [(rival, rival.make(f"{url}/trickle/1")) for rival in rivals]
    for turn in range(60):
        for rival, model in models:
            before = time.perf_counter()
            stream: Any = rival.stream(model)
            next(iter(stream))
            if turn > 5:
                milliseconds[rival.name].append((time.perf_counter() - before) * 1e3)
            stream.close()
    return milliseconds


@cache
def crowds(url: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return CPU microseconds per chunk, MB of growth and failed streams, for many async streams at once.

    Each rival runs in a new process in each round, because Python's garbage collector visits all that a process has
    imported, and one rival should not pay for the packages of the others. Peers have one round.
    """
    figures: dict[str, dict[str, list[float]]] = {"crowd": {}, "memory": {}, "failures": {}}
    for turn in range(rounds):
        for name in installed():
            if name == FLOOR_LLAMA_INDEX or (turn and name not in (*OURS, FLOOR_LANGCHAIN)):
                continue
            command = [sys.executable, "-m", "benchmarks.measure", url, "--crowd-of", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            for part, value in json.loads(done.stdout.splitlines()[-1]).items():
                figures[part].setdefault(name, []).append(value)
    return figures


def crowd(rival: Rival, url: str) -> dict[str, float]:
    """Return the figures of one crowd in this new process; if all streams fail, only the number of failures."""
    model = rival.make(f"{url}/text/{CHUNKS}")

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(chunks_of(rival, model) for _ in range(STREAMS)), return_exceptions=True)

    LOOP.run_until_complete(chunks_of(rival, model))
    gc.collect()
    memory, before = peak(), time.process_time()
    ends = LOOP.run_until_complete(all_of_them())
    cpu = time.process_time() - before
    whole = [end for end in ends if isinstance(end, int)]
    figures: dict[str, float] = {"failures": len(ends) - len(whole)}
    if whole:
        figures |= {"crowd": cpu / sum(whole) * 1e6, "memory": peak() - memory}
    return figures


def peak() -> float:
    """Return the peak memory of this process so far, in MB."""
    # getrusage would report the parent's peak, which a new process inherits.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


START = {
    "ChatKilo": (
        "import langchain_core.language_models.chat_models",
        "from langchain_kilo import ChatKilo; ChatKilo()",
    ),
    "KiloLLM": ("from llama_index.core.llms import LLM", "from llama_index_kilo import KiloLLM; KiloLLM()"),
}


def start() -> dict[str, list[float]]:
    """Return the milliseconds of the framework's import, and of our import and first construction after it.

    The modules are compiled, as after an installation with pip: the first turn compiles them and does not count.
    """
    milliseconds: dict[str, list[float]] = {}
    compiling = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for name, (framework, ours) in START.items():
        code = f"import time\na = time.perf_counter()\n{framework}\nb = time.perf_counter()\n{ours}\n"
        code += "print((b - a) * 1e3, (time.perf_counter() - b) * 1e3)"
        command = [sys.executable, "-c", code]
        turns = [
            subprocess.run(command, capture_output=True, text=True, check=True, env=compiling).stdout.split()
            for _ in range(10)
        ][1:]
        milliseconds[f"{name}'s framework"], milliseconds[name] = (
            [float(turn[part]) for turn in turns] for part in (0, 1)
        )
    return milliseconds


def construction(rounds: int) -> dict[str, list[float]]:
    """Return the CPU microseconds of one construction."""
    from langchain_kilo import ChatKilo
    from llama_index_kilo import KiloLLM

    def many(cls: Any) -> Pass:
        return lambda: len([cls(model="openai/gpt-5.4", api_key="x", mode="code") for _ in range(1000)])

    return interleaved({"ChatKilo": many(ChatKilo), "KiloLLM": many(KiloLLM)}, rounds)


def versions() -> dict[str, str]:
    """Return the versions of the measured packages and of Python."""
    installed_versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed_versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed_versions


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--crowd-of", help="the rival whose crowd is measured, in this process")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers issue warnings; the caller reads the last line of the output
    url, rounds = chosen.url, chosen.rounds
    if chosen.crowd_of:
        print(json.dumps(crowd(installed()[chosen.crowd_of](), url)))
        return
    rivals = [make() for make in installed().values()]
    full = [rival for rival in rivals if rival.name not in FLOORS]
    ours = [rival for rival in full if rival.name in OURS]
    parts: dict[str, Callable[[], dict[str, list[float]]]] = {
        "text": lambda: interleaved({r.name: streamed(r, f"{url}/text/{CHUNKS}") for r in rivals}, rounds),
        "text_async": lambda: interleaved({r.name: astreamed(r, f"{url}/text/{CHUNKS}") for r in full}, rounds),
        "reasoning": lambda: interleaved({r.name: streamed(r, f"{url}/reasoning/{CHUNKS}") for r in full}, rounds),
        "tools": lambda: interleaved({r.name: streamed(r, f"{url}/tools/{CHUNKS}") for r in full}, rounds),
        "interfaces": lambda: interleaved(
            {r.name: streamed(r, f"{url}/text/{CHUNKS}") for r in on_each_interface()}, rounds
        ),
        "invoke": lambda: interleaved({r.name: invoked(r, f"{url}/text/1") for r in full}, rounds),
        "ainvoke": lambda: interleaved({r.name: ainvoked(r, f"{url}/text/1") for r in full}, rounds),
        **{name: lambda name=name: crowds(url, rounds)[name] for name in ("crowd", "memory", "failures")},
        "growth": lambda: growth(rivals, url, min(rounds, 3)),
        "first_token": lambda: first_token(ours, url),
        "start": start,
        "construction": lambda: construction(rounds),
    }
    figures = {name: part() for name, part in parts.items() if not chosen.only or name in chosen.only}
    print(json.dumps({"versions": versions(), "figures": figures}))


if __name__ == "__main__":
    main()
