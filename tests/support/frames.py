"""Define the frames of a short answer on each interface, for servers that send bytes of their own."""

import json
from dataclasses import dataclass
from typing import Any

from tests.support.server import DONE, FINISH, GOOD, HEAD, TEXT, chunked

KEEP_ALIVE = b": KILO PROCESSING\n\n"


@dataclass(frozen=True)
class Frames:
    """The frames of the answer "whole", in the order of their fields."""

    path: str
    """The path of the interface below the base URL."""
    opening: bytes
    """All frames before the text."""
    delta: bytes
    """One piece of text: "whole"."""
    finish: bytes
    """Says that the text is complete; the answer's last event, with its tokens, is still to come."""
    end: bytes
    """The last events, without tokens."""
    good: bytes
    """A complete answer with tokens and headers, which the client also accepts as a body."""
    keep_alive: bytes
    """Frames that carry nothing."""

    @property
    def text(self) -> bytes:
        """The frames up to the text."""
        return self.opening + self.delta


def events(*values: dict[str, Any]) -> bytes:
    """Return the frames of events."""
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def whole(*frames: bytes) -> bytes:
    """Return an answer of these frames that ends as HTTP requires."""
    return HEAD + chunked(*frames) + b"0\r\n\r\n"


def _responses() -> Frames:
    said = {"id": "msg_1", "type": "message", "role": "assistant"}
    done = {**said, "status": "completed", "content": [{"type": "output_text", "text": "whole", "annotations": []}]}
    answer: dict[str, Any] = {"id": "resp_1", "status": "in_progress", "model": "vendor/model", "output": []}
    completed = {**answer, "status": "completed", "output": [done]}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    opening = events(
        {"type": "response.created", "response": answer},
        {"type": "response.output_item.added", "output_index": 0, "item": {**said, "content": []}},
    )
    delta = events({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "whole"})
    finish = events({"type": "response.output_item.done", "output_index": 0, "item": done})
    end, counted = (
        events({"type": "response.completed", "response": response})
        for response in (completed, {**completed, "usage": usage})
    )
    return Frames(
        path="/responses",
        opening=opening,
        delta=delta,
        finish=finish,
        end=end,
        good=whole(opening, delta, finish, counted),
        keep_alive=KEEP_ALIVE + events({"type": "response.in_progress", "response": answer}),
    )


def _messages() -> Frames:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "vendor/model", "content": []}
    opening = events(
        {"type": "message_start", "message": {**message, "usage": {"input_tokens": 1, "output_tokens": 0}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    )
    delta = events({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "whole"}})
    finish = events({"type": "content_block_stop", "index": 0})
    last: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    stop = {"type": "message_stop"}
    return Frames(
        path="/messages",
        opening=opening,
        delta=delta,
        finish=finish,
        end=events(last, stop),
        good=whole(opening, delta, finish, events({**last, "usage": {"output_tokens": 1}}, stop)),
        keep_alive=KEEP_ALIVE + events({"type": "ping"}),
    )


FRAMES = {
    "completions": Frames(
        path="/chat/completions",
        opening=b"",
        delta=TEXT,
        finish=FINISH,
        end=DONE,
        good=GOOD,
        keep_alive=KEEP_ALIVE,
    ),
    "responses": _responses(),
    "messages": _messages(),
}
