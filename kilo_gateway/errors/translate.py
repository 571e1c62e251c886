"""From any error answer of the gateway to the exception to raise. Pure. See docs/gateway.md, "Errors".

One table serves every way an error arrives: an HTTP status, an error in a 200 body, in a stream or in
a choice. It is read by `error_type`, then by `error.code`, then by status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from kilo_gateway.encoding import response_headers
from kilo_gateway.encoding.lenient_json import cleaned, mapping, number, string
from kilo_gateway.encoding.printable import NAME_CHARACTERS, TEXT_CHARACTERS, printable
from kilo_gateway.errors import (
    KiloCreditsError,
    KiloError,
    KiloModelNotFoundError,
    KiloResponseError,
    KiloSignInRequiredError,
    connection,
)
from kilo_gateway.errors import table as rows
from kilo_gateway.errors.sent import UNKNOWN, Sent
from kilo_gateway.usage import Usage, parse_usage


def from_body(
    body: Any, *, status: int | None, response: Any = None, sent: Sent = UNKNOWN, partial: str = ""
) -> KiloError:
    """Turn an error body, of any of the gateway's shapes, into the exception to raise.

    `status` is the HTTP status, or None for an error inside a 200 answer, whose own code then counts.
    `body` is parsed JSON, text, or None for an empty answer.
    """
    body = cleaned(body)
    facts = _read(body)
    headers = _Headers.of(response)
    status = status or _as_status(facts.code)
    error_type = _error_type(facts)
    row = _row(error_type, status, facts)
    return row.cls(
        _message(facts, status, sent, headers, _remedy(row, facts, status, sent, headers)),
        body=body,
        response=response,
        status_code=status,
        code=facts.code_text,
        type=facts.kind,
        error_type=error_type if error_type in rows.BY_TYPE else facts.error_type,
        request_id=headers.request_id,
        generation_id=facts.generation_id,
        provider_name=facts.provider,
        retry_after=headers.wait,
        balance=facts.balance,
        buy_credits_url=facts.top_up_url if row.cls is KiloCreditsError and not facts.is_own_key else None,
        partial_text=partial,
        usage=_usage_of(body),
    )


def _error_type(facts: _Facts) -> str | None:
    """Return the type of an error in the gateway's vocabulary, else as the body reports it."""
    code = facts.code_text or ""
    error_type = facts.error_type or rows.BY_CODE.get(code) or _known(code.lower()) or facts.kind
    if error_type not in rows.BY_TYPE and any(phrase in facts.text.lower() for phrase in rows.CONTEXT_PHRASES):
        return "context_length_exceeded"
    return error_type


def _remedy(row: rows.Row, facts: _Facts, status: int | None, sent: Sent, headers: _Headers) -> str:
    if facts.is_own_key:
        remedy = rows.OWN_KEY_WAIT if status == 429 else rows.OWN_KEY
    elif row.cls is KiloSignInRequiredError and sent.keyed:
        remedy = _rejected_silently(sent)
    else:
        remedy = row.remedy if sent.chat else row.without_tiers or row.remedy
    remedy = remedy.format(
        url=_label(facts.top_up_url),
        wait=f"Try again in {headers.wait:g} seconds." if headers.wait else "Wait a little, then try again.",
        location=f" to {_label(headers.location)}" if headers.location else "",
    )
    # An unknown id counts as a paid model, so that without an account it is a 401 (docs/gateway.md, "Credentials").
    if row.cls in (KiloModelNotFoundError, KiloSignInRequiredError) and (near := sent.nearest()):
        either = " or ".join(repr(_label(model)) for model in near)
        return f"{_label(sent.model)!r} is not in the list of models; did you mean {either}? {remedy}"
    return remedy


def _message(facts: _Facts, status: int | None, sent: Sent, headers: _Headers, remedy: str) -> str:
    labels = [
        f"HTTP {status}" if status else "in the answer",
        facts.error_type or (facts.code_text if facts.code_text != str(status) else None),
        facts.provider and f"provider {facts.provider}",
        sent.model and f"model {sent.model}",
        headers.request_id and f"request {headers.request_id}",
    ]
    what = facts.text or "The gateway answered with an error and no text"
    return f"{_shown(what)} ({', '.join(_label(label) for label in labels if label)}). {remedy}"


def _usage_of(body: Any) -> Usage | None:
    """Return the usage that a body reports beside its error: it may have been billed."""
    reported = mapping(body)
    return parse_usage(reported.get("usage"), reported.get("provider_metadata"))


def from_status(error: openai.APIStatusError, sent: Sent) -> KiloError:
    """Turn the openai client's error for an HTTP error status into ours, from the whole body."""
    response = error.response
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = response.text or None
    return from_body(body, status=error.status_code, response=response, sent=sent)


