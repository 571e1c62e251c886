"""A limit on the cost of calls, shared by every object that has it. Numbers only: no I/O, no prices."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal, Protocol, Self, get_args
from weakref import WeakSet

UnknownPrice = Literal["one_at_a_time", "refuse", "allow"]
"""How a budget treats a call whose cost has no known upper limit."""

Verdict = Literal["granted", "spent", "refused", "lost count", "wait", "wait for yourself", "queue"]
"""The answer to a call that asks to be sent; "queue" is a wait that may take any time."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Where a call runs: its thread and, in a coroutine, its event loop and task."""

    thread: int
    loop: int | None = None
    task: int | None = None

    def can_wait_for(self, other: Holder) -> bool:
        """Return True if `other` can continue while this one waits."""
        if self.thread != other.thread:
            return True
        return self.loop is not None and self.loop == other.loop and self.task != other.task


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one attempt in USD, or None if it is unknown; `estimated` if the gateway did not report it."""

    usd: float | None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """The words for a limit in the text of an error."""

    subject: str
    higher: str
    """The remedy that allows more."""
    unknown: str
    """The remedy for a call of unknown price."""
    refused: str
    """The reason why a call of unknown price is refused."""


class Limit(ABC):
    """What calls are counted against. A call reserves, is sent, and settles; all from any thread.

    Garbage collection may end a call at any time, also in a thread that holds the lock: ended calls queue.
    """

    wording: ClassVar[Wording]

    def __init__(self) -> None:
        self._start_empty()
        _LIMITS.add(self)

    def _start_empty(self) -> None:
        """Forget the calls under way and the lock, which belong to the parent process."""
        self._lock = threading.Lock()
        self._ended: deque[tuple[Hashable, Cost | None]] = deque()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            self._settle_ended()
            yield
        # A call may have ended while the lock was held.
        self._settle_if_free()

    def _settle_if_free(self) -> None:
        while self._ended and self._lock.acquire(
            blocking=False
        ):  # the thread that holds it looks at the queue afterwards
            try:
                self._settle_ended()
            finally:
                self._lock.release()

    def _settle_ended(self) -> None:
        while self._ended:
            self._end(*self._ended.popleft())

    def settle(self, call: Hashable, cost: Cost | None) -> None:
        """Replace the reservation of `call` by its cost, None for nothing; only the first time counts.

        A call that no longer waits for its reservation settles with None.
        """
        self._ended.append((call, cost))
        self._settle_if_free()

    @abstractmethod
    def _end(self, call: Hashable, cost: Cost | None) -> None:
        """Settle a call while the lock is held."""

    @abstractmethod
    def reserve(self, call: Any, usd: float | None, holder: Holder, wake: Callable[[], None]) -> Verdict:
        """Reserve the most that `call` may cost, None if it is unknown.

        After "wait" and "queue", `wake` is called once, from any thread, as soon as asking again may help.
        """

    @abstractmethod
    def again(self, call: Hashable, lost: Cost) -> bool:
        """Count the attempt of `call` that was lost; return True if another one fits."""

    @abstractmethod
    def state(self) -> tuple[float | None, float, float]:
        """Return the limit, what is spent, and the most that calls under way may cost, in USD."""


class Caller(Hashable, Protocol):
    """A call, as the limits of a cluster see it."""

    model: str
    keyed: bool
    """True if the call is made for an account."""


class Rate(Limit):
    """A limit on requests besides money: each attempt of a call has its turn. See `in_force`."""

    @abstractmethod
    def attempt(self, call: Hashable, wake: Callable[[], None]) -> Verdict:
        """Take the turn of the next attempt of a call that has its reservation; "queue" is as in `reserve`."""

    @abstractmethod
    def pause(self, seconds: float) -> None:
        """Send nothing for some seconds, because the gateway asks for it."""


in_force: Final[ContextVar[tuple[Rate, ...]]] = ContextVar("kilo_gateway_limits", default=())
"""The limits that each call of this context obeys, besides the budget of its model."""


@dataclass(frozen=True, slots=True)
class _Reserved:
    """The most that a call under way may cost, and the calls that wait for its end."""

    cost: Decimal
    holder: Holder
    unknown: bool


class KiloBudget(Limit):
    """Refuse the next request once it could cost more than is left of `limit_usd`.

    Pass the same instance to every model that should share the limit:

        budget = KiloBudget(limit_usd=0.50)
        llm, embeddings = ChatKilo(budget=budget), KiloEmbeddings(budget=budget)

    Before a request is sent, the budget reserves what it may cost at most, by the list of models that was fetched last
    (`kilo_gateway.list_models`): the prompt, and an answer of `max_tokens`, or of the model's own limit if
    `max_tokens` is not set; for an auto tier, at the prices of the dearest model that it can reach. A request that
    does not fit raises KiloBudgetExceeded and is not sent; one that fits once the calls under way have ended waits for
    them, for ten minutes at most. The limit is therefore never passed while prices are known.

    If a price is not known, `unknown_price` decides: "one_at_a_time" (default) lets one such call run, and the next
    waits for its end, so that the limit is passed by at most one call; "refuse" sends none; "allow" sends all, and
    the limit may be passed by as much as they cost.

    A call counts what the gateway reports. If it reports no cost, its tokens count at the listed prices. An answer
    that was cut, closed early, cancelled or lost may have been billed: it counts an estimate, never below what the
    listed prices allow, which `estimated_calls` and `estimated_usd` report. A call whose price nobody knows counts
    `unknown_cost_usd`, and `unpriced_calls` reports how many there were; without that argument it is the last of its
    kind that "one_at_a_time" lets run, because what it has cost stays unknown.

    It is safe among threads and tasks. A copy is the same budget. One that was pickled, or that a forked process
    inherits, goes on by itself from what was spent. Raises ValueError for a limit that is not above 0.
    """

    wording = Wording(
        subject="The budget",
        higher="Use a KiloBudget with a higher limit_usd",
        unknown="Fetch the prices with list_models(), choose a model that has one, or pass unknown_price='allow'",
        refused="unknown_price is 'refuse'",
    )

    def __init__(
        self, limit_usd: float, *, unknown_cost_usd: float | None = None, unknown_price: UnknownPrice = "one_at_a_time"
    ) -> None:
        if not 0 < limit_usd < float("inf"):
            raise ValueError(f"limit_usd={limit_usd!r} must be a number of USD above 0; for no limit leave budget out")
        if unknown_cost_usd is not None and not 0 <= unknown_cost_usd < float("inf"):
            raise ValueError(f"unknown_cost_usd={unknown_cost_usd!r} must be a number of USD, 0 or more, or None")
        if unknown_price not in get_args(UnknownPrice):
            raise ValueError(f"unknown_price={unknown_price!r} must be one of {', '.join(get_args(UnknownPrice))}")
        self.limit_usd = float(limit_usd)
        self.unknown_cost_usd = unknown_cost_usd
        self.unknown_price = unknown_price
        self._spent = Decimal(0)
        self._estimated = Decimal(0)
        self._estimated_calls = 0
        self._unpriced_calls = 0
        super().__init__()

    def _start_empty(self) -> None:
        super()._start_empty()
        self._under_way: dict[Hashable, _Reserved] = {}
        self._waiting: list[Callable[[], None]] = []

    def _end(self, call: Hashable, cost: Cost | None) -> None:
        # A call that is not under way here belongs to the process that this one was forked from.
        if self._under_way.pop(call, None) is None:
            return
        if cost is not None:
            self._count(cost)
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    @property
    def spent_usd(self) -> float:
        """The cost of calls so far in USD, estimates included."""
        with self._locked():
            return float(self._spent)

    @property
    def under_way_usd(self) -> float:
        """The most that calls under way may cost, in USD."""
        with self._locked():
            return float(self._reserved())

    @property
    def left_usd(self) -> float:
        """The most that a request may still cost, in USD; never negative."""
        with self._locked():
            return float(max(Decimal(0), exact(self.limit_usd) - self._spent - self._reserved()))

    @property
    def unpriced_calls(self) -> int:
        """Number of calls whose cost neither the gateway nor the list of models reports."""
        with self._locked():
            return self._unpriced_calls

    @property
    def estimated_calls(self) -> int:
        """Number of answers and attempts that count an estimate, because they may have been billed."""
        with self._locked():
            return self._estimated_calls

    @property
    def estimated_usd(self) -> float:
        """The part of `spent_usd` that is an estimate."""
        with self._locked():
            return float(self._estimated)

    def reserve(self, call: Hashable, usd: float | None, holder: Holder, wake: Callable[[], None]) -> Verdict:
        """Reserve the most that `call` may cost, as `Limit.reserve` says."""
        with self._locked():
            cost = self._amount(usd)
            unspent = exact(self.limit_usd) - self._spent
            if unspent <= 0 or cost > unspent:
                return "spent"
            if usd is None and self.unknown_price == "refuse":
                return "refused"
            one_at_a_time = usd is None and self.unknown_price == "one_at_a_time"
            if one_at_a_time and self._unpriced_calls and self.unknown_cost_usd is None:
                return "lost count"
            taken = [other for other in self._under_way.values() if not one_at_a_time or other.unknown]
            fits = cost <= unspent - sum(other.cost for other in self._under_way.values())
            if fits and not (one_at_a_time and taken):
                self._under_way[call] = _Reserved(cost, holder, unknown=usd is None)
                return "granted"
            stuck = [other for other in taken if not holder.can_wait_for(other.holder)]
            if (one_at_a_time and stuck) or cost > unspent - sum(other.cost for other in stuck):
                return "wait for yourself"
            self._waiting.append(wake)
            return "wait"

    def again(self, call: Hashable, lost: Cost) -> bool:
        """Count an attempt that was lost, as `Limit.again` says."""
        with self._locked():
            if call not in self._under_way:
                return True
            self._count(lost)
            return self._spent + self._reserved() <= exact(self.limit_usd)

    def state(self) -> tuple[float, float, float]:
        """Return the limit, what is spent, and the most that calls under way may cost, in USD."""
        with self._locked():
            return self.limit_usd, float(self._spent), float(self._reserved())

    def _count(self, cost: Cost) -> None:
        usd = self._amount(cost.usd)
        self._spent += usd
        self._unpriced_calls += cost.usd is None
        if cost.estimated and cost.usd is not None:
            self._estimated += usd
            self._estimated_calls += 1

    def _amount(self, usd: float | None) -> Decimal:
        return exact((self.unknown_cost_usd or 0.0) if usd is None else usd)

    def _reserved(self) -> Decimal:
        return sum((reserved.cost for reserved in self._under_way.values()), Decimal(0))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        of_this_process = ("_lock", "_under_way", "_waiting", "_ended")
        return {name: value for name, value in self.__dict__.items() if name not in of_this_process}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        super().__init__()

    def __repr__(self) -> str:
        return f"KiloBudget(limit_usd={self.limit_usd:g}, spent_usd={self.spent_usd:g})"


def exact(usd: float) -> Decimal:
    """Return an amount whose sums do not drift: a hundred times 0.01 is 1."""
    return Decimal(repr(float(usd)))


_LIMITS: Final[WeakSet[Limit]] = WeakSet()


def _start_empty_after_fork() -> None:
    for limit in list(_LIMITS):
        limit._start_empty()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_empty_after_fork)
