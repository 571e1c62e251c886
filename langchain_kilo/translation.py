"""Raises the errors of a call as LangChain's kinds of them. Importing this does not import the openai package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def langchain_errors() -> Iterator[None]:
    """Raise a `KiloError` of the block as the class of `langchain_kilo.errors`, with its traceback and cause."""
    try:
        yield
    except Exception as error:
        from langchain_kilo.errors import of_langchain  # deferred: it imports the openai package, as the call has

        ours = of_langchain(error)
        if ours is error:
            raise
        try:
            raise ours.with_traceback(error.__traceback__) from error.__cause__
        finally:
            del ours  # its traceback knows this frame: the two would keep each other alive
