"""`POST /embeddings`: texts to vectors, batch by batch. See docs/gateway.md, "Embeddings".

Answers are read by pure functions; `embed` and `aembed` are the only ones that send.
"""

from __future__ import annotations

import asyncio
import base64
import math
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kilo_gateway import data_policy
from kilo_gateway.charge import Charge
from kilo_gateway.errors import KiloError, translate
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.json_body import json_object, listed
from kilo_gateway.ledger import Spent
from kilo_gateway.models import prices
from kilo_gateway.settings.embedding import BATCH_SIZE, EmbeddingSettings, Vector, batches
from kilo_gateway.transport.exchange import Exchange
from kilo_gateway.usage import Usage, parse_usage

PATH: Final = "/embeddings"


@dataclass(frozen=True, slots=True)
class Embedded:
    """The answer for one batch: a vector for each text, in the order of the texts."""

    vectors: list[Vector]
    model: str
    """The model that served."""
    usage: Usage | None
    """None if the answer reported neither tokens nor cost."""

    @property
    def spent(self) -> Spent:
        """The batch as one call of a ledger."""
        return Spent.of(self.usage)


def decode(content: bytes, response: Any, sent: Sent, *, texts: int, length: int | None) -> Embedded:
    """Read an answer; raises KiloError if it is an error or does not hold one vector for each text."""
    body = json_object(content, response)
    entries = listed(body, response, sent)

    def unusable(why: str) -> KiloError:
        return translate.unreadable(why, response=response)

    items: list[Any] = [entry if isinstance(entry, dict) else {} for entry in entries]
    if len(items) != texts:
        raise unusable(f"{texts} texts were sent, and {len(items)} embeddings came back")
    places = [item.get("index") for item in items]
    if any(place is not None for place in places):
        if sorted(place for place in places if isinstance(place, int)) != list(range(texts)):
            raise unusable(f"its embeddings have the indexes {str(places)[:200]}")
        items.sort(key=lambda item: item["index"])
    vectors = [_vector(item.get("embedding")) for item in items]
    lengths = {len(vector) for vector in vectors if vector}
    if not all(vectors):
        raise unusable(f"embedding {vectors.index(None)} is not a list of finite numbers")
    if len(lengths) > 1:
        raise unusable(f"its embeddings differ in length: {sorted(lengths)}")
    if length is not None and lengths != {length}:
        raise unusable(f"its embeddings have {lengths.pop()} dimensions, not {length}")
    return Embedded(
        vectors=[vector for vector in vectors if vector],
        model=body["model"] if isinstance(body.get("model"), str) else sent.model,
        usage=parse_usage(body.get("usage"), body.get("provider_metadata")),
    )


def _vector(value: Any) -> Vector | None:
    """Read base64 of little-endian float32, or a list of numbers, which some servers send instead."""
    numbers = array("f")
    try:
        if isinstance(value, str):
            numbers.frombytes(base64.b64decode(value, validate=True))
            if sys.byteorder == "big":
                numbers.byteswap()
            vector = numbers.tolist()
        elif isinstance(value, list) and all(type(number) in (int, float) for number in value):
            vector = [float(number) for number in value]
        else:
            return None
    except (ValueError, OverflowError):
        return None
    # A sum is finite only if all its numbers are.
    return vector if vector and math.isfinite(sum(vector)) else None


def embed(
    settings: EmbeddingSettings,
    texts: Sequence[str],
    *,
    query: bool = False,
    batch_size: int = BATCH_SIZE,
    report: Callable[[Embedded], None] = lambda _: None,
) -> list[Vector]:
    """Return a vector for each text, in their order; no texts, no request.

    `report` is called with each batch when it is answered, even if a later one fails. Raises KiloError, and ValueError
    for an empty text.
    """
    run = _Run(settings, query=query, report=report)
    vectors: list[Vector] = []
    for call in run.calls(texts, batch_size):
        with call.charge:
            vectors += call.answered(*call.exchange.fetch())
    return vectors


async def aembed(
    settings: EmbeddingSettings,
    texts: Sequence[str],
    *,
    query: bool = False,
    batch_size: int = BATCH_SIZE,
    max_concurrency: int = 1,
    report: Callable[[Embedded], None] = lambda _: None,
) -> list[Vector]:
    """Return a vector for each text as `embed` does, asking for `max_concurrency` batches at the same time.

    When a batch fails, the others are cancelled.
    """
    run = _Run(settings, query=query, report=report)
    free = asyncio.Semaphore(max_concurrency)

    async def one(call: _Call) -> list[Vector]:
        async with free, call.charge:
            return call.answered(*await call.exchange.afetch())

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(call)) for call in run.calls(texts, batch_size)]
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        raise first from first.__cause__
    return [vector for task in tasks for vector in task.result()]


class _Run:
    """Everything that the batches of one run share."""

    def __init__(self, settings: EmbeddingSettings, *, query: bool, report: Callable[[Embedded], None]) -> None:
        self.settings = settings
        self.query = query
        self.report = report

    def calls(self, texts: Sequence[str], size: int) -> Iterator[_Call]:
        return (_Call(self, batch) for batch in batches(texts, self.settings.model, size))


class _Call:
    """One request: everything that sync and async share about it."""

    def __init__(self, run: _Run, texts: list[str]) -> None:
        settings = run.settings
        self.run = run
        self.count = len(texts)
        payload = settings.payload(texts, query=run.query)
        data_policy.warn_once(settings, settings.model, refused=settings.refuses_data_collection)
        self.exchange = Exchange.of(
            settings, PATH, model=settings.model, chat=False, body=payload, headers=settings.label_headers()
        )
        self.charge = Charge(settings.budget, self.exchange, partial(prices.size_of_texts, texts))

    def answered(self, content: bytes, response: Any) -> list[Vector]:
        settings = self.run.settings
        embedded = decode(content, response, self.exchange.sent, texts=self.count, length=settings.length)
        self.charge.answered(embedded.model, embedded.usage)
        settings.length = len(embedded.vectors[0])
        settings.usage.add(embedded.model, embedded.spent)
        self.run.report(embedded)
        return embedded.vectors
