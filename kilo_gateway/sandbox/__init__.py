"""Run a local stand-in for the Kilo AI Gateway: a real HTTP server, so that tests need no key, network or money.

    with Sandbox() as gw:
        ChatKilo(base_url=gw.base_url, api_key=gw.api_key).invoke("Hello")

A canned, deterministic model writes the answers. The model ids in `SCENARIOS` select unusual answers and errors.
Names are loaded on first use, because pytest imports this package in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kilo_gateway.sandbox.gateway.rate_limits import RateLimits as RateLimits
    from kilo_gateway.sandbox.gateway.records import Record as Record
    from kilo_gateway.sandbox.scenarios import SCENARIOS as SCENARIOS
    from kilo_gateway.sandbox.scenarios import Scenario as Scenario
    from kilo_gateway.sandbox.server import Sandbox as Sandbox

__all__ = ["SCENARIOS", "RateLimits", "Record", "Sandbox", "Scenario"]

_MODULES = {
    "SCENARIOS": "scenarios",
    "Scenario": "scenarios",
    "Sandbox": "server",
    "RateLimits": "gateway.rate_limits",
    "Record": "gateway.records",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
