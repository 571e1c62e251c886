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

from kilo_gateway.errors import (
    KiloAuthenticationError,
    KiloConflictError,
    KiloConnectionError,
    KiloContextLengthError,
    KiloCreditsError,
    KiloDataCollectionError,
    KiloError,
    KiloInvalidRequestError,
    KiloModelNotFoundError,
    KiloNotFoundError,
    KiloPermissionError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
    KiloSignInRequiredError,
    KiloStatusError,
    KiloStreamInterruptedError,
    KiloTimeoutError,
)

SHOWN_CHARACTERS: Final = 2000
"""How much of the gateway's text an exception shows."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a remedy depends on: how the failed request was made."""

    model: str = ""
    keyed: bool = False
    organization: bool = False
    timeout: float | None = None


UNKNOWN: Final = Sent()


@dataclass(frozen=True, slots=True)
class _Row:
    cls: type[KiloError]
    remedy: str


_TRY_LATER: Final = "Try again later, or use another model."
_BYOK: Final = "The provider refused your own (BYOK) key: check that key and its account at the provider."
_DIFFERENT_MODEL: Final = "Choose a model from GET /models, or leave the choice to the gateway with a tier."

_BY_TYPE: Final[dict[str, _Row]] = {
    "invalid_path": _Row(KiloInvalidRequestError, "Check base_url: it must end in /api/gateway."),
    "invalid_request": _Row(KiloInvalidRequestError, "Check the messages and the extra_body fields."),
    "unsupported_field": _Row(KiloInvalidRequestError, "Remove the field from extra_body."),
    "missing_client_ip": _Row(KiloInvalidRequestError, "A proxy in between hides your address: call without it."),
    "api_kind_not_supported": _Row(KiloInvalidRequestError, _DIFFERENT_MODEL),
    "data_collection_required": _Row(
        KiloDataCollectionError,
        'Choose a model that does not train on prompts, or drop provider={"data_collection": "deny"}.',
    ),
    "organization_auto_configuration": _Row(
        KiloInvalidRequestError, "Ask an administrator of the organisation, or choose another tier."
    ),
    "context_length_exceeded": _Row(
        KiloContextLengthError,
        "Shorten the conversation, lower max_tokens, or choose a model with a larger window.",
    ),
    "authentication_required": _Row(
        KiloAuthenticationError,
        "Check api_key / KILO_API_KEY; make a new key at https://app.kilo.ai if it has expired.",
    ),
    "paid_model_auth_required": _Row(
        KiloSignInRequiredError,
        'Set api_key / KILO_API_KEY (sign in at https://app.kilo.ai), or use tier="free", which needs no key.',
    ),
    "promotion_limit_reached": _Row(
        KiloRateLimitError, "The daily limit without an account is used up: sign in at https://app.kilo.ai."
    ),
    "usage_limit_exceeded": _Row(KiloCreditsError, 'Add credits at {url}, or use tier="free".'),
    "insufficient_credits": _Row(KiloCreditsError, 'Add credits at {url}, or use tier="free".'),
    "top_up_in_progress": _Row(KiloServerError, "Your top-up is being booked: try again in a few seconds."),
    "account_restricted": _Row(KiloPermissionError, "Contact Kilo's support about your account."),
    "abuse_blocked": _Row(KiloPermissionError, "Contact Kilo's support about your account."),
    "provider_not_allowed": _Row(
        KiloPermissionError, "Relax the provider preferences (only, ignore), or choose another model."
    ),
    "feature_exclusive_model": _Row(KiloPermissionError, _DIFFERENT_MODEL),
    "model_not_allowed": _Row(
        KiloPermissionError,
        "Your organisation does not permit it: ask its administrator, or choose another model.",
    ),
    "model_not_found": _Row(KiloModelNotFoundError, _DIFFERENT_MODEL),
    "unavailable_model": _Row(KiloModelNotFoundError, _DIFFERENT_MODEL),
    "discontinued_free_model": _Row(KiloModelNotFoundError, 'Choose another model, or use tier="free".'),
    "upgrade_required": _Row(KiloStatusError, "Update this package: pip install -U kilo-gateway."),
    "rate_limit_exceeded": _Row(KiloRateLimitError, "{wait}"),
    "refusal_cooldown": _Row(KiloRateLimitError, "{wait}"),
    "no_free_models_available": _Row(KiloServerError, 'No free model is up: try tier="balanced", or come back later.'),
    "temporarily_unavailable": _Row(KiloServerError, _TRY_LATER),
    "upstream_error": _Row(KiloServerError, _TRY_LATER),
    "stealth_model_error": _Row(KiloServerError, _TRY_LATER),
    "upstream_disconnect": _Row(KiloServerError, _TRY_LATER),
    "timeout": _Row(KiloServerError, "The provider took too long: try again, or lower the reasoning effort."),
    "invalid_response": _Row(KiloServerError, _TRY_LATER),
}

