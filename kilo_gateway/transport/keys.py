"""The key of one attempt, from the function that a user gave as `api_key`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr

from kilo_gateway import routing
from kilo_gateway.errors import KiloAuthenticationError
from kilo_gateway.settings import types
from kilo_gateway.settings.keys import KeyFunction


def key_of(source: KeyFunction) -> str:
    """Return the key to send now. Raises KiloAuthenticationError, and ValueError for an async function."""
    with _failures(source):
        key = source.function()
    if inspect.isawaitable(key):
        if inspect.iscoroutine(key):
            key.close()
        raise ValueError(
            f"api_key is the async function {source.name}, and this call is synchronous: use the async method "
            "(ainvoke, astream, achat, ...), or pass a function that returns the key"
        )
    return _checked(source, key)


async def akey_of(source: KeyFunction) -> str:
    """Return the key to send now; a synchronous function runs in a thread. Raises KiloAuthenticationError."""
    with _failures(source):
        if inspect.iscoroutinefunction(source.function):
            key: Any = await source.function()
        else:
            key = await asyncio.to_thread(source.function)
            if inspect.isawaitable(key):
                key = await key
    return _checked(source, key)


@contextmanager
def _failures(source: KeyFunction) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The text of the error may hold the token; it stays in the cause.
        raise KiloAuthenticationError(
            f"The function {source.name}, which was passed as api_key, raised {type(error).__name__}, so the request "
            "was not sent. The cause of this error (`__cause__`) is the function's own error."
        ) from error


def _checked(source: KeyFunction, key: Any) -> str:
    given = key.get_secret_value() if isinstance(key, SecretStr) else key
    if not isinstance(given, str):
        wrong = f"returned a {type(given).__name__}"
    elif given.strip() in types.NO_KEY:
        wrong = "returned no key"
    else:
        try:
            return routing.check_header_value(given.strip(), limit=types.KEY_LIMIT)
        except ValueError as error:
            wrong = f"returned a key that {error}"
    raise KiloAuthenticationError(
        f"The function {source.name}, which was passed as api_key, {wrong}, so the request was not sent. "
        "It must return the key as a str; for anonymous calls, pass no api_key."
    )
