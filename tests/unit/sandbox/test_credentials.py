"""Who may call what: the credential table of both policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.in_process import InProcess
from tests.support.plain_client import chat, post, request

FREE, PAID, SMALL = "kilo-auto/free", "openai/gpt-5.4", "kilo-auto/small"
ORGANIZATION = "X-KiloCode-OrganizationId"
OTHER_UUID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def lenient() -> Iterator[Sandbox]:
    with InProcess(lenient_tokens=True) as gateway:
        yield gateway


NO_CREDENTIALS = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer anonymous"},
    {"Authorization": "bearer anonymous"},
    {"Authorization": f"Basic {Sandbox.api_key}"},
    {"x-api-key": Sandbox.api_key},
]
BAD_TOKENS = ["public", "Anonymous", "sk-expired", "sandbox-key2"]


@pytest.mark.parametrize("headers", NO_CREDENTIALS)
def test_without_credential_free_models_only(gw: Sandbox, headers: dict[str, str]) -> None:
    assert chat(gw, FREE, key=None, headers=headers).status == 200
    assert gw.last.account == "anonymous"
    refused = chat(gw, PAID, key=None, headers=headers)
    assert refused.status == 401
    assert refused.json == {
        "error": {"code": "PAID_MODEL_AUTH_REQUIRED", "message": "You need to sign in to use this model."},
        "error_type": "paid_model_auth_required",
    }


@pytest.mark.parametrize("token", BAD_TOKENS)
@pytest.mark.parametrize("model", [FREE, PAID, "kilo-auto/frontier"])
def test_a_bad_token_is_rejected(gw: Sandbox, token: str, model: str) -> None:
    refused = chat(gw, model, key=token)
    assert refused.status == 401
    assert refused.json["error"]["code"] == "INVALID_TOKEN"
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_a_bad_token_is_anonymous_when_lenient(lenient: Sandbox, token: str) -> None:
    assert chat(lenient, FREE, key=token).status == 200
    assert chat(lenient, PAID, key=token).json["error"]["code"] == "PAID_MODEL_AUTH_REQUIRED"


@pytest.mark.parametrize(("era", "status"), [("E1", 200), ("E2", 200), ("E3", 401)])
def test_the_era_sets_the_policy(era: Any, status: int) -> None:
    with InProcess(era=era) as gateway:
        assert chat(gateway, "openrouter/free", key="public").status == status


@pytest.mark.parametrize("organization", ["not-a-uuid", OTHER_UUID])
@pytest.mark.parametrize("key", [Sandbox.api_key, Sandbox.poor_api_key])
def test_a_wrong_organisation_makes_anonymous(gw: Sandbox, key: str, organization: str) -> None:
    headers = {ORGANIZATION: organization}
    assert chat(gw, FREE, key=key, headers=headers).status == 200
    assert gw.last.account == "anonymous"
    assert chat(gw, PAID, key=key, headers=headers).json["error"]["code"] == "PAID_MODEL_AUTH_REQUIRED"


@pytest.mark.parametrize("key", [Sandbox.api_key, Sandbox.member_api_key])
def test_members_may_name_their_organisation(gw: Sandbox, key: str) -> None:
    assert chat(gw, PAID, key=key, headers={ORGANIZATION: gw.organization_id.upper()}).status == 200
    assert gw.last.account == ("rich" if key == gw.api_key else "member")


def test_the_organisation_in_a_token_wins_over_the_header(gw: Sandbox) -> None:
    assert chat(gw, PAID, key=gw.member_api_key, headers={ORGANIZATION: OTHER_UUID}).status == 200
    assert gw.last.organization_id == gw.organization_id


def test_balance_is_needed_for_paid_models(gw: Sandbox) -> None:
    assert chat(gw, PAID, key=gw.api_key).status == 200
    assert chat(gw, FREE, key=gw.poor_api_key).status == 200
    refused = chat(gw, PAID, key=gw.poor_api_key)
    assert refused.status == 402
    assert refused.json == {
        "error": {
            "title": "Paid Model - Credits Required",
            "message": "Add credits to continue, or switch to a free model",
            "balance": 0,
            "buyCreditsUrl": "https://app.kilo.ai/profile",
        },
        "error_type": "usage_limit_exceeded",
    }


def test_the_credits_error_can_come_with_status_200() -> None:
    with InProcess(credits_status=200) as gateway:
        answer = chat(gateway, PAID, key=gateway.poor_api_key)
    assert answer.status == 200
    assert answer.json["error_type"] == "usage_limit_exceeded"


def test_error_type_can_be_left_out() -> None:
    with InProcess(error_type=False) as gateway:
        assert "error_type" not in chat(gateway, PAID, key=None).json


@pytest.mark.parametrize("key", [None, "public", Sandbox.api_key])
def test_listings_ignore_the_credential(gw: Sandbox, key: str | None) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    for path in ("models", "v1/models", "embedding-models", "providers"):
        assert request(gw, "GET", f"/api/gateway/{path}", headers=headers).status == 200


@pytest.mark.parametrize("key", [None, "nonsense", Sandbox.poor_api_key])
def test_scenarios_are_open_to_all(gw: Sandbox, key: str | None) -> None:
    assert chat(gw, "sandbox/echo", key=key).status == 200


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (None, 401, "PAID_MODEL_AUTH_REQUIRED"),
        ("public", 401, "INVALID_TOKEN"),
        (Sandbox.poor_api_key, 402, None),
        (Sandbox.api_key, 200, None),
    ],
)
def test_embeddings_need_a_token_with_balance(gw: Sandbox, key: str | None, status: int, code: str | None) -> None:
    body = {"model": "mistral-embed-2312", "input": "hello"}
    answer = post(gw, "/api/gateway/embeddings", body, key)
    assert answer.status == status
    assert answer.json.get("error", {}).get("code") == code
