"""The arithmetic of a cluster's limits: money, permits to send a request, and calls under way. Pure: no clock, no Ray.

`Accounts` is the actor's side, and knows all workers. `Hand` is the side of one worker: what it was granted, what it
uses of that, and the calls that wait. A worker sends a `Report` and gets a `Reply`. In its report it returns all
that it does not use, and asks for what it needs next, so nothing stays with a worker that does not need it.

Money, permits and calls that were granted to a worker are taken until it returns or spends them. So the limits hold
even if a worker dies at any moment: its money counts as spent, because its requests may have been billed.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from itertools import islice
from typing import Final, Literal

from kilo_gateway.budget import exact

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
_SMALLEST: Final = Decimal("1e-9")


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

    def windows(self) -> dict[str, Window]:
        """Return the windows that requests are counted in."""
        limits = {"minute": (self.requests_per_minute, 60.0), "hour": (self.requests_per_hour, 3600.0)}
        windows = {name: Window(limit, seconds) for name, (limit, seconds) in limits.items() if limit is not None}
        return {**windows, "free": Window(FREE_PER_HOUR, 3600.0)}

    def rated(self, kind: Kind) -> bool:
        """Return True if a rate applies to calls of this kind."""
        return kind != "any" or self.requests_per_minute is not None or self.requests_per_hour is not None


class Window:
    """At most `limit` requests in any `seconds`, as the gateway counts them when they arrive.

    A permit is taken from the time it is granted until `seconds`, and a grace for its way, after the request was sent.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.granted = 0
        """Permits with workers, not used yet."""
        self._sent: deque[tuple[float, int]] = deque()
        self._count = 0

    def open(self, now: float) -> int:
        """Return how many permits can be granted."""
        while self._sent and self._sent[0][0] <= now:
            self._count -= self._sent.popleft()[1]
        return self.limit - self.granted - self._count

    def use(self, sent_at: float, count: int) -> None:
        """Count requests for which permits were granted."""
        self.granted -= count
        self._count += count
        until = sent_at + self.seconds + GRACE_SECONDS
        # Reports of several workers come out of order; a permit that is taken too long does no harm.
        self._sent.append((max(until, self._sent[-1][0]) if self._sent else until, count))

    def opens_in(self, now: float) -> float:
        """Return the seconds until a permit can be granted, if none is returned before."""
        if self.open(now) > 0:
            return 0.0
        return self._sent[0][0] - now if self._sent else math.inf


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
        self._windows = terms.windows()
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


@dataclass(slots=True)
class _Held:
    """A call under way."""

    kind: Kind
    cost: Decimal
    ready: bool = True
    """True if its next attempt may be sent."""


