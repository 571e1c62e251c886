"""Find what a call leaves open: sockets, threads, tasks."""

import asyncio
import gc
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from stat import S_ISSOCK
from typing import Any


def open_to(url: str) -> int:
    """Return how many sockets of this process are open to the port of `url`, even if the other end is closed."""
    port = int(url.partition("//")[2].partition("/")[0].rpartition(":")[2])
    return sum(_peer(int(name)) == port for name in os.listdir("/proc/self/fd"))


def _peer(number: int) -> int | None:
    """Return the port at the other end of an open file, if it is a connected socket."""
    try:
        if not S_ISSOCK(os.fstat(number).st_mode):
            return None
        with socket.socket(fileno=os.dup(number)) as twin:
            address = twin.getpeername()
    except OSError:  # not connected, or already closed
        return None
    return address[1] if isinstance(address, tuple) else None


async def stays_open(url: str, before: int) -> bool:
    """Return True if more than `before` sockets stay open to the port of `url`.

    A connection closes in a later turn of the loop, and one that the other side closed when its end is read.
    """
    for _ in range(100):
        if open_to(url) <= before:
            return False
        await asyncio.sleep(0.01)
    return True


def threads() -> set[str]:
    """Return the names of all threads except those of the sandbox and of an event loop's executor."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith(("asyncio_", "kilo-sandbox"))}


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return all tasks of the running loop except the current one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


@contextmanager
def collected() -> Iterator[None]:
    """Collect the garbage of the block, and no older objects: to look at all of them takes a fifth of a second."""
    gc.freeze()
    try:
        yield
        gc.collect()
    finally:
        gc.unfreeze()
