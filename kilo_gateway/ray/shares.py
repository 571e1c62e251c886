"""What one process holds of the limits of a cluster: a `Hand` that its calls ask, and a thread that reports for it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Hashable
from contextlib import suppress
from decimal import Decimal
from typing import Final

from kilo_gateway import routing
from kilo_gateway.budget import Caller, Cost, Holder, Rate, Verdict, Wording, exact
from kilo_gateway.ray.hand import Hand
from kilo_gateway.ray.reports import ZERO, Kind, Reply, Report, Terms

RESEND_SECONDS: Final = 0.5
"""Seconds until a report is sent again that got no reply."""
_CLOSE_SECONDS: Final = 5.0


class Share(Rate):
    """The limits of a cluster in one process; the calls of all its threads and tasks share it.

    `exchange` sends a report and returns the reply, or None if there was none. It runs in a thread of its own, which
    lives while there is something to report or to ask for. Whatever it raises, each call raises from then on.
    """

    wording = Wording(
        subject="The limit of the cluster (ClusterLimits)",
        higher="Run the rows that are left with a higher budget_usd and with the spent_usd of this job",
        unknown="Fetch the prices with list_models() before the job starts, choose a model that has one, or pass "
        "unknown_cost_usd=",
        refused="ClusterLimits has no unknown_cost_usd",
    )

    def __init__(self, terms: Terms, exchange: Callable[[Report], Reply | None]) -> None:
        self._terms = terms
        self._exchange = exchange
        super().__init__()

    def _start_empty(self) -> None:
        super()._start_empty()
        self._hand = Hand(self._terms, uuid.uuid4().hex)
        self._wakes: dict[Hashable, Callable[[], None]] = {}
        self._holders: dict[Hashable, tuple[Holder, Decimal]] = {}
        self._thread: threading.Thread | None = None
        self._looks_at = 0.0
        self._closing = False
        self._failure: Exception | None = None
        # A bare lock that is released to wake the thread: it is safe from garbage collection, as an event is not.
        self._signal = threading.Lock()
        self._signal.acquire()

    def reserve(self, call: Caller, usd: float | None, holder: Holder, wake: Callable[[], None]) -> Verdict:
        """Reserve what a call needs, as `Limit.reserve` says."""
        budgeted = self._terms.budget_usd is not None
        if budgeted and usd is None and self._terms.unknown_cost_usd is None:
            return "refused"
        kind, cost = _kind(call), self._amount(usd)
        with self._locked():
            self._check()
            verdict = self._hand.ask(call, kind, cost)
            if verdict == "queue":
                self._serve()
                verdict = self._hand.ask(call, kind, cost)
            self._report_soon()
            if verdict == "granted":
                self._holders[call] = holder, cost
            if verdict != "queue":
                return verdict
            mine = [reserved for other, reserved in self._holders.values() if not holder.can_wait_for(other)]
            if mine and self._never_fits(len(mine), sum(mine, cost)):
                self._hand.settle(call, ZERO, ZERO)
                return "wait for yourself"
            self._wakes[call] = wake
            # The calls of others might wait in the same way, each for the end of another's.
            return "wait" if mine else "queue"

    def _never_fits(self, calls: int, cost: Decimal) -> bool:
        in_flight, left = self._terms.max_in_flight, self._hand.left
        return (in_flight is not None and calls >= in_flight) or (left is not None and cost > left)

    def attempt(self, call: Hashable, wake: Callable[[], None]) -> Verdict:
        """Take the turn of the next attempt of a call, as `Rate.attempt` says."""
        with self._locked():
            verdict = self._hand.attempt(call, time.monotonic())
            if verdict == "queue":
                self._check()
                self._serve()
                verdict = self._hand.attempt(call, time.monotonic())
            if verdict == "queue":
                self._wakes[call] = wake
                self._report_soon()
            return verdict

    def again(self, call: Hashable, lost: Cost) -> bool:
        """Count an attempt that was lost, as `Limit.again` says."""
        with self._locked():
            return self._hand.lose(call, self._amount(lost.usd))

    def pause(self, seconds: float) -> None:
        """Send nothing for some seconds, and let the other processes know."""
        with self._locked():
            self._hand.pause(seconds, time.monotonic())
            self._report_soon()

    def state(self) -> tuple[float | None, float, float]:
        """Return the limit, and what the cluster has spent and has under way, as far as this process knows."""
        with self._locked():
            return self._terms.budget_usd, float(self._hand.spent), float(self._hand.under_way_money)

    def close(self) -> None:
        """Report for the last time and release everything; calls under way count as lost. A later call starts again."""
        with self._locked():
            thread, self._closing = self._thread, self._thread is not None
            self._wake_thread()
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _end(self, call: Hashable, cost: Cost | None) -> None:
        self._wakes.pop(call, None)
        self._holders.pop(call, None)
        usd = ZERO if cost is None else self._amount(cost.usd)
        guessed = cost is not None and (cost.estimated or cost.usd is None)
        self._hand.settle(call, usd, usd if guessed else ZERO)
        self._serve()
        if self._due_in() < self._looks_at - time.monotonic():
            self._wake_thread()

    def _amount(self, usd: float | None) -> Decimal:
        return exact((self._terms.unknown_cost_usd or 0.0) if usd is None else usd)

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError(f"The limits of the cluster do not answer: {self._failure}") from self._failure

    def _serve(self) -> None:
        self._wake(self._hand.serve(time.monotonic()))

    def _wake(self, calls: list[Hashable]) -> None:
        for call in calls:
            if (wake := self._wakes.pop(call, None)) is not None:
                wake()

    def _due_in(self) -> float:
        due = self._hand.due_in(time.monotonic())
        return float("inf") if due is None else due

    def _report_soon(self) -> None:
        """Let the thread look whether a report is due; there may be none yet."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._report, name="kilo-gateway limits", daemon=True)
            self._thread.start()
        elif self._due_in() < self._looks_at - time.monotonic():
            self._wake_thread()

    def _wake_thread(self) -> None:
        self._looks_at = 0.0
        with suppress(RuntimeError):  # it is awake
            self._signal.release()

    def _report(self) -> None:
        while (due := self._look()) is not None:
            self._signal.acquire(timeout=due)

    def _look(self) -> float | None:
        """Send a report if one is due; return the seconds until the thread looks again, or None if it ends."""
        now = time.monotonic()
        with self._locked():
            due = self._hand.due_in(now)
            leaves = self._closing
            if due is None and not leaves:
                self._thread = None
                return None
            if due and not leaves:
                self._looks_at = now + due
                return due
            report = self._hand.report(now, leaves=leaves)
        try:
            reply = self._exchange(report)
        except Exception as error:  # each call that waits raises it
            with self._locked():
                self._thread, self._failure = None, error
                self._wake(list(self._wakes))
            return None
        with self._locked():
            if reply is not None:
                self._wake(self._hand.take(reply, sent_at=now, now=time.monotonic()))
            if report.leaves:
                self._thread, self._closing = None, False
                return None
        return 0.0 if reply is not None else RESEND_SECONDS


def _kind(call: Caller) -> Kind:
    # Without an account, this tier is served by a free model whose requests are limited for each address
    # (docs/gateway.md, "Auto models" and "Rate limits").
    return "any" if call.keyed or routing.tier_of(call.model) != "small" else "rate-limited free"
