"""Streams with LlamaIndex's events around them, whose connection closes when the reader leaves.

LlamaIndex's decorators never close the stream that they wrap, and a handler that keeps an exception event
keeps all frames of its traceback, so that garbage collection would close the connection late or never.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeVar

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
    source: AsyncGenerator[Any],
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


async def _aguarded(items: AsyncGenerator[Item], source: AsyncGenerator[Any]) -> AsyncGenerator[Item]:
    try:
        async for item in items:
            yield item
    finally:
        await items.aclose()
        await source.aclose()
