"""Measure streams as models send them: a frame every 40 ms. The parent starts a process for each rival and round."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
import warnings
from array import array
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import quantiles
from typing import Any

import kilo_gateway
from benchmarks.processes import in_new_process, peak
from benchmarks.rivals import (
    AS_BEFORE,
    CORE,
    FLOOR_LIVE,
    FLOOR_LIVE_LANGCHAIN,
    FLOOR_LIVE_LLAMA_INDEX,
    GRAPH,
    RAW,
    live,
)
from benchmarks.server import PACE

TOKENS = 100
CALLS = 20
STREAMS = (1, 50, 200, 800)


@dataclass(frozen=True)
class Scene:
    """Work that each rival does: `count` streams or calls at a time; `frozen` means with `gc.freeze()`."""

    count: int
    way: str = "astream"
    frozen: bool = False

    @property
    def title(self) -> str:
        """The heading of its table."""
        what = {"astream": "live stream" if self.count == 1 else "live streams"}
        what |= {"stream": "live streams in threads", "ainvoke": "calls in flight"}
        return f"{self.count} {what[self.way]}"

    @property
    def heading(self) -> str:
        """The heading of its column there."""
        return f"{self.title}{FREEZE if self.frozen else ''}"

    def part(self, measure: str) -> str:
        """Return the name of a part of the figures."""
        return f"{self.heading}: {measure}"

    @property
    def compared(self) -> set[str]:
        """The rivals that have a target in this scene."""
        return {name for part, _, *pair, _ in TARGETS if part.startswith(self.part("")) for name in pair}


FREEZE = ", gc.freeze()"
MOST_STREAMS = {"ChatOpenRouter": 200}
"""Rivals that fail with more streams, after many minutes."""
THREADS = Scene(50, "stream")
IN_FLIGHT = Scene(50, "ainvoke")

_FIFTY, _FIFTY_FROZEN, _MANY = Scene(50), Scene(50, frozen=True), Scene(800)
_GOALS = [
    (_FIFTY, "cpu", "`ChatKilo.astream`", "ChatKilo", RAW, 0.38),
    (_FIFTY, "cpu", "`KiloLLM.astream_chat`", "KiloLLM", RAW, 0.33),
    (_FIFTY, "cpu", "`ChatKilo.astream`", "ChatKilo", FLOOR_LIVE_LANGCHAIN, 1.15),
    (_FIFTY, "cpu", "`KiloLLM.astream_chat`", "KiloLLM", FLOOR_LIVE_LLAMA_INDEX, 1.15),
    (_FIFTY, "cpu", "the core's driver", CORE, FLOOR_LIVE, 1.15),
    (_FIFTY, "p99", "`ChatKilo.astream`", "ChatKilo", RAW, 1.0),
    (_FIFTY, "p99", "`KiloLLM.astream_chat`", "KiloLLM", RAW, 1.0),
    (_FIFTY_FROZEN, "p99", "`ChatKilo.astream`", "ChatKilo", RAW, 1.0),
    (_FIFTY_FROZEN, "p99", "`KiloLLM.astream_chat`", "KiloLLM", RAW, 1.0),
    (Scene(200), "p99", "LangGraph agent", GRAPH, AS_BEFORE, 0.40),
    (_MANY, "p99", "`ChatKilo.astream`", "ChatKilo", RAW, 0.05),
    (_MANY, "p99", "`KiloLLM.astream_chat`", "KiloLLM", RAW, 0.05),
    (IN_FLIGHT, "cpu", "`ChatKilo.ainvoke`", "ChatKilo", RAW, 0.70),
    (IN_FLIGHT, "cpu", "`KiloLLM.achat`", "KiloLLM", RAW, 0.60),
]
_MEASURES = {"cpu": "CPU", "p99": "p99 delay"}
TARGETS = [
    (scene.part(measure), f"{what}, {scene.heading}, {_MEASURES[measure]}", ours, against, limit)
    for scene, measure, what, ours, against, limit in _GOALS
]
"""(part of the figures, measurement, ours, against, at most)"""


def scenes(numbers: Iterable[int]) -> list[Scene]:
    """Return the scenes of these numbers of async streams."""
    return [Scene(count, frozen=frozen) for count in numbers for frozen in (False, True)]


def measured(planned: list[Scene], url: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the figures of each scene by measure and rival, one for each round.

    The rivals take turns in each round. Those without a target in a scene have one round. With `gc.freeze()`, only
    rivals take part that have a target without it.
    """
    figures: dict[str, dict[str, list[float]]] = {}
    for scene in planned:
        taking_part = replace(scene, frozen=False).compared if scene.frozen else live()
        for turn in range(rounds):
            for name in live():
                if name not in (scene.compared if turn else taking_part):
                    continue
                if scene.count > MOST_STREAMS.get(name, scene.count):
                    continue
                arguments = [name, str(scene.count), scene.way, *(["--frozen"] if scene.frozen else [])]
                for measure, value in in_new_process("benchmarks.live", url, *arguments).items():
                    figures.setdefault(scene.part(measure), {}).setdefault(name, []).append(value)
    return figures


