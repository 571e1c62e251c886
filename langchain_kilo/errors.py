"""The errors of `ChatKilo`: `kilo_gateway`'s classes, each also the `langchain_core` kind that fits.

LangChain's retry and fallback middlewares decide by `ModelError` and `is_retryable`. The classes carry the
names of `kilo_gateway.errors` and are subclasses of those. Importing this module imports the openai package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from langchain_core import exceptions
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
    OutputParserException,
)

from kilo_gateway import errors as core
from kilo_gateway.encoding.printable import TEXT_CHARACTERS, printable

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    _ModelRefusalError = ModelError
else:
    # ModelRefusalError came with langchain-core 1.7.5.
    _ModelRefusalError = getattr(exceptions, "ModelRefusalError", ModelError)


class KiloRefusalError(OutputParserException, _ModelRefusalError):
    """The model refused to give structured output; `raw_message` is its answer, `llm_output` what it said."""

    def __init__(self, refusal: str, raw_message: AIMessage) -> None:
        super().__init__(f"The model refused: {printable(refusal, TEXT_CHARACTERS)}", llm_output=refusal)
        self.raw_message = raw_message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.llm_output, self.raw_message)


class KiloError(core.KiloError, ModelError):
    """Base of all errors of a call to the gateway; `is_retryable` is `retryable` by LangChain's name."""

    def __init__(self, message: str, *, body: Any = None, response: Any = None, **attributes: Any) -> None:
        super().__init__(message, body=body, response=response, **attributes)
        self.is_retryable = self.retryable


class KiloInvalidRequestError(core.KiloInvalidRequestError, KiloError, ModelInvalidRequestError):
    """400, 413, 422: the request itself is at fault."""


class KiloContextLengthError(core.KiloContextLengthError, KiloInvalidRequestError, ContextOverflowError):
    """The conversation does not fit into the model's context window."""


class KiloDataCollectionError(core.KiloDataCollectionError, KiloInvalidRequestError):
    """The model needs data collection, which the request or the account refuses."""


class KiloAuthenticationError(core.KiloAuthenticationError, KiloError, ModelAuthenticationError):
    """401: the key is rejected."""


class KiloSignInRequiredError(core.KiloSignInRequiredError, KiloAuthenticationError):
    """401: a paid model was asked without an account."""


class KiloCreditsError(core.KiloCreditsError, KiloError, ModelPermissionDeniedError):
    """402: the balance does not allow the call; see `balance` and `buy_credits_url`."""


class KiloPermissionError(core.KiloPermissionError, KiloError, ModelPermissionDeniedError):
    """403, or 404 `model_not_allowed`: the account may not do this."""


class KiloNotFoundError(core.KiloNotFoundError, KiloError, ModelNotFoundError):
    """404: nothing is served there."""


class KiloModelNotFoundError(core.KiloModelNotFoundError, KiloNotFoundError):
    """404: the model does not exist or is switched off."""


class KiloConflictError(core.KiloConflictError, KiloError, ModelAPIError):
    """409: the upstream provider reports a conflict."""


class KiloRateLimitError(core.KiloRateLimitError, KiloError, ModelRateLimitError):
    """429, or the anonymous daily limit (which arrives as 401): too many requests."""


class KiloServerError(core.KiloServerError, KiloError, ModelAPIError):
    """5xx: the gateway or the provider behind it failed."""


class KiloProviderTimeoutError(core.KiloProviderTimeoutError, KiloServerError, ModelTimeoutError):
    """408, 504: the provider behind the gateway took too long."""


class KiloStatusError(core.KiloStatusError, KiloError, ModelInvalidRequestError):
    """Any other HTTP error status."""


class KiloConnectionError(core.KiloConnectionError, KiloError, ModelConnectionError):
    """The gateway could not be reached, or the connection broke."""


class KiloTimeoutError(core.KiloTimeoutError, KiloConnectionError, ModelTimeoutError):
    """No answer, or no data in a stream, within the time allowed."""


class KiloStreamInterruptedError(core.KiloStreamInterruptedError, KiloConnectionError):
    """A stream ended before the answer was complete; `partial_text` holds the text received so far."""


class KiloResponseError(core.KiloResponseError, KiloError, ModelAPIError):
    """The answer is malformed: no choices, not JSON, or an empty stream."""


class KiloBudgetExceeded(core.KiloBudgetExceeded, KiloError, ModelPermissionDeniedError):  # noqa: N818 -- named after the KiloBudget that raises it
    """A `KiloBudget` is spent, so that the request was not sent."""


_OURS: Final[dict[type, type[KiloError]]] = {
    cls.__bases__[0]: cls
    for cls in (
        KiloError,
        KiloInvalidRequestError,
        KiloContextLengthError,
        KiloDataCollectionError,
        KiloAuthenticationError,
        KiloSignInRequiredError,
        KiloCreditsError,
        KiloPermissionError,
        KiloNotFoundError,
        KiloModelNotFoundError,
        KiloConflictError,
        KiloRateLimitError,
        KiloServerError,
        KiloProviderTimeoutError,
        KiloStatusError,
        KiloConnectionError,
        KiloTimeoutError,
        KiloStreamInterruptedError,
        KiloResponseError,
        KiloBudgetExceeded,
    )
}

Raised = TypeVar("Raised", bound=Exception)


def of_langchain(error: Raised) -> Raised | KiloError:
    """Return an error of `kilo_gateway` as the class of this module; any other error as it is."""
    if not isinstance(error, core.KiloError) or isinstance(error, ModelError):
        return error
    cls = next(_OURS[base] for base in type(error).__mro__ if base in _OURS)
    ours = cls(error.message)
    ours.__dict__.update(error.__dict__)
    ours.is_retryable = ours.retryable
    return ours
