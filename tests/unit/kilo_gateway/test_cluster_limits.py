"""The arguments of ClusterLimits, without Ray."""

import sys
from typing import Any

import pytest

from kilo_gateway.ray.limits import ClusterLimits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget_usd": 0}, r"budget_usd=0 must be a number of USD above 0; for no limit leave it out"),
        ({"budget_usd": float("inf")}, r"budget_usd=inf must be"),
        ({"requests_per_minute": 0}, r"requests_per_minute=0 must be a whole number, 1 or more"),
        ({"requests_per_hour": 1.5}, r"requests_per_hour=1\.5 must be a whole number"),
        ({"max_in_flight": True}, r"max_in_flight=True must be a whole number"),
        ({"spent_usd": -1}, r"spent_usd=-1 must be a number of USD, 0 or more"),
        ({"unknown_cost_usd": -1}, r"unknown_cost_usd=-1 must be"),
        ({"budget_usd": 5, "spent_usd": 5}, r"spent_usd=5 leaves nothing of budget_usd=5; pass a higher budget_usd"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterLimits(**arguments)


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "kilo-gateway\[ray\]"'):
        ClusterLimits()