class Work:
    """The work of one rival in this process: `ask` starts one stream or makes one call."""

    def __init__(self, ask: Callable[[Any], Any], model: Any, text: Callable[[Any], str]) -> None:
        self.ask, self.model, self.text = ask, model, text
        self.delays = array("q")
        """Nanoseconds from the server's write to the reader, one for each token."""
        self.first = 0
        """Nanoseconds from the call to the first token, where they are most."""
        self.late = 0
        """Nanoseconds by which the server fell behind in the stream where it did so most."""

    async def astream(self, wait: float) -> None:
        """Read an async stream, after some seconds."""
        await asyncio.sleep(wait)
        called, written = time.monotonic_ns(), array("q")
        async for chunk in self.ask(self.model):
            self._read(chunk, called, written)
        self._check(written)

    def stream(self, wait: float) -> None:
        """Read a stream, after some seconds."""
        time.sleep(wait)
        called, written = time.monotonic_ns(), array("q")
        for chunk in self.ask(self.model):
            self._read(chunk, called, written)
        self._check(written)

    async def ainvoke(self, wait: float) -> None:
        """Make some calls, one after the other, after some seconds."""
        await asyncio.sleep(wait)
        for _ in range(CALLS):
            await self.ask(self.model)

    def _read(self, chunk: Any, called: int, written: array[int]) -> None:
        now = time.monotonic_ns()
        if not written:
            self.first = max(self.first, now - called)
        for text in (self.text(chunk) or "").split():
            written.append(int(text))
            self.delays.append(now - written[-1])

    def _check(self, written: array[int]) -> None:
        if len(written) != TOKENS:
            raise EOFError(f"{len(written)} of {TOKENS} tokens arrived")
        self.late = max(self.late, written[-1] - written[0] - int(PACE * 1e9) * (TOKENS - 1))


async def figures_of(name: str, url: str, scene: Scene) -> dict[str, float]:
    """Return the figures of one scene by measure; an empty dict if the rival does not work in this way.

    `cpu` is in microseconds per token or call. In milliseconds: `p50`, `p99` and `max` are delays of tokens, `first` is
    the longest time from a call to its first token, and `late` is how far the server fell behind. `wall` is in seconds,
    `memory` in MB of growth; `collections` counts full garbage collections. If all fails, some are missing.
    """
    rival = live()[name]()
    ask = getattr(rival, scene.way)
    if ask is None:
        return {}
    work = Work(ask, rival.make(f"{url}/live/{TOKENS}/{time.monotonic_ns()}"), rival.text)
    await _several(work, scene.way, 1)
    work.delays, work.first, work.late = array("q"), 0, 0
    if scene.frozen:
        kilo_gateway.freeze_imports()  # not earlier: some packages import others with the first call
    # No collection before: in a server, the first full one comes after the imports too, while streams are running.
    memory, full, wall, cpu = peak(), _full_collections(), time.perf_counter(), time.process_time()
    ends = await _several(work, scene.way, scene.count)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    grown, collected = peak() - memory, _full_collections() - full
    failures = len([end for end in ends if end is not None])
    figures: dict[str, float] = {"failures": failures, "wall": wall, "memory": grown, "collections": collected}
    if work.delays:
        percentiles = quantiles(work.delays, n=100)
        delays = {"p50": percentiles[49], "p99": percentiles[98], "max": max(work.delays)}
        delays |= {"first": work.first, "late": work.late}
        figures |= {name: delay / 1e6 for name, delay in delays.items()}
    if units := len(work.delays) or CALLS * (len(ends) - failures):
        figures["cpu"] = cpu / units * 1e6
    return figures


async def _several(work: Work, way: str, count: int) -> list[Any]:
    """Do the work `count` times at once; return an exception for each that failed.

    All start within a second. If they all started at once, httpcore would give one idle connection to all of them and
    take it away from one after the other, and the last request would be sent many seconds later.
    """
    do = getattr(work, way)
    with ThreadPoolExecutor(count) as pool:
        in_thread = partial(asyncio.get_running_loop().run_in_executor, pool, do)
        begin = in_thread if way == "stream" else do
        ends: list[Any] = await asyncio.gather(*(begin(n / count) for n in range(count)), return_exceptions=True)
    return ends


def _full_collections() -> int:
    oldest: dict[str, int] = gc.get_stats()[-1]
    return oldest["collections"]


def main() -> None:
    """Measure one scene in this process and print its figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("rival")
    parser.add_argument("count", type=int)
    parser.add_argument("way")
    parser.add_argument("--frozen", action="store_true")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers issue warnings; the caller reads the last line of the output
    scene = Scene(chosen.count, chosen.way, frozen=chosen.frozen)
    print(json.dumps(asyncio.run(figures_of(chosen.rival, chosen.url, scene))))


if __name__ == "__main__":
    main()
