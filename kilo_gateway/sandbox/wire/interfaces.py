"""List the wire formats of the interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.options import Api
from kilo_gateway.sandbox.wire import chat_completions, messages, responses
from kilo_gateway.sandbox.wire.interface import Wire

WIRES: Mapping[Api, Wire] = MappingProxyType(
    {"chat_completions": chat_completions, "responses": responses, "messages": messages}
)


def wire_of(call: Call) -> Wire:
    """Return the wire format of a call's interface."""
    return WIRES[call.api]