def from_exception(error: Exception, sent: Sent) -> Exception:
    """Turn an exception that sending a request raised into ours; one of neither gateway nor network is unchanged."""
    if isinstance(error, KiloError):
        return error
    if isinstance(error, openai.APIStatusError):
        return from_status(error, sent)
    if connection.is_from_network(error):
        return connection.from_transport(error, sent)
    if isinstance(error, UnicodeEncodeError):
        return ValueError(
            f"the request holds {error.object[error.start]!r}, half of a character that was cut in two: "
            'remove it, for example with text.encode("utf-8", "replace").decode()'
        )
    return error


def unreadable(why: str, *, response: Any = None, body: Any = None, partial: str = "") -> KiloResponseError:
    """Return the error of a 200 answer that cannot be used."""
    body = cleaned(body)
    excerpt = f": {_shown(body if isinstance(body, str) else json.dumps(body))}" if body not in (None, "") else ""
    return KiloResponseError(
        f"The gateway's answer cannot be used: {_shown(why)}{excerpt}. Check base_url, or try again.",
        body=body,
        response=response,
        status_code=getattr(response, "status_code", None),
        partial_text=partial,
        usage=_usage_of(body),
    )


@dataclass(frozen=True, slots=True)
class _Headers:
    """The facts that the headers of an error report."""

    request_id: str | None
    wait: float | None
    """Seconds to wait before the next attempt."""
    location: str | None
    """The address of a redirect."""

    @classmethod
    def of(cls, response: Any) -> _Headers:
        headers = getattr(response, "headers", {})
        return cls(
            response_headers.request_id_of(response), response_headers.retry_after(headers), headers.get("location")
        )


@dataclass(slots=True)
class _Facts:
    """The facts that the body of an error reports."""

    text: str = ""
    structured: bool = False
    """True if the body is one of the gateway's JSON shapes."""
    code: Any = None
    error_type: str | None = None
    kind: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    balance: float | None = None
    credits_url: str | None = None

    @property
    def code_text(self) -> str | None:
        return str(self.code) if isinstance(self.code, str | int | float) else None

    @property
    def is_own_key(self) -> bool:
        """True if the provider refused the caller's own (BYOK) key."""
        return self.error_type == "byok_error"

    @property
    def top_up_url(self) -> str:
        return self.credits_url or rows.CREDITS_URL


def _read(body: Any) -> _Facts:
    if not isinstance(body, Mapping):
        return _Facts(text=body.strip() if isinstance(body, str) else "")
    error = body.get("error")
    facts = _Facts(
        error_type=_text(body.get("error_type")) or None,
        generation_id=_text(body.get("id")) or None,
        structured="error" in body,
    )
    if not isinstance(error, Mapping):
        short, long = _text(error), _text(body.get("message"))
        facts.text = _joined(short, long)
        facts.code = body.get("code")
        return facts
    metadata = mapping(error.get("metadata"))
    facts.code = error.get("code")
    facts.kind = _text(error.get("type")) or None
    facts.error_type = facts.error_type or _text(error.get("error_type")) or None
    facts.provider = _text(metadata.get("provider_name")) or None
    title, text = _text(error.get("title")), _text(error.get("message")) or _text(body.get("message"))
    facts.text = _joined(title, text)
    raw = metadata.get("raw")
    if raw and (detail := raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)) not in facts.text:
        facts.text = f"{facts.text}: {detail}" if facts.text else detail
    facts.balance = number(error.get("balance"))
    facts.credits_url = _text(error.get("buyCreditsUrl")) or _text(metadata.get("buyCreditsUrl")) or None
    return facts


def _row(error_type: str | None, status: int | None, facts: _Facts) -> rows.Row:
    if error_type in rows.BY_TYPE and not (error_type == "upstream_error" and status in rows.BY_STATUS):
        return rows.BY_TYPE[error_type]
    if facts.credits_url:
        return rows.BY_TYPE["usage_limit_exceeded"]
    if status is None:
        return rows.IN_BODY
    if status == 404 and not facts.structured:
        return rows.NOTHING_THERE
    return rows.BY_STATUS.get(status) or (rows.SERVER if status >= 500 else rows.OTHER)


def _rejected_silently(sent: Sent) -> str:
    suspects = "api_key and organization_id" if sent.organization else "api_key"
    return f"A key was sent, but the gateway took the call as anonymous: check {suspects}" + (
        " (the key's user must be a member of that organisation)." if sent.organization else "."
    )


def _as_status(code: Any) -> int | None:
    status = number(code)
    return int(status) if status is not None and 400 <= status < 600 else None


def _known(error_type: str) -> str | None:
    return error_type if error_type in rows.BY_TYPE else None


def _joined(title: str, text: str) -> str:
    """Return both in one line, unless one says it all."""
    if not text or title.rstrip(".!") in text:
        return text or title
    return f"{title.rstrip('.!')}: {text}" if title else text


def _text(value: Any) -> str:
    return string(value).strip()


def _shown(text: str) -> str:
    return printable(text, TEXT_CHARACTERS)


def _label(text: str) -> str:
    return printable(text, NAME_CHARACTERS, lines=False)
