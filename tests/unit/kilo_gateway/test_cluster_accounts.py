"""The limits of a cluster, simulated: workers that ask, spend, fall silent and die, and a gateway that counts."""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kilo_gateway.ray.accounts import Accounts
from kilo_gateway.ray.hand import Hand
from kilo_gateway.ray.reports import GRACE_SECONDS, REPORT_SECONDS, Kind, Terms

CENT = Decimal("0.01")


@dataclass
class Call:
    """A call of a worker, and what the gateway bills for each of its attempts."""

    number: int
    kind: Kind
    cost: Decimal
    billed: Decimal = Decimal(0)
    sent: bool = False

    def __hash__(self) -> int:
        return self.number


@dataclass
class Worker:
    """A worker process; the requests that it has under way end with it."""

    hand: Hand
    queued: list[Call] = field(default_factory=list)
    reserved: list[Call] = field(default_factory=list)
    frozen_at: float | None = None


class Cluster:
    """Workers and their actor, on a clock that the test moves."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.now = 1000.0
        self.accounts = Accounts(terms)
        self.workers: list[Worker] = []
        self.billed = Decimal(0)
        self.arrivals: dict[Kind, list[float]] = {"any": [], "rate-limited free": []}
        self.kills = 0
        self.exchanges = 0
        self.refused = 0
        self.answered = 0
        self._numbers = count()

    def start(self) -> Worker:
        worker = Worker(Hand(self.terms, f"worker-{next(self._numbers)}"))
        self.workers.append(worker)
        return worker

    def ask(self, worker: Worker, cost: Decimal, kind: Kind = "any") -> None:
        call = Call(next(self._numbers), kind, cost)
        worker.queued.append(call)
        self._look(worker, [call])

    def serve(self, worker: Worker) -> None:
        self._look(worker, worker.hand.serve(self.now))

    def _look(self, worker: Worker, calls: list[Any]) -> None:
        for call in calls:
            if call in worker.reserved:
                continue  # its next attempt may be sent
            verdict = worker.hand.ask(call, call.kind, call.cost)
            if verdict != "queue":
                worker.queued.remove(call)
            if verdict == "granted":
                worker.reserved.append(call)
            self.refused += verdict == "spent"

    def send(self, worker: Worker, call: Call, share: float, delay: float) -> None:
        """Send an attempt if it may be sent; it is billed a share of the most that it may cost."""
        verdict = worker.hand.attempt(call, self.now)
        if verdict == "spent":
            self.end(worker, call, answered=False)
        if verdict == "granted":
            call.sent = True
            call.billed = (call.cost * Decimal(repr(share))).quantize(Decimal("1e-6"))
            self.billed += call.billed
            self.arrivals[call.kind].append(self.now + delay)

    def end(self, worker: Worker, call: Call, *, answered: bool) -> None:
        worker.reserved.remove(call)
        cost = Decimal(0) if not call.sent else call.billed if answered else call.cost
        worker.hand.settle(call, cost, Decimal(0) if answered else cost)
        self.answered += answered
        self.serve(worker)

    def lose(self, worker: Worker, call: Call) -> None:
        """Lose the attempt of a call, as when the connection breaks; the call is sent again."""
        call.sent = False
        if not worker.hand.lose(call, call.cost):
            self.end(worker, call, answered=False)

    def exchange(self, worker: Worker, *, arrives: bool = True, returns: bool = True, leaves: bool = False) -> None:
        report = worker.hand.report(self.now, leaves=leaves)
        sent_at = self.now
        if not arrives:
            return
        self.exchanges += 1
        reply = self.accounts.exchange(report, self.now)
        if returns:
            self._look(worker, worker.hand.take(reply, sent_at=sent_at, now=self.now))

    def kill(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.kills += 1

    def pass_time(self, seconds: float) -> None:
        """Let all workers that are not frozen report as they do."""
        end = self.now + seconds
        while self.now < end:
            awake = [worker for worker in self.workers if worker.frozen_at is None]
            for worker in awake:
                if worker.hand.due_in(self.now) == 0:
                    self.exchange(worker)
            waits = [due for worker in awake if (due := worker.hand.due_in(self.now)) is not None]
            self.now = min([end, *(self.now + max(0.01, wait) for wait in waits)])

    @property
    def in_flight(self) -> int:
        """Requests under way, but for workers that are silent for so long that they count as dead."""
        lease = self.terms.lease_seconds
        there = [w for w in self.workers if w.frozen_at is None or self.now - w.frozen_at <= lease]
        return sum(call.sent for worker in there for call in worker.reserved)

    def most_in(self, seconds: float, kinds: tuple[Kind, ...] = ("any", "rate-limited free")) -> int:
        """Return the most requests that arrived within any such time, its end not included."""
        times = sorted(at for kind in kinds for at in self.arrivals[kind])
        return max((bisect_left(times, at + seconds - 1e-6) - place for place, at in enumerate(times)), default=0)

    def work_off(self, rounds: int = 2000) -> None:
        """Answer all calls, and let those that wait have their turn."""
        for worker in self.workers:
            worker.frozen_at = None
        for _ in range(rounds):
            for worker in self.workers:
                for call in list(worker.reserved):
                    if not call.sent:
                        self.send(worker, call, 0.5, 0.0)
                    if call.sent and call in worker.reserved:
                        self.end(worker, call, answered=True)
            if not any(worker.queued or worker.reserved for worker in self.workers):
                return
            self.pass_time(1.0)
        raise AssertionError(f"calls wait for ever: {self.workers}, {self.accounts.status(self.now)}")

    def take_all_that_is_left(self) -> None:
        """One more call costs all that is left, and is sent: no money is stranded."""
        assert self.terms.budget_usd is not None
        self.pass_time(self.terms.lease_seconds + 3 * REPORT_SECONDS)
        left = self.accounts.status(self.now).left_usd
        assert left is not None
        assert left == pytest.approx(self.terms.budget_usd - self.accounts.status(self.now).spent_usd)
        if left > 0:
            before, worker = self.billed, self.start()
            self.ask(worker, Decimal(repr(left)).quantize(Decimal("1e-9")))
            for _ in range(400):
                if worker.reserved:
                    break
                self.pass_time(1.0)
            self.send(worker, worker.reserved[0], 1.0, 0.0)
            assert self.billed > before


def test_a_hundred_kills_pass_no_limit_and_lose_little() -> None:
    chance = random.Random(19)
    terms = Terms(budget_usd=100.0, requests_per_minute=600, max_in_flight=20)
    cluster = Cluster(terms)
    for _ in range(4):
        cluster.start()
    while cluster.kills < 100:
        for worker in list(cluster.workers):
            for _ in range(8 - len(worker.queued) - len(worker.reserved)):
                cluster.ask(worker, Decimal(chance.randint(1, 100)) / 10_000)
            for call in list(worker.reserved):
                if not call.sent:
                    cluster.send(worker, call, chance.random(), chance.random() * GRACE_SECONDS)
                elif chance.random() < 0.5:
                    cluster.end(worker, call, answered=True)
            if chance.random() < 0.01:
                cluster.kill(worker)
                cluster.start()
        cluster.pass_time(0.1)
        assert cluster.in_flight <= 20
    cluster.work_off()
    assert cluster.most_in(60.0) <= 600
    before = cluster.accounts.status(cluster.now)
    # A death costs at most what the worker could have under way, and what it held for the next calls.
    assert float(cluster.billed) <= before.spent_usd <= float(cluster.billed) + 100 * 10 * 0.01
    cluster.take_all_that_is_left()
    assert cluster.billed <= 100


def test_a_spent_budget_is_spent_to_within_one_request() -> None:
    chance = random.Random(7)
    cluster = Cluster(Terms(budget_usd=1.0))
    for _ in range(5):
        cluster.start()
    most = Decimal("0.03")
    while cluster.refused < 100:
        for worker in list(cluster.workers):
            for call in list(worker.reserved):
                if not call.sent:
                    cluster.send(worker, call, 0.7, 0.0)
                elif chance.random() < 0.5:
                    cluster.end(worker, call, answered=True)
            if len(worker.queued) + len(worker.reserved) < 10:
                cluster.ask(worker, most)
        cluster.pass_time(0.1)
    cluster.work_off()
    cluster.pass_time(3 * REPORT_SECONDS)
    status = cluster.accounts.status(cluster.now)
    assert (status.waiting, status.workers) == (0, 0)
    assert 1 - float(most) < status.spent_usd <= 1
    assert float(cluster.billed) == pytest.approx(status.spent_usd)


def test_few_permits_go_round_among_many_workers() -> None:
    cluster = Cluster(Terms(max_in_flight=2))
    workers = [cluster.start() for _ in range(6)]
    answered = {worker.hand: 0 for worker in workers}
    for _ in range(100):
        for worker in workers:
            for call in list(worker.reserved):
                if call.sent:
                    cluster.end(worker, call, answered=True)
                    answered[worker.hand] += 1
                else:
                    cluster.send(worker, call, 1.0, 0.0)
            if len(worker.queued) + len(worker.reserved) < 5:
                cluster.ask(worker, CENT)
        cluster.pass_time(0.5)
    assert min(answered.values()) >= 5


def test_a_slice_serves_many_calls() -> None:
    cluster = Cluster(Terms(budget_usd=1000.0, max_in_flight=100))
    workers = [cluster.start() for _ in range(2)]
    for _ in range(1000):
        for worker in workers:
            for call in list(worker.reserved):
                if call.sent:
                    cluster.end(worker, call, answered=True)
                else:
                    cluster.send(worker, call, 0.5, 0.0)
            for _ in range(32 - len(worker.queued) - len(worker.reserved)):
                cluster.ask(worker, CENT)
            cluster.serve(worker)
        cluster.pass_time(0.02)
    assert cluster.answered > 20_000
    assert cluster.exchanges < 100


def test_anonymous_calls_of_a_rate_limited_model_keep_to_its_hour() -> None:
    cluster = Cluster(Terms())
    worker = cluster.start()
    for _ in range(250):
        cluster.ask(worker, Decimal(0), "rate-limited free")
        cluster.ask(worker, Decimal(0))
    cluster.work_off(rounds=4000)
    assert cluster.answered == 500
    assert cluster.most_in(3600.0, ("rate-limited free",)) == 200
    assert cluster.arrivals["any"][-1] < 1010


def test_a_pause_of_one_worker_stops_all() -> None:
    cluster = Cluster(Terms(requests_per_minute=1000))
    first, second = cluster.start(), cluster.start()
    for worker in (first, second):
        cluster.ask(worker, CENT)
    cluster.pass_time(0.1)
    first.hand.pause(30.0, cluster.now)
    began = cluster.now
    cluster.pass_time(REPORT_SECONDS)
    for _ in range(50):
        cluster.ask(second, CENT)
    cluster.work_off()
    late = [at for at in cluster.arrivals["any"] if at > began + 2 * REPORT_SECONDS]
    assert len(late) >= 50
    assert min(late) >= began + 30


TERMS = Terms(budget_usd=1.0, requests_per_minute=20, max_in_flight=5)
costs = st.integers(1, 30).map(lambda cents: cents * CENT)
kinds = st.sampled_from(["any", "any", "any", "rate-limited free"])


class Limits(RuleBasedStateMachine):
    """Anything may happen in any order; the gateway never sees more than the limits."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(TERMS)
        self.cluster.start()

    def worker(self, data: Any) -> Worker | None:
        return data.draw(st.sampled_from(self.cluster.workers)) if self.cluster.workers else None

    def call(self, data: Any) -> tuple[Worker, Call] | None:
        there = [(w, c) for w in self.cluster.workers if w.frozen_at is None for c in w.reserved if c.sent]
        return data.draw(st.sampled_from(there)) if there else None

    @rule()
    def a_worker_starts(self) -> None:
        if len(self.cluster.workers) < 4:
            self.cluster.start()

    @rule(data=st.data(), cost=costs, kind=kinds, times=st.integers(1, 6))
    def a_worker_asks(self, data: Any, cost: Decimal, kind: Kind, times: int) -> None:
        if (worker := self.worker(data)) and worker.frozen_at is None:
            for _ in range(times):
                self.cluster.ask(worker, cost, kind)
            self.cluster.serve(worker)

    @rule(share=st.sampled_from([0.0, 0.1, 1.0]), delay=st.sampled_from([0.0, GRACE_SECONDS]))
    def requests_are_sent(self, share: float, delay: float) -> None:
        for worker in self.cluster.workers:
            if worker.frozen_at is None:
                for call in [call for call in worker.reserved if not call.sent]:
                    self.cluster.send(worker, call, share, delay)

    @rule(
        cost=costs,
        share=st.sampled_from([0.1, 1.0]),
        delay=st.sampled_from([0.0, GRACE_SECONDS]),
        seconds=st.sampled_from([0.2, 1.0, 5.0]),
    )
    def all_workers_work(self, cost: Decimal, share: float, delay: float, seconds: float) -> None:
        for worker in self.cluster.workers:
            if worker.frozen_at is None:
                for call in [call for call in worker.reserved if call.sent]:
                    self.cluster.end(worker, call, answered=True)
                for _ in range(6 - len(worker.queued)):
                    self.cluster.ask(worker, cost)
                self.cluster.serve(worker)
        self.cluster.pass_time(seconds)
        self.requests_are_sent(share, delay)

    @rule(data=st.data(), answered=st.booleans())
    def a_request_ends(self, data: Any, answered: bool) -> None:
        if found := self.call(data):
            self.cluster.end(*found, answered=answered)

    @rule(data=st.data())
    def an_attempt_is_lost(self, data: Any) -> None:
        if found := self.call(data):
            self.cluster.lose(*found)

    @rule(data=st.data(), arrives=st.booleans(), returns=st.booleans())
    def a_worker_reports(self, data: Any, arrives: bool, returns: bool) -> None:
        if (worker := self.worker(data)) and worker.frozen_at is None:
            self.cluster.exchange(worker, arrives=arrives, returns=returns)

    @rule(data=st.data())
    def a_worker_dies(self, data: Any) -> None:
        if worker := self.worker(data):
            self.cluster.kill(worker)

    @rule(data=st.data())
    def a_worker_ends(self, data: Any) -> None:
        if (worker := self.worker(data)) and worker.frozen_at is None:
            self.cluster.exchange(worker, leaves=True)
            self.cluster.workers.remove(worker)

    @rule(data=st.data())
    def a_worker_freezes(self, data: Any) -> None:
        if (worker := self.worker(data)) and worker.frozen_at is None:
            worker.frozen_at = self.cluster.now

    @rule(data=st.data())
    def a_worker_goes_on(self, data: Any) -> None:
        if worker := self.worker(data):
            if worker.frozen_at and self.cluster.now - worker.frozen_at > TERMS.lease_seconds:
                # Its requests were counted as ended; the gateway may see more at once than allowed.
                for call in [call for call in worker.reserved if call.sent]:
                    self.cluster.end(worker, call, answered=False)
            worker.frozen_at = None

    @rule(data=st.data(), seconds=st.sampled_from([1.0, 5.0]))
    def the_gateway_asks_to_wait(self, data: Any, seconds: float) -> None:
        if (worker := self.worker(data)) and worker.frozen_at is None:
            worker.hand.pause(seconds, self.cluster.now)

    @rule(seconds=st.sampled_from([0.01, 0.2, 3.0, 12.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.cluster.pass_time(seconds)

    @invariant()
    def the_limits_hold(self) -> None:
        cluster = self.cluster
        assert cluster.billed <= Decimal("1.0")
        assert cluster.in_flight <= 5
        assert cluster.most_in(60.0) <= 20
        assert cluster.accounts.status(cluster.now).spent_usd <= 1.0

    def teardown(self) -> None:
        self.cluster.work_off()
        self.the_limits_hold()
        self.cluster.take_all_that_is_left()
        self.the_limits_hold()


TestLimits = Limits.TestCase
TestLimits.settings = settings(stateful_step_count=40)
