"""The JSON body of an answer, whatever the interface. Pure."""

from __future__ import annotations

from typing import Any

from kilo_gateway.encoding.lenient_json import cleaned, parse_odd
from kilo_gateway.errors import translate
from kilo_gateway.errors.sent import UNKNOWN, Sent


def json_object(content: bytes, response: Any = None) -> dict[str, Any]:
    """Parse the body of a 200 answer; raises KiloResponseError for anything but a JSON object."""
    body, odd = odd_object(content, response)
    clean: dict[str, Any] = cleaned(body) if odd else body
    return clean


def odd_object(content: bytes, response: Any) -> tuple[dict[str, Any], bool]:
    """Return the object of a body, and whether `cleaned` may change it; raises as `json_object` does."""
    try:
        body, odd = parse_odd(content)
    except (ValueError, RecursionError):
        text = content.decode(errors="replace").strip()
        why = "it is not JSON" if text else "it is empty"
        raise translate.unreadable(why, response=response, body=text) from None
    if not isinstance(body, dict):
        raise translate.unreadable("it is not a JSON object", response=response, body=body)
    return body, odd


def listed(body: dict[str, Any], response: Any = None, sent: Sent = UNKNOWN) -> list[Any]:
    """Return the list that a 200 answer holds as `data`; raises KiloError if it is an error or has none."""
    if isinstance(body.get("data"), list):
        return list(body["data"])
    if body.get("error"):
        raise translate.from_body(body, status=None, response=response, sent=sent)
    raise translate.unreadable("it holds no list named 'data'", response=response, body=body)
