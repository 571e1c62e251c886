"""What a worker does with the rows of a block: it asks for all of them at the same time. Without Ray and Arrow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kilo_gateway.encoding.printable import described
from kilo_gateway.errors import KiloInvalidRequestError
from kilo_gateway.ray import rows
from kilo_gateway.ray.targets import Row, Target
from kilo_gateway.tally import Tally, tallied

if TYPE_CHECKING:
    from kilo_gateway.ray.limits import ClusterLimits

OnError = Literal["column", "raise"]
T = TypeVar("T")


class Worker:
    """Asks a target for rows, at most `concurrency` at a time, of any number of blocks."""

    def __init__(
        self,
        target: Target,
        output: rows.Output,
        *,
        concurrency: int,
        on_error: OnError = "column",
        limits: ClusterLimits | None = None,
        id_column: str | None = None,
    ) -> None:
        self.target = target
        self.output = output
        self.on_error = on_error
        self.limits = limits
        self.id_column = id_column
        self._free = asyncio.Semaphore(concurrency)

    async def answered(self, block: Sequence[Row]) -> list[Row]:
        """Return the new columns of each row, in their order. Raises the error of a row if `on_error` is "raise"."""
        if self.target.embeds:
            return await self._embedded(block)
        return await _all(self._row(row) for row in block)

    async def _row(self, row: Row) -> Row:
        async with self._free:
            with self._asking(row) as asked:
                asked.values = self.output.values(await self.target.ask(self.target.question(row)))
        return {**asked.values, **asked.facts}

    async def _embedded(self, block: Sequence[Row]) -> list[Row]:
        answers: dict[int, Row] = {}
        texts: dict[int, str] = {}
        for place, row in enumerate(block):
            with self._asking(row) as asked:
                texts[place] = self.target.question(row)
            answers[place] = {**asked.values, **asked.facts}
        answers.update(zip(texts, await self._vectors(list(texts.values())), strict=True))
        return [answers[place] for place in range(len(block))]

    async def _vectors(self, texts: list[str]) -> list[Row]:
        """Return the new columns for texts that are sent together, or each alone if one of them may be at fault."""
        if not texts:
            return []
        vectors: list[Any] = [None] * len(texts)
        async with self._free:
            with self._asking(several=len(texts) > 1) as asked:
                vectors = await self.target.vectors(texts)
        if asked.error is not None and asked.may_be_one_row and len(texts) > 1:
            alone = await _all(self._vectors([text]) for text in texts)
            return [{**row, "attempts": row["attempts"] + asked.tally.attempts} for (row,) in alone]
        parts = rows.shared(asked.facts, [len(text.encode("utf-8", "replace")) for text in texts])
        return [{**self.output.values(vector), **part} for vector, part in zip(vectors, parts, strict=True)]

    @contextmanager
    def _asking(self, row: Row | None = None, *, several: bool = False) -> Iterator[_Asked]:
        """Keep what a call of the target uses, and its error.

        The error leaves the block if the worker raises errors, but not if it may be the fault of one of several rows.
        A cancellation always leaves it.
        """
        asked = _Asked(dict.fromkeys((column.name for column in self.output.columns), None))
        begin = time.perf_counter()
        with tallied() as asked.tally, self.limits.applied() if self.limits else nullcontext():
            try:
                yield asked
            except Exception as error:
                asked.error = error
                if self.on_error == "raise" and not (several and asked.may_be_one_row):
                    if row is not None and self.id_column is not None:
                        error.add_note(f"The row has {self.id_column}={described(row.get(self.id_column))}.")
                    raise
            finally:
                asked.seconds = time.perf_counter() - begin


@dataclass(slots=True)
class _Asked:
    """What one call of the target has brought."""

    values: Row
    """The columns of the answer, None without one."""
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    error: Exception | None = None

    @property
    def facts(self) -> Row:
        """The other columns."""
        return rows.facts(self.tally, self.seconds, self.error)

    @property
    def may_be_one_row(self) -> bool:
        """True if the error may be the fault of one of several rows, and nothing was answered."""
        return isinstance(self.error, ValueError | KiloInvalidRequestError) and not self.tally.usage.by_model


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results in their order; if one fails, the others are cancelled and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]
