"""Tokens and cost of many calls, by the model that served. Pure, and safe among threads and tasks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Self

from kilo_gateway.encoding.text_table import text_table
from kilo_gateway.usage import Usage


@dataclass(slots=True)
class Spent:
    """Tokens and cost of calls; `cost` is USD, of the calls whose cost was reported."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    """Calls whose cost the gateway did not report."""

    @classmethod
    def one_call(cls, cost: float | None, **tokens: int) -> Self:
        """Return one call with the USD that it has cost, or None if that was not reported, and its tokens."""
        return cls(calls=1, cost=cost or 0.0, unpriced=int(cost is None), **tokens)

    @classmethod
    def of(cls, usage: Usage | None) -> Self:
        """Return one call that used `usage`, or None if the gateway reported nothing."""
        usage = usage or Usage()
        return cls.one_call(
            usage.cost,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        )

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Spent) -> None:
        """Add `other` to this one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Ledger:
    """The sum of calls; `str()` is a table."""

    _by_model: dict[str, Spent] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[Ledger], tuple[dict[str, Spent]]]:
        return type(self), (self.by_model,)  # a lock can be neither copied nor pickled

    def add(self, model: str, spent: Spent) -> None:
        """Add one call that `model` served."""
        with self._lock:
            self._by_model.setdefault(model, Spent()).add(spent)

    @property
    def by_model(self) -> dict[str, Spent]:
        """A copy of the sums, by served model."""
        with self._lock:
            return {model: replace(spent) for model, spent in self._by_model.items()}

    @property
    def total(self) -> Spent:
        """The sum over all models."""
        total = Spent()
        for spent in self.by_model.values():
            total.add(spent)
        return total

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("model", "calls", "prompt", "completion", "USD")]
        for model, spent in [*sorted(self.by_model.items()), ("total", self.total)]:
            price = f"{spent.cost:.6f}" + (f" ({spent.unpriced} not reported)" if spent.unpriced else "")
            counts = (spent.calls, spent.prompt_tokens, spent.completion_tokens)
            rows.append((model, *(f"{count:,}" for count in counts), price))
        return "\n".join(text_table(rows, right=range(1, 5)))
