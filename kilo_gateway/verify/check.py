"""Define a check: one fact of docs/gateway.md, and how a server shows whether it holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kilo_gateway.verify.findings import ALL, Era
from kilo_gateway.verify.gateway import Gateway

Needs = Literal["nothing", "key", "organisation"]

Test = Callable[[Gateway], Era | None]
"""Sends requests and returns the eras whose behaviour the answers show; None: all eras of the check.

It raises Differs if the answers agree with no era, and Undecided if they cannot show it.
"""


@dataclass(frozen=True, slots=True)
class Check:
    """A fact about the gateway and its test.

    `section` is the section of docs/gateway.md. `eras` are the eras in which the question makes sense; in others, the
    result is "undecided". `usd` is the most that it costs at the prices of November 2026.
    """

    group: str
    name: str
    fact: str
    section: str
    eras: Era
    needs: Needs
    usd: float
    test: Test

    @property
    def id(self) -> str:
        """The name by which `only` selects it."""
        return f"{self.group}.{self.name}"


class Group:
    """The checks of one subject, in the order in which they run."""

    def __init__(self, name: str, section: str, *, eras: Era = ALL) -> None:
        self.name = name
        self.checks: list[Check] = []
        self._section = section
        self._eras = eras

    def add(
        self, *, section: str = "", eras: Era | None = None, needs: Needs = "nothing", usd: float = 0.0
    ) -> Callable[[Test], Test]:
        """Return a decorator: the function's name becomes the name of a check, its docstring the fact."""

        def added(test: Test) -> Test:
            fact = inspect.getdoc(test) or test.__name__  # python -OO removes docstrings
            name = test.__name__.replace("_", "-")
            self.checks.append(
                Check(self.name, name, fact, section or self._section, eras or self._eras, needs, usd, test)
            )
            return test

        return added
