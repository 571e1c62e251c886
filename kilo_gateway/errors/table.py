"""The rows of the error table: which class and which remedy belong to a type, a code or a status.

See docs/gateway.md, "Errors". In a remedy, {url}, {wait} and {location} stand for facts of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kilo_gateway.errors import (
    KiloAuthenticationError,
    KiloConflictError,
    KiloContextLengthError,
    KiloCreditsError,
    KiloDataCollectionError,
    KiloError,
    KiloInvalidRequestError,
    KiloModelNotFoundError,
    KiloNotFoundError,
    KiloPermissionError,
    KiloProviderTimeoutError,
    KiloRateLimitError,
    KiloServerError,
    KiloSignInRequiredError,
    KiloStatusError,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A class of exception and the remedy in its text."""

    cls: type[KiloError]
    remedy: str
    without_tiers: str | None = None
    """The remedy where no tier can be asked, as for embeddings; None: the same."""


_TRY_LATER: Final = "Try again later, or use another model."
OWN_KEY: Final = "The provider refused your own (BYOK) key: check that key and its account at the provider."
OWN_KEY_WAIT: Final = "The provider of your own (BYOK) key limits its requests: wait, or raise the limit there."
_PROVIDER_TIMEOUT: Final = Row(
    KiloProviderTimeoutError, "The provider took too long: try again, or lower the reasoning effort."
)


def _different_model(cls: type[KiloError]) -> Row:
    return Row(
        cls,
        "Choose a model from GET /models, or leave the choice to the gateway with a tier.",
        without_tiers="Choose a model from GET /embedding-models.",
    )


_CREDITS: Final = Row(
    KiloCreditsError, 'Add credits at {url}, or use tier="free".', without_tiers="Add credits at {url}."
)

BY_TYPE: Final[dict[str, Row]] = {
    "invalid_path": Row(KiloInvalidRequestError, "Check base_url: it must end in /api/gateway."),
    "invalid_request": Row(KiloInvalidRequestError, "Check the messages and the extra_body fields."),
    "unsupported_field": Row(KiloInvalidRequestError, "Remove the field from extra_body."),
    "missing_client_ip": Row(KiloInvalidRequestError, "A proxy in between hides your address: call without it."),
    "api_kind_not_supported": Row(
        KiloInvalidRequestError,
        'Choose an interface that it names: api="completions" (chat_completions), "responses" or "messages".',
        without_tiers="Choose a model from GET /embedding-models.",
    ),
    "data_collection_required": Row(
        KiloDataCollectionError,
        'Choose a model that does not train on prompts, or drop data_collection="deny".',
    ),
    "organization_auto_configuration": Row(
        KiloInvalidRequestError,
        "Ask an administrator of the organisation, or choose another tier.",
        without_tiers="Ask an administrator of the organisation.",
    ),
    "context_length_exceeded": Row(
        KiloContextLengthError,
        "Shorten the conversation, lower max_tokens, or choose a model with a larger window.",
    ),
    "authentication_required": Row(
        KiloAuthenticationError,
        "Check api_key / KILO_API_KEY; make a new key at https://app.kilo.ai if it has expired.",
    ),
    "paid_model_auth_required": Row(
        KiloSignInRequiredError,
        'Set api_key / KILO_API_KEY (sign in at https://app.kilo.ai), or use tier="free", which needs no key.',
        without_tiers="Embeddings need an account: set api_key / KILO_API_KEY (sign in at https://app.kilo.ai).",
    ),
    "promotion_limit_reached": Row(
        KiloRateLimitError, "The daily limit without an account is used up: sign in at https://app.kilo.ai."
    ),
    "usage_limit_exceeded": _CREDITS,
    "insufficient_credits": _CREDITS,
    "top_up_in_progress": Row(KiloServerError, "Your top-up is being booked: try again in a few seconds."),
    "account_restricted": Row(KiloPermissionError, "Contact Kilo's support about your account."),
    "abuse_blocked": Row(KiloPermissionError, "Contact Kilo's support about your account."),
    "provider_not_allowed": Row(
        KiloPermissionError, "Relax the provider preferences (only, ignore), or choose another model."
    ),
    "feature_exclusive_model": _different_model(KiloPermissionError),
    "model_not_allowed": Row(
        KiloPermissionError,
        "Your organisation does not permit it: ask its administrator, or choose another model.",
    ),
    "model_not_found": _different_model(KiloModelNotFoundError),
    "unavailable_model": _different_model(KiloModelNotFoundError),
    "discontinued_free_model": Row(
        KiloModelNotFoundError, 'Choose another model, or use tier="free".', without_tiers="Choose another model."
    ),
    "upgrade_required": Row(KiloStatusError, "Update this package: pip install -U kilo-gateway."),
    "rate_limit_exceeded": Row(KiloRateLimitError, "{wait}"),
    "refusal_cooldown": Row(KiloRateLimitError, "{wait}"),
    "no_free_models_available": Row(
        KiloServerError,
        'No free model is up: try tier="balanced", or come back later.',
        without_tiers="No free model is up: come back later.",
    ),
    "temporarily_unavailable": Row(KiloServerError, _TRY_LATER),
    "upstream_error": Row(KiloServerError, _TRY_LATER),
    "stealth_model_error": Row(KiloServerError, _TRY_LATER),
    "upstream_disconnect": Row(KiloServerError, _TRY_LATER),
    "timeout": _PROVIDER_TIMEOUT,
    "invalid_response": Row(KiloServerError, _TRY_LATER),
}

