"""The Anthropic Messages interface: `POST /messages`."""

from __future__ import annotations

from typing import Any

from kilo_gateway.call import Call
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.frames import AnswerReader
from kilo_gateway.interfaces.messages import request
from kilo_gateway.interfaces.messages.answer import Answer


class Messages(AnswerReader):
    """How Messages writes a call and reads its answer; see `interfaces.base.Interface`."""

    path = "/messages"

    def body(self, call: Call) -> dict[str, Any]:
        """Return the request body."""
        return request.body(call)

    def answer(self, response: Any, sent: Sent) -> Answer:
        """Return the state of an answer that has not begun."""
        return Answer(response, sent)
