"""Deliver an answer on its connection: bytes, pauses, silence, a dropped socket."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.types import Receive, Send

from kilo_gateway.sandbox.gateway.parts import DROP, Drop, Part, Pause
from kilo_gateway.sandbox.gateway.records import Record


@dataclass
class Answer:
    """Status, headers and body parts of an answer; if `streaming` is True, the headers are sent before the first part.

    `latency` is the number of seconds before the headers, `delay` between the parts of the body.
    """

    status: int = 200
    parts: Iterable[Part] | AsyncIterator[Part] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    streaming: bool = False
    delay: float = 0.0
    latency: float = 0.0


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a JSON answer; it contains text that is not ASCII without escapes, as the gateway's does."""
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, (data,), {"content-type": "application/json", **(headers or {})})


async def deliver(answer: Answer, receive: Receive, send: Send, record: Record, stopping: asyncio.Event) -> None:
    """Send an answer, and record if the client leaves before its end.

    If the answer is not finished (a dropped socket, a stopped sandbox), the server closes the connection.
    """
    client_left = asyncio.ensure_future(wait_for_disconnect(receive))
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await _Delivery(answer, send, record, client_left, stopped).run()
    finally:
        for task in (client_left, stopped):
            task.cancel()
        await asyncio.gather(client_left, stopped, return_exceptions=True)


@dataclass
class _Delivery:
    answer: Answer
    send: Send
    record: Record
    client_left: asyncio.Future[None]
    stopped: asyncio.Future[Any]
    started: bool = False

    async def run(self) -> None:
        if self.answer.latency and not await self._wait(self.answer.latency):
            return
        if isinstance(self.answer.parts, AsyncIterator):
            await self._pass_on(self.answer.parts)
            return
        parts = iter(self.answer.parts)
        part = next(parts, b"")
        if self.answer.streaming:
            await self._start()
        first = True
        while True:
            next_part = next(parts, None)
            if isinstance(part, Pause):
                if not await self._wait(part.seconds):
                    return
            elif isinstance(part, Drop):
                return
            else:
                if not first and not await self._wait(self.answer.delay):
                    return
                # One message contains the last bytes and the end. So a client that leaves then has not left early.
                await self._body(part, more=next_part is not None)
                first = False
            if next_part is None:
                break
            part = next_part
        if isinstance(part, Pause):
            await self._body(b"", more=False)

    async def _pass_on(self, parts: AsyncIterator[Part]) -> None:
        """Send parts from another server as they arrive; if the client leaves, stop reading from that server."""
        await self._start()
        while True:
            step = asyncio.ensure_future(anext(parts, None))
            awaited: set[asyncio.Future[Any]] = {step, self.client_left, self.stopped}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)
                self.record.update(disconnected=self.client_left.done())
                return
            part = step.result()
            if isinstance(part, Drop):
                return
            await self._body(part if isinstance(part, bytes) else b"", more=part is not None)
            if part is None:
                return

    async def _start(self) -> None:
        headers = dict(self.answer.headers)
        if not self.answer.streaming:
            parts = tuple(cast("Iterable[Part]", self.answer.parts))
            # The length is one byte too large, so that a client cannot take a dropped body for a complete one.
            length = sum(len(part) for part in parts if isinstance(part, bytes)) + (DROP in parts)
            headers["content-length"] = str(length)
        self.started = True
        await self.send(
            {
                "type": "http.response.start",
                "status": self.answer.status,
                "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
            }
        )

    async def _body(self, data: bytes, *, more: bool) -> None:
        if not self.started:
            await self._start()
        if data:
            self.record.wrote(data)
        await self.send({"type": "http.response.body", "body": data, "more_body": more})
        if not more:
            self.record.complete = True

    async def _wait(self, seconds: float) -> bool:
        """Wait, and return True; return False if the client leaves, which is recorded, or the sandbox stops."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            await asyncio.wait(
                {self.client_left, self.stopped},
                timeout=None if math.isinf(seconds) else seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        if self.client_left.done():
            self.record.update(disconnected=True)
            return False
        return not self.stopped.done()


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
