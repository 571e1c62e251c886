"""Render the gateway's errors from one table of status, body and headers. See docs/gateway.md, "Errors"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kilo_gateway.sandbox.gateway.error_shapes import ErrorRow, Json, coded, no_credits, plain
from kilo_gateway.sandbox.gateway.options import Api, Options


class Refusal(Exception):  # noqa: N818 - an answer to the client, not a failure of the sandbox
    """A request that the gateway refuses; the answer is the row `name` of the table, with `places` filled in."""

    def __init__(self, name: str, **places: object) -> None:
        super().__init__(name)
        self.name = name
        self.places = places


PROVIDER_FAILED = "Provider returned error"
_LIMIT = "Rate limit exceeded"
_BUSY = "Too many requests. Please try again later."
_NO_PROVIDER = "No eligible provider can serve the selected model."

ERRORS: dict[str, ErrorRow] = {
    "invalid-path": plain(
        "path that is not served",
        400,
        "invalid_path",
        "This endpoint only accepts the path `/chat/completions`.",
        "Invalid path",
    ),
    "malformed-json": plain(
        "body that is not JSON",
        400,
        "invalid_request",
        "Request body is not valid JSON: <detail>",
        "Malformed JSON",
    ),
    "invalid-request": plain(
        "field of a wrong type",
        400,
        "invalid_request",
        "Could not parse request body. Please ensure it is valid JSON.",
        "Invalid request",
    ),
    "unsupported-field": plain(
        "providerOptions in the body",
        400,
        "unsupported_field",
        "The providerOptions field is not supported. Use provider instead.",
    ),
    "unsupported-store": plain(
        "store or previous_response_id in the body",
        400,
        "unsupported_field",
        "The store and previous_response_id fields are not supported.",
    ),
    "missing-client-ip": plain(
        "client address unknown", 400, "missing_client_ip", None, "Unable to determine client IP"
    ),
    "api-kind-not-supported": plain(
        "interface that the model does not offer",
        400,
        "api_kind_not_supported",
        "This model does not support the <kind> API, please use any of: <kinds>",
    ),
    "data-collection": plain(
        "data collection refused for a model that needs it",
        400,
        "data_collection_required",
        "Data collection is required for this model. Please enable data collection to use this model"
        " or choose another model.",
    ),
    "organization-auto": plain(
        "organisation tier without an organisation",
        400,
        "organization_auto_configuration",
        "Organization Auto is not available for this account.",
        "Organization Auto configuration error",
    ),
    "byok-connection": plain(
        "connected account that must be renewed",
        400,
        "byok_error",
        "[BYOK] Your ChatGPT connection has expired. Please reconnect it and try again.",
    ),
    "invalid-token": coded(
        "credential that cannot be verified",
        401,
        "authentication_required",
        "INVALID_TOKEN",
        "Your authentication token is invalid. Please sign in again.",
        WWW_Authenticate='Bearer error="invalid_token"',
    ),
    "paid-model": coded(
        "paid model without a credential",
        401,
        "paid_model_auth_required",
        "PAID_MODEL_AUTH_REQUIRED",
        "You need to sign in to use this model.",
    ),
    "promotion-limit": coded(
        "daily quota of anonymous callers used up",
        401,
        "promotion_limit_reached",
        "PROMOTION_MODEL_LIMIT_REACHED",
        "You have reached the limit of free requests. Sign up to continue, or come back later.",
    ),
    "authentication-required": plain(
        "feature for signed-in users",
        401,
        "authentication_required",
        None,
        "Authentication required for this feature",
    ),
    "no-balance": no_credits("paid model without balance", "Paid Model - Credits Required", 0),
    "low-credit": no_credits("balance overdrawn", "Low Credit Warning!", -0.42),
    "top-up": plain(
        "automatic top-up under way",
        503,
        "top_up_in_progress",
        "Your top-up is processing. Please retry in a few seconds.",
        headers={"Retry-After": "5"},
    ),
    "account-restricted": plain(
        "blocked account",
        403,
        "account_restricted",
        "This account cannot make requests right now. Contact support.",
        "Request not allowed",
    ),
    "abuse-blocked": plain("abuse rule (E2)", 403, "abuse_blocked", "Request blocked by abuse prevention rules."),
    "provider-not-allowed": plain(
        "the only provider of a model is excluded",
        403,
        "provider_not_allowed",
        f"{_NO_PROVIDER[:-1]}. Please enable provider: sandbox",
    ),
    "feature-exclusive": plain(
        "model for one product only (E2)",
        403,
        "feature_exclusive_model",
        "The requested model is only available in another Kilo product.",
    ),
    "model-missing": plain(
        "model missing or blank",
        404,
        "model_not_found",
        "The requested model could not be found.",
        "Model not found",
    ),
    "model-not-found": plain(
        "id that is not in the catalogue",
        404,
        "model_not_found",
        "The requested model '<id>' does not exist. Please use an exact model id as listed on"
        " /api/gateway/models. If this is a newly released model, please try again in a few minutes.",
    ),
    "model-not-allowed": plain(
        "model refused by the organisation",
        404,
        "model_not_allowed",
        "The requested model is not allowed for your team.",
        "Model not allowed for your team.",
    ),
    "no-provider": plain(
        "all providers excluded by the request",
        404,
        "provider_not_allowed",
        f"{_NO_PROVIDER} Please enable more providers or choose another model.",
        _NO_PROVIDER,
    ),
    "unavailable-model": plain(
        "model switched off",
        404,
        "unavailable_model",
        "The requested model is currently unavailable. Please choose a different model.",
    ),
    "discontinued": plain(
        "retired free model (E2)",
        404,
        "discontinued_free_model",
        "This free model has been discontinued. Please choose a different model.",
    ),
    "upgrade": plain(
        "client too old (E2)", 426, "upgrade_required", "Please upgrade to the latest version to continue."
    ),
    "rate-limit": plain("account over its cap", 429, "rate_limit_exceeded", _BUSY, _LIMIT),
    "throttled": plain(
        "account throttled by the abuse service",
        429,
        "rate_limit_exceeded",
        _BUSY,
        _LIMIT,
        {"retry-after": "<seconds>", "retry-after-ms": "<milliseconds>"},
    ),
    "free-model-limit": plain(
        "hourly limit of a free model",
        429,
        "rate_limit_exceeded",
        "Model usage limit reached. Please try again later.",
        _LIMIT,
    ),
    "no-free-models": plain(
        "empty pool of the free tier",
        503,
        "no_free_models_available",
        "No free models are currently available for kilo-auto/free. Try kilo-auto/balanced instead.",
    ),
    "auto-routing": plain(
        "policy refuses every model of a tier",
        503,
        "model_not_allowed",
        "Auto-routing could not select an eligible model for this request. Please choose another model.",
    ),
    "unavailable": plain(
        "gateway out of service",
        503,
        "temporarily_unavailable",
        "The service is temporarily unavailable. Please try again later.",
        "Service Unavailable",
    ),
    "byok-401": plain(
        "the caller's own key is invalid", 401, "byok_error", "[BYOK] Your API key is invalid or revoked."
    ),
    "byok-402": plain(
        "the caller's own key without funds", 402, "byok_error", "[BYOK] Your provider account has insufficient funds."
    ),
    "byok-403": plain(
        "the caller's own key without permission",
        403,
        "byok_error",
        "[BYOK] Your API key has no permission to use this model.",
    ),
    "byok-404": plain(
        "the caller's own Vertex project lacks the model",
        404,
        "byok_error",
        "[BYOK] Google Vertex AI could not find the requested model in your project.",
    ),
    "byok-429": plain(
        "the caller's own key over its rate limit",
        429,
        "byok_error",
        "[BYOK] Your provider's rate limit has been reached.",
    ),
    "context-length": ErrorRow(
        "context overflow reported by the provider",
        400,
        {
            "error": {
                "message": "This endpoint's maximum context length is 200000 tokens. However, you requested about"
                " 260000 tokens.",
                "code": 400,
            },
            "error_type": "context_length_exceeded",
        },
    ),
    "context-length-500": plain(
        "context overflow guessed by the gateway",
        500,
        "context_length_exceeded",
        "The maximum context length is 200000 tokens. However, about 260000 tokens were requested.",
    ),
    "upstream-error": plain(
        "provider that the gateway does not name failed",
        500,
        "upstream_error",
        "The upstream provider was unable to process the request",
    ),
    "upstream-disconnect": plain(
        "provider not reachable", 503, "upstream_disconnect", "The upstream provider closed the connection."
    ),
    "upstream-timeout": plain(
        "provider's answer cut off", 503, "timeout", "The upstream provider did not answer in time."
    ),
}


ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    524: "timeout_error",
    529: "overloaded_error",
}
"""The type of an error on Messages, by its status; others are `api_error`."""


def upstream_body(status: int, raw: str, api: Api = "chat_completions") -> Json:
    """Return an error body in the shape that upstream uses on an interface (S4 in docs/gateway.md, "Errors")."""
    if api == "messages":
        kind = ANTHROPIC_TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": raw}, "request_id": "req_upstream"}
    error = {"code": status, "message": PROVIDER_FAILED, "metadata": {"provider_name": "Sandbox", "raw": raw}}
    return {"error": error, "user_id": "user_sandbox"}


def render(name: str, options: Options, **places: object) -> tuple[int, Json, dict[str, str]]:
    """Return status, body and headers of a row of the table, as the gateway with these options sends them."""
    row = ERRORS[name]
    body = {key: _fill(value, places) for key, value in row.body.items()}
    if not options.error_type:
        body.pop("error_type", None)
    # A field report has the credits error with status 200 (docs/gateway.md, "Where sources disagree").
    status = options.credits_status if row.status == 402 and "byok" not in name else row.status
    return status, body, {name: _fill(value, places) for name, value in row.headers.items()}


def _fill(value: Any, places: Mapping[str, object]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, places) for key, item in value.items()}
    if isinstance(value, str):
        for place, content in places.items():
            value = value.replace(f"<{place}>", str(content))
    return value