class Hand:
    """One worker. Each method takes the time in seconds, from any clock that never goes back."""

    def __init__(self, terms: Terms, worker: str) -> None:
        self._terms = terms
        self._worker = worker
        self._budget = None if terms.budget_usd is None else exact(terms.budget_usd)
        self._number = 0
        self._reported_waiting = 0
        self._unanswered: Report | None = None
        self._reply: Reply | None = None
        self._replied_at = -math.inf
        self._valid_until = -math.inf
        self._paused_until = -math.inf
        self._money = ZERO
        """Not used; negative if lost attempts cost more than was there."""
        self._calls = 0
        self._permits: Counter[Kind] = Counter()
        self._money_aside = ZERO
        """To be returned, because others wait for it."""
        self._calls_aside = 0
        self._held: dict[Hashable, _Held] = {}
        self._reserved = ZERO
        self._waiting: dict[Kind, dict[Hashable, Decimal]] = {"any": {}, "rate-limited free": {}}
        self._repeating: dict[Kind, dict[Hashable, None]] = {"any": {}, "rate-limited free": {}}
        self._since_report()

    def _since_report(self) -> None:
        self._spent = ZERO
        self._estimated = ZERO
        self._sent: Counter[tuple[Kind, int]] = Counter()
        self._requests = 0
        self._begun: Counter[Kind] = Counter()
        self._largest = ZERO
        self._pause = 0.0

    @property
    def under_way(self) -> int:
        """Number of calls that have their reservation."""
        return len(self._held)

    @property
    def left(self) -> Decimal | None:
        """Money that no call of the cluster has spent, as far as this worker knows; None if there is no limit."""
        if self._budget is None or self._reply is None:
            return None
        return self._budget - self._reply.spent - self._spent

    @property
    def spent(self) -> Decimal:
        """Money that the cluster has spent, as far as this worker knows."""
        return (self._reply.spent if self._reply else exact(self._terms.spent_usd)) + self._spent

    @property
    def under_way_money(self) -> Decimal:
        """Money that all workers hold, as far as this worker knows."""
        return self._reply.under_way if self._reply else ZERO

    def ask(self, call: Hashable, kind: Kind, cost: Decimal) -> Literal["granted", "queue", "spent"]:
        """Return "granted" if a call has its reservation; else it waits for it, unless the budget is spent."""
        if call in self._held:
            return "granted"
        if self._hopeless(cost):
            self._waiting[kind].pop(call, None)
            return "spent"
        self._waiting[kind].setdefault(call, cost)
        return "queue"

    def attempt(self, call: Hashable, now: float) -> Literal["granted", "queue", "spent"]:
        """Return "granted" if a call may send its request now; else it waits, unless the budget is spent."""
        held = self._held.get(call)
        if held is None:
            return "granted"  # it belongs to the process that this one was forked from, or to a share that was closed
        # The actor may count as used a permit that it gave long ago.
        if held.ready and (not self._terms.rated(held.kind) or now < self._valid_until):
            held.ready = False
            self._requests += 1
            if self._terms.rated(held.kind):
                self._sent[held.kind, math.ceil(now / AGE_SECONDS)] += 1
            return "granted"
        if self._is_lost(held):
            self._repeating[held.kind].pop(call, None)
            return "spent"
        self._repeating[held.kind][call] = None
        return "queue"

    def lose(self, call: Hashable, cost: Decimal) -> bool:
        """Count an attempt of a call that may have been billed; return True if there may be money for another."""
        held = self._held.get(call)
        if held is None:
            return True
        self._spend(cost, cost)
        return not self._is_lost(held)

    def settle(self, call: Hashable, cost: Decimal, estimated: Decimal) -> None:
        """End a call, or its wait."""
        self._leave_queue(call)
        held = self._held.pop(call, None)
        if held is None:
            return
        self._reserved -= held.cost
        if held.ready and self._terms.rated(held.kind):
            self._permits[held.kind] += 1
        if self._budget is not None:
            self._money += held.cost
        self._spend(cost, estimated)
        if self._reply is not None:
            self._set_aside(self._reply)

    def _leave_queue(self, call: Hashable) -> None:
        for costs in self._waiting.values():
            costs.pop(call, None)
        for calls in self._repeating.values():
            calls.pop(call, None)

    @property
    def _queued(self) -> int:
        return sum(map(len, self._waiting.values())) + sum(map(len, self._repeating.values()))

    def _spend(self, cost: Decimal, estimated: Decimal) -> None:
        self._spent += cost
        self._estimated += estimated
        if self._budget is not None:
            self._money -= cost

    def _set_aside(self, reply: Reply) -> None:
        # Others wait: a worker that has more than its part does not use again what a call has released.
        if self._terms.max_in_flight is not None:
            self._calls += 1
            if reply.fair_calls is not None and len(self._held) + self._calls > reply.fair_calls:
                self._calls, self._calls_aside = self._calls - 1, self._calls_aside + 1
        if reply.fair_money is not None:
            excess = min(self._money, self._money + self._reserved - reply.fair_money)
            if excess > 0:
                self._money, self._money_aside = self._money - excess, self._money_aside + excess

    def pause(self, seconds: float, now: float) -> None:
        """Send nothing for some seconds; the next report passes it on."""
        seconds = min(seconds, PAUSE_SECONDS)
        self._paused_until = max(self._paused_until, now + seconds)
        self._pause = max(self._pause, seconds)

    def serve(self, now: float) -> list[Hashable]:
        """Give what is there to calls that wait, in their order; return those that may go on."""
        if now < self._paused_until:
            return []
        served: list[Hashable] = []
        for kind, repeating in self._repeating.items():
            while repeating and self._money >= 0:
                call = next(iter(repeating))
                if not self._held[call].ready:
                    if not self._may_send(kind, now):
                        break
                    self._held[call].ready = True
                    self._take_permit(kind)
                elif now >= self._valid_until:
                    break
                del repeating[call]
                served.append(call)
        for kind, waiting in self._waiting.items():
            while waiting:
                call, cost = next(iter(waiting.items()))
                if not self._may_send(kind, now) or not self._fits(cost, now):
                    break
                del waiting[call]
                self._begin(call, kind, cost)
                served.append(call)
        return served

    def _may_send(self, kind: Kind, now: float) -> bool:
        return not self._terms.rated(kind) or (self._permits[kind] > 0 and now < self._valid_until)

    def _fits(self, cost: Decimal, now: float) -> bool:
        bounded = self._terms.max_in_flight is not None
        if (bounded or self._budget is not None) and now >= self._valid_until:
            return False
        return (not bounded or self._calls > 0) and (self._budget is None or cost <= self._money)

    def _begin(self, call: Hashable, kind: Kind, cost: Decimal) -> None:
        self._held[call] = _Held(kind, cost)
        self._reserved += cost
        self._begun[kind] += 1
        self._largest = max(self._largest, cost)
        self._take_permit(kind)
        if self._budget is not None:
            self._money -= cost
        if self._terms.max_in_flight is not None:
            self._calls -= 1

    def _take_permit(self, kind: Kind) -> None:
        if self._terms.rated(kind):
            self._permits[kind] -= 1

    def _hopeless(self, cost: Decimal) -> bool:
        left = self.left
        return left is not None and (left <= 0 or cost > left)

    def _is_lost(self, held: _Held) -> bool:
        """Return True if there is not enough money in the cluster to send a call again."""
        left = self.left
        return left is not None and self._money < 0 and (self._reserved > left or held.cost > left)

    def due_in(self, now: float) -> float | None:
        """Return the seconds until the next report helps, or None if there is nothing to report and to ask for."""
        if self._unanswered is not None:
            return 0.0
        if self._reply is None or self._pause:
            return 0.0
        if self._queued or self._calls_aside or self._money_aside:
            return max(0.0, self._replied_at + self._reply.again_in - now)
        held = self._held or self._money > 0 or self._calls or any(self._permits.values())
        if held or self._spent or self._requests or self._reported_waiting:
            return max(0.0, self._replied_at + REPORT_SECONDS - now)
        return None

    def report(self, now: float, *, leaves: bool = False) -> Report:
        """Return all that is not used, and ask for what is needed next. A report without a reply is repeated."""
        if self._unanswered is not None:
            return self._unanswered
        self._number += 1
        self._reported_waiting = self._queued
        returned = max(ZERO, self._money)
        self._unanswered = Report(
            worker=self._worker,
            number=self._number,
            spent=self._spent,
            estimated=self._estimated,
            returned=returned + self._money_aside,
            owed=max(ZERO, -self._money),
            calls_returned=self._calls + self._calls_aside,
            permits_returned=dict(self._permits),
            requests=self._requests,
            sent=tuple((kind, now - at * AGE_SECONDS, count) for (kind, at), count in self._sent.items()),
            under_way=len(self._held),
            waiting=self._queued,
            asks={kind: ask for kind in self._waiting if (ask := self._ask(kind)) is not None},
            spare=self._largest + self._spent if self._begun else ZERO,
            spare_calls=self._begun.total(),
            pause=self._pause,
            leaves=leaves,
        )
        self._money -= returned
        self._money_aside = ZERO
        self._calls = self._calls_aside = 0
        self._permits.clear()
        self._since_report()
        return self._unanswered

    def _ask(self, kind: Kind) -> Ask | None:
        costs = tuple(islice(self._waiting[kind].values(), MOST_ASKED))
        ask = Ask(len(self._repeating[kind]), costs, self._begun[kind])
        return ask if ask.repeats or ask.costs or ask.spare else None

    def take(self, reply: Reply, *, sent_at: float, now: float) -> list[Hashable]:
        """Take in the reply to the last report, which was sent at `sent_at`; return the calls that may go on.

        Some of them may learn that the budget is spent.
        """
        self._unanswered, self._reply, self._replied_at = None, reply, now
        # The actor's lease begins when the report arrives, so that a worker that counts as dead has stopped before.
        self._valid_until = sent_at + 0.9 * self._terms.lease_seconds
        self._paused_until = max(self._paused_until, now + reply.pause)
        if reply.revived:
            self._permits.clear()
            self._sent.clear()
            for held in self._held.values():
                held.ready = held.ready and not self._terms.rated(held.kind)
        self._money += reply.money
        self._calls += reply.calls
        self._permits.update(reply.permits)
        hopeless = [
            call for costs in self._waiting.values() for call, cost in list(costs.items()) if self._hopeless(cost)
        ]
        hopeless += [call for calls in self._repeating.values() for call in calls if self._is_lost(self._held[call])]
        for call in hopeless:
            self._leave_queue(call)
        return [*hopeless, *self.serve(now)]
