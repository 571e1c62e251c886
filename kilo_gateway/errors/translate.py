"""From any error answer of the gateway to the exception to raise. Pure. See docs/gateway.md, "Errors".

One table serves every way an error arrives: an HTTP status, an error in a 200 body, in a stream or in
a choice. It is read by `error_type`, then by `error.code`, then by status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import openai

from kilo_gateway.encoding import response_headers
from kilo_gateway.encoding.lenient_json import cleaned, mapping, number, string
from kilo_gateway.encoding.printable import NAME_CHARACTERS, TEXT_CHARACTERS, printable
from kilo_gateway.errors import (
    KiloConnectionError,
    KiloCreditsError,
    KiloError,
    KiloResponseError,
    KiloSignInRequiredError,
    KiloStreamInterruptedError,
    KiloTimeoutError,
)
from kilo_gateway.errors import table as rows
from kilo_gateway.usage import Usage, parse_usage


@dataclass(frozen=True, slots=True)
class Sent:
    """What a remedy depends on: how the failed request was made."""

    model: str = ""
    keyed: bool = False
    organization: bool = False
    timeout: float | None = None
    several: bool = False
    """Whether more than one choice was asked for."""
    chat: bool = True
    """Whether a tier could have been asked instead."""


UNKNOWN: Final = Sent()


def from_body(
    body: Any, *, status: int | None, response: Any = None, sent: Sent = UNKNOWN, partial: str = ""
) -> KiloError:
    """Turn an error body, of any of the gateway's shapes, into the exception to raise.

    `status` is the HTTP status, or None for an error inside a 200 answer, whose own code then counts.
    `body` is parsed JSON, text, or None for an empty answer.
    """
    body = cleaned(body)
    facts = _read(body)
    status = status or _as_status(facts.code)
    code = str(facts.code) if isinstance(facts.code, str | int | float) else None
    error_type = facts.error_type or rows.BY_CODE.get(code or "") or _known((code or "").lower()) or facts.kind
    if error_type not in rows.BY_TYPE and any(phrase in facts.text.lower() for phrase in rows.CONTEXT_PHRASES):
        error_type = "context_length_exceeded"
    row = _row(error_type, status, facts)
    headers = getattr(response, "headers", {})
    wait_seconds = response_headers.retry_after(headers)
    own_key = facts.error_type == "byok_error"
    remedy = row.remedy if not own_key else rows.OWN_KEY_WAIT if status == 429 else rows.OWN_KEY
    if row.cls is KiloSignInRequiredError and sent.keyed:
        remedy = _rejected_silently(sent)
    elif not sent.chat and not own_key:
        remedy = row.without_tiers or remedy
    url = facts.credits_url or rows.CREDITS_URL
    wait = f"Try again in {wait_seconds:g} seconds." if wait_seconds else "Wait a little, then try again."
    location = f" to {_label(headers['location'])}" if headers.get("location") else ""
    remedy = remedy.replace("{url}", _label(url)).replace("{wait}", wait).replace("{location}", location)
    request_id = response_headers.request_id_of(response)
    labels = [
        f"HTTP {status}" if status else "in the answer",
        facts.error_type or (code if code != str(status) else None),
        facts.provider and f"provider {facts.provider}",
        sent.model and f"model {sent.model}",
        request_id and f"request {request_id}",
    ]
    what = facts.text or "The gateway answered with an error and no text"
    message = f"{_shown(what)} ({', '.join(_label(label) for label in labels if label)}). {remedy}"
    return row.cls(
        message,
        body=body,
        response=response,
        status_code=status,
        code=code,
        type=facts.kind,
        error_type=error_type if error_type in rows.BY_TYPE else facts.error_type,
        request_id=request_id,
        generation_id=facts.generation_id,
        provider_name=facts.provider,
        retry_after=wait_seconds,
        balance=facts.balance,
        buy_credits_url=url if row.cls is KiloCreditsError and not own_key else None,
        partial_text=partial,
        usage=_usage_of(body),
    )


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
    """Turn what sending a request raised into ours; what comes from neither gateway nor network stays as it is."""
    if isinstance(error, KiloError):
        return error
    if isinstance(error, openai.APIStatusError):
        return from_status(error, sent)
    if is_from_network(error):
        return from_transport(error, sent)
    if isinstance(error, UnicodeEncodeError):
        return ValueError(
            f"the request holds {error.object[error.start]!r}, half of a character that was cut in two: "
            'remove it, for example with text.encode("utf-8", "replace").decode()'
        )
    return error


def is_transport(error: BaseException) -> bool:
    """Return whether `error` comes from the network, whichever HTTP library raised it."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in rows.HTTP_LIBRARIES


