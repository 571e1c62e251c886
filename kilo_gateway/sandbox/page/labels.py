"""Write the facts of a request as the page shows them: names, times, numbers."""

from __future__ import annotations

import time
from typing import Final

from kilo_gateway.sandbox.page.values import Json

INTERFACES: Final = {
    "chat_completions": "Chat Completions",
    "responses": "Responses",
    "messages": "Messages",
    "embeddings": "Embeddings",
    "other": "Other",
}
_STATES: Final = {"running": "Running", "left": "Client left"}


def labels(row: Json) -> Json:
    """Return the texts for a row of the list."""
    tokens = row["tokens"]
    total = "" if tokens.get("input") is None else f"{tokens['input'] + (tokens['output'] or 0):,} tokens"
    where = f" → {row['served']}" if row["served"] and row["served"] != row["requested"] else ""
    return {
        "model": row["requested"] or row["path"],
        "served": where,
        "status": status(row),
        "preview": row["error"]["message"] if row["error"] else row["preview"],
        "time": duration(row["last_ms"]),
        "facts": _joined(INTERFACES[row["interface"]], row["mode"], _clock(row["arrived"])),
        "spent": _joined(total, _dollars(row["cost"])),
    }


def facts(row: Json) -> list[tuple[str, str]]:
    """Return the names and values of what is known about a request; without those that have no value."""
    tokens = row["tokens"]
    named = [
        ("Interface", INTERFACES[row["interface"]]),
        ("Requested model", row["requested"]),
        ("Served model", row["served"]),
        ("Tier", row["tier"]),
        ("Mode", row["mode"]),
        ("Task", row["task"]),
        ("Status", status(row)),
        ("Arrived", _clock(row["arrived"])),
        ("First byte", duration(row["first_ms"])),
        ("Duration", duration(row["last_ms"])),
        ("Finish reason", row["finish"]),
        ("Tokens in", _count(tokens.get("input"), tokens.get("cached"), "cached")),
        ("Tokens out", _count(tokens.get("output"), tokens.get("reasoning"), "reasoning")),
        ("Cost", _dollars(row["cost"])),
        ("Error", _joined(row["error"]["type"], row["error"]["message"]) if row["error"] else ""),
    ]
    return [(name, value) for name, value in named if value]


def status(row: Json) -> str:
    """Return the status of a request as one word, or the status code of its answer."""
    if row["state"] == "failed" and row["status"] == 200:
        return "Broken"
    return _STATES.get(row["state"], str(row["status"]))


def duration(milliseconds: float | None) -> str:
    """Return a time with its unit."""
    if milliseconds is None:
        return ""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _count(number: float | None, part: float | None, name: str) -> str:
    return "" if number is None else f"{number:,}" + (f" ({part:,} {name})" if part else "")


def _dollars(cost: float | None) -> str:
    return "" if cost is None else f"${cost:.6f}"


def _joined(*texts: str) -> str:
    return " · ".join(filter(None, texts))