_BY_CODE: Final[dict[str, str]] = {
    "INVALID_TOKEN": "authentication_required",
    "PAID_MODEL_AUTH_REQUIRED": "paid_model_auth_required",
    "PROMOTION_MODEL_LIMIT_REACHED": "promotion_limit_reached",
}
"""The oldest servers send these codes and no `error_type`."""

_BY_STATUS: Final[dict[int, _Row]] = {
    400: _Row(KiloInvalidRequestError, "Check the parameters; the provider of this model refuses one of them."),
    401: _BY_TYPE["authentication_required"],
    402: _BY_TYPE["usage_limit_exceeded"],
    403: _Row(KiloPermissionError, "The provider refuses this request: change it, or choose another model."),
    404: _Row(KiloModelNotFoundError, _DIFFERENT_MODEL),
    405: _Row(KiloStatusError, "Nothing is served there: check base_url; it must end in /api/gateway."),
    408: _Row(KiloServerError, _TRY_LATER),
    409: _Row(KiloConflictError, _TRY_LATER),
    413: _Row(KiloInvalidRequestError, "The request is too large: shorten the conversation or its attachments."),
    422: _Row(KiloInvalidRequestError, "Check the parameters; the provider of this model refuses one of them."),
    429: _BY_TYPE["rate_limit_exceeded"],
}

_SERVER_ROW: Final = _Row(KiloServerError, _TRY_LATER)
_OTHER_ROW: Final = _Row(KiloStatusError, "Check the request and base_url.")
_IN_BODY_ROW: Final = _Row(KiloServerError, _TRY_LATER)
_NOTHING_THERE: Final = _Row(
    KiloNotFoundError, "Nothing of the gateway is served there: check base_url; it must end in /api/gateway."
)

_CONTEXT_PHRASES: Final = (
    "maximum context length",
    "context_length_exceeded",
    "prompt is too long",
    "exceeds the context window",
)
_CREDITS_URL: Final = "https://app.kilo.ai/profile"


def from_body(
    body: Any, *, status: int | None, response: Any = None, sent: Sent = UNKNOWN, partial: str = ""
) -> KiloError:
    """Turn an error body, of any of the gateway's shapes, into the exception to raise.

    `status` is the HTTP status, or None for an error inside a 200 answer, whose own code then counts.
    `body` is parsed JSON, text, or None for an empty answer.
    """
    facts = _read(body)
    status = status or _as_status(facts.code)
    error_type = facts.error_type or _BY_CODE.get(str(facts.code)) or facts.kind
    if error_type not in _BY_TYPE and any(phrase in facts.text.lower() for phrase in _CONTEXT_PHRASES):
        error_type = "context_length_exceeded"
    row = _row(error_type, status, facts)
    headers = getattr(response, "headers", {})
    retry_after = _retry_after(headers)
    remedy = _BYOK if facts.error_type == "byok_error" else row.remedy
    if row.cls is KiloSignInRequiredError and sent.keyed:
        remedy = _rejected_silently(sent)
    url = facts.credits_url or _CREDITS_URL
    wait = f"Try again in {retry_after:g} seconds." if retry_after else "Wait a little, then try again."
    remedy = remedy.replace("{url}", url).replace("{wait}", wait)
    request_id = headers.get("request-id") or headers.get("x-request-id")
    code = str(facts.code) if facts.code is not None else None
    labels = [
        f"HTTP {status}" if status else "in the answer",
        facts.error_type or (code if code != str(status) else None),
        facts.provider and f"provider {facts.provider}",
        sent.model and f"model {sent.model}",
        request_id and f"request {request_id}",
    ]
    what = facts.text or "The gateway answered with an error and no text"
    message = f"{_shown(what)} ({', '.join(label for label in labels if label)}). {remedy}"
    return row.cls(
        message,
        body=body,
        response=response,
        status_code=status,
        code=code,
        type=facts.kind,
        error_type=error_type if error_type in _BY_TYPE else facts.error_type,
        request_id=request_id,
        generation_id=facts.generation_id,
        provider_name=facts.provider,
        retry_after=retry_after,
        balance=facts.balance,
        buy_credits_url=url if row.cls is KiloCreditsError else None,
        partial_text=partial,
    )


def from_status(error: openai.APIStatusError, sent: Sent) -> KiloError:
    """Turn the openai client's error for an HTTP error status into ours, from the whole body."""
    response = error.response
    try:
        body = response.json()
    except ValueError:
        body = response.text or None
    return from_body(body, status=error.status_code, response=response, sent=sent)


