"""A call as the body of `POST /chat/completions`. Pure. See docs/gateway.md, "Requests"."""

from __future__ import annotations

from typing import Any

from kilo_gateway.call import Call
from kilo_gateway.interfaces import routes
from kilo_gateway.interfaces.chat_completions import history


def body(call: Call) -> dict[str, Any]:
    """Return the request body. Raises ValueError for a message part or schema that has no form on this wire."""
    options = dict(call.options)
    if call.stream:
        # Without it a stream reports no usage.
        options.setdefault("stream_options", {"include_usage": True})
    return {
        **routes.adapt(options, call.model),
        "model": call.model,
        "messages": history.messages(call.conversation),
        "stream": call.stream,
    }
