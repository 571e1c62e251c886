"""Serve a gateway that uses almost no CPU: it sends prepared bytes.

`/<kind>/<chunks>/chat/completions` answers with a stream of that many data chunks; kind is `text`, `reasoning`,
`tools` or `trickle` (the first chunk at once, the rest after the client hangs up). A request that does not ask
for a stream gets a body. With `/responses` or `/messages` at the end, the text is streamed on that interface.

`/live/<chunks>/<name>/chat/completions` streams as a model does: a chunk every 40 ms, each in a write of its own. The
text of a chunk is the time of its write, from the clock that all processes of the machine share. The first stream of
a name is sent without pauses, so that a client can use its code and its connections once before it is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import cache
from typing import Any, ClassVar

MODEL = "openai/gpt-5.4"
PACE = 0.04
_USAGE = {"prompt_tokens": 12, "completion_tokens": 500, "total_tokens": 512, "cost": 0.0021}


def _event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": finish, "logprobs": None}
    frame = {"id": "gen-1", "provider": "OpenAI", "model": MODEL, "object": "chat.completion.chunk", "created": 1}
    return b"data: " + json.dumps({**frame, "choices": [choice], **more}).encode() + b"\n\n"


def _delta(kind: str, position: int, last: int) -> dict[str, Any]:
    if kind == "reasoning":
        text = f" thought{position}"
        detail = {"type": "reasoning.text", "text": text, "format": "anthropic-claude-v1", "index": 0}
        return {"role": "assistant", "content": "", "reasoning": text, "reasoning_details": [detail]}
    if kind != "tools":
        return {"role": "assistant", "content": f" word{position}"}
    if position == 0:
        function = {"name": "save", "arguments": '{"text": "'}
        return {
            "role": "assistant",
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}],
        }
    arguments = '"}' if position == last else f" word{position}"
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


def _end(kind: str) -> bytes:
    finish = _event({"role": "assistant", "content": ""}, "tool_calls" if kind == "tools" else "stop")
    return finish + _event({"role": "assistant", "content": ""}, usage=_USAGE) + b"data: [DONE]\n\n"


@cache
def stream(kind: str, chunks: int) -> bytes:
    """Return the body of a streamed answer."""
    return b"".join(_event(_delta(kind, position, chunks - 1)) for position in range(chunks)) + _end(kind)


class _Live:
    """Writes a stream as a model does. Callbacks, because a task for each frame would take three times the CPU."""

    _BEFORE, _AFTER = _event({"role": "assistant", "content": " TIME"}).split(b"TIME")
    _names: ClassVar[list[str]] = []

    def __init__(self, writer: asyncio.StreamWriter, chunks: int, name: str) -> None:
        self._writer, self._left = writer, chunks
        self._loop = asyncio.get_running_loop()
        self._pace = PACE if name in self._names else 0
        self._names.append(name)
        # The golden ratio spreads any number of streams evenly over the pause between two frames.
        self._due = self._loop.time() + self._pace * (len(self._names) * 0.618034 % 1)
        self.done = self._loop.create_future()
        self._write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    def _write(self, part: bytes) -> None:
        if self._writer.is_closing():
            self.done.set_result(None)
            return
        self._writer.write(part)
        self._due += self._pace
        self._loop.call_at(self._due, self._frame)

    def _frame(self) -> None:
        if self._left:
            self._left -= 1
            self._write(_chunk(b"%b%d%b" % (self._BEFORE, time.monotonic_ns(), self._AFTER)))
        else:
            self._writer.write(_chunk(_end("live")) + _chunk(b""))
            self.done.set_result(None)


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def _typed(event: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode())


@cache
def responses(chunks: int) -> bytes:
    """Return the body of a streamed text on the Responses interface."""
    place = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    whole = "".join(f" word{position}" for position in range(chunks))
    part = {"type": "output_text", "text": whole, "annotations": []}
    response = {"id": "resp_1", "object": "response", "model": MODEL, "status": "in_progress", "output": []}
    usage = {"input_tokens": 12, "output_tokens": 500, "total_tokens": 512, "cost": 0.0021}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **place, "delta": f" word{position}", "logprobs": []}
            for position in range(chunks)
        ),
        {"type": "response.output_text.done", **place, "text": whole},
        {"type": "response.output_item.done", "output_index": 0, "item": {**item, "content": [part]}},
        {"type": "response.completed", "response": {**response, "status": "completed", "usage": usage}},
    ]
    return b"".join(_typed({**event, "sequence_number": number}) for number, event in enumerate(events))


@cache
def messages(chunks: int) -> bytes:
    """Return the body of a streamed text on the Messages interface."""
    usage, total = {"input_tokens": 12, "output_tokens": 1}, {"output_tokens": 500, "cost": 0.0021}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
    deltas = ({"type": "text_delta", "text": f" word{position}"} for position in range(chunks))
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": total},
        {"type": "message_stop"},
    ]
    return b"".join(map(_typed, events))


@cache
def body() -> bytes:
    """Return the body of an answer that is not streamed."""
    message = {"role": "assistant", "content": "word " * 100, "refusal": None, "reasoning": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "native_finish_reason": "stop", "logprobs": None}
    frame = {"id": "gen-1", "provider": "OpenAI", "model": MODEL, "object": "chat.completion", "created": 1}
    frame |= {"system_fingerprint": None}
    return json.dumps({**frame, "choices": [choice], "usage": _USAGE}).encode()


def _head(kind: str, length: int | None) -> bytes:
    size = b"connection: close" if length is None else b"content-length: %d" % length
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%s\r\n\r\n" % (kind.encode(), size)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            _, kind, chunks, *path = head.split(b" ", 2)[1].decode().split("/")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            request = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
            if not request.get("stream"):
                writer.write(_head("application/json", len(body())) + body())
            elif kind == "trickle":
                writer.write(_head("text/event-stream", None) + _event(_delta("text", 0, 1)))
                await writer.drain()
                await reader.read()
                return
            elif kind == "live":
                await _Live(writer, int(chunks), path[0]).done
            else:
                others = {"responses": responses, "messages": messages}
                answer = others[path[-1]](int(chunks)) if path[-1] in others else stream(kind, int(chunks))
                writer.write(_head("text/event-stream", len(answer)) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve on a free port and print it."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
