"""The gateway's wire formats, a folder for each. To add one, add a folder and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kilo_gateway.interfaces.base import Interface as Interface
from kilo_gateway.interfaces.chat_completions import ChatCompletions
from kilo_gateway.interfaces.messages import Messages
from kilo_gateway.interfaces.responses import Responses

INTERFACES: Final[Mapping[str, Interface]] = {
    "completions": ChatCompletions(),
    "responses": Responses(),
    "messages": Messages(),
}
"""Each interface by the value of `api`."""
