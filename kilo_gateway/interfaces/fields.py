"""Which interface has a place for a field of a call. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.settings import places
from kilo_gateway.settings.chat import GatewaySettings

_NAMES: Final = {"completions": "Chat Completions", "responses": "Responses", "messages": "Messages"}
_COMPLETIONS: Final = ("completions",)

_WITHOUT_ARGUMENT: Final[Mapping[str, tuple[str, ...]]] = {
    "n": _COMPLETIONS,
    "audio": _COMPLETIONS,
    "modalities": ("completions", "responses"),
    "prediction": _COMPLETIONS,
    "store": _COMPLETIONS,
    "prompt_cache_key": ("completions", "responses"),
    "safety_identifier": ("completions", "responses"),
    "top_a": _COMPLETIONS,
    "min_p": _COMPLETIONS,
    "repetition_penalty": _COMPLETIONS,
    "web_search_options": _COMPLETIONS,
    "structured_outputs": _COMPLETIONS,
    "enable_thinking": _COMPLETIONS,
    "usage": _COMPLETIONS,
}
"""Request fields that are not arguments of the constructor, and the interfaces that have them; any other unknown
field is sent unchanged."""


def has(field: str, api: str) -> bool:
    """Return True if an interface has a place for a field."""
    if field in _WITHOUT_ARGUMENT:
        return api in _WITHOUT_ARGUMENT[field]
    return places.body_names(GatewaySettings, api).get(field, field) is not None


def misplaced(field: str, value: Any, api: str) -> ValueError:
    """Return the error of a field that interface `api` lacks; it names the interfaces that have it."""
    having = [f"api={other!r}" for other in _NAMES if other != api and has(field, other)]
    remedy = f", or use {' or '.join(having)}" if having else ""
    return ValueError(f"{field}={value!r:.200} has no place in the {_NAMES[api]} interface; leave it out{remedy}")
