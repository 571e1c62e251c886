"""`make bench`: start the server, measure in each environment, write RESULTS.md and the chart.

Run with the Python of the environment that has the peers and matplotlib; pass further Pythons, with other
versions of the openai package, as arguments.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import live
from benchmarks.rivals import FLOOR_LANGCHAIN, FLOOR_LLAMA_INDEX, RAW

OURS = ("ChatKilo", "KiloLLM")
HERE = Path(__file__).parent
FIGURES = HERE / "figures.json"
PAGE = 4096 / 2**20
Figures = dict[str, dict[str, list[float]]]

# (part of the figures, measurement, ours, against, at most); the same for openai 2.x and 3.x.
TARGETS = [
    *live.TARGETS,
    ("text", "`ChatKilo.stream`, per chunk", "ChatKilo", RAW, 0.45),
    ("text", "`ChatKilo.stream`, per chunk", "ChatKilo", "ChatOpenAI", 0.33),
    ("text_async", "`ChatKilo.astream`, per chunk", "ChatKilo", RAW, 0.45),
    ("text_async", "`ChatKilo.astream`, per chunk", "ChatKilo", "ChatOpenAI", 0.33),
    ("tools", "`ChatKilo.stream`, tool-call fragments", "ChatKilo", "ChatOpenAI", 0.60),
    ("text", "`KiloLLM.stream_chat`, per chunk", "KiloLLM", RAW, 0.40),
    ("text_async", "`KiloLLM.astream_chat`, per chunk", "KiloLLM", RAW, 0.40),
    ("tools", "`KiloLLM.stream_chat`, tool-call fragments", "KiloLLM", "OpenAILike", 0.60),
    ("invoke", "`ChatKilo.invoke`", "ChatKilo", RAW, 1.0),
    ("invoke", "`KiloLLM.chat`", "KiloLLM", RAW, 1.0),
    ("ainvoke", "`ChatKilo.ainvoke`", "ChatKilo", RAW, 1.0),
    ("ainvoke", "`KiloLLM.achat`", "KiloLLM", RAW, 1.0),
    ("crowd", "500 concurrent `astream`s of 500 chunks, per chunk", "ChatKilo", RAW, 0.5),
    ("crowd", "500 concurrent `astream_chat`s of 500 chunks, per chunk", "KiloLLM", RAW, 0.5),
    ("memory", "peak memory growth, 500 `astream`s", "ChatKilo", RAW, 1.0),
    ("memory", "peak memory growth, 500 `astream_chat`s", "KiloLLM", RAW, 1.0),
    ("memory_in_turns", "peak memory growth, 500 `astream`s that advance in turns", "ChatKilo", FLOOR_LANGCHAIN, 1.1),
    ("memory_in_turns", "peak memory growth, 500 `astream_chat`s that advance in turns", "KiloLLM", RAW, 1.0),
    ("interfaces", "`ChatKilo` on Responses, per chunk", "ChatKilo, responses", "ChatKilo, completions", 1.3),
    ("interfaces", "`ChatKilo` on Messages, per chunk", "ChatKilo, messages", "ChatKilo, completions", 1.3),
    ("interfaces", "`KiloLLM` on Responses, per chunk", "KiloLLM, responses", "KiloLLM, completions", 1.3),
    ("interfaces", "`KiloLLM` on Messages, per chunk", "KiloLLM, messages", "KiloLLM, completions", 1.3),
    # 40 ms, while langchain-core's chat models take 425 ms to import, and llama-index-core's LLM takes 860 ms.
    ("start", "import and first `ChatKilo()`, wall time", "ChatKilo", "ChatKilo's framework", 0.094),
    ("start", "import and first `KiloLLM()`, wall time", "KiloLLM", "KiloLLM's framework", 0.047),
]
# (part, measurement, ours, unit, at most)
LIMITS = [
    ("construction", "one more `ChatKilo(...)`", "ChatKilo", "us", 60.0),
    ("construction", "one more `KiloLLM(...)`", "KiloLLM", "us", 60.0),
]
COSTS = {"text": "text, per chunk", "tools": "tool call, per chunk", "reasoning": "reasoning, per chunk"}
COSTS |= {"interfaces": "text on each interface, per chunk"}
COSTS |= {"text_async": "text, async, per chunk", "invoke": "one call", "ainvoke": "one async call"}
GROWTH_LIMIT = 1.1
# (measure, heading, format)
LIVE_COLUMNS = [
    ("cpu", "CPU us per token or call", ",.0f"),
    ("cpu", "per CPU second", "rate"),
    ("p50", "delay p50, ms", ",.1f"),
    ("p99", "delay p99, ms", ",.1f"),
    ("max", "longest delay, ms", ",.1f"),
    ("first", "longest wait for a first token, ms", ",.0f"),
    ("late", "server late, ms", ",.0f"),
    ("wall", "wall, s", ".1f"),
    ("memory", "memory growth, MB", ",.0f"),
    ("collections", "full collections", ".0f"),
    ("failures", "failed", ".0f"),
]
FROZEN_COLUMNS = [("cpu", "CPU us", ",.0f"), ("p50", "delay p50, ms", ",.1f"), ("p99", "delay p99, ms", ",.1f")]
LIVE_NOTES = """\
Live streams send a token every 40 ms, as models do, for four seconds, and each token is a write of its own. All
streams start within a second, so a client that keeps up needs five seconds of wall time. The delay is the time from
the server's write to the caller. A client that is late with its requests has short delays: see the wait for the first
token. If "server late" is long, the server had not enough CPU, and the delays mean little. Each package has a process
of its own for each round; packages with targets have five rounds, the others one. The first stream of a process warms
up and does not count. The columns with `gc.freeze()` are of other processes, which call it after that stream: it keeps
Python's garbage collector from visiting all that a process has imported. ChatOpenRouter is not asked for 800 streams,
which all failed after five minutes. The floors of LangChain and LlamaIndex are the least that a class of theirs costs:
they read lines from aiohttp, parse them as JSON and build chunks with nothing but the text. The parts are `live`,
`threads` and `in_flight`; `--streams 50` measures only 50 live streams, and `--no-report` prints the results without a
change of this file."""
NOTES = """\
In the other tables, a stream arrives at one go. LangChain keeps all chunks of a stream until its end, and Python's
garbage collector visits all objects that are kept. So a stream of some thousand chunks may pay for full collections
that a stream of 500 chunks does not reach. This is a step, not a growth: compare 32,000 chunks with 8,000, the rows
with the collector off, and the floor, which is the least that a LangChain chat model can cost. For the same reason,
500 LangChain streams that advance in turns keep all their chunks in memory, as the floor shows; streams that are each
read in one go do not. The 500 concurrent streams have a process for each package and round, because the collector
visits all objects that a process has imported; the other packages have one round. Imports are compared with the import
of the framework's chat model class, because milliseconds depend on the machine."""


