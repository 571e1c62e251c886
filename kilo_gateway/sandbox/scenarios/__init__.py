"""Collect all scenarios: model ids `sandbox/<name>` that select unusual answers, errors or silence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kilo_gateway.sandbox.scenarios import broken, failures, framing, oddities, reasoning, waiting
from kilo_gateway.sandbox.scenarios.base import Scenario
from kilo_gateway.sandbox.scenarios.chat_completions import chunks, toolcalls

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.id: scenario
        for module in (chunks, reasoning, framing, toolcalls, oddities, failures, broken, waiting)
        for scenario in module.REGISTRY.scenarios.values()
    }
)

__all__ = ["SCENARIOS", "Scenario"]
