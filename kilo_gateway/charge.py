"""The cost of one call and the budget that it is charged to. No I/O.

Without a budget a charge does nothing.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from kilo_gateway.budget import Cost, Holder, KiloBudget
from kilo_gateway.errors import KiloBudgetExceeded, KiloConnectionError, KiloError, KiloResponseError
from kilo_gateway.models import prices
from kilo_gateway.usage import Usage

if TYPE_CHECKING:
    from types import TracebackType

    from kilo_gateway.reply import Delta
    from kilo_gateway.transport.exchange import Exchange

WAIT_SECONDS: Final = 600.0
"""Seconds that a call of unknown price waits for the one before it."""


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

    `size` is only computed if there is a budget.
    """

    def __init__(self, budget: KiloBudget | None, exchange: Exchange, size: Callable[[], prices.Size]) -> None:
        self._budget = budget
        self._exchange = exchange
        self._base_url = exchange.settings.base_url
        self._model = exchange.model
        self._size = size() if budget is not None else prices.NOTHING
        self._at_most: float | None = None
        self._bytes = 0
        self._deltas: Iterator[Delta] = iter(())
        self._progress: Progress | None = None
        self._served: str | None = None
        self._usage: Usage | None = None
        self._answered = False
        self._attempted = False
        if budget is not None:
            exchange.on_lost_attempt = self._lost

    def watch(self, progress: Progress) -> None:
        """Use `progress` for the cost of an answer that ends early."""
        self._progress = progress

    def seen(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        """Return `deltas`, counted if a budget is set. Without a budget, they are returned as they are."""
        if self._budget is None:
            return deltas
        self._deltas = deltas
        return self._watched()

    def _watched(self) -> Iterator[Delta]:
        for delta in self._deltas:
            self._bytes += _size(delta.text) + _size(delta.reasoning)
            # Of several answers the first one ends last, with the usage of all.
            if delta.ending is not None and not delta.choice:
                self.answered(delta.ending.model, delta.ending.usage)
            yield delta

    def _see_the_rest(self) -> None:
        """Count the deltas that had arrived when the reader left."""
        with suppress(KiloError):  # the reader has left, and the deltas count even if they are wrong
            for _ in self._watched():
                pass

    def answered(self, served: str | None, usage: Usage | None, *, generated: int = 0) -> None:
        """Record that the answer is complete; `generated` is its size in bytes, if it was not streamed."""
        self._answered = True
        self._served, self._usage = served, usage
        self._bytes += generated

    def __enter__(self) -> Self:
        if self._budget is not None:
            deadline = self._deadline()
            # A bare lock, because an event's own lock is not safe from garbage collection, which may wake us.
            woken = threading.Lock()
            woken.acquire()
            while not self._reserved(self._budget, Holder(threading.get_ident()), woken.release):
                if not woken.acquire(timeout=max(0.0, deadline - time.monotonic())):
                    raise self._exceeded(self._budget, "the calls before it did not end in time")
        return self

    async def __aenter__(self) -> Self:
        if self._budget is not None:
            woken = asyncio.Event()
            loop = asyncio.get_running_loop()

            def wake() -> None:
                with suppress(RuntimeError):  # the loop is closed, so nothing waits
                    loop.call_soon_threadsafe(woken.set)

            holder = Holder(threading.get_ident(), id(loop), id(asyncio.current_task()))
            deadline = self._deadline()
            while not self._reserved(self._budget, holder, wake):
                try:
                    async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                        await woken.wait()
                except TimeoutError:
                    raise self._exceeded(self._budget, "the calls before it did not end in time") from None
                woken.clear()
        return self

    def _deadline(self) -> float:
        return time.monotonic() + (self._exchange.within(WAIT_SECONDS) or WAIT_SECONDS)

    def _reserved(self, budget: KiloBudget, holder: Holder, wake: Any) -> bool:
        """Return True if the call may be sent now; if not, `wake` is called when it may ask again."""
        self._at_most = prices.at_most(self._model, self._size, base_url=self._base_url)
        verdict = budget.reserve(self, self._at_most, holder, wake)
        if verdict == "spent":
            raise self._exceeded(budget, "")
        if verdict == "refused":
            raise self._exceeded(budget, "unknown_price is 'refuse'")
        if verdict == "lost count":
            raise self._exceeded(budget, "the cost of a call before it is not known either (see unknown_cost_usd)")
        if verdict == "wait for yourself":
            raise self._exceeded(
                budget,
                "it would wait for a call under way that cannot end before it, because this same caller holds it open",
            )
        return verdict == "granted"

    def _exceeded(self, budget: KiloBudget, why: str) -> KiloBudgetExceeded:
        spent, under_way = budget.spent_usd, budget.under_way_usd
        state = f"of {budget.limit_usd:g} USD, {spent:g} are spent and {under_way:g} under way"
        if self._at_most is None:
            state += f", and the possible cost of this request to {self._model} is not known"
            remedy = "Fetch the prices with list_models(), choose a model that has one, or pass unknown_price='allow'"
        else:
            state += f", and this request may cost {self._at_most:g}" if self._at_most else ""
            state += " because it sets no max_tokens" if self._at_most and self._size.answer is None else ""
            remedy = "Use a KiloBudget with a higher limit_usd, set or lower max_tokens, or choose a cheaper model"
        reason = f"{state}; {why}" if why else state
        not_sent = "It was not sent again" if self._attempted else "It was not sent"
        return KiloBudgetExceeded(
            f"The budget does not allow another request: {reason}. {not_sent}. {remedy}.",
            limit_usd=budget.limit_usd,
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

    def _lost(self) -> None:
        """Count an attempt that failed and may have been billed. Raises KiloBudgetExceeded if another does not fit."""
        budget, self._attempted = self._budget, True
        if budget is not None and not budget.again(self, Cost(self._at_most, estimated=True)):
            raise self._exceeded(budget, "an attempt was lost and may have been billed")

    def settle(self, error: BaseException | None = None) -> None:
        """Count the cost of the call; only the first time counts. An error gets the usage reported before it."""
        if isinstance(error, KiloError) and error.usage is None and self._progress is not None:
            error.usage = self._progress.usage
        if self._budget is not None:
            try:
                self._see_the_rest()
            finally:
                self._budget.settle(self, self._cost(error))

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
            prices.at_most(model, size, base_url=self._base_url) for model in (self._served, self._model) if model
        )
        costs = [cost for cost in (*at_most, self._at_most) if cost is not None]
        # No answer costs more than was reserved for it.
        return Cost(min(costs[0], costs[-1]) if costs else None, estimated=True)

    def _price(self, usage: Usage) -> float | None:
        """Return the cost of `usage` by the listed prices of the model that served, else of the requested one."""
        for model in (self._served, self._model):
            if model and (cost := prices.of_usage(model, usage, base_url=self._base_url)) is not None:
                return cost
        return None


def _was_refused(error: BaseException | None) -> bool:
    """Return True if the gateway itself reports a failure."""
    return isinstance(error, KiloError) and not isinstance(error, KiloConnectionError | KiloResponseError)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace")) if text else 0