def from_transport(error: BaseException, sent: Sent, *, response: Any = None, partial: str = "") -> KiloConnectionError:
    """Turn a failure of the connection, from the openai client or its HTTP library, into ours."""
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error
    names = {c.__name__ for c in type(cause).__mro__}
    if isinstance(error, openai.APITimeoutError) or names & {"TimeoutException", "TimeoutError"}:
        limit = f" within {sent.timeout:g} seconds" if sent.timeout else " in time"
        knob = "timeout= or stream_idle_timeout=" if response is not None else "timeout="
        result: KiloConnectionError = KiloTimeoutError(
            f"The gateway sent nothing{limit} ({type(cause).__name__}). Raise {knob}, or choose a faster model.",
            response=response,
            partial_text=partial,
        )
    elif response is not None:
        result = interrupted(f"the connection broke ({type(cause).__name__}: {_shown(str(cause))})", response, partial)
    else:
        result = KiloConnectionError(
            f"The connection to the gateway failed ({type(cause).__name__}: {_shown(str(cause))}). "
            "Check base_url, the network and the proxy settings."
        )
    result.request = getattr(error, "request", result.request)
    return result


def idle(limit: float, response: Any, partial: str) -> KiloTimeoutError:
    """Return the error of a stream that went too long without data."""
    return KiloTimeoutError(
        f"The stream sent no data for {limit:g} seconds. Raise stream_idle_timeout=, or lower the reasoning effort.",
        response=response,
        partial_text=partial,
    )


def interrupted(why: str, response: Any, partial: str) -> KiloStreamInterruptedError:
    """Return the error of a stream that ended before its answer was complete."""
    return KiloStreamInterruptedError(
        f"The stream ended before the answer was complete: {why}. What had arrived ({len(partial)} characters) "
        "is in .partial_text; send the request again for a whole answer.",
        response=response,
        partial_text=partial,
    )


def unreadable(why: str, *, response: Any = None, body: Any = None, partial: str = "") -> KiloResponseError:
    """Return the error of a 200 answer that holds no answer."""
    excerpt = f": {_shown(body if isinstance(body, str) else json.dumps(body))}" if body not in (None, "") else ""
    return KiloResponseError(
        f"The gateway's answer cannot be used: {why}{excerpt}. Check base_url, or try again.",
        body=body,
        response=response,
        status_code=getattr(response, "status_code", None),
        partial_text=partial,
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
    metadata = _mapping(error.get("metadata"))
    facts.code = error.get("code")
    facts.kind = _text(error.get("type")) or None
    facts.error_type = facts.error_type or _text(error.get("error_type")) or None
    facts.provider = _text(metadata.get("provider_name")) or None
    title, text = _text(error.get("title")), _text(error.get("message")) or _text(body.get("message"))
    facts.text = _joined(title, text)
    raw = metadata.get("raw")
    if raw and (detail := raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)) not in facts.text:
        facts.text = f"{facts.text}: {detail}" if facts.text else detail
    balance = error.get("balance")
    facts.balance = float(balance) if isinstance(balance, int | float) else None
    facts.credits_url = _text(error.get("buyCreditsUrl")) or _text(metadata.get("buyCreditsUrl")) or None
    return facts


def _row(error_type: str | None, status: int | None, facts: _Facts) -> _Row:
    if error_type in _BY_TYPE and not (error_type == "upstream_error" and status in _BY_STATUS):
        return _BY_TYPE[error_type]
    if facts.credits_url:
        return _BY_TYPE["usage_limit_exceeded"]
    if status is None:
        return _IN_BODY_ROW
    if status == 404 and not facts.structured:
        return _NOTHING_THERE
    return _BY_STATUS.get(status) or (_SERVER_ROW if status >= 500 else _OTHER_ROW)


def _rejected_silently(sent: Sent) -> str:
    suspects = "api_key and organization_id" if sent.organization else "api_key"
    return f"A key was sent, but the gateway took the call as anonymous: check {suspects}" + (
        " (the key's user must be a member of that organisation)." if sent.organization else "."
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _as_status(code: Any) -> int | None:
    try:
        status = int(code)
    except (TypeError, ValueError):
        return None
    return status if 400 <= status < 600 else None


def _joined(title: str, text: str) -> str:
    """Return both in one line, unless one says it all."""
    if not text or title.rstrip(".!") in text:
        return text or title
    return f"{title.rstrip('.!')}: {text}" if title else text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _shown(text: str) -> str:
    """Return at most 2,000 characters with control characters escaped: the text may come from anywhere."""
    cut = text[:SHOWN_CHARACTERS]
    safe = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in cut)
    return safe + (" ..." if len(text) > SHOWN_CHARACTERS else "")
