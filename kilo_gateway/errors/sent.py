"""How a failed request was made. Data only."""

from __future__ import annotations

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


UNKNOWN: Final = Sent()
