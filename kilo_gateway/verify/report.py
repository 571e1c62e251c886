"""The results of the checks, and what they say together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from kilo_gateway.verify.check import Check
from kilo_gateway.verify.findings import ALL, NONE, Era

Status = Literal["held", "differs", "undecided"]
STATUSES: Final[tuple[Status, ...]] = ("held", "differs", "undecided")


@dataclass(frozen=True, slots=True)
class Result:
    """What one check has found; it contains no secret."""

    check: Check
    status: Status
    found: str
    """The answers in a few words, or the reason."""
    eras: Era = NONE
    """The eras that behave like the server, if the fact holds."""
    expected: bool = False
    """True if the check is undecided by the caller's choice, or because the server's era lacks its subject."""
    usd: float = 0.0
    """The cost of its requests."""

    @property
    def dates(self) -> bool:
        """True if the result says something about the era."""
        return self.status == "held" and self.eras != ALL


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one run, in order; `str` is a text without secrets that can be attached to an issue."""

    base_url: str
    version: str
    """The version of this package."""
    started: str
    """Date and time in UTC."""
    results: Sequence[Result]
    spent_usd: float = 0.0

    @property
    def ok(self) -> bool:
        """True if nothing differs, and nothing is undecided that was not expected to be."""
        return all(result.status == "held" or result.expected for result in self.results)

    def count(self, status: Status) -> int:
        """Return how many results have a status."""
        return sum(result.status == status for result in self.results)

    @property
    def eras(self) -> Era:
        """The eras that fit all results that depend on the era, else the two that fit them together."""
        dated = [result.eras for result in self.results if result.dates]
        if not dated:
            return NONE
        candidates = [era for era in Era if all(era in eras for eras in dated)]
        if candidates:
            return _union(candidates)
        pairs = [ALL ^ era for era in (Era.E1, Era.E3, Era.E2)]  # E2 and E3, E1 and E2, E1 and E3
        return next((pair for pair in pairs if all(pair & eras for eras in dated)), ALL)

    @property
    def behaviour(self) -> str:
        """The era that the server behaves like, in a sentence."""
        dated = [result for result in self.results if result.dates]
        if not dated:
            return "No result shows which era the server behaves like."
        names = [str(era) for era in self.eras]
        if all(self.eras in result.eras for result in dated):
            alone = _named(self._only(self.eras, among=ALL)) or "none"
            fits = f"results that depend on the era: {len(dated)}; those that fit no other: {alone}"
            return f"The server behaves like {' or '.join(names)}: {fits}."
        sides = [f"like {era}: {_named(only)}" for era in self.eras if (only := self._only(era, among=self.eras))]
        return f"The server is between {' and '.join(names)}; {'; '.join(sides)}."

    def _only(self, eras: Era, *, among: Era) -> list[str]:
        """Return the checks whose results agree with these eras, and with no other one of `among`."""
        return [result.check.id for result in self.results if result.dates and result.eras & among == eras]

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "base_url": self.base_url,
            "version": self.version,
            "started": self.started,
            "behaves_like": [str(era) for era in self.eras],
            "spent_usd": self.spent_usd,
            "counts": {status: self.count(status) for status in STATUSES},
            "results": [
                {
                    "check": result.check.id,
                    "status": result.status,
                    "eras": [str(era) for era in result.eras],
                    "fact": result.check.fact,
                    "section": result.check.section,
                    "found": result.found,
                    "expected": result.expected,
                    "usd": result.usd,
                }
                for result in self.results
            ],
        }

    @property
    def summary(self) -> str:
        """The numbers of the run in a sentence."""
        counts = ", ".join(f"{self.count(status)} {status}" for status in STATUSES)
        return f"{len(self.results)} checks: {counts}. Spent: {self.spent_usd:.4f} USD."

    def __str__(self) -> str:
        """Return the report as Markdown."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"# The gateway at {self.base_url}"
        yield ""
        yield f"{self.summary} {self.behaviour}"
        yield f"kilo-gateway {self.version}, {self.started}. The sections are those of docs/gateway.md."
        for status in ("differs", "undecided", "held"):
            chosen = [result for result in self.results if result.status == status]
            if chosen:
                yield from ("", f"## {status.capitalize()}", "", "| Check | Section | Fact | Found | Eras |")
                yield "|---|---|---|---|---|"
            for result in chosen:
                cells = (
                    f"`{result.check.id}`",
                    result.check.section,
                    result.check.fact,
                    result.found,
                    str(result.eras),
                )
                escaped = [cell.replace("|", r"\|") for cell in cells]
                yield f"| {' | '.join(escaped)} |"


def _named(checks: Sequence[str]) -> str:
    """Return the first ten names, and the number of the others."""
    more = f" and {len(checks) - 10} more" if len(checks) > 10 else ""
    return ", ".join(checks[:10]) + more


def _union(eras: Sequence[Era]) -> Era:
    union = NONE
    for era in eras:
        union |= era
    return union
