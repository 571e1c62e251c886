"""The facts about models that the package brings along. Pure; the tables are read on first use.

data/models.json holds facts from the project's documents, without prices; see docs/gateway.md, "Models" and "Auto
models". data/models_dev.json is a dated table of https://models.dev, written by `make models`; see docs/models.md.
"""

from __future__ import annotations

import json
import pkgutil
from decimal import Decimal
from functools import cache
from typing import Any, Final

from kilo_gateway import routing

COLUMNS: Final = (
    *("name", "context_length", "max_output_tokens", "input", "output", "takes", "takes_not"),
    *("prompt", "completion", "cache_read", "cache_write"),
)
"""The columns of models_dev.json."""

_PRICES: Final = {
    "prompt": "prompt",
    "completion": "completion",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
}
"""The names of the prices in the gateway's list."""

Entry = dict[str, Any]


def entry(model: str) -> Entry | None:
    """Return what is known of a model as an entry of the gateway's list, or None."""
    documented = _documented().get(model)
    if routing.tier_of(model) is not None:
        return documented
    dated = _dated(model)
    if documented is None or dated is None:
        return documented or dated
    return {**dated, **{key: value for key, value in documented.items() if value is not None}}


def ids() -> set[str]:
    """Return the ids of all models of the tables."""
    return {*_documented(), *_models_dev()["models"]}


def _dated(model: str) -> Entry | None:
    table = _models_dev()
    if (row := table["models"].get(model)) is None:
        return None
    cells = dict(zip(table["columns"], row, strict=True))
    per_million = {there: cells[here] for here, there in _PRICES.items() if cells[here] is not None}
    return {
        "id": model,
        "name": cells["name"],
        "context_length": cells["context_length"],
        "architecture": {
            "input_modalities": cells["input"].split(),
            "output_modalities": cells["output"].split(),
        },
        "top_provider": {"max_completion_tokens": cells["max_output_tokens"]},
        "pricing": {name: str(Decimal(str(price)).scaleb(-6)) for name, price in per_million.items()},
        "supported_parameters": cells["takes"].split(),
        "unsupported_parameters": cells["takes_not"].split(),
        "isFree": True if model.endswith(":free") else None,
        "as_of": table["as_of"],
    }


@cache
def _documented() -> dict[str, Entry]:
    return {entry["id"]: entry for entry in _table("models.json")["entries"]}


@cache
def _models_dev() -> dict[str, Any]:
    return _table("models_dev.json")


def _table(file: str) -> dict[str, Any]:
    content = pkgutil.get_data("kilo_gateway", f"data/{file}")
    if content is None:
        raise ImportError(f"kilo_gateway was installed without data/{file}; install it again")
    table: dict[str, Any] = json.loads(content)
    return table