def measured(python: str, url: str, options: list[str]) -> dict[str, Any]:
    """Return the versions and figures of one environment."""
    command = [python, "-m", "benchmarks.measure", url, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Return the median ratio, and the smallest and the largest ratio of a round."""
    # Memory may not grow at all; one page is the smallest difference that can be measured.
    rounds = [max(a, PAGE) / max(b, PAGE) for a, b in zip(ours, theirs, strict=True)]
    return max(median(ours), PAGE) / max(median(theirs), PAGE), min(rounds), max(rounds)


def against_targets(figures: Figures) -> str:
    """Return the table of targets that this environment has figures for."""
    rows = []
    for part, what, ours, theirs, limit in TARGETS:
        if {ours, theirs} <= figures.get(part, {}).keys():
            middle, least, most = ratio(figures[part][ours], figures[part][theirs])
            spread = f"{least:.2f} to {most:.2f}"
            digits = 2 if limit >= 0.1 else 3
            shown, at_most = f"{middle:.{digits}f}", f"{limit:.{digits}f}"
            rows.append([what, theirs, shown, spread, at_most, "yes" if middle <= limit else "**no**"])
    for part, what, ours, unit, limit in LIMITS:
        if part in figures:
            values = figures[part][ours]
            spread = f"{min(values):.0f} to {max(values):.0f}"
            good = "yes" if median(values) <= limit else "**no**"
            rows.append([what, "", f"{median(values):.0f} {unit}", spread, f"{limit:.0f} {unit}", good])
    for name, values in figures.get("growth", {}).items():
        if not name.startswith("floor") and "against" not in name and "collector off" not in name:
            good = "yes" if median(values) <= GROWTH_LIMIT else "**no**"
            spread = f"{min(values):.2f} to {max(values):.2f}"
            what = f"8,000 chunks against 500, per chunk: {name}"
            rows.append([what, "", f"{median(values):.2f}", spread, f"{GROWTH_LIMIT:.2f}", good])
    if first := figures.get("first_token"):
        for ours in ("ChatKilo", "KiloLLM"):
            later = median(first[ours]) - median(first[RAW])
            good = "yes" if later <= 1 else "**no**"
            rows.append([f"time to first chunk, {ours}", RAW, f"{later:+.2f} ms", "", "+1 ms", good])
    return table(["what", "against", "median", "rounds", "at most", "met"], rows)


def costs(figures: Figures) -> str:
    """Return the table of CPU microseconds, one row per rival."""
    parts = [part for part in COSTS if part in figures]
    names = list(dict.fromkeys(name for part in parts for name in figures[part]))
    cells = [
        [f"{median(figures[part][name]):,.1f}" if name in figures[part] else "" for part in parts] for name in names
    ]
    return table(
        ["CPU us", *(COSTS[part] for part in parts)], [[name, *row] for name, row in zip(names, cells, strict=True)]
    )


def live_tables(figures: Figures) -> list[str]:
    """Return a table for each number of live streams, for streams in threads and for calls in flight."""
    tables = []
    for scene in (*map(live.Scene, live.STREAMS), live.THREADS, live.IN_FLIGHT):
        if scene.part("failures") not in figures:
            continue
        frozen = replace(scene, frozen=True)
        parts = [(scene.part(measure), heading, form) for measure, heading, form in LIVE_COLUMNS]
        parts += [(frozen.part(measure), f"{heading}{live.FREEZE}", form) for measure, heading, form in FROZEN_COLUMNS]
        parts = [(part, heading, form) for part, heading, form in parts if part in figures]
        names = figures[scene.part("failures")]
        rows = [[name, *(cell(figures[part].get(name), form) for part, _, form in parts)] for name in names]
        tables.append(table([scene.title, *(heading for _, heading, _ in parts)], rows))
    return tables


def cell(values: list[float] | None, form: str) -> str:
    """Return the median of some figures as text; a rate is the number of units in a second."""
    if values is None:
        return ""
    return f"{1e6 / median(values):,.0f}" if form == "rate" else f"{median(values):{form}}"


def crowds(figures: Figures) -> str:
    """Return the table of many streams at once."""
    rows = [
        [
            name,
            f"{1e6 / median(values):,.0f}",
            f"{median(figures['memory'][name]):,.0f} MB" if name in figures["memory"] else "",
            f"{median(figures['failures'][name]):.0f}",
        ]
        for name, values in figures["crowd"].items()
    ]
    return table(["500 concurrent streams", "chunks per CPU second", "memory growth", "failed streams"], rows)


def starts(figures: Figures) -> str:
    """Return the table of imports."""
    rows = [[name, f"{median(values):,.0f}"] for name, values in figures["start"].items()]
    return table(["import and first construction, wall time", "ms"], rows)


def growth(figures: Figures) -> str:
    """Return the table that compares long answers with short ones."""
    rows = [
        [name, *(f"{value:.2f}" for value in (median(values), min(values), max(values)))]
        for name, values in figures["growth"].items()
    ]
    return table(["8,000 chunks against 500, cost per chunk", "median", "least", "most"], rows)


def report(environments: list[dict[str, Any]]) -> str:
    """Return RESULTS.md."""
    now = datetime.now(UTC).date().isoformat()
    machine = f"{platform.machine()}, {platform.system()}"
    parts = [
        "# Benchmark results",
        "",
        f"Measured by `make bench` on {now}: {machine}. The times are CPU times of the client's process only. All",
        "packages of an environment take turns, against one local server. Compare ratios, not microseconds, which",
        "depend on the machine. The figures are medians of five or more rounds (three for growth, one or more for",
        "memory and packages without a target). To measure one part again, use `ARGS='--only <part> --rounds <n>'`.",
        "",
        LIVE_NOTES,
        "",
        "![Delay of a live token by the number of streams](live-delay.png)",
        "",
        NOTES,
    ]
    for environment in environments:
        named = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
        figures = environment["figures"]
        parts += ["", f"## openai {environment['versions']['openai']}", "", named, "", against_targets(figures)]
        parts += [text for table in live_tables(figures) for text in ("", table)]
        for part, section in (("text", costs), ("crowd", crowds), ("start", starts), ("growth", growth)):
            if part in figures:
                parts += ["", section(figures)]
    return "\n".join(parts) + "\n"


CHARTED = {
    "ChatKilo": "#2563eb",
    "KiloLLM": "#0d9488",
    RAW: "#374151",
    "ChatOpenAI": "#9ca3af",
    "ChatOpenRouter": "#9ca3af",
    "OpenAILike": "#9ca3af",
}
"""The packages of the chart of live streams; RESULTS.md has the others."""


def live_chart(figures: Figures, versions: dict[str, str], path: Path) -> None:
    """Draw the delay of a live token by the number of streams."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    parts = {count: figures.get(live.Scene(count).part("p99"), {}) for count in live.STREAMS}
    for name, color in CHARTED.items():
        points = {count: median(part[name]) for count, part in parts.items() if name in part}
        if not points:
            continue
        (line,) = axes.plot(points.keys(), points.values(), marker="o", color=color, lw=2.5 if name in OURS else 1.2)
        end = max(points)
        # The name of a line that ends early stands before its end, clear of the lines that go on.
        place = {"xytext": (8, 0), "va": "center"} if end == max(live.STREAMS) else {"xytext": (-8, 4), "ha": "right"}
        axes.annotate(name, (end, points[end]), textcoords="offset points", color=line.get_color(), **place)
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(0.9, 4000),
        xlabel="streams of 25 tokens a second",
        ylabel="delay p99, ms (less is better)",
    )
    axes.set_xticks(live.STREAMS, [str(count) for count in live.STREAMS])
    axes.minorticks_off()
    axes.set_title(f"Delay from the server's write to the caller, openai {versions['openai']}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def pyplot() -> Any:
    """Return matplotlib's functions, which draw to files."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def chart(figures: Figures, versions: dict[str, str], path: Path) -> None:
    """Draw the cost of a streamed chunk, compared with the peers."""
    plt = pyplot()
    text = {name: median(values) for name, values in figures["text"].items()}
    text.pop(FLOOR_LANGCHAIN)
    text.pop(FLOOR_LLAMA_INDEX)
    order = sorted(text, key=lambda name: text[name], reverse=True)
    slowest = text.pop("ChatOpenRouter", None)
    order = [name for name in order if name in text]
    figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
    colors = ["#2563eb" if name in ("ChatKilo", "KiloLLM") else "#9ca3af" for name in order]
    bars = axes.barh(order, [text[name] for name in order], color=colors)
    axes.bar_label(bars, fmt="%.0f us", padding=3)
    axes.set_xlabel("CPU microseconds per streamed chunk (less is better)")
    axes.set_title(f"Cost of a streamed chunk, openai {versions['openai']}")
    axes.spines[["top", "right"]].set_visible(False)
    if slowest:
        axes.annotate(
            f"ChatOpenRouter: {slowest:,.0f} us", (0.98, 0.86), xycoords="axes fraction", ha="right", color="#6b7280"
        )
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure in each environment and write the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pythons", nargs="*", help="Pythons of further environments")
    parser.add_argument("--rounds", default="7")
    parser.add_argument("--report", action="store_true", help="write the report of the last run's figures again")
    parser.add_argument("--only", nargs="*", help="parts to measure; the others stay as they were")
    parser.add_argument("--streams", nargs="*", help="numbers of live streams; without it, all")
    parser.add_argument("--no-report", action="store_true", help="print the results and write no file")
    chosen = parser.parse_args()
    if chosen.report:
        write(json.loads(FIGURES.read_text(encoding="utf-8")))
        return
    options = ["--rounds", chosen.rounds, *(["--only", *chosen.only] if chosen.only else [])]
    options += ["--streams", *chosen.streams] if chosen.streams else []
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"], stdout=subprocess.PIPE, text=True, cwd=HERE.parent
    )
    try:
        port = server.stdout.readline().strip() if server.stdout else ""
        environments = [
            measured(python, f"http://127.0.0.1:{port}", options) for python in (sys.executable, *chosen.pythons)
        ]
    finally:
        server.terminate()
    if chosen.no_report:
        print(report(environments))
        return
    if chosen.only:
        environments = [
            merged(old, new) for old, new in zip(json.loads(FIGURES.read_text()), environments, strict=True)
        ]
    # An error in the report must not lose the measurements: `--report` writes the report again.
    FIGURES.write_text(json.dumps(environments), encoding="utf-8")
    write(environments)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a whole run, updated with a later part. Raise ValueError if versions differ."""
    if old["versions"] != new["versions"]:
        raise ValueError(f"kept figures belong to {old['versions']}, new ones to {new['versions']}: measure all parts")
    return {**old, "figures": {**old["figures"], **new["figures"]}}


def write(environments: list[dict[str, Any]]) -> None:
    """Print the report, and write it and its chart to files."""
    text = report(environments)
    print(text)
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    figures, versions = environments[0]["figures"], environments[0]["versions"]
    chart(figures, versions, HERE / "chunk-cost.png")
    live_chart(figures, versions, HERE / "live-delay.png")


if __name__ == "__main__":
    main()
