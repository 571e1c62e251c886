"""Streams with LlamaIndex's events around them, whose connection closes when the reader leaves.

LlamaIndex's decorators never close the stream that they wrap, and a handler that keeps an exception event
keeps all frames of its traceback, so that garbage collection would close the connection late or never.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from llama_index.core.base.llms.types import ChatResponse

import kilo_gateway as kilo
from kilo_gateway.reply import Reply
from llama_index_kilo import from_gateway

if TYPE_CHECKING:
    from kilo_gateway.call import Call
    from kilo_gateway.chat import AsyncDeltas
    from kilo_gateway.settings.chat import GatewaySettings

Item = TypeVar("Item")


def traced(
    callback: Callable[[], Any], llm: Any, given: Any, items: Iterator[Item], source: Generator[Any], /, **kwargs: Any
) -> Generator[Item]:
    """Return `items` with the events of `callback` for a call with `given`; closing it closes `source`."""

    def answer(*_: Any, **__: Any) -> Iterator[Item]:
        return items

    return _guarded(callback()(answer)(llm, given, **kwargs), source)


async def atraced(
    callback: Callable[[], Any],
    llm: Any,
    given: Any,
    items: AsyncIterator[Item],
    source: AsyncResponses,
    /,
    **kwargs: Any,
) -> AsyncGenerator[Item]:
    """Return `items` with the events of `callback` for a call with `given`; closing it closes `source`."""

    async def answer(*_: Any, **__: Any) -> AsyncIterator[Item]:
        return items

    return _aguarded(await callback()(answer)(llm, given, **kwargs), source)


def _guarded(items: Generator[Item], source: Generator[Any]) -> Generator[Item]:
    try:
        yield from items
    finally:
        source.close()


async def _aguarded(items: AsyncGenerator[Item], source: AsyncResponses) -> AsyncGenerator[Item]:
    try:
        async for item in items:
            yield item
    finally:
        await source.aclose()
        with suppress(RuntimeError):  # a loop that ends is closing it already
            await items.aclose()


class AsyncResponses(AsyncIterator[ChatResponse]):
    """The responses of an async stream. Its request is prepared and sent when the first one is asked for.

    This is deliberately not an async generator; see `kilo_gateway.chat.AsyncDeltas` for the reason.
    """

    def __init__(self, settings: GatewaySettings, prepare: Callable[[], Call]) -> None:
        self._settings = settings
        self._prepare = prepare
        self._call: Call | None = None
        self._deltas: AsyncDeltas | None = None
        self._reply = Reply()

    async def __anext__(self) -> ChatResponse:
        if self._call is None or self._deltas is None:
            self._call = self._prepare()
            self._deltas = kilo.chat.astream(self._settings, self._call)
        return from_gateway.step(self._reply, await anext(self._deltas), self._call)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._deltas is not None:
            await self._deltas.aclose()
