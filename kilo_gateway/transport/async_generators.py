"""Async generators that an event loop does not close when it ends."""

from __future__ import annotations

import sys
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def unlisted(begin: Callable[[], Awaitable[T]]) -> Generator[Any, Any, T]:
    """Await `begin()`, keeping the async generators that its first step starts off the running loop's list.

    A loop that ends closes all generators on its list at once, and prints an error for those that then close
    each other, as the nested ones of the HTTP libraries do. Generators that are dropped are closed as usual.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None)
    try:
        steps = begin().__await__()
        waiting = next(steps)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return] # untyped in StopIteration
    finally:
        sys.set_asyncgen_hooks(*hooks)
    try:
        while True:
            try:
                yield waiting
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                waiting = steps.throw(error)
            else:
                waiting = next(steps)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return] # untyped in StopIteration
