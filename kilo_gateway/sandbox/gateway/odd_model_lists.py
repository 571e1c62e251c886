"""Return odd or failed lists of models; the header `x-sandbox-models` selects one. See docs/gateway.md, "Models"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.delivery import Answer, json_answer

HEADER = "x-sandbox-models"

Json = dict[str, Any]


def _failing(_: Json) -> Answer:
    return json_answer({"error": "Failed to fetch models", "message": "Error from OpenRouter API"}, 500)


def _page(_: Json) -> Answer:
    return Answer(200, (b"<html><title>Sign in to this network</title></html>",), {"content-type": "text/html"})


def _odd(body: Json) -> Answer:
    """Add entries that are not objects, nulls, wrong types, unknown keys, and names with markup."""
    first, second, *rest = body["data"]
    oddities = [
        None,
        "text",
        {"name": "without an id"},
        {**first, "id": "odd/wrong-types", "context_length": "many", "pricing": None, "supported_parameters": "tools"},
        {**second, "id": "odd/hostile-text", "name": "<script>alert(1)</script>[bold]\x1b[2J"},
        {"id": "odd/id-only"},
        {**first, "id": "odd/unknown-keys", "brandNew": {"a": [1]}},
    ]
    return json_answer({"object": "list", "data": [*oddities, first, second, *rest]})


def _large(body: Json) -> Answer:
    entries = body["data"]
    return json_answer({"data": [{**entries[i % len(entries)], "id": f"large/model-{i}"} for i in range(400)]})


LISTS: dict[str, Callable[[Json], Answer]] = {
    "odd": _odd,
    "large": _large,
    "empty": lambda _: json_answer({"data": []}),
    "no-list": lambda _: json_answer({"data": {"id": "a/b"}}),
    "unreadable-entries": lambda _: json_answer({"data": [None, 7]}),
    "error-200": lambda _: json_answer({"error": {"code": 429, "message": "Rate limit exceeded"}}),
    "failing": _failing,
    "page": _page,
}
