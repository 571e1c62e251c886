"""Serve any bytes from a plain socket, including those that no HTTP framework sends, and end as the test requires."""

import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"whole"},"finish_reason":null}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"

End = Literal["close", "reset", "hold"]


@dataclass(frozen=True)
class Say:
    """The answer of one connection; if `early` is True, it is sent before the request is read.

    A connection that is held receives `drip` again and again.
    """

    answer: bytes = b""
    end: End = "close"
    early: bool = False
    drip: bytes = b""


def chunked(*frames: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(frame), frame) for frame in frames)


GOOD = HEAD + chunked(TEXT, FINISH, USAGE, DONE) + b"0\r\n\r\n"
"""A complete answer as an event stream, which the client also accepts as a body."""


@contextmanager
def server(
    *answers: bytes | Say, end: End = "close", tls: ssl.SSLContext | None = None, listening: bool = True
) -> Iterator[tuple[str, list[bytes]]]:
    """Send the next answer to each connection, repeat the last one, and record the requests.

    If `listening` is False, connections are refused until `listen` is called with the URL.
    """
    plays = [Say(answer, end) if isinstance(answer, bytes) else answer for answer in answers]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    seen: list[bytes] = []
    release = threading.Event()
    threads: list[threading.Thread] = []

    def play(connection: socket.socket, said: Say) -> None:
        with connection, suppress(OSError):  # the client may close first
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            if not said.early:
                seen.append(_request(connection))
            connection.sendall(said.answer)
            if said.end == "hold":
                while not release.wait(0.02 if said.drip else 10) and said.drip:
                    connection.sendall(said.drip)
            if said.end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    def serve() -> None:
        for number in range(1_000_000):
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=play, args=(connection, plays[min(number, len(plays) - 1)]), daemon=True)
            thread.start()
            threads.append(thread)

    def start() -> None:
        listener.listen(128)
        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()

    _SLEEPERS[port] = start
    if listening:
        start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}", seen
    finally:
        release.set()
        del _SLEEPERS[port]
        with suppress(OSError):  # the client may close first
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(5)


_SLEEPERS: dict[int, Callable[[], None]] = {}


def listen(url: str) -> None:
    """Let a server that refuses connections accept them."""
    _SLEEPERS[int(url.rpartition(":")[2])]()


def _request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        if not (more := connection.recv(65536)):
            return request
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length and len(body) < int(length[1]):  # a close with unread bytes would reset the connection
        body += connection.recv(65536)
    return request


def json_body(value: Any, status: str = "200 OK") -> bytes:
    """Return a complete JSON answer."""
    content = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def stream_of(*deltas: dict[str, Any]) -> bytes:
    """Return a stream of these deltas, with only the fields that the protocol requires."""
    choices = [{"index": 0, "delta": delta} for delta in deltas] + [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    return HEAD + chunked(*(b"data: " + json.dumps({"choices": [c]}).encode() + b"\n\n" for c in choices), DONE)
