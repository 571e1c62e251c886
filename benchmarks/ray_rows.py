"""`make bench-ray`: speed, CPU, memory and checkpoints of `kilo_gateway.ray.map_rows`, with a sandbox of set latency.

Each part runs in a new process, which starts Ray with its workers. The figures are kept in ray_rows.json, and the
tables of docs/beyond-one-machine.md are written from them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

from benchmarks.processes import in_new_process
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "benchmarks/ray_rows.json"
PAGE = ROOT / "docs/beyond-one-machine.md"
LATENCY = 0.5
WORKERS = (1, 2, 4, 8)
IN_FLIGHT = 8
"""Rows in flight in each worker of the parts that compare numbers of workers: few, so that two cores suffice for 8."""
TURNS = 48
MOST_IN_FLIGHT = 64
"""The default of `map_rows`, in the other parts."""
ROUNDS, ROUND = 3, 3000
"""Rounds of the parts `cost` and `plain`, and their rows."""
MB = 2**20


class Timed:
    """Asks a model for a row, and returns with the answer when it came, in which process, and its CPU time so far."""

    def __init__(self, url: str) -> None:
        self.llm = ChatKilo(model="openai/gpt-5.4", base_url=url, api_key=Sandbox.api_key, max_tokens=100)

    async def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of `COLUMNS`."""
        answer = await self.llm.ainvoke(f"What is the square of {row['id']}?")
        return {"answer": answer.text, "pid": os.getpid(), "ended": time.time(), "cpu": time.process_time()}


COLUMNS = {"answer": str, "pid": int, "ended": float, "cpu": float}


# The parts, each in a process of its own


def scale(url: str, workers: int) -> dict[str, float]:
    """Return the rows a second while all workers have work."""
    with cluster() as ray:
        dataset = mapped(ray, url, workers * IN_FLIGHT * TURNS, workers=workers, concurrency=IN_FLIGHT)
        rows = dataset.take_all()
    ended = by_process(rows)
    start, end = max(map(min, ended.values())), min(map(max, ended.values()))
    inside = sorted(row["ended"] for row in rows if start <= row["ended"] <= end)
    # Answers come in bursts, so the slope of the line through all of them is the rate.
    rate = linear_regression(inside, range(len(inside))).slope
    return {"rate": rate, "workers": len(ended)}


