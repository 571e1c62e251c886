"""The actor's side of a cluster's limits: the accounts of all workers. Pure: no clock, no Ray.

`Accounts` grants money, permits to send a request, and calls under way; the other side is `Hand`, in `hand.py`. What
was granted to a worker is taken until it returns or spends it. So the limits hold even if a worker dies at any moment:
its money counts as spent, because its requests may have been billed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from typing import Final

from kilo_gateway.budget import exact
from kilo_gateway.ray.reports import (
    PACE_SECONDS,
    PAUSE_SECONDS,
    REPORT_SECONDS,
    REPORTS_PER_SECOND,
    ZERO,
    Ask,
    Kind,
    Reply,
    Report,
    Status,
    Terms,
)
from kilo_gateway.ray.windows import Window, windows

_SMALLEST: Final = Decimal("1e-9")


@dataclass(slots=True)
class _Account:
    heard_at: float
    number: int = 0
    reply: Reply | None = None
    money: Decimal = ZERO
    """Granted, and neither returned nor spent."""
    calls: int = 0
    permits: Counter[Kind] = field(default_factory=Counter)
    under_way: int = 0
    waiting: int = 0
    starved_at: float | None = None
    """Since when its calls wait for money or calls that other workers have; None if they do not."""
    first: Decimal = ZERO
    """The most that the first of them may cost."""
    gone: bool = False
    died: bool = False
    """True if it is gone without a last report."""
    lost: Decimal = ZERO
    """Money that counts as spent because the worker is gone."""
    calls_lost: int = 0

    @property
    def busy(self) -> bool:
        return not self.gone and bool(self.under_way or self.waiting)


class Accounts:
    """All workers of a job. Each method takes the time in seconds, from any clock that never goes back."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._budget = None if terms.budget_usd is None else exact(terms.budget_usd)
        self._spent = exact(terms.spent_usd)
        self._estimated = ZERO
        self._lost = ZERO
        self._requests = 0
        self._windows = windows(terms)
        self._paused_until = -math.inf
        self._workers: dict[str, _Account] = {}

    def exchange(self, report: Report, now: float) -> Reply:
        """Count a report and return what the worker is granted."""
        account = self._workers.setdefault(report.worker, _Account(now))
        account.heard_at = now
        revived = self._revive(account)
        self._bury(now)
        if account.reply is None or report.number > account.number:
            self._count(account, report, now)
            account.number = report.number
            account.reply = replace(self._granted(account, report, now), revived=revived)
            if report.leaves:
                self._write_off(account, now)
            return account.reply
        return replace(account.reply, permits={}, revived=True) if revived else account.reply

    def status(self, now: float) -> Status:
        """Return the state of the limits."""
        self._bury(now)
        there = [account for account in self._workers.values() if not account.gone]
        return Status(
            spent_usd=float(self._all_spent()),
            estimated_usd=float(self._estimated + self._lost),
            under_way_usd=float(self._held()),
            left_usd=None
            if self._budget is None
            else float(max(ZERO, self._budget - self._all_spent() - self._held())),
            requests=self._requests,
            under_way=sum(account.under_way for account in there),
            waiting=sum(account.waiting for account in there),
            workers=sum(account.busy for account in there),
            dead_workers=sum(account.died for account in self._workers.values()),
            paused_seconds=max(0.0, self._paused_until - now),
        )

    def _all_spent(self) -> Decimal:
        return self._spent + self._lost

    def _held(self) -> Decimal:
        return sum((max(ZERO, account.money) for account in self._workers.values()), ZERO)

    def _count(self, account: _Account, report: Report, now: float) -> None:
        if self._budget is not None:
            account.money -= report.spent + report.returned
        account.calls -= report.calls_returned
        account.under_way, account.waiting = report.under_way, report.waiting
        self._spent += report.spent
        self._estimated += report.estimated
        self._requests += report.requests
        for kind, ago, count in report.sent:
            self._use(account, kind, count, now - ago)
        for kind, count in report.permits_returned.items():
            returned = min(count, account.permits[kind])
            account.permits[kind] -= returned
            for window in self._windows_of(kind):
                window.granted -= returned
        if report.pause > 0:
            self._paused_until = max(self._paused_until, now + min(report.pause, PAUSE_SECONDS))

    def _use(self, account: _Account, kind: Kind, count: int, sent_at: float) -> None:
        # The permits of a worker that was thought to be dead are used up.
        count = min(count, account.permits[kind])
        account.permits[kind] -= count
        if count:
            for window in self._windows_of(kind):
                window.use(sent_at, count)

    def _bury(self, now: float) -> None:
        for account in self._workers.values():
            if not account.gone and now - account.heard_at > self._terms.lease_seconds:
                account.died = account.under_way > 0 or account.money > 0 or account.calls > 0
                self._write_off(account, now)

    def _write_off(self, account: _Account, now: float) -> None:
        """Count as spent the money of a worker that is gone, and release its calls."""
        account.gone, account.starved_at = True, None
        account.lost, account.calls_lost = max(ZERO, account.money), account.calls
        account.money, account.calls = account.money - account.lost, 0
        self._lost += account.lost
        for kind, count in list(account.permits.items()):
            self._use(account, kind, count, now)

    def _revive(self, account: _Account) -> bool:
        """Take back that a worker is gone, which was only slow; return True if it was."""
        if not account.gone:
            return False
        self._lost -= account.lost
        account.money, account.calls = account.money + account.lost, account.calls_lost
        account.gone, account.died, account.lost, account.calls_lost = False, False, ZERO, 0
        return True

    def _windows_of(self, kind: Kind) -> list[Window]:
        return [window for name, window in self._windows.items() if kind != "any" or name != "free"]

    def _granted(self, account: _Account, report: Report, now: float) -> Reply:
        busy = max(1, sum(other.busy for other in self._workers.values()))
        grant = self._grant(account, busy, now)
        grant.again_in = max(PACE_SECONDS * (1 + grant.ahead), busy / REPORTS_PER_SECOND)
        if now < self._paused_until:
            grant.again_in = max(grant.again_in, self._paused_until - now)
        elif not report.leaves:
            grant.pays(report.owed)
            for kind, ask in report.asks.items():
                self._fill(grant, kind, ask, busy, now)
            if grant.missing is None and not grant.crowded:
                grant.takes_spare(report.spare, report.spare_calls, busy)
        if grant.missing is None:
            account.starved_at = None
        else:
            account.first = grant.missing
            if account.starved_at is None or grant.calls or grant.money:
                account.starved_at = now  # behind the others that wait
        account.money += grant.money
        account.calls += grant.calls
        return Reply(
            money=grant.money,
            calls=grant.calls,
            permits=grant.permits,
            spent=self._all_spent(),
            under_way=self._held(),
            fair_money=grant.fair_money,
            fair_calls=grant.fair_calls,
            pause=max(0.0, self._paused_until - now),
            again_in=min(grant.again_in, REPORT_SECONDS),
            revived=False,
        )

    def _fill(self, grant: _Grant, kind: Kind, ask: Ask, busy: int, now: float) -> None:
        """Grant to calls of one kind what they need, to as many as there are permits and money for."""
        windows = self._windows_of(kind)
        if not self._terms.rated(kind):
            grant.takes_all(ask.costs, None)
            return
        # Each worker gets its part of the permits that are left.
        most = math.ceil(max(0, min(window.open(now) for window in windows)) / busy)
        permits = min(ask.repeats, most)
        permits += grant.takes_all(ask.costs, most - permits)
        if permits == most:
            grant.again_in = max(grant.again_in, *(window.opens_in(now) for window in windows))
        if grant.missing is None and not grant.crowded:
            permits += min(ask.spare, most - permits)
        grant.permits[kind] = permits
        grant.account.permits[kind] += permits
        for window in windows:
            window.granted += permits

    def _grant(self, account: _Account, busy: int, now: float) -> _Grant:
        others = [
            (other.starved_at, other.first)
            for other in self._workers.values()
            if other is not account and other.starved_at is not None and now - other.heard_at < 2 * REPORT_SECONDS
        ]
        # Those that wait for longer come first, also if they need more.
        ahead = [first for since, first in others if account.starved_at is None or since < account.starved_at]
        grant = _Grant(account, ahead=len(ahead), crowded=bool(others))
        if self._budget is not None:
            unspent = max(ZERO, self._budget - self._all_spent())
            grant.money_left = max(ZERO, unspent - self._held() - sum(ahead))
            grant.fair_money = _rounded(unspent / busy) if others else None
        if (in_flight := self._terms.max_in_flight) is not None:
            held = sum(other.calls for other in self._workers.values())
            grant.calls_left = max(0, in_flight - held - len(ahead))
            grant.fair_calls = in_flight / busy if others else None
        return grant


