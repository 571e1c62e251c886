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
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks import live, rivals
from benchmarks.processes import in_new_process, peak
from benchmarks.rivals import FLOOR_LANGCHAIN, FLOOR_LLAMA_INDEX, RAW, Rival, installed, on_each_interface

CHUNKS = 500
CALLS = 60
STREAMS = 500
FLOORS = (FLOOR_LANGCHAIN, FLOOR_LLAMA_INDEX)
OURS = (RAW, "ChatKilo", "KiloLLM")
PACKAGES = (
    *("openai", "langchain-core", "llama-index-core", "pydantic", "langchain-openai", "langchain-openrouter"),
    *("langchain-anthropic", "llama-index-llms-openai-like", "langgraph", "aiohttp", "httpx-aiohttp"),
)

# Async clients keep their connections for one event loop, so all passes share one.
LOOP = asyncio.new_event_loop()

# One pass of work; it returns its number of units.
Pass = Callable[[], int]
Figures = dict[str, dict[str, list[float]]]


def streamed(rival: Rival, url: str) -> Pass:
    """Return a pass over one stream."""
    model = rival.make(url)
    return lambda: sum(1 for _ in rival.stream(model)) if rival.stream else 0


def astreamed(rival: Rival, url: str) -> Pass:
    """Return a pass over one async stream."""
    model = rival.make(url)
    return lambda: LOOP.run_until_complete(chunks_of(rival, model))


async def chunks_of(rival: Rival, model: Any, *, in_turns: bool = False) -> int:
    """Return the number of chunks of one async stream; with `in_turns`, other streams advance between its chunks."""
    chunks = 0
    if rival.astream:
        async for _ in rival.astream(model):
            chunks += 1
            if in_turns:
                await asyncio.sleep(0)
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


def growth(compared: list[Rival], url: str, rounds: int) -> dict[str, list[float]]:
    """Return the cost of a long stream's chunk relative to a short one's, for ours and the floors, per round."""
    agents = {rivals.GRAPH: streamed, rivals.FUNCTION: astreamed}
    passes: dict[str, tuple[Pass, Pass]] = {}
    for kind in ("text", "reasoning", "tools"):
        for rival in compared:
            if rival.name in ("ChatKilo", "KiloLLM") or (rival.name in FLOORS and kind == "text"):
                few, many, more = (streamed(rival, f"{url}/{kind}/{CHUNKS * times}") for times in (1, 16, 64))
                passes[f"{rival.name}, {kind}"] = (few, many)
                if kind == "text":
                    passes[f"{rival.name}, {kind}, 32,000 against 8,000"] = (many, more)
    for kind in ("text", "tools"):
        for name, way in agents.items():
            agent = rivals.live()[name]()
            passes[f"{name}, {kind}"] = (
                way(agent, f"{url}/{kind}/{CHUNKS}"),
                way(agent, f"{url}/{kind}/{16 * CHUNKS}"),
            )
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


def first_token(compared: list[Rival], url: str) -> dict[str, list[float]]:
    """Return the milliseconds from the call to the first chunk, on a warm connection pool."""
    milliseconds: dict[str, list[float]] = {rival.name: [] for rival in compared}
    models = [(rival, rival.make(f"{url}/trickle/1")) for rival in compared]
    for turn in range(60):
        for rival, model in models:
            before = time.perf_counter()
            stream: Any = rival.stream(model) if rival.stream else iter(())
            next(iter(stream))
            if turn > 5:
                milliseconds[rival.name].append((time.perf_counter() - before) * 1e3)
            stream.close()
    return milliseconds


def crowds(url: str, rounds: int) -> Figures:
    """Return CPU microseconds per chunk, MB of growth and failed streams, for many async streams at once.

    Each rival runs in a new process in each round. Peers have one round, streams that advance in turns have three.
    """
    figures: Figures = {"crowd": {}, "memory": {}, "failures": {}, "memory_in_turns": {}}
    for turn in range(rounds):
        for name in installed():
            ours = name in (*OURS, FLOOR_LANGCHAIN)
            if name == FLOOR_LLAMA_INDEX or (turn and not ours):
                continue
            one = in_new_process("benchmarks.measure", url, "--crowd-of", name)
            if ours and turn < 3:
                in_turns = in_new_process("benchmarks.measure", url, "--crowd-of", name, "--in-turns")
                one |= {"memory_in_turns": in_turns["memory"]} if "memory" in in_turns else {}
            for part, value in one.items():
                figures[part].setdefault(name, []).append(value)
    return figures


def crowd(rival: Rival, url: str, *, in_turns: bool) -> dict[str, float]:
    """Return the figures of one crowd in this new process; if all streams fail, only the number of failures."""
    model = rival.make(f"{url}/text/{CHUNKS}")

    async def all_of_them() -> list[Any]:
        streams = (chunks_of(rival, model, in_turns=in_turns) for _ in range(STREAMS))
        return await asyncio.gather(*streams, return_exceptions=True)

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
    parser.add_argument("--streams", nargs="*", type=int, default=live.STREAMS, help="numbers of live streams")
    parser.add_argument("--crowd-of", help="the rival whose crowd is measured, in this process")
    parser.add_argument("--in-turns", action="store_true", help="all streams of the crowd advance in turns")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers issue warnings; the caller reads the last line of the output
    url, rounds = chosen.url, chosen.rounds
    if chosen.crowd_of:
        print(json.dumps(crowd(installed()[chosen.crowd_of](), url, in_turns=chosen.in_turns)))
        return
    everyone = [make() for make in installed().values()]
    full = [rival for rival in everyone if rival.name not in FLOORS]
    ours = [rival for rival in full if rival.name in OURS]
    parts: dict[str, Callable[[], dict[str, list[float]]]] = {
        "text": lambda: interleaved({r.name: streamed(r, f"{url}/text/{CHUNKS}") for r in everyone}, rounds),
        "text_async": lambda: interleaved({r.name: astreamed(r, f"{url}/text/{CHUNKS}") for r in full}, rounds),
        "reasoning": lambda: interleaved({r.name: streamed(r, f"{url}/reasoning/{CHUNKS}") for r in full}, rounds),
        "tools": lambda: interleaved({r.name: streamed(r, f"{url}/tools/{CHUNKS}") for r in full}, rounds),
        "interfaces": lambda: interleaved(
            {r.name: streamed(r, f"{url}/text/{CHUNKS}") for r in on_each_interface()}, rounds
        ),
        "invoke": lambda: interleaved({r.name: invoked(r, f"{url}/text/1") for r in full}, rounds),
        "ainvoke": lambda: interleaved({r.name: ainvoked(r, f"{url}/text/1") for r in full}, rounds),
        "growth": lambda: growth(everyone, url, min(rounds, 3)),
        "first_token": lambda: first_token(ours, url),
        "start": start,
        "construction": lambda: construction(rounds),
    }
    groups: dict[str, Callable[[], Figures]] = {
        "live": lambda: live.measured(live.scenes(chosen.streams), url, min(rounds, 5)),
        "threads": lambda: live.measured([live.THREADS], url, min(rounds, 5)),
        "in_flight": lambda: live.measured([live.IN_FLIGHT], url, min(rounds, 5)),
        "crowd": lambda: crowds(url, rounds),
    }
    figures = {name: part() for name, part in parts.items() if not chosen.only or name in chosen.only}
    for name, group in groups.items():
        if not chosen.only or name in chosen.only:
            figures |= group()
    print(json.dumps({"versions": versions(), "figures": figures}))


if __name__ == "__main__":
    main()
