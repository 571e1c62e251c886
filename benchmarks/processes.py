"""Measure a rival in a process of its own, and read the memory of a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def in_new_process(module: str, *arguments: str) -> dict[str, float]:
    """Return the figures that a module prints. Raises RuntimeError if it fails.

    Python's garbage collector visits all that a process has imported: one rival should not pay for the packages of
    another.
    """
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def peak() -> float:
    """Return the peak memory of this process so far, in MB."""
    # getrusage would report the parent's peak, which a new process inherits.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
