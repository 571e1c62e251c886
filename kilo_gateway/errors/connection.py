"""Failures of the connection and of time limits, as the exceptions to raise. Pure. See docs/gateway.md, "Errors"."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import openai

from kilo_gateway.encoding.printable import TEXT_CHARACTERS, printable
from kilo_gateway.errors import KiloConnectionError, KiloStreamInterruptedError, KiloTimeoutError
from kilo_gateway.errors import table as rows
from kilo_gateway.errors.sent import Sent


def is_transport(error: BaseException) -> bool:
    """Return True if `error` comes from the network, raised by any HTTP library."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in rows.HTTP_LIBRARIES


def is_from_network(error: BaseException) -> bool:
    """Return True if `error` comes from the network, as it is or wrapped by the openai client."""
    return isinstance(error, openai.APIConnectionError) or is_transport(error)


def may_have_arrived(error: BaseException) -> bool:
    """Return True if the gateway may have received the request whose attempt ended with `error`."""
    return is_from_network(error) and rows.NEVER_SENT.isdisjoint(_kinds(error))


def is_timeout(error: BaseException) -> bool:
    """Return True if `error` says that something took too long."""
    return not {"TimeoutException", "TimeoutError", "APITimeoutError"}.isdisjoint(_kinds(error))


def _kinds(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(_origin(error)).__mro__}


def hide_frames(error: BaseException) -> None:
    """Drop the frames of aiohttp from a failure: their variables are the headers of the request and of its proxy."""
    link: BaseException | None = error
    hidden = False
    while link is not None:
        hidden = hidden or _is_of_aiohttp(link)
        if hidden:
            link.__traceback__ = None
        link = link.__cause__ or link.__context__


def _is_of_aiohttp(error: BaseException | None) -> bool:
    return type(error).__module__.partition(".")[0] == "aiohttp"


def _origin(error: BaseException) -> BaseException:
    """Return the exception that the openai client wrapped, or that its aiohttp transport renamed.

    The transport reports a connection that the server closed as one that could not be opened in time.
    """
    if isinstance(error, openai.APIConnectionError) and error.__cause__:
        error = error.__cause__
    return error.__cause__ if error.__cause__ and _is_of_aiohttp(error.__cause__) else error


def from_transport(error: BaseException, sent: Sent, *, response: Any = None, partial: str = "") -> KiloConnectionError:
    """Turn a failure of the connection, from the openai client or its HTTP library, into a KiloConnectionError."""
    cause = _origin(error)
    if is_timeout(cause):
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
    source: Any = error if response is None else response
    with suppress(AttributeError, RuntimeError):  # it has none, or the HTTP library has not set it
        result.request = source.request
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
        f"The stream sent no data for {limit:g} seconds; the {len(partial)} characters received so far are in "
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
        f"The stream ended before the answer was complete: {_shown(why)}. The {len(partial)} characters received "
        "so far are in .partial_text; send the request again for a whole answer.",
        response=response,
        partial_text=partial,
    )


def _shown(text: str) -> str:
    return printable(text, TEXT_CHARACTERS)
