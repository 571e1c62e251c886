"""Serve a gateway that uses almost no CPU: it sends prepared bytes.

`/<kind>/<chunks>/chat/completions` answers with a stream of that many data chunks; kind is `text`, `reasoning`,
`tools` or `trickle` (the first chunk at once, the rest after the client hangs up). A request that does not ask
for a stream gets a body.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import cache
from typing import Any

MODEL = "openai/gpt-5.4"
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


@cache
def stream(kind: str, chunks: int) -> bytes:
    """Return the body of a streamed answer."""
    events = [_event(_delta(kind, position, chunks - 1)) for position in range(chunks)]
    events.append(_event({"role": "assistant", "content": ""}, "tool_calls" if kind == "tools" else "stop"))
    events.append(_event({"role": "assistant", "content": ""}, usage=_USAGE))
    return b"".join(events) + b"data: [DONE]\n\n"


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
            _, kind, chunks, *_ = head.split(b" ", 2)[1].decode().split("/")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            request = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
            if not request.get("stream"):
                writer.write(_head("application/json", len(body())) + body())
            elif kind == "trickle":
                writer.write(_head("text/event-stream", None) + _event(_delta("text", 0, 1)))
                await writer.drain()
                await reader.read()
                return
            else:
                answer = stream(kind, int(chunks))
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
