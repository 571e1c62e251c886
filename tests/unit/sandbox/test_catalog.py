"""The listings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.gateway import odd_model_lists
from tests.support.in_process import InProcess
from tests.support.plain_client import request

TIERS = [f"kilo-auto/{tier}" for tier in ("frontier", "balanced", "efficient", "free", "small")]


def test_the_list_has_only_data(gw: Sandbox) -> None:
    body = request(gw, "GET", "/api/gateway/models").json
    assert set(body) == {"data"}
    ids = [item["id"] for item in body["data"]]
    assert ids[:5] == TIERS
    assert len(ids) == len(set(ids)) > 20
    assert not [name for name in ids if name.startswith("sandbox/")]


def test_every_item_has_the_documented_keys(gw: Sandbox) -> None:
    for item in request(gw, "GET", "/api/gateway/v1/models").json["data"]:
        assert item.keys() >= {
            "id",
            "name",
            "created",
            "description",
            "context_length",
            "architecture",
            "top_provider",
            "pricing",
            "supported_parameters",
            "isFree",
            "mayTrainOnYourPrompts",
        }
        assert not item.keys() & {"object", "owned_by"}
        prices = [item["pricing"][key] for key in ("prompt", "completion")]
        assert all(isinstance(price, str) and Decimal(price) >= -1 for price in prices)
        assert (prices == ["0", "0"]) == item["isFree"]


def test_auto_tiers_name_what_they_reach(gw: Sandbox) -> None:
    data = {item["id"]: item for item in request(gw, "GET", "/api/gateway/models").json["data"]}
    assert data["kilo-auto/frontier"]["pricing"]["prompt"] == "-1"
    for tier in TIERS:
        reached = data[tier]["autoRouting"]["models"]
        assert reached == sorted(reached)
        assert set(reached) <= set(data)
        assert data[tier]["created"] == 0


def test_tiers_had_prices_in_e2() -> None:
    gateway = InProcess(era="E2")
    data = {item["id"]: item for item in request(gateway, "GET", "/api/gateway/models").json["data"]}
    prices = [data[tier]["pricing"]["completion"] for tier in TIERS[:3]]
    assert prices == ["0.000025", "0.00000195", "-1"]
    assert data["kilo-auto/free"]["top_provider"]["max_completion_tokens"] == 10_000


def test_the_list_names_the_interface_of_a_model(gw: Sandbox) -> None:
    data = request(gw, "GET", "/api/gateway/models").json["data"]
    hints = {item["id"]: item.get("opencode", {}).get("ai_sdk_provider") for item in data}
    assert hints["anthropic/claude-sonnet-4.6"] == "anthropic"
    assert hints["openai/gpt-5.5"] == hints["x-ai/grok-4"] == "openai"
    assert hints["google/gemini-2.5-flash"] is None


def test_a_token_adds_a_key(gw: Sandbox) -> None:
    signed_in = {"authorization": f"Bearer {gw.api_key}"}
    assert "hasUserByokAvailable" in request(gw, "GET", "/api/gateway/models", headers=signed_in).json["data"][0]
    assert "hasUserByokAvailable" not in request(gw, "GET", "/api/gateway/models").json["data"][0]


@pytest.mark.parametrize(
    ("switches", "present", "absent"),
    [
        ({}, "anthropic/claude-opus-4.7", "anthropic/claude-opus-5.5"),
        ({"catalog_ids": "E3"}, "anthropic/claude-opus-5.5", "kilo/auto"),
        ({"era": "E1"}, "kilo/auto", "kilo-auto/frontier"),
    ],
)
def test_the_switches_show_in_the_list(switches: dict[str, Any], present: str, absent: str) -> None:
    with InProcess(**switches) as gateway:
        ids = [item["id"] for item in request(gateway, "GET", "/api/gateway/models").json["data"]]
    assert present in ids
    assert absent not in ids


def test_endpoints_of_a_model(gw: Sandbox) -> None:
    for prefix in ("", "/v1"):
        found = request(gw, "GET", f"/api/gateway{prefix}/models/openai/gpt-5.4/endpoints")
        assert found.json["data"]["id"] == "openai/gpt-5.4"
    missing = request(gw, "GET", "/api/gateway/models/openai/gpt-0/endpoints")
    assert (missing.status, missing.json) == (404, {"error": {"message": "Not Found", "code": 404}})


@pytest.mark.parametrize(
    ("name", "status"), [(name, 500 if name == "failing" else 200) for name in odd_model_lists.LISTS]
)
def test_a_header_asks_for_an_odd_list(gw: Sandbox, name: str, status: int) -> None:
    plain = request(gw, "GET", "/api/gateway/models")
    odd = request(gw, "GET", "/api/gateway/models", headers={odd_model_lists.HEADER: name})
    assert odd.status == status
    assert odd.data != plain.data
    unknown = request(gw, "GET", "/api/gateway/models", headers={odd_model_lists.HEADER: "no-such"})
    assert unknown.data == plain.data
