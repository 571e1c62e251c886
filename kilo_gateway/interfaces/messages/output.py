"""How much a model thinks and what its answer looks like: `thinking` and `output_config`. Pure.

See docs/gateway.md, "Messages".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.encoding.lenient_json import mapping, number

LEAST_BUDGET: Final = 1024
"""Tokens that Anthropic demands for thinking with a budget."""

_KNOWN: Final = frozenset({"effort", "max_tokens", "exclude", "enabled"})


def thinking(reasoning: Mapping[str, Any], max_tokens: Any) -> dict[str, Any]:
    """Return `thinking` for the reasoning that a call asks for; {} for none in particular. Raises ValueError."""
    if unknown := reasoning.keys() - _KNOWN:
        raise ValueError(
            f"reasoning={dict(reasoning)!r} has the fields {sorted(unknown)}, which have no place in the Messages "
            "interface; leave them out, or give its own fields as extra_body={'thinking': {...}}"
        )
    effort, budget = reasoning.get("effort"), reasoning.get("max_tokens")
    if _disabled(reasoning):
        return {"type": "disabled"}
    display = {"display": "omitted"} if reasoning.get("exclude") else {}
    if budget is not None:
        _check_budget(budget, max_tokens)
        return {"type": "enabled", "budget_tokens": budget, **display}
    return {"type": "adaptive", **display} if effort or reasoning.get("enabled") or display else {}


def _disabled(reasoning: Mapping[str, Any]) -> bool:
    return reasoning.get("effort") == "none" or reasoning.get("enabled") is False


def _check_budget(budget: Any, max_tokens: Any) -> None:
    tokens, limit = number(budget), number(max_tokens)
    if tokens is None or tokens < LEAST_BUDGET:
        raise ValueError(
            f"reasoning={{'max_tokens': {budget!r}}} is less than the {LEAST_BUDGET} tokens that Messages takes; "
            "raise it, or use reasoning={'effort': 'low'}"
        )
    if limit is not None and tokens >= limit:
        raise ValueError(
            f"reasoning={{'max_tokens': {budget!r}}} must be below max_tokens={max_tokens!r}, which counts thinking "
            f"too; set max_tokens above {budget!r}, or lower the reasoning"
        )


def effort(reasoning: Mapping[str, Any], verbosity: Any) -> Any:
    """Return the effort of `output_config`, or None. Raises ValueError if reasoning and verbosity contradict it."""
    asked = reasoning.get("effort")
    wanted = None if _disabled(reasoning) else "low" if asked == "minimal" else asked
    if wanted and verbosity and wanted != verbosity:
        raise ValueError(
            f"verbosity={verbosity!r} contradicts the reasoning effort {asked!r}: Messages has one effort for both; "
            "give one of them, or use api='completions' or api='responses'"
        )
    return wanted or verbosity


def output_format(response_format: Any) -> dict[str, Any] | None:
    """Return the format of `output_config`; None for plain text. Raises ValueError for one without a schema."""
    form = mapping(response_format)
    schema = mapping(form.get("json_schema")).get("schema")
    if form.get("type") == "text":
        return None
    if form.get("type") == "json_schema" and isinstance(schema, Mapping):
        return {"type": "json_schema", "schema": _closed(schema)}
    raise ValueError(
        f"response_format={response_format!r:.200} has no place in the Messages interface; use a json_schema, or use "
        "api='completions' or api='responses'"
    )


def _closed(schema: Any) -> Any:
    """Return a schema whose objects accept no further fields unless they say so: Anthropic demands it of each."""
    if isinstance(schema, list):
        return [_closed(option) for option in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = dict(schema)
    for keyword in ("items", "prefixItems", "anyOf", "allOf", "oneOf"):
        if keyword in closed:
            closed[keyword] = _closed(closed[keyword])
    for keyword in ("properties", "$defs", "definitions"):
        if isinstance(named := closed.get(keyword), Mapping):
            closed[keyword] = {name: _closed(inner) for name, inner in named.items()}
    if isinstance(closed.get("properties"), Mapping):
        closed.setdefault("additionalProperties", False)
    return closed
