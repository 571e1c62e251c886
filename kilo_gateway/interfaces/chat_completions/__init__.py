"""The Chat Completions interface: `POST /chat/completions`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kilo_gateway.call import Call
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.base import Decoder
from kilo_gateway.interfaces.chat_completions import request
from kilo_gateway.interfaces.chat_completions.stream import StreamDecoder, decode_whole
from kilo_gateway.reply import Delta


class ChatCompletions:
    """How Chat Completions writes a call and reads its answer; see `interfaces.base.Interface`."""

    path = "/chat/completions"

    def body(self, call: Call) -> dict[str, Any]:
        """Return the request body."""
        return request.body(call)

    def decoder(self, response: Any, sent: Sent) -> Decoder:
        """Return the decoder of a streamed answer."""
        return StreamDecoder(response, sent)

    def whole(self, content: bytes, response: Any, sent: Sent) -> Iterator[Delta]:
        """Yield the deltas of a whole answer."""
        return decode_whole(content, response, sent)
