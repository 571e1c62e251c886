"""The errors of `ChatKilo`: `kilo_gateway`'s classes, each also the `langchain_core` kind that fits.

LangChain's retry and fallback middlewares decide by `ModelError` and `is_retryable`. The classes carry the
names of `kilo_gateway.errors` and are subclasses of those.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

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

from kilo_gateway.printable import TEXT_CHARACTERS, printable

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


# The first name that is a class of the error decides.
_KINDS: dict[str, type[ModelError]] = {
    "KiloContextLengthError": ContextOverflowError,
    "KiloInvalidRequestError": ModelInvalidRequestError,
    "KiloAuthenticationError": ModelAuthenticationError,
    "KiloBudgetExceeded": ModelPermissionDeniedError,
    "KiloCreditsError": ModelPermissionDeniedError,
    "KiloPermissionError": ModelPermissionDeniedError,
    "KiloNotFoundError": ModelNotFoundError,
    "KiloRateLimitError": ModelRateLimitError,
    "KiloTimeoutError": ModelTimeoutError,
    "KiloProviderTimeoutError": ModelTimeoutError,
    "KiloConnectionError": ModelConnectionError,
    "KiloStatusError": ModelInvalidRequestError,
    "KiloError": ModelAPIError,
}


def classify(error: Any) -> None:
    """Make a `KiloError` the `ModelError` kind that fits, in place, so that its traceback stays."""
    from kilo_gateway.errors import KiloError  # deferred: it imports the openai package

    if isinstance(error, KiloError) and not isinstance(error, ModelError):
        error.__class__ = _combined(type(error).__name__)


@cache
def _combined(name: str) -> Any:
    from kilo_gateway import errors  # deferred: it imports the openai package

    cls = getattr(errors, name)
    names = {base.__name__ for base in cls.__mro__}
    kind = next(kind for base, kind in _KINDS.items() if base in names)
    told = {"__module__": __name__, "__doc__": cls.__doc__, "is_retryable": property(lambda self: self.retryable)}
    # Who catches a class of this module by name catches those below it too; all of them are below KiloError.
    above = [
        _combined(base.__name__)
        for base in cls.__bases__
        if issubclass(base, errors.KiloError) and base is not errors.KiloError
    ]
    return type(name, (cls, *above, kind), told)


def __getattr__(name: str) -> Any:
    # Python itself asks for `__path__`.
    if name.startswith("Kilo"):
        from kilo_gateway import errors  # deferred: it imports the openai package

        found = getattr(errors, name, None)
        if isinstance(found, type) and issubclass(found, errors.KiloError):
            return _combined(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
