"""Switches that the sandbox does not know are refused before it starts."""

from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox


@pytest.mark.parametrize(
    "switch",
    [
        {"era": "E4"},
        {"catalog_ids": "2027"},
        {"upstream": "other"},
        {"credits_status": 500},
        {"delay": -1},
        {"latency": -1},
    ],
)
def test_unknown_switches_are_refused(switch: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(switch))):
        Sandbox(**switch)


def test_what_is_no_upstream_is_refused() -> None:
    with pytest.raises(ValueError, match="'openrooter'; use 'openrouter', 'vercel' or the"):
        Sandbox(upstream="openrooter")
