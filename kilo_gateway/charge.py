"""The cost of one call, the limits that it is charged to and the tally that counts it. No I/O.

The limits are its model's budget, and those of a cluster. Without a limit and a tally, a charge does nothing.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, Self

from kilo_gateway import tally
from kilo_gateway.budget import Cost, Holder, KiloBudget, Limit, Rate, Verdict, in_force
from kilo_gateway.errors import KiloBudgetExceeded, KiloConnectionError, KiloError, KiloResponseError
from kilo_gateway.models import prices
from kilo_gateway.usage import Usage

if TYPE_CHECKING:
    from types import TracebackType

    from kilo_gateway.reply import Delta
    from kilo_gateway.transport.exchange import Exchange

WAIT_SECONDS: Final = 600.0
"""Seconds that a call waits for the calls under way to end."""

Ask = Callable[[Holder, Callable[[], None]], Verdict]
"""Asks whether a call may be sent now; if not, the function is called when it may ask again."""


class Progress(Protocol):
    """The facts that a decoder has of an answer that is not complete."""

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost that the answer has reported so far."""

    @property
    def hidden_bytes(self) -> int:
        """Bytes generated so far that its deltas do not show."""


class Charge:
    """One call, around which it is a `with` or `async with` block. Entering raises KiloBudgetExceeded.

    `size` is only computed if there is a limit.
    """

    def __init__(self, budget: KiloBudget | None, exchange: Exchange, size: Callable[[], prices.Size]) -> None:
        self._rates = in_force.get()
        # A call that waits for its turn in the cluster must not keep money of its own budget from others.
        self._limits: tuple[Limit, ...] = self._rates if budget is None else (*self._rates, budget)
        self._exchange = exchange
        self._base_url = exchange.settings.base_url
        self.model = exchange.model
        self.keyed = exchange.sent.keyed
        self._size = size() if self._limits else prices.NOTHING
        self._at_most: float | None = None
        self._bytes = 0
        self._deltas: Iterator[Delta] = iter(())
        self._progress: Progress | None = None
        self._served: str | None = None
        self._usage: Usage | None = None
        self._finish_reason: str | None = None
        self._answered = False
        self._attempted = False
        self._tally = tally.current()
        if self._limits:
            exchange.turns = self

    @property
    def counts(self) -> bool:
        """True if there is a limit."""
        return bool(self._limits)

    def watch(self, progress: Progress) -> None:
        """Use `progress` for the cost of an answer that ends early."""
        self._progress = progress

    def seen(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        """Return `deltas`, counted if there is a limit or a tally. Without both, they are returned as they are."""
        if not self._limits and self._tally is None:
            return deltas
        self._deltas = deltas
        return self._watched()

    def _watched(self) -> Iterator[Delta]:
        for delta in self._deltas:
            self._bytes += _size(delta.text) + _size(delta.reasoning)
            # Of several answers the first one ends last, with the usage of all.
            if delta.ending is not None and not delta.choice:
                self.answered(delta.ending.model, delta.ending.usage, finish_reason=delta.ending.finish_reason)
            yield delta

    def _see_the_rest(self) -> None:
        """Count the deltas that had arrived when the reader left."""
        with suppress(KiloError):  # the reader has left, and the deltas count even if they are wrong
            for _ in self._watched():
                pass

    def answered(
        self, served: str | None, usage: Usage | None, *, generated: int = 0, finish_reason: str | None = None
    ) -> None:
        """Record that the answer is complete; `generated` is its size in bytes, if it was not streamed."""
        self._answered = True
        self._served, self._usage, self._finish_reason = served, usage, finish_reason
        self._bytes += generated

    def __enter__(self) -> Self:
        if self._limits:
            with self._settled_if_not_sent():
                for limit in self._limits:
                    self._wait(partial(self._reserve, limit), partial(self._late, limit))
        return self

    async def __aenter__(self) -> Self:
        if self._limits:
            with self._settled_if_not_sent():
                for limit in self._limits:
                    await self._await(partial(self._reserve, limit), partial(self._late, limit))
        return self

    @contextmanager
    def _settled_if_not_sent(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            for limit in self._limits:
                limit.settle(self, None)
            raise

    def _wait(self, ask: Ask, late: Callable[[], KiloError]) -> None:
        # A bare lock, because an event's own lock is not safe from garbage collection, which may wake us.
        woken = threading.Lock()
        woken.acquire()
        deadline: float | None = None
        while (verdict := ask(Holder(threading.get_ident()), woken.release)) != "granted":
            deadline = deadline or self._deadline(verdict)
            if not woken.acquire(timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic())):
                raise late()

    async def _await(self, ask: Ask, late: Callable[[], KiloError]) -> None:
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed, so nothing waits
                loop.call_soon_threadsafe(woken.set)

        holder = Holder(threading.get_ident(), id(loop), id(asyncio.current_task()))
        deadline: float | None = None
        while (verdict := ask(holder, wake)) != "granted":
            deadline = deadline or self._deadline(verdict)
            try:
                async with asyncio.timeout(None if deadline is None else max(0.0, deadline - time.monotonic())):
                    await woken.wait()
            except TimeoutError:
                raise late() from None
            woken.clear()

    def _deadline(self, verdict: Verdict) -> float | None:
        """Return the time when a wait ends. The time for the whole answer does not begin in a queue."""
        left = self._exchange.time_left if verdict == "queue" else self._exchange.within(WAIT_SECONDS)
        return None if left is None else time.monotonic() + left

    def _reserve(self, limit: Limit, holder: Holder, wake: Callable[[], None]) -> Verdict:
        self._at_most = prices.at_most(self.model, self._size, base_url=self._base_url)
        verdict = limit.reserve(self, self._at_most, holder, wake)
        if verdict == "spent":
            raise self._exceeded(limit, "")
        if verdict == "refused":
            raise self._exceeded(limit, limit.wording.refused)
        if verdict == "lost count":
            raise self._exceeded(limit, "the cost of a call before it is not known either (see unknown_cost_usd)")
        if verdict == "wait for yourself":
            raise self._exceeded(
                limit,
                "it would wait for a call under way that cannot end before it, because this same caller holds it open",
            )
        return verdict

    def _late(self, limit: Limit) -> KiloError:
        return self._exceeded(limit, "the calls before it did not end in time")

    def _exceeded(self, limit: Limit, why: str) -> KiloBudgetExceeded:
        limit_usd, spent, under_way = limit.state()
        state = f"{spent:g} USD are spent and {under_way:g} under way"
        if limit_usd is not None:
            state = f"of {limit_usd:g} USD, {spent:g} are spent and {under_way:g} under way"
        if self._at_most is None:
            state += f", and the possible cost of this request to {self.model} is not known"
            remedy = limit.wording.unknown
        else:
            state += f", and this request may cost {self._at_most:g}" if self._at_most else ""
            state += " because it sets no max_tokens" if self._at_most and self._size.answer is None else ""
            remedy = f"{limit.wording.higher}, set or lower max_tokens, or choose a cheaper model"
        reason = f"{state}; {why}" if why else state
        not_sent = "It was not sent again" if self._attempted else "It was not sent"
        return KiloBudgetExceeded(
            f"{limit.wording.subject} does not allow another request: {reason}. {not_sent}. {remedy}.",
            limit_usd=limit_usd,
            spent_usd=spent,
            under_way_usd=under_way,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle(error)

    def begins(self) -> None:
        """Wait until an attempt may be sent. Raises KiloError if that takes too long."""
        for rate in self._rates:
            self._wait(partial(self._attempt, rate), self._exchange.too_long)

    async def abegins(self) -> None:
        """Wait until an attempt may be sent. Raises KiloError if that takes too long."""
        for rate in self._rates:
            await self._await(partial(self._attempt, rate), self._exchange.too_long)

    def _attempt(self, rate: Rate, holder: Holder, wake: Callable[[], None]) -> Verdict:
        verdict = rate.attempt(self, wake)
        if verdict == "spent":
            raise self._exceeded(rate, "an attempt was lost and may have been billed")
        return verdict

    def lost(self) -> None:
        """Count an attempt that failed and may have been billed. Raises KiloBudgetExceeded if another does not fit."""
        self._attempted = True
        for limit in self._limits:
            if not limit.again(self, Cost(self._at_most, estimated=True)):
                raise self._exceeded(limit, "an attempt was lost and may have been billed")

    def postponed(self, seconds: float) -> None:
        """Let all calls wait as long as the gateway asks for."""
        for rate in self._rates:
            rate.pause(seconds)

    def settle(self, error: BaseException | None = None) -> None:
        """Count the cost of the call; only the first time counts. An error gets the usage reported before it."""
        if isinstance(error, KiloError) and error.usage is None and self._progress is not None:
            error.usage = self._progress.usage
        if not self._limits and self._tally is None:
            return
        try:
            self._see_the_rest()
        finally:
            if self._limits:
                cost = self._cost(error)
                for limit in self._limits:
                    limit.settle(self, cost)
            if self._tally is not None:
                self._count(self._tally, error)

    def _count(self, current: tally.Tally, error: BaseException | None) -> None:
        self._tally = None  # only the first time counts
        usage = self._usage if self._answered else self._reported(error)
        if self._answered or usage is not None:
            current.answered(self._served or self.model, usage, self._finish_reason)
        current.add(attempts=self._exchange.attempts)

    def _cost(self, error: BaseException | None) -> Cost | None:
        """Return the cost of the last attempt, or None if the gateway refused it."""
        usage = self._usage if self._answered else self._reported(error)
        if usage is not None and usage.cost is not None:
            return Cost(usage.cost)
        if usage is not None and usage.counted:
            return Cost(self._price(usage))
        if self._answered:
            return self._estimate()
        most = Cost(self._at_most, estimated=True)
        if not self._exchange.opened:
            # A call that was cancelled may have arrived, too.
            return most if self._exchange.lost or not isinstance(error, Exception) else None
        if _was_refused(error) and not self._generated():
            return None
        return self._estimate() if self._exchange.streamed else most

    def _reported(self, error: BaseException | None) -> Usage | None:
        if self._progress is not None and (usage := self._progress.usage) is not None:
            return usage
        return error.usage if isinstance(error, KiloError) else None

    def _generated(self) -> int:
        return self._bytes + (self._progress.hidden_bytes if self._progress is not None else 0)

    def _estimate(self) -> Cost:
        """Return the most that the prompt and the answer so far cost."""
        tokens = self._generated() * prices.TOKENS_PER_BYTE
        answer = tokens if self._size.answer is None else min(tokens, self._size.answer)
        size = prices.Size(self._size.prompt, answer)
        at_most = (
            prices.at_most(model, size, base_url=self._base_url) for model in (self._served, self.model) if model
        )
        costs = [cost for cost in (*at_most, self._at_most) if cost is not None]
        # No answer costs more than was reserved for it.
        return Cost(min(costs[0], costs[-1]) if costs else None, estimated=True)

    def _price(self, usage: Usage) -> float | None:
        """Return the cost of `usage` by the listed prices of the model that served, else of the requested one."""
        for model in (self._served, self.model):
            if model and (cost := prices.of_usage(model, usage, base_url=self._base_url)) is not None:
                return cost
        return None


def _was_refused(error: BaseException | None) -> bool:
    """Return True if the gateway itself reports a failure."""
    return isinstance(error, KiloError) and not isinstance(error, KiloConnectionError | KiloResponseError)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace")) if text else 0
