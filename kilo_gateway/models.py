"""What is known of models without asking the network. See docs/gateway.md, "Auto models"."""

from __future__ import annotations

from typing import Final

DEFAULT_CONTEXT_WINDOW: Final = 128_000
"""Tokens assumed for a model the table does not hold: most of the gateway's models have at least this many."""

_CONTEXT_WINDOWS: Final = {
    "kilo-auto/frontier": 1_000_000,
    "kilo-auto/balanced": 1_000_000,
    "kilo-auto/efficient": 1_000_000,
    "kilo-auto/free": 256_000,
    "kilo-auto/small": 262_144,
}


def context_window(model: str) -> int:
    """Return the tokens that prompt and answer of `model` may have together, or a careful default."""
    return _CONTEXT_WINDOWS.get(model, DEFAULT_CONTEXT_WINDOW)
