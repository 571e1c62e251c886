"""Register token counts and costs that every interface has. See docs/gateway.md, "Usage"."""

# ruff: noqa: ARG001 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.scenarios.base import Json, Registry, usages

REGISTRY = Registry()


def _usage(name: str, description: str, change: Callable[[Json], Any]) -> None:
    """Register a scenario that changes the token counts of the body, and of each frame of a stream."""

    def body(call: Call, payload: Json) -> Json:
        for usage in usages(payload):
            change(usage)
        return payload

    def frames(call: Call, frames: list[Json]) -> list[Json]:
        return [body(call, frame) for frame in frames]

    REGISTRY.add(name, description, body=body, frames=frames)


_PRICES = ("cost", "cost_details", "is_byok")


def _byok(usage: Json) -> None:
    if "cost" in usage:
        usage["cost_details"]["upstream_inference_cost"] = usage["cost"]
        usage.update(cost=0, is_byok=True)


def _cached(usage: Json) -> None:
    """Say that half of the prompt was read from a cache and a quarter was written to it."""
    if "prompt_tokens" in usage:
        half, quarter = usage["prompt_tokens"] // 2, usage["prompt_tokens"] // 4
        usage["prompt_tokens_details"].update(cached_tokens=half, cache_write_tokens=quarter)
    elif "input_tokens_details" in usage:
        half, quarter = usage["input_tokens"] // 2, usage["input_tokens"] // 4
        usage["input_tokens_details"].update(cached_tokens=half, cache_write_tokens=quarter)
    elif "input_tokens" in usage:
        # Messages does not count cached tokens as input.
        half, quarter = usage["input_tokens"] // 2, usage["input_tokens"] // 4
        usage["input_tokens"] -= half + quarter
        usage.update(cache_read_input_tokens=half, cache_creation_input_tokens=quarter)


REGISTRY.add("vercel", "the Vercel route: its ids, and provider_metadata instead of usage.cost", upstream="vercel")
_usage("cached-tokens", "half the prompt was read from a cache, a quarter written to it", _cached)
_usage("cost-zero", "a paid model costs 0", lambda usage: "cost" in usage and usage.update(cost=0))
_usage("cost-stripped", "no cost", lambda usage: [usage.pop(name, None) for name in _PRICES])
_usage(
    "cost-string",
    "the cost is a string",
    lambda usage: "cost" in usage and usage.update(cost=f"{usage['cost']:.10f}"),
)
_usage("byok", "the caller's own key: cost 0, the real amount in cost_details", _byok)