def cost(url: str, rows: int) -> dict[str, float]:
    """Return CPU and memory of one worker and of the other processes, and the size of the checkpoint."""
    with tempfile.TemporaryDirectory() as folder, cluster() as ray, sampled() as samples:
        found = written(ray, url, rows, Path(folder), workers=1, concurrency=MOST_IN_FLIGHT)
        checkpoint = list((Path(folder) / "checkpoint").rglob("*.parquet"))
        size = sum(path.stat().st_size for path in checkpoint)
    (worker,) = by_process(found)
    steady = found[len(found) // 5 :]
    inside = [sample for sample in samples if steady[0]["ended"] <= sample.time <= steady[-1]["ended"]]
    asked = sum(inside[0].time <= row["ended"] <= inside[-1].time for row in found)
    first, last = inside[0].cpu, inside[-1].cpu
    others = sum(last[pid] - first.get(pid, 0) for pid in last if pid != worker)
    return {
        "worker_cpu": cpu_of(found),
        "other_cpu": others / asked,
        "worker_memory": inside[-1].memory[worker] / MB,
        "other_memory": sum(size for pid, size in inside[-1].memory.items() if pid != worker) / MB,
        "checkpoint_bytes": size / rows,
        "checkpoint_files": len(checkpoint) / rows,
    }


def plain(url: str, rows: int) -> dict[str, float]:
    """Return the CPU of `ainvoke` for a row, without Ray and `map_rows`."""

    async def ask() -> list[dict[str, Any]]:
        timed, free = Timed(url), asyncio.Semaphore(MOST_IN_FLIGHT)

        async def one(number: int) -> dict[str, Any]:
            async with free:
                return await timed({"id": number})

        return await asyncio.gather(*map(one, range(rows)))

    return {"ainvoke_cpu": cpu_of(sorted(asyncio.run(ask()), key=lambda row: row["ended"]))}


def long(url: str, rows: int) -> dict[str, float]:
    """Return the memory of a worker and of the driver after a tenth of the rows, and its growth until the end."""
    with tempfile.TemporaryDirectory() as folder, cluster() as ray, sampled() as samples:
        found = written(ray, url, rows, Path(folder), workers=2, concurrency=MOST_IN_FLIGHT)
    workers = by_process(found)
    begin, end = found[rows // 10]["ended"], found[-1]["ended"]
    inside = [sample for sample in samples if begin <= sample.time <= end]
    figures: dict[str, float] = {"rows": rows, "seconds": end - found[0]["ended"]}
    for name, pids in (("worker", list(workers)), ("driver", [os.getpid()])):
        sizes = [sum(sample.memory[pid] for pid in pids) / len(pids) / MB for sample in inside]
        tenth = max(len(sizes) // 10, 1)
        figures |= {f"{name}_begin": median(sizes[:tenth]), f"{name}_end": median(sizes[-tenth:])}
    return figures


PARTS: dict[str, Callable[[str, int], dict[str, float]]] = {"scale": scale, "cost": cost, "plain": plain, "long": long}


@contextmanager
def cluster() -> Iterator[Any]:
    """Start Ray on loopback, without a dashboard and without reports of its use."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    # A socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        ray.init(
            num_cpus=6, include_dashboard=False, _node_ip_address="127.0.0.1", _temp_dir=folder, log_to_driver=False
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            yield ray
        finally:
            ray.shutdown()


def mapped(ray: Any, url: str, rows: int, **options: Any) -> Any:
    """Return a dataset whose rows are asked when it is read."""
    from kilo_gateway.ray import map_rows

    return map_rows(ray.data.range(rows), Timed(url), output=COLUMNS, **options)


def written(ray: Any, url: str, rows: int, folder: Path, **options: Any) -> list[dict[str, Any]]:
    """Ask for the rows with a checkpoint, write them, and return them in the order of their ends."""
    from pyarrow import parquet
    from ray.data.checkpoint import CheckpointConfig

    ray.data.DataContext.get_current().checkpoint_config = CheckpointConfig(
        id_column="id", checkpoint_path=str(folder / "checkpoint"), delete_checkpoint_on_success=False
    )
    mapped(ray, url, rows, **options).write_parquet(str(folder / "rows"))
    table = parquet.read_table(folder / "rows", columns=["pid", "ended", "cpu", "error"])
    if table["error"].null_count != rows:
        raise RuntimeError(f"not all of {rows} rows were answered: {table['error'].unique()}")
    return sorted(table.to_pylist(), key=lambda row: row["ended"])


def by_process(rows: list[dict[str, Any]]) -> dict[int, list[float]]:
    """Return the ends of the rows of each worker."""
    ended: defaultdict[int, list[float]] = defaultdict(list)
    for row in rows:
        ended[row["pid"]].append(row["ended"])
    return ended


def cpu_of(rows: list[dict[str, Any]]) -> float:
    """Return the CPU seconds of a process for each row, without the first fifth, in which it imports and connects."""
    steady = rows[len(rows) // 5 :]
    return (steady[-1]["cpu"] - steady[0]["cpu"]) / (len(steady) - 1)


class Sample:
    """CPU seconds and bytes of memory of this process and its children, by process."""

    def __init__(self, psutil: Any) -> None:
        self.time = time.time()
        self.cpu: dict[int, float] = {}
        self.memory: dict[int, int] = {}
        this = psutil.Process()
        for process in (this, *this.children(recursive=True)):
            try:
                times = process.cpu_times()
                self.memory[process.pid] = process.memory_full_info().uss
            except psutil.Error:  # it has ended
                continue
            self.cpu[process.pid] = times.user + times.system


@contextmanager
def sampled(seconds: float = 5.0) -> Iterator[list[Sample]]:
    """Take samples in a thread, at intervals that keep their own CPU small."""
    import psutil

    samples: list[Sample] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(seconds):
            samples.append(Sample(psutil))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


# The whole


@contextmanager
def sandbox(latency: float) -> Iterator[str]:
    """Start a sandbox in a process of its own, and yield its address."""
    command = [sys.executable, "-m", "kilo_gateway.sandbox", "--port", "0", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            greeting = process.stdout.readline() if process.stdout else ""
            yield greeting.split()[3]
        finally:
            process.terminate()


def main() -> None:
    """Measure the parts and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="*", choices=["scale", "cost"], help="parts to measure; the others stay as they were"
    )
    parser.add_argument(
        "--workers", nargs="*", type=int, default=WORKERS, help="numbers of workers of the part `scale`"
    )
    parser.add_argument(
        "--long", type=int, default=0, metavar="ROWS", help="also measure the memory of a job of so many rows"
    )
    parser.add_argument("--report", action="store_true", help="write the tables of the last run's figures again")
    parser.add_argument("--part", nargs=3, metavar=("NAME", "URL", "NUMBER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        name, url, number = options.part
        print(json.dumps(PARTS[name](url, int(number))))
        return
    figures: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    if not options.report:
        figures |= measured(options.only or ["scale", "cost"], options.workers, options.long, figures)
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    write(figures)


def measured(parts: list[str], workers: list[int], long_rows: int, figures: dict[str, Any]) -> dict[str, Any]:
    """Return new figures of some parts."""

    def part(name: str, number: int) -> dict[str, float]:
        with sandbox(0 if name == "long" else LATENCY) as url:
            found = in_new_process("benchmarks.ray_rows", "--part", name, url, str(number))
        print(name, number, json.dumps(found), flush=True)
        return found

    new: dict[str, Any] = {}
    if "scale" in parts:
        new["scale"] = figures.get("scale", {}) | {str(number): part("scale", number) for number in workers}
    if "cost" in parts:
        # In turns, because the CPU of a row depends on what else the machine does.
        rounds = [part("cost", ROUND) | part("plain", ROUND) for _ in range(ROUNDS)]
        new["cost"] = {name: median(found[name] for found in rounds) for name in rounds[0]}
    if long_rows:
        new["long"] = part("long", long_rows)
    return new


# The tables of the page

ROWS = 10**8
CPUS, GB, USD = 8, 32, 0.40
"""A machine of the plan, and its price for an hour, which is an assumption."""
LOAD = 0.7
"""The share of the CPUs that the plan uses."""
PLANNED = ((0.5, 64, 24), (2, 64, 24), (2, 64, 4), (10, 256, 24), (10, 256, 4), (30, 512, 24))
"""Latency, rows in flight in each worker, and hours."""


def scale_table(figures: dict[str, Any]) -> str:
    """Return the table of workers."""
    rows = [
        [workers, f"{part['rate']:.1f}", f"{most(workers):.0f}", f"{part['rate'] / most(workers):.2f}"]
        for workers, part in figures["scale"].items()
    ]
    return table(["Workers", "Rows a second", "The most at this latency", "Efficiency"], rows)


def most(workers: str) -> float:
    """Return the rows a second that some workers can ask for at the latency of the sandbox."""
    return int(workers) * IN_FLIGHT / LATENCY


def cost_table(figures: dict[str, Any]) -> str:
    """Return the table of CPU, memory and checkpoint."""
    cost = figures["cost"]
    plain = cost["ainvoke_cpu"]
    rows = [
        ["CPU of a row: `ainvoke` alone", f"{plain * 1e3:.1f} ms"],
        [
            "CPU of a row: `map_rows` and Ray in the worker, beyond `ainvoke`",
            f"{(cost['worker_cpu'] - plain) * 1e3:.1f} ms",
        ],
        ["CPU of a row: Ray's other processes and the driver", f"{cost['other_cpu'] * 1e3:.1f} ms"],
        ["memory of a worker", f"{cost['worker_memory']:.0f} MB"],
        ["memory of Ray's other processes and the driver", f"{cost['other_memory']:.0f} MB"],
        ["checkpoint of a row", f"{cost['checkpoint_bytes']:.0f} bytes, and a file for each block"],
    ]
    if long := figures.get("long"):
        for name in ("worker", "driver"):
            sizes = f"{long[f'{name}_begin']:.0f} MB after a tenth, {long[f'{name}_end']:.0f} MB at the end"
            rows.append(
                [f"memory of {'a worker' if name == 'worker' else 'the driver'} over {long['rows']:,} rows", sizes]
            )
    return table(["Measured", ""], rows)


def plan_table(figures: dict[str, Any]) -> str:
    """Return the table of machines, hours and dollars."""
    cost = figures["cost"]
    efficiency = figures["scale"]["4"]["rate"] / most("4")
    rows = []
    for latency, in_flight, hours in PLANNED:
        rate = ROWS / (hours * 3600)
        flying = rate * latency / efficiency
        workers = math.ceil(flying / in_flight)
        cpus = rate * (cost["worker_cpu"] + cost["other_cpu"]) / LOAD
        memory = workers * cost["worker_memory"] / 1024
        machines = math.ceil(max(cpus / CPUS, memory / (GB - cost["other_memory"] / 1024)))
        dollars = machines * hours * USD
        cells = [
            f"{latency:g} s",
            f"{hours}",
            f"{flying:,.0f}",
            f"{in_flight}",
            f"{workers}",
            f"{cpus:.1f}",
            f"{memory:.1f} GB",
        ]
        rows.append([*cells, str(machines), f"${dollars:,.0f}"])
    head = [
        "Latency",
        "Hours",
        "Rows in flight",
        "In each worker",
        "Workers",
        "CPUs",
        "Memory",
        "Machines",
        "Machines' price",
    ]
    return table(head, rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def write(figures: dict[str, Any]) -> None:
    """Write the tables into the page."""
    text = PAGE.read_text(encoding="utf-8")
    if missing := {"scale", "cost"} - figures.keys():
        raise ValueError(f"{FIGURES} has no {' and no '.join(sorted(missing))}: measure these parts first")
    for name, content in (("scale", scale_table), ("cost", cost_table), ("plan", plan_table)):
        begin, end = f"<!-- {name}: begin, written by `make bench-ray` -->\n", f"<!-- {name}: end -->\n"
        before, found, rest = text.partition(begin)
        if not found:
            raise ValueError(f"{PAGE} has no line {begin!r}")
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{content(figures)}\n\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
