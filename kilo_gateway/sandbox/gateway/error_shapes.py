"""Build the gateway's error bodies in their shapes. See docs/gateway.md, "Errors"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class ErrorRow:
    """One error of the gateway; its texts may contain places such as `<name>`, which `render` fills in."""

    condition: str
    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def error_type(self) -> str | None:
        return self.body.get("error_type")

    @property
    def code(self) -> str | int | None:
        error = self.body.get("error")
        return error.get("code") if isinstance(error, dict) else None

    @property
    def message(self) -> str:
        """The longest text of the body; a client should show it."""
        error = self.body.get("error")
        return str(self.body.get("message") or (error.get("message", "") if isinstance(error, dict) else error))


def plain(
    condition: str,
    status: int,
    error_type: str,
    message: str | None,
    error: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> ErrorRow:
    """Return a row of shape S1, whose `error` is a string; the message is also the `error` if that is not given."""
    body: Json = {"error": error or message, "error_type": error_type}
    if message is not None:
        body["message"] = message
    return ErrorRow(condition, status, body, headers or {})


def coded(condition: str, status: int, error_type: str, code: str, message: str, **headers: str) -> ErrorRow:
    body = {"error": {"code": code, "message": message}, "error_type": error_type}
    return ErrorRow(condition, status, body, {k.replace("_", "-"): v for k, v in headers.items()})


def no_credits(condition: str, title: str, balance: float) -> ErrorRow:
    error = {
        "title": title,
        "message": "Add credits to continue, or switch to a free model",
        "balance": balance,
        "buyCreditsUrl": "https://app.kilo.ai/profile",
    }
    return ErrorRow(condition, 402, {"error": error, "error_type": "usage_limit_exceeded"})
