"""The gateway's models as a collection to filter, sort, search and show. No I/O; listing.py fetches it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self, overload

from kilo_gateway import routing
from kilo_gateway.models import tables
from kilo_gateway.models.info import ModelInfo
from kilo_gateway.models.known import known as known

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table
    from rich.text import Text

_SORTABLE: Final = tuple(
    sorted({*ModelInfo.model_fields, *(name for name, value in vars(ModelInfo).items() if isinstance(value, property))})
)


class UnknownModelError(LookupError, ValueError):
    """The catalogue has no such id; the text names the nearest ones."""


class ModelCatalog(Sequence[ModelInfo]):
    """The models that `GET /models` returned, in the gateway's order.

    Printed it is a table, in notebooks an HTML one, and with rich installed `rich.print(catalog)` draws it.
    `fetched_at` (seconds since 1970) is the time at which the list was received, `from_cache` whether that was before
    this call, and `skipped` how many of its entries had no id and were left out.
    """

    def __init__(
        self,
        models: Iterable[ModelInfo] = (),
        *,
        fetched_at: float | None = None,
        from_cache: bool = False,
        skipped: int = 0,
    ) -> None:
        self._models = tuple(models)
        self._by_id = {model.id: model for model in reversed(self._models)}
        self.fetched_at = fetched_at
        self.from_cache = from_cache
        self.skipped = skipped

    @classmethod
    def read(cls, entries: list[Any], *, fetched_at: float | None = None, from_cache: bool = False) -> Self:
        """Read the entries of the list; an unreadable one does not affect the others."""
        models = [model for model in map(ModelInfo.read, entries) if model is not None]
        return cls(models, fetched_at=fetched_at, from_cache=from_cache, skipped=len(entries) - len(models))

    @property
    def ids(self) -> list[str]:
        """The model ids, in order."""
        return [model.id for model in self._models]

    @property
    def age(self) -> float | None:
        """Seconds since the list was received; None for a catalogue of your own."""
        return None if self.fetched_at is None else max(0.0, time.time() - self.fetched_at)

    def get(self, model: str) -> ModelInfo:
        """Return the model with this id. Raises UnknownModelError, which names the nearest ids."""
        entry = self._by_id.get(model) or self._by_id.get(model.strip().lower())
        if entry is None:
            near = routing.nearest_models(model, self.ids)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see .ids for the ones there are"
            raise UnknownModelError(f"{model!r} is not one of the {len(self)} models; {hint}")
        return entry

    def filter(
        self,
        *,
        free: bool | None = None,
        may_train_on_prompts: bool | None = None,
        tools: bool | None = None,
        structured_outputs: bool | None = None,
        reasoning: bool | None = None,
        vision: bool | None = None,
        vendor: str | Collection[str] | None = None,
        min_context: int | None = None,
        min_output: int | None = None,
        max_prompt_price: Decimal | float | str | None = None,
        max_completion_price: Decimal | float | str | None = None,
    ) -> Self:
        """Return the models for which all conditions are known to hold.

        True and False keep the models that the gateway reports so; a model without a report fits neither.
        Windows and outputs are tokens, prices USD per million tokens.
        """
        flags = {
            "free": free,
            "may_train_on_prompts": may_train_on_prompts,
            "supports_tools": tools,
            "supports_structured_outputs": structured_outputs,
            "supports_reasoning": reasoning,
            "supports_vision": vision,
        }
        least = {"context_length": min_context, "max_output_tokens": min_output}
        most = {"prompt_price": max_prompt_price, "completion_price": max_completion_price}
        vendors = {vendor} if isinstance(vendor, str) else vendor
        # 0.3 USD means the decimal number, not the nearest binary fraction.
        limits = {name: Decimal(str(price)) for name, price in most.items() if price is not None}

        def keeps(model: ModelInfo) -> bool:
            for name, flag in flags.items():
                if flag is not None and getattr(model, name) is not flag:
                    return False
            for name, minimum in least.items():
                if minimum is not None and (getattr(model, name) or 0) < minimum:
                    return False
            for name, limit in limits.items():
                price = getattr(model, name)
                if price is None or price > limit:
                    return False
            return vendors is None or model.vendor in vendors

        return self._with(filter(keeps, self._models))

    def sort(self, by: str = "prompt_price", *, reverse: bool = False) -> Self:
        """Return the models ordered by a field or property of ModelInfo; unknown values come last in both directions.

        Raises ValueError for a name that has no order.
        """
        if by not in _SORTABLE:
            hint = routing.did_you_mean(by, _SORTABLE, f"names: {', '.join(_SORTABLE)}")
            raise ValueError(f"by={by!r} is not a field of a model; {hint}")
        known = [model for model in self._models if getattr(model, by) is not None]
        try:
            known.sort(key=lambda model: getattr(model, by), reverse=reverse)
        except TypeError:
            raise ValueError(f"by={by!r} has no order; sort by a price, a number of tokens or a name") from None
        return self._with([*known, *(model for model in self._models if getattr(model, by) is None)])

    def to_frame(self) -> Any:
        """Return a pandas.DataFrame, one row a model, prices in USD per million tokens. Raises ImportError."""
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError("to_frame() needs pandas: pip install pandas") from error
        return pandas.DataFrame([tables.record(model) for model in self._models], columns=tables.RECORD)

    def _with(self, models: Iterable[ModelInfo]) -> Self:
        return type(self)(models, fetched_at=self.fetched_at, from_cache=self.from_cache, skipped=self.skipped)

    @overload
    def __getitem__(self, index: int) -> ModelInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> ModelInfo | Self:
        return self._with(self._models[index]) if isinstance(index, slice) else self._models[index]

    def __len__(self) -> int:
        return len(self._models)

    def __iter__(self) -> Iterator[ModelInfo]:
        return iter(self._models)

    def __contains__(self, model: object) -> bool:
        return model in self._by_id if isinstance(model, str) else model in self._models

    def _summary(self) -> str:
        parts = [f"{len(self)} model{'' if len(self) == 1 else 's'}"]
        if self.from_cache and self.fetched_at is not None:
            day = datetime.fromtimestamp(self.fetched_at, UTC)
            parts.append(f"fetched {tables.ago(self.age or 0)} ({day:%Y-%m-%d %H:%M} UTC)")
        if self.skipped:
            parts.append(f"{self.skipped} unreadable left out")
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"ModelCatalog({self._summary()})"

    def __str__(self) -> str:
        return tables.plain_table(self._models, self._summary())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        if options.max_width < tables.NARROW:
            yield from tables.rich_lines(self._models, self._summary())
        else:
            yield tables.rich_table(self._models, self._summary(), options.max_width)

    def _repr_html_(self) -> str:
        return tables.html_table(self._models, self._summary())
