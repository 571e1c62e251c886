"""Shared by the tests of rows."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from kilo_gateway.sandbox import Sandbox


def questions(folder: Path, rows: int, bad: Callable[[int], bool] = lambda _: False) -> str:
    """Write a file of questions, and return its path."""
    path = folder / "questions.parquet"
    table = {"id": range(rows), "question": [f"Name river {n}" for n in range(rows)], "bad": map(bad, range(rows))}
    pd.DataFrame(table).to_parquet(path)
    return str(path)


def open_connections(sandbox: Sandbox) -> int:
    """Return the number of connections that clients have to the sandbox."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [(line.split()[2], line.split()[3]) for line in lines]
    return sum(peer.endswith(f":{sandbox.port:04X}") and state == "01" for peer, state in ends)


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Return as soon as the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not hold in time"
        time.sleep(0.05)
