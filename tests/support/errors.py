"""List the exception that each error scenario of the sandbox raises."""

import openai

from kilo_gateway import (
    KiloAuthenticationError,
    KiloConnectionError,
    KiloContextLengthError,
    KiloCreditsError,
    KiloDataCollectionError,
    KiloError,
    KiloInvalidRequestError,
    KiloModelNotFoundError,
    KiloPermissionError,
    KiloProviderTimeoutError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
    KiloSignInRequiredError,
    KiloStatusError,
    KiloStreamInterruptedError,
)
from kilo_gateway.sandbox import SCENARIOS

CLASSES: dict[str, type[KiloError]] = {
    "error-400": KiloInvalidRequestError,
    "error-401": KiloAuthenticationError,
    "error-402": KiloCreditsError,
    "error-403": KiloPermissionError,
    "error-404": KiloModelNotFoundError,
    "error-408": KiloProviderTimeoutError,
    "error-413": KiloInvalidRequestError,
    "error-422": KiloInvalidRequestError,
    "error-429": KiloRateLimitError,
    "error-500": KiloServerError,
    "error-502": KiloServerError,
    "error-503": KiloServerError,
    "error-504": KiloProviderTimeoutError,
    "error-524": KiloProviderTimeoutError,
    "error-529": KiloServerError,
    "error-invalid-path": KiloInvalidRequestError,
    "error-malformed-json": KiloInvalidRequestError,
    "error-invalid-request": KiloInvalidRequestError,
    "error-unsupported-field": KiloInvalidRequestError,
    "error-unsupported-store": KiloInvalidRequestError,
    "error-missing-client-ip": KiloInvalidRequestError,
    "error-api-kind-not-supported": KiloInvalidRequestError,
    "error-data-collection": KiloDataCollectionError,
    "error-organization-auto": KiloInvalidRequestError,
    "error-byok-connection": KiloInvalidRequestError,
    "error-invalid-token": KiloAuthenticationError,
    "error-paid-model": KiloSignInRequiredError,
    "error-promotion-limit": KiloRateLimitError,
    "error-authentication-required": KiloAuthenticationError,
    "error-no-balance": KiloCreditsError,
    "error-low-credit": KiloCreditsError,
    "error-top-up": KiloServerError,
    "error-account-restricted": KiloPermissionError,
    "error-abuse-blocked": KiloPermissionError,
    "error-provider-not-allowed": KiloPermissionError,
    "error-feature-exclusive": KiloPermissionError,
    "error-model-missing": KiloModelNotFoundError,
    "error-model-not-found": KiloModelNotFoundError,
    "error-model-not-allowed": KiloPermissionError,
    "error-no-provider": KiloPermissionError,
    "error-unavailable-model": KiloModelNotFoundError,
    "error-discontinued": KiloModelNotFoundError,
    "error-upgrade": KiloStatusError,
    "error-rate-limit": KiloRateLimitError,
    "error-throttled": KiloRateLimitError,
    "error-free-model-limit": KiloRateLimitError,
    "error-no-free-models": KiloServerError,
    "error-auto-routing": KiloPermissionError,
    "error-unavailable": KiloServerError,
    "error-byok-401": KiloAuthenticationError,
    "error-byok-402": KiloCreditsError,
    "error-byok-403": KiloPermissionError,
    "error-byok-404": KiloModelNotFoundError,
    "error-byok-429": KiloRateLimitError,
    "error-context-length": KiloContextLengthError,
    "error-context-length-500": KiloContextLengthError,
    "error-upstream-error": KiloServerError,
    "error-upstream-disconnect": KiloServerError,
    "error-upstream-timeout": KiloProviderTimeoutError,
    "error-upstream-disconnect-nested": KiloServerError,
    "error-200-credits": KiloCreditsError,
    "error-200-string": KiloServerError,
    "error-empty-405": KiloStatusError,
    "error-html-502": KiloServerError,
    "error-html-200": KiloResponseError,
    "error-empty-body-200": KiloResponseError,
    "error-not-json-200": KiloResponseError,
    "error-no-choices-200": KiloResponseError,
    "error-null-choices-200": KiloResponseError,
    "error-choices-empty-200": KiloResponseError,
    "stream-error-upstream": KiloRateLimitError,
    "stream-error-finish": KiloServerError,
    "stream-error-disconnect": KiloServerError,
    "stream-error-timeout": KiloProviderTimeoutError,
    "stream-error-invalid-response": KiloServerError,
    "stream-error-string": KiloServerError,
    "stream-error-first": KiloRateLimitError,
    "error-choice-error": KiloServerError,
    "finish-error": KiloServerError,
    "cut-stream": KiloStreamInterruptedError,
    "drop-connection": KiloStreamInterruptedError,
    "empty-stream": KiloResponseError,
    "bad-json-frame": KiloResponseError,
    "cut-character": KiloStreamInterruptedError,
    "stream-error-chat-chunk": KiloServerError,
    "tool-unconfirmed": KiloResponseError,
    "response-failed": KiloServerError,
    "response-failed-without-code": KiloRateLimitError,
    "response-failed-error-type": KiloRateLimitError,
    "response-failed-without-error": KiloServerError,
    "response-cancelled": KiloServerError,
    "stream-error-flat": KiloProviderTimeoutError,
    "cut-at-limit": KiloStreamInterruptedError,
    "stream-error-overloaded": KiloServerError,
    "stream-error-invalid": KiloInvalidRequestError,
}

NOT_STREAMED: dict[str, type[KiloError]] = {
    "cut-stream": KiloResponseError,
    "cut-character": KiloResponseError,
    "cut-at-limit": KiloResponseError,
    "drop-connection": KiloConnectionError,
}
"""The exceptions of scenarios that fail differently when the answer is not streamed."""

OPENAI_CLASSES: dict[int, type[openai.APIError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
}
ELSEWHERE = ("error-promotion-limit", "error-model-not-allowed", "error-no-provider", "error-auto-routing")
"""Scenarios whose status is misleading: the daily limit is not a bad key, a forbidden model is not a missing one."""


def check(model: str, error: KiloError, *, streamed: bool) -> None:
    """Check that the error of a scenario has the expected class and contains the gateway's text."""
    scenario, name = SCENARIOS[model], model.removeprefix("sandbox/")
    expected = CLASSES[name] if streamed else NOT_STREAMED.get(name, CLASSES[name])
    assert isinstance(error, expected)
    assert type(error).__name__ == expected.__name__
    assert str(error).endswith((".", ". "))
    if scenario.status >= 400:
        assert error.status_code == scenario.status
        if scenario.status in OPENAI_CLASSES and name not in ELSEWHERE:
            assert isinstance(error, OPENAI_CLASSES[scenario.status]) or name.startswith("error-context-length")
    if scenario.error_type:
        assert error.error_type == scenario.error_type
    for text in (scenario.message, scenario.detail):
        if text:
            assert text.rstrip(".") in str(error)
