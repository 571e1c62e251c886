"""Return odd or failed embeddings; model ids `sandbox/<name>` select them. See docs/gateway.md, "Embeddings"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.delivery import Answer, json_answer

Json = dict[str, Any]

PREFIX = "sandbox/"


def _with_data(change: Callable[[list[Json]], object]) -> Callable[[Json], Answer]:
    def answer(payload: Json) -> Answer:
        return json_answer({**payload, "data": change(payload["data"])})

    return answer


def _each(**fields: Any) -> Callable[[Json], Answer]:
    return _with_data(lambda data: [{**item, **fields} for item in data])


def _without(name: str) -> Callable[[Json], Answer]:
    return _with_data(lambda data: [{key: value for key, value in item.items() if key != name} for item in data])


def _uneven(data: list[Json]) -> list[Json]:
    return [{**item, "embedding": [0.5] * (item["index"] + 1)} for item in data]


def _with_fields(**fields: Any) -> Callable[[Json], Answer]:
    return lambda payload: json_answer({**payload, **fields})


ANSWERS: dict[str, Callable[[Json], Answer]] = {
    "reversed": _with_data(lambda data: data[::-1]),
    "unnumbered": _without("index"),
    "numbered-twice": _each(index=0),
    "one-short": _with_data(lambda data: data[:-1]),
    "uneven": _with_data(_uneven),
    "three-dimensions": _each(embedding=[0.1, 0.2, 0.3]),
    "a-dimension-a-text": _with_data(lambda data: [{**item, "embedding": [0.5] * len(data)} for item in data]),
    "numbers": _each(embedding=[1, 0.5]),
    "not-finite": _each(embedding="AADAfw=="),
    "half-a-number": _each(embedding="AAA="),
    "huge-number": _each(embedding=[10**400]),
    "no-base64": _each(embedding="?"),
    "no-vectors": _each(embedding=[]),
    "null": _without("embedding"),
    "no-usage": _with_fields(usage=None),
    "no-cost": _with_fields(usage={"prompt_tokens": 3, "total_tokens": 3}),
    "cost-of-vercel": _with_fields(
        usage={"prompt_tokens": 3, "total_tokens": 3}, provider_metadata={"gateway": {"cost": "0.00002"}}
    ),
    "error-200": lambda _: json_answer({"error": {"code": 429, "message": "Rate limit exceeded"}}),
    "error-503": lambda _: json_answer({"error": {"code": 503, "message": "No provider is up"}}, 503),
    "page": lambda _: Answer(200, (b"<html></html>",), {"content-type": "text/html"}),
}
