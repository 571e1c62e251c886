"""What a call may leave open: sockets, threads, tasks."""

import asyncio
import threading
from pathlib import Path
from typing import Any

ESTABLISHED, CLOSE_WAIT = "01", "08"


def open_to(url: str) -> int:
    """Return how many sockets of this machine are open towards the port of `url`, whatever the other end does."""
    port = int(url.partition("//")[2].partition("/")[0].rpartition(":")[2])
    found = 0
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *rest = line.split()
        # A socket that its process has closed has no inode any more.
        found += int(remote.rpartition(":")[2], 16) == port and state in (ESTABLISHED, CLOSE_WAIT) and rest[5] != "0"
    return found


def threads() -> set[str]:
    """Return the threads that are neither the sandbox's nor the executor's of a running loop."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith(("asyncio_", "kilo-sandbox"))}


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks of the running loop but the one that asks."""
    return asyncio.all_tasks() - {asyncio.current_task()}
