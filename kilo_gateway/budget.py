"""A limit of what calls may cost, kept by all objects that share it. No I/O.

The drivers of chat and embeddings open a `Charge` before each request, which is where a spent budget refuses.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from kilo_gateway.usage import Usage

if TYPE_CHECKING:
    from types import TracebackType

    from kilo_gateway.reply import Delta


class KiloBudget:
    """Refuses the next request once `limit_usd` USD are spent: give one to as many objects as shall share it.

        budget = KiloBudget(limit_usd=0.50)
        llm, embeddings = ChatKilo(budget=budget), KiloEmbeddings(budget=budget)

    A request that may not be afforded raises KiloBudgetExceeded and is not sent. Requests under way count with
    what they may cost at most: prompt and `max_tokens` at the listed prices, without `max_tokens` the prompt alone.

    An answered request counts what the gateway tells. Where it tells no cost, its tokens count at the listed prices;
    where those are not known either, it counts `untold_usd` (default 0: no limit for such requests), and
    `untold_calls` tells how often. A stream that was closed early, and a request that was cancelled, count an
    estimate of the prompt and of what had arrived. A request that failed counts nothing.

    It is safe among threads and tasks. A copy is the same budget; one that was pickled, for another process, goes
    on by itself from what was spent. Raises ValueError for a limit that is not above 0.
    """

    def __init__(self, limit_usd: float, *, untold_usd: float = 0.0) -> None:
        if not 0 < limit_usd < float("inf"):
            raise ValueError(f"limit_usd={limit_usd!r} must be a number of USD above 0; for no limit leave budget out")
        if not 0 <= untold_usd < float("inf"):
            raise ValueError(f"untold_usd={untold_usd!r} must be a number of USD, 0 or more")
        self.limit_usd = float(limit_usd)
        self.untold_usd = float(untold_usd)
        self._spent = 0.0
        self._untold_calls = 0
        self._under_way: dict[Charge, float] = {}
        self._lock = threading.Lock()

    @property
    def spent_usd(self) -> float:
        """USD that answered requests have cost."""
        return self._spent

    @property
    def under_way_usd(self) -> float:
        """USD that requests under way may cost."""
        with self._lock:
            return sum(self._under_way.values())

    @property
    def left_usd(self) -> float:
        """USD that a request may still cost; never negative."""
        return max(0.0, self.limit_usd - self.spent_usd - self.under_way_usd)

    @property
    def untold_calls(self) -> int:
        """Answered requests whose cost neither the gateway nor the list of models told."""
        return self._untold_calls

    def _reserve(self, charge: Charge, usd: float) -> None:
        with self._lock:
            under_way = sum(self._under_way.values())
            taken = self._spent + under_way
            if taken < self.limit_usd and taken + usd <= self.limit_usd:
                self._under_way[charge] = usd
                return
        from kilo_gateway.errors import KiloBudgetExceeded  # deferred: it imports the openai package

        state = f"of {self.limit_usd:g} USD, {self._spent:g} are spent and {under_way:g} under way"
        may = f", and this request may cost {usd:g}" if usd else ""
        raise KiloBudgetExceeded(
            f"The budget does not allow another request: {state}{may}. Nothing was sent. Use a KiloBudget with a "
            "higher limit_usd, lower max_tokens, or choose a cheaper model.",
            limit_usd=self.limit_usd,
            spent_usd=self._spent,
            under_way_usd=under_way,
        )

    def _settle(self, charge: Charge, usd: float | None) -> None:
        with self._lock:
            self._under_way.pop(charge, None)
            self._spent += self.untold_usd if usd is None else usd
            self._untold_calls += usd is None

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_under_way": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __repr__(self) -> str:
        return f"KiloBudget(limit_usd={self.limit_usd:g}, spent_usd={self.spent_usd:g})"


class Charge:
    """One request and the budget it is charged to; a `with` block around sending it. Without a budget it does nothing.

    Entering raises KiloBudgetExceeded.
    """

    def __init__(self, budget: KiloBudget | None, payload: Mapping[str, Any], base_url: str) -> None:
        self._budget = budget
        self._payload = payload
        self._base_url = base_url
        self._prompt_tokens = 0
        self._arrived = 0
        self._served: str | None = None
        self._usage: Usage | None = None
        self._answered = False

    def __enter__(self) -> Self:
        if self._budget is not None:
            from kilo_gateway import prices  # deferred: few calls have a budget

            self._prompt_tokens = prices.tokens_of(self._payload)
            may = self._price(self._prompt_tokens, prices.most_tokens(self._payload) or 0)
            self._budget._reserve(self, self._budget.untold_usd if may is None else may)
        return self

    def seen(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        """Return `deltas`, of which a budget takes notice; without one they cost nothing more."""
        return deltas if self._budget is None else self._noticed(deltas)

    def _noticed(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            self._arrived += len(delta.text) + len(delta.reasoning)
            if delta.ending is not None:
                self.answered(delta.ending.model, delta.ending.usage)
            yield delta

    def answered(self, served: str | None, usage: Usage | None) -> None:
        """Take notice that the answer is complete; of several, the first with a usage tells that of all."""
        self._answered = True
        if self._usage is None:
            self._served, self._usage = served, usage

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._budget is not None:
            self._budget._settle(self, self._cost(failed=isinstance(error, Exception)))

    def _cost(self, *, failed: bool) -> float | None:
        if self._answered:
            usage = self._usage
            if usage is None:
                return None
            if usage.cost is not None:
                return usage.cost
            return self._price(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
        if failed and not self._arrived:
            return 0.0
        from kilo_gateway import prices

        return self._price(self._prompt_tokens, -(-self._arrived // prices.BYTES_PER_TOKEN))

    def _price(self, prompt: int, completion: int, cached: int = 0) -> float | None:
        from kilo_gateway import known_models, prices

        usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
        for model in (self._served, str(self._payload.get("model"))):
            info = known_models.known(model, base_url=self._base_url) if model else None
            if (cost := prices.price(info, usage)) is not None:
                return cost
        return None