def is_from_network(error: BaseException) -> bool:
    """Return whether `error` comes from the network, as it is or wrapped by the openai client."""
    return isinstance(error, openai.APIConnectionError) or is_transport(error)


def may_have_arrived(error: BaseException) -> bool:
    """Return whether the gateway may have received the request whose attempt ended with `error`."""
    if not is_from_network(error):
        return False
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error
    return rows.NEVER_SENT.isdisjoint(c.__name__ for c in type(cause).__mro__)


def is_timeout(error: BaseException) -> bool:
    """Return whether `error` says that something took too long."""
    return not {"TimeoutException", "TimeoutError"}.isdisjoint(c.__name__ for c in type(error).__mro__)


def from_transport(error: BaseException, sent: Sent, *, response: Any = None, partial: str = "") -> KiloConnectionError:
    """Turn a failure of the connection, from the openai client or its HTTP library, into ours."""
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error
    if isinstance(error, openai.APITimeoutError) or is_timeout(cause):
        limit = f" within {sent.timeout:g} seconds" if sent.timeout else " in time"
        result: KiloConnectionError = KiloTimeoutError(
            f"The gateway sent nothing{limit} ({type(cause).__name__}). Raise timeout=, or choose a faster model.",
            response=response,
            partial_text=partial,
        )
    elif response is not None:
        result = interrupted(f"the connection broke ({type(cause).__name__}: {cause})", response, partial)
    else:
        result = KiloConnectionError(
            f"The connection to the gateway failed ({type(cause).__name__}: {_shown(str(cause))}). "
            "Check base_url, the network and the proxy settings."
        )
    result.request = getattr(error, "request", result.request)
    return result


def cut(error: BaseException, response: Any) -> KiloConnectionError:
    """Return the error of an answer, not streamed, whose connection broke after it had begun."""
    return KiloConnectionError(
        f"The connection broke before the answer was complete ({type(error).__name__}: {_shown(str(error))}). The "
        "answer may have been billed, so the request was not sent again: send it again if you accept that.",
        response=response,
    )


def idle(limit: float, response: Any, partial: str) -> KiloTimeoutError:
    """Return the error of a stream that went too long without data."""
    return KiloTimeoutError(
        f"The stream sent no data for {limit:g} seconds; what had arrived ({len(partial)} characters) is in "
        ".partial_text. Raise timeout= or stream_idle_timeout=, or lower the reasoning effort.",
        response=response,
        partial_text=partial,
    )


def too_long(limit: float, response: Any, partial: str) -> KiloTimeoutError:
    """Return the error of an answer that was not complete when the time for all of it was over."""
    return KiloTimeoutError(
        f"The answer was not complete within total_timeout={limit:g} seconds; the {len(partial)} characters received "
        "so far are in .partial_text. Raise total_timeout=, or choose a faster model.",
        response=response,
        partial_text=partial,
    )


def interrupted(why: str, response: Any, partial: str) -> KiloStreamInterruptedError:
    """Return the error of a stream that ended before its answer was complete."""
    return KiloStreamInterruptedError(
        f"The stream ended before the answer was complete: {_shown(why)}. What had arrived ({len(partial)} characters) "
        "is in .partial_text; send the request again for a whole answer.",
        response=response,
        partial_text=partial,
    )


def unreadable(why: str, *, response: Any = None, body: Any = None, partial: str = "") -> KiloResponseError:
    """Return the error of a 200 answer that holds no answer."""
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


@dataclass(slots=True)
class _Facts:
    text: str = ""
    structured: bool = False
    """Whether the body is one of the gateway's JSON shapes."""
    code: Any = None
    error_type: str | None = None
    kind: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    balance: float | None = None
    credits_url: str | None = None


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
