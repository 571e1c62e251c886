"""Register HTTP errors: each row of the gateway's table, errors of upstream, and calls that fail once."""

from __future__ import annotations

import json
from http import HTTPStatus

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.error_bodies import ERRORS, render, upstream_body
from kilo_gateway.sandbox.gateway.options import APIS
from kilo_gateway.sandbox.scenarios.base import Json, Page, Registry

REGISTRY = Registry()
_JSON = {"content-type": "application/json"}

UPSTREAM_STATUSES = (400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 524, 529)
_PHRASES = {524: "A Timeout Occurred", 529: "Overloaded"}  # of proxies and of Anthropic, not of HTTP
_PLACES = {
    "detail": "Expecting value",
    "id": "sandbox/error-model-not-found",
    "seconds": "1",
    "milliseconds": "40",
}


def page(status: int, body: Json, headers: dict[str, str] | None = None) -> Page:
    """Return a JSON answer that is sent unchanged."""
    return Page(status, (json.dumps(body, ensure_ascii=False).encode(),), {**_JSON, **(headers or {})})


def _row(name: str) -> None:
    row = ERRORS[name]

    def refuse(call: Call) -> Page:
        if name == "context-length" and call.api == "messages":
            # The provider reports it; the gateway adds its own type beside the error.
            return page(400, {**upstream_body(400, row.message, call.api), "error_type": row.error_type})
        others = ", ".join(api for api in APIS if api != call.api)
        return page(*render(name, call.options, **_PLACES, kind=call.api, kinds=others))

    message = row.message.partition("<kind>")[0]  # the rest depends on the call's interface
    for place, content in _PLACES.items():
        message = message.replace(f"<{place}>", content)
    REGISTRY.add(
        f"error-{name}",
        row.condition,
        kind="error",
        status=row.status,
        error_type=row.error_type,
        code=row.code,
        message=message,
        refuse=refuse,
    )


def _upstream(status: int) -> None:
    phrase = _PHRASES.get(status) or HTTPStatus(status).phrase
    raw = f"{phrase.lower()}, says the sandbox provider"
    REGISTRY.add(
        f"error-{status}",
        f"upstream answers {status} {phrase}",
        kind="error",
        status=status,
        code=status,
        detail=raw,
        refuse=lambda call: page(status, upstream_body(status, raw, call.api)),
    )


def _flaky(status: int) -> None:
    raw = "only the first call fails"
    REGISTRY.add(
        f"flaky-{status}",
        f"the first call since the sandbox was reset fails with {status}, the others succeed",
        transient=True,
        refuse=lambda call: page(status, upstream_body(status, raw, call.api)) if call.repetition == 1 else None,
    )


for _status in UPSTREAM_STATUSES:
    _upstream(_status)
for _name in ERRORS:
    _row(_name)
for _status in (503, 429):
    _flaky(_status)
