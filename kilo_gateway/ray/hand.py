"""A worker's side of a cluster's limits: what it was granted, what it uses of that, and the calls that wait. Pure.

The other side is `Accounts`, in `accounts.py`. In each report the worker returns all that it does not use, and asks for
what it needs next, so nothing stays with a worker that does not need it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Literal

from kilo_gateway.budget import exact
from kilo_gateway.ray.reports import (
    AGE_SECONDS,
    MOST_ASKED,
    PAUSE_SECONDS,
    REPORT_SECONDS,
    ZERO,
    Ask,
    Kind,
    Reply,
    Report,
    Terms,
)


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
