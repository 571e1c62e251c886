"""Fields of a call that an interface has no place for. No I/O."""

from __future__ import annotations

from typing import Any, Final

from kilo_gateway.settings import places
from kilo_gateway.settings.chat import GatewaySettings

_APIS: Final = ("completions", "responses", "messages")
_NAMES: Final = {"completions": "Chat Completions", "responses": "Responses", "messages": "Messages"}


def misplaced(field: str, value: Any, api: str) -> ValueError:
    """Return the error of a field that interface `api` lacks; it names the interfaces that have it."""
    having = [f"api={other!r}" for other in _APIS if other != api and _has(other, field)]
    remedy = f", or use {' or '.join(having)}" if having else ""
    return ValueError(f"{field}={value!r:.200} has no place in the {_NAMES[api]} interface; leave it out{remedy}")


def _has(api: str, field: str) -> bool:
    """Return True if an interface has a field; those that the constructor lacks are all Chat Completions' own."""
    return places.body_names(GatewaySettings, api).get(field, field if api == "completions" else None) is not None
