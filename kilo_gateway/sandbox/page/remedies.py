"""Say what to do about an error. The client has a table of its own: see docs/decisions/sandbox-shares-no-code.md."""

from __future__ import annotations

from typing import Final

from kilo_gateway.sandbox.page.values import Json

_LATER: Final = "Try again later, or use another model."
_SLOW: Final = "The provider took too long: try again, or lower the reasoning effort."
_KEY: Final = "Check KILO_API_KEY, or create a new key at https://app.kilo.ai."
_CREDITS: Final = 'Add credits at https://app.kilo.ai/profile, or use tier="free".'
_MODEL: Final = "Choose a model from GET /models, or use a tier, which leaves the choice to the gateway."
_SUPPORT: Final = "Contact Kilo's support about this account."
_WAIT: Final = "Wait for the time in Retry-After or a few seconds, then try again; or sign in."

_BY_TYPE: Final = {
    "invalid_path": "Check the base URL: it must end in /api/gateway.",
    "invalid_request": "Check the body: it must be JSON, and its messages or input must have the right type.",
    "unsupported_field": "Remove the field that the message names.",
    "missing_client_ip": "A proxy hides the caller's address: call without it.",
    "api_kind_not_supported": "Use one of the interfaces that the message names.",
    "data_collection_required": 'Choose a model that does not train on prompts, or drop data_collection="deny".',
    "organization_auto_configuration": "Ask an administrator of the organisation, or choose another tier.",
    "context_length_exceeded": "Shorten the conversation, lower max_tokens, or choose a model with a larger window.",
    "authentication_required": _KEY,
    "paid_model_auth_required": 'Set KILO_API_KEY and check the organisation id, or use tier="free" without a key.',
    "promotion_limit_reached": "The daily limit without an account is used up: sign in at https://app.kilo.ai.",
    "usage_limit_exceeded": _CREDITS,
    "insufficient_credits": _CREDITS,
    "top_up_in_progress": "The top-up is being booked: try again in a few seconds.",
    "account_restricted": _SUPPORT,
    "abuse_blocked": _SUPPORT,
    "provider_not_allowed": "Relax the provider preferences (only, ignore), or choose another model.",
    "model_not_allowed": "Ask the organisation's administrator to permit the model, or choose another one.",
    "model_not_found": _MODEL,
    "unavailable_model": _MODEL,
    "discontinued_free_model": _MODEL,
    "feature_exclusive_model": _MODEL,
    "upgrade_required": "Update the package: pip install -U kilo-gateway.",
    "byok_error": "Check your own key at the provider, and its account there.",
    "no_free_models_available": 'Use tier="balanced", or try again later.',
    "timeout": _SLOW,
}
_BY_CODE: Final = {
    "INVALID_TOKEN": _KEY,
    "PAID_MODEL_AUTH_REQUIRED": _BY_TYPE["paid_model_auth_required"],
    "PROMOTION_MODEL_LIMIT_REACHED": _BY_TYPE["promotion_limit_reached"],
}
_BY_STATUS: Final = {
    400: "Check the parameters: the provider of this model refuses one of them.",
    401: _KEY,
    402: _CREDITS,
    403: "The provider refuses this request: change it, or choose another model.",
    404: _MODEL,
    405: "Check the method and the base URL: it must end in /api/gateway.",
    408: _SLOW,
    413: "Shorten the conversation or its attachments.",
    429: _WAIT,
    504: _SLOW,
    524: _SLOW,
}
CUT: Final = "Send the request again: the text so far is not a whole answer."


def remedy(error: Json, status: int | None) -> str:
    """Return what to do about an error, by its type, its code and the status of the answer or in the error."""
    code = error["code"]
    inner = int(code) if str(code).isdecimal() else None
    found = (
        _BY_TYPE.get(error["type"])
        or _BY_CODE.get(str(code))
        or _BY_STATUS.get(inner or 0)
        or _BY_STATUS.get(status or 0)
    )
    return found or _LATER
