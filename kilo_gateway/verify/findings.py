"""Eras, and the two findings that a check may raise. Pure."""

from __future__ import annotations

from enum import Flag, auto
from typing import Final


class Era(Flag):
    """The states of the server's source. See docs/gateway.md, "Eras"."""

    E1 = auto()
    E2 = auto()
    E3 = auto()

    def __str__(self) -> str:
        return " ".join(era.name or "" for era in self)


NONE: Final = Era(0)
ALL: Final = Era.E1 | Era.E2 | Era.E3
SINCE_E2: Final = Era.E2 | Era.E3
UNTIL_E2: Final = Era.E1 | Era.E2


class Differs(Exception):  # noqa: N818 -- a finding about the server, not a failure of the check
    """The server does something that docs/gateway.md says of no era."""


class Undecided(Exception):  # noqa: N818 -- as above
    """The answers cannot show whether the fact holds.

    `expected` is True if nothing is wrong: the caller left the check out, or the server's era lacks its subject.
    """

    def __init__(self, reason: str, *, expected: bool = False) -> None:
        super().__init__(reason)
        self.expected = expected
