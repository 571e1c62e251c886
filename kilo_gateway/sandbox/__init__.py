"""A local stand-in of the Kilo AI Gateway: a real HTTP server, so that chains are tested without key, network or bill.

    with Sandbox() as gw:
        ChatKilo(base_url=gw.base_url, api_key=gw.api_key).invoke("Hello")

Its "model" is canned and deterministic; the model ids in `SCENARIOS` select oddities and faults of the
wire. Names are loaded on first use, because pytest imports this package in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kilo_gateway.sandbox.gateway.records import Record as Record
    from kilo_gateway.sandbox.scenarios import SCENARIOS as SCENARIOS
    from kilo_gateway.sandbox.scenarios import Scenario as Scenario
    from kilo_gateway.sandbox.server import Sandbox as Sandbox

__all__ = ["SCENARIOS", "Record", "Sandbox", "Scenario"]

_HOMES = {"SCENARIOS": "scenarios", "Scenario": "scenarios", "Sandbox": "server", "Record": "gateway.records"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