def _rounded(money: Decimal) -> Decimal:
    """Return a part of an amount with few digits, so that sums stay exact."""
    return money.quantize(_SMALLEST, ROUND_DOWN)


@dataclass(slots=True)
class _Grant:
    """What one worker gets in one reply, and what is left for the others."""

    account: _Account
    ahead: int
    """Workers that wait for money or calls for longer than this one."""
    crowded: bool
    """True if other workers wait for money or calls."""
    money_left: Decimal | None = None
    calls_left: int | None = None
    fair_money: Decimal | None = None
    fair_calls: float | None = None
    money: Decimal = ZERO
    calls: int = 0
    permits: dict[Kind, int] = field(default_factory=dict)
    again_in: float = 0.0
    missing: Decimal | None = None
    """The cost of the first call for which there is not enough money, or no place; None if there is."""

    def pays(self, owed: Decimal) -> None:
        """Add the money for lost attempts, all of it or none."""
        if self.money_left is not None and owed > self.money_left:
            self.missing = owed
        else:
            self._take(owed)

    def takes_all(self, costs: Sequence[Decimal], most: int | None) -> int:
        """Add what the calls need, at most `most` of them; return for how many it is there."""
        if self.missing is not None:
            return 0
        for number, cost in enumerate(costs[:most]):
            if not self._takes(cost):
                self.missing = cost
                return number
        return len(costs[:most])

    def _takes(self, cost: Decimal) -> bool:
        held, calls = self.account.money + self.money, self.account.calls + self.calls
        if self.calls_left is not None and (
            self.calls_left < 1 or (self.fair_calls is not None and calls >= self.fair_calls)
        ):
            return False
        if (
            self.money_left is not None
            and cost
            and (cost > self.money_left or (self.fair_money is not None and held >= self.fair_money))
        ):
            return False
        self._take_calls(1)
        self._take(cost)
        return True

    def takes_spare(self, money: Decimal, calls: int, busy: int) -> None:
        """Add what calls may need that come before the next report; less of it, the less is left."""
        if self.money_left is not None:
            self._take(min(money, _rounded(self.money_left / (2 * busy))))
        if self.calls_left is not None:
            self._take_calls(max(0, min(calls, self.calls_left // (2 * busy))))

    def _take(self, money: Decimal) -> None:
        if self.money_left is not None:
            self.money_left -= money
            self.money += money

    def _take_calls(self, calls: int) -> None:
        if self.calls_left is not None:
            self.calls_left -= calls
            self.calls += calls
