"""The exceptions. translate.py turns an answer into its exception.

Each exception is a `KiloError` and also the class of the openai package that fits, so that
`except openai.RateLimitError` keeps working.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import openai

from kilo_gateway.usage import Usage

if tuple(map(int, openai.__version__.split(".")[:2])) < (2, 45):
    # pip lets another package downgrade it, and only prints a line.
    raise ImportError(
        f"openai {openai.__version__} is installed, and kilo-gateway needs 2.45 or newer; another package may have "
        "downgraded it: pip install 'openai>=2.45,<4'"
    )

# A day-long window, and a pool that is refilled by hand.
_NEVER_SOON: Final = frozenset({"promotion_limit_reached", "no_free_models_available"})


class KiloError(openai.APIError):
    """Base of all errors of a call to the gateway.

    Attributes: `status_code` (the HTTP status, or the code inside a 200 answer; None if there was no answer), `code`
    (the gateway's own code such as "INVALID_TOKEN"), `error_type` (its
    `error_type`, an open set), `request_id`, `generation_id`, `provider_name` (the upstream provider that
    failed), `retry_after` (seconds), `retryable`, `partial_text` (what a stream had delivered), `usage` (a
    `kilo_gateway.Usage`, if tokens or cost were reported before the failure),
    `balance` and `buy_credits_url` (402 only), `body` (the parsed body), `response`.
    """

    status_code: Any = None
    error_type: str | None = None
    request_id: str | None = None
    generation_id: str | None = None
    provider_name: str | None = None
    retry_after: float | None = None
    balance: float | None = None
    buy_credits_url: str | None = None
    partial_text: str = ""
    usage: Usage | None = None
    response: Any = None
    _may_pass: ClassVar[bool] = True

    def __init__(self, message: str, *, body: Any = None, response: Any = None, **attributes: Any) -> None:
        # The openai classes' own constructors differ and demand a response, which in-stream errors lack.
        Exception.__init__(self, message)
        self.message = message
        self.body = body
        self.response = response
        self.request: Any = getattr(response, "request", None)
        self.code = self.param = self.type = None
        for name, value in attributes.items():
            setattr(self, name, value)

    @property
    def retryable(self) -> bool:
        """True if the same request may succeed later (docs/gateway.md, "Retries")."""
        return self._may_pass and self.error_type not in _NEVER_SOON

    def __reduce__(self) -> tuple[Any, ...]:
        # Responses and requests hold sockets; everything else travels to another process.
        state = {k: v for k, v in self.__dict__.items() if k not in ("response", "request")}
        return _rebuild, (type(self), self.message, state)


def _rebuild(cls: type[KiloError], message: str, state: dict[str, Any]) -> KiloError:
    error = cls(message)
    error.__dict__.update(state)
    return error


class KiloInvalidRequestError(KiloError, openai.BadRequestError):
    """400, 413, 422: the request itself is at fault."""

    _may_pass = False


class KiloContextLengthError(KiloInvalidRequestError):
    """The conversation does not fit into the model's context window."""


class KiloDataCollectionError(KiloInvalidRequestError):
    """The model needs data collection, which the request or the account refuses."""


class KiloAuthenticationError(KiloError, openai.AuthenticationError):
    """401: the key is rejected; or, without a status, the function that should return it failed."""

    _may_pass = False


class KiloSignInRequiredError(KiloAuthenticationError):
    """401: a paid model was asked without an account."""


class KiloCreditsError(KiloError, openai.APIStatusError):
    """402: the balance does not allow the call; see `balance` and `buy_credits_url`."""

    _may_pass = False


class KiloPermissionError(KiloError, openai.PermissionDeniedError):
    """403, or 404 `model_not_allowed`: the account may not do this."""

    _may_pass = False


class KiloNotFoundError(KiloError, openai.NotFoundError):
    """404: nothing is served there."""

    _may_pass = False


class KiloModelNotFoundError(KiloNotFoundError):
    """404: the model does not exist or is switched off."""


class KiloConflictError(KiloError, openai.ConflictError):
    """409: the upstream provider reports a conflict."""


class KiloRateLimitError(KiloError, openai.RateLimitError):
    """429, or the anonymous daily limit (which arrives as 401): too many requests."""


class KiloServerError(KiloError, openai.InternalServerError):
    """5xx: the gateway or the provider behind it failed."""


class KiloProviderTimeoutError(KiloServerError):
    """408, 504, 524: the provider behind the gateway took too long."""


class KiloStatusError(KiloError, openai.APIStatusError):
    """Any other HTTP error status."""

    _may_pass = False


class KiloConnectionError(KiloError, openai.APIConnectionError):
    """The gateway could not be reached, or the connection broke."""


class KiloTimeoutError(KiloConnectionError, openai.APITimeoutError):
    """No answer, or no data in a stream, within the time allowed."""


class KiloStreamInterruptedError(KiloConnectionError):
    """A stream ended before the answer was complete; `partial_text` holds the text received so far."""


class KiloResponseError(KiloError, openai.APIResponseValidationError):
    """The answer is malformed: no choices, not JSON, or an empty stream."""


class KiloBudgetExceeded(KiloError):  # noqa: N818 -- named after the KiloBudget that raises it
    """A `KiloBudget` or the budget of a cluster is spent, so that the request was not sent.

    Attributes: `limit_usd` (None if the calls of a cluster are limited and not their cost), `spent_usd` and
    `under_way_usd` (what requests that still run may cost).
    """

    _may_pass = False
    limit_usd: float | None
    spent_usd: float
    under_way_usd: float
