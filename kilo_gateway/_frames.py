"""Warnings that point to the user's line and not into a framework."""

from __future__ import annotations

import sys
from typing import Final

_FRAMEWORKS: Final = frozenset(
    {"kilo_gateway", "langchain_kilo", "llama_index_kilo", "langchain_core", "langchain", "langgraph", "pydantic"}
    | {"llama_index", "llama_index_instrumentation", "workflows", "asyncio", "concurrent", "contextvars", "functools"}
)


def user_stacklevel() -> int:
    """Return the `stacklevel` with which the caller of this function warns at the user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _FRAMEWORKS:
        level, frame = level + 1, frame.f_back
    return level