BY_CODE: Final[dict[str, str]] = {
    "INVALID_TOKEN": "authentication_required",
    "PAID_MODEL_AUTH_REQUIRED": "paid_model_auth_required",
    "PROMOTION_MODEL_LIMIT_REACHED": "promotion_limit_reached",
}
"""The oldest servers send these codes and no `error_type`."""

_REDIRECT: Final = Row(
    KiloStatusError, "The gateway moved{location}: set base_url to where it is now, if you trust that address."
)
BY_STATUS: Final[dict[int, Row]] = {
    400: Row(KiloInvalidRequestError, "Check the parameters; the provider of this model refuses one of them."),
    401: BY_TYPE["authentication_required"],
    402: BY_TYPE["usage_limit_exceeded"],
    403: Row(KiloPermissionError, "The provider refuses this request: change it, or choose another model."),
    404: _different_model(KiloModelNotFoundError),
    301: _REDIRECT,
    302: _REDIRECT,
    307: _REDIRECT,
    308: _REDIRECT,
    405: Row(KiloStatusError, "Nothing is served there: check base_url; it must end in /api/gateway."),
    408: _PROVIDER_TIMEOUT,
    504: _PROVIDER_TIMEOUT,
    524: _PROVIDER_TIMEOUT,
    409: Row(KiloConflictError, _TRY_LATER),
    413: Row(KiloInvalidRequestError, "The request is too large: shorten the conversation or its attachments."),
    422: Row(KiloInvalidRequestError, "Check the parameters; the provider of this model refuses one of them."),
    429: BY_TYPE["rate_limit_exceeded"],
}

SERVER: Final = Row(KiloServerError, _TRY_LATER)
OTHER: Final = Row(KiloStatusError, "Check the request and base_url.")
IN_BODY: Final = Row(KiloServerError, _TRY_LATER)
NOTHING_THERE: Final = Row(
    KiloNotFoundError, "Nothing of the gateway is served there: check base_url; it must end in /api/gateway."
)

HTTP_LIBRARIES: Final = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "anyio", "h11", "h2", "aiohttp"})

NEVER_SENT: Final = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
        "ClientConnectorError",
        "ClientHttpProxyError",
        "ConnectionTimeoutError",
        "InvalidURL",
    }
)
"""Failures of those libraries before any byte of the request was sent."""

CONTEXT_PHRASES: Final = (
    "maximum context length",
    "context_length_exceeded",
    "prompt is too long",
    "exceeds the context window",
    "exceeds the available context size",
)
REASONING_PHRASES: Final = (
    "invalid_encrypted_content",
    "could not be verified",
    "could not be decrypted",
    "invalid `signature` in `thinking` block",
    "invalid signature in thinking block",
)
"""Refusals of reasoning that was signed or encrypted elsewhere (docs/gateway.md, "Interfaces")."""
CREDITS_URL: Final = "https://app.kilo.ai/profile"
