"""Collect all scenarios: model ids `sandbox/<name>` that select unusual answers, errors or silence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kilo_gateway.sandbox.scenarios import (
    answers,
    broken,
    counts,
    events,
    failures,
    framing,
    messages,
    responses,
    waiting,
)
from kilo_gateway.sandbox.scenarios.base import Scenario
from kilo_gateway.sandbox.scenarios.chat_completions import chunks, oddities, reasoning, toolcalls

_MODULES = (
    *(answers, chunks, counts, reasoning, framing, toolcalls, oddities, events, responses, messages),
    *(failures, broken, waiting),
)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {scenario.id: scenario for module in _MODULES for scenario in module.REGISTRY.scenarios.values()}
)

__all__ = ["SCENARIOS", "Scenario"]
