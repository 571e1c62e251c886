"""The ending of an answer, as far as it is the same on all interfaces. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kilo_gateway.encoding import response_headers
from kilo_gateway.encoding.lenient_json import cleaned
from kilo_gateway.reply import Ending

_NOT_FROM_JSON: Final = {"api", "reasoning_left_out", "usage", "request_id", "headers", "tool_calls"}
_FROM_JSON: Final = frozenset(Ending.__slots__) - _NOT_FROM_JSON


def opened(api: str, response: Any) -> Ending:
    """Return the ending of an answer that has begun on interface `api`."""
    headers = getattr(response, "headers", {})
    return Ending(api=api, request_id=response_headers.request_id_of(response), headers=headers)


def mended(ending: Ending) -> Ending:
    """Return an ending without lone surrogates and without structures that are nested too deeply."""
    return replace(ending, **{name: cleaned(getattr(ending, name)) for name in _FROM_JSON})
