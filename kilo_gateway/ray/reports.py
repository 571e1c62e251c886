"""What workers and the actor of a cluster's limits say to each other, and the terms that they keep. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

LEASE_SECONDS: Final = 10.0
"""Seconds without a report after which a worker counts as dead."""
GRACE_SECONDS: Final = 2.0
"""Seconds that a request may need to reach the gateway, which counts it when it arrives."""
PAUSE_SECONDS: Final = 3600.0
"""The longest pause that is kept; a gateway that asks for more is asked again after it."""
FREE_PER_HOUR: Final = 200
"""Requests an hour that an address may send to rate-limited free models (docs/gateway.md, "Rate limits")."""
MOST_ASKED: Final = 128
"""Waiting calls whose costs a report lists; the others follow in the next one."""
REPORT_SECONDS: Final = 1.0
"""Seconds between the reports of a worker that needs nothing."""
PACE_SECONDS: Final = 0.05
"""Shortest time between two reports of a worker whose calls wait."""
REPORTS_PER_SECOND: Final = 500
"""Reports of all waiting workers together that the actor takes."""
AGE_SECONDS: Final = 0.1
"""Requests of one such interval are reported together."""

Kind = Literal["any", "rate-limited free"]
"""The kinds of calls that different rates apply to."""

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits of a job."""

    budget_usd: float | None = None
    spent_usd: float = 0.0
    unknown_cost_usd: float | None = None
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    max_in_flight: int | None = None
    lease_seconds: float = LEASE_SECONDS

    def rated(self, kind: Kind) -> bool:
        """Return True if a rate applies to calls of this kind."""
        return kind != "any" or self.requests_per_minute is not None or self.requests_per_hour is not None


@dataclass(frozen=True, slots=True)
class Ask:
    """The calls of one kind that wait in a worker, in their order."""

    repeats: int
    """Calls under way that want to send their request again, which come first."""
    costs: tuple[Decimal, ...]
    """The most that each waiting call may cost."""
    spare: int
    """Permits for calls that may come before the next report."""


@dataclass(frozen=True, slots=True)
class Report:
    """What happened in a worker since its last report, and what it asks for."""

    worker: str
    number: int
    """Counts the reports; one that got no reply is sent again with the same number, and counted once."""
    spent: Decimal
    estimated: Decimal
    """The part of `spent` that is an estimate."""
    returned: Decimal
    owed: Decimal
    """The cost of lost attempts that the granted money did not cover."""
    calls_returned: int
    permits_returned: Mapping[Kind, int]
    sent: tuple[tuple[Kind, float, int], ...]
    """Requests for which permits were used: kind, seconds ago, number."""
    requests: int
    """All requests that were sent."""
    under_way: int
    waiting: int
    asks: Mapping[Kind, Ask]
    spare: Decimal
    spare_calls: int
    pause: float
    """Seconds that the gateway asks to wait."""
    leaves: bool
    """True if the worker ends; what it still holds counts as lost."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker is granted besides what it holds, and the state of the cluster."""

    money: Decimal
    calls: int
    permits: Mapping[Kind, int]
    spent: Decimal
    """By all workers, those that died included, and by the jobs before."""
    under_way: Decimal
    """Money that all workers hold."""
    fair_money: Decimal | None
    """If others wait for money or calls: what this worker may hold before it returns what its calls release."""
    fair_calls: float | None
    pause: float
    again_in: float
    """Seconds until the next report helps, if calls wait."""
    revived: bool
    """True if the worker counted as dead, so that all permits that it had before count as used."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a cluster's limits."""

    spent_usd: float
    """The cost of all calls so far, estimates included."""
    estimated_usd: float
    """The part of it that is an estimate: calls that were cut or lost, and calls of workers that died."""
    under_way_usd: float
    """Money that workers hold for calls under way, and for the next ones."""
    left_usd: float | None
    """Money that is neither spent nor with a worker; None without a budget."""
    requests: int
    """Requests that were sent, each attempt counted."""
    under_way: int
    waiting: int
    """Calls that wait for money, for their turn, or for the end of a pause."""
    workers: int
    """Worker processes that use the limits now."""
    dead_workers: int
    """Worker processes that ended without a last report."""
    paused_seconds: float
    """Seconds until the pause ends that the gateway asked for; 0 if there is none."""
