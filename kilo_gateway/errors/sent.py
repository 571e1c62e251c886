"""How a failed request was made. Data only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sent:
    """The facts of a failed request that a remedy depends on."""

    model: str = ""
    keyed: bool = False
    organization: bool = False
    timeout: float | None = None
    several: bool = False
    """True if more than one choice was asked for."""
    chat: bool = True
    """True if a tier could have been asked instead."""
    nearest: Callable[[], Sequence[str]] = tuple
    """Returns the known model ids that are like an unknown `model`."""


UNKNOWN: Final = Sent()
