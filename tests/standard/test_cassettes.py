"""Test the cassettes: they contain no secret and nothing of the recording machine, and they name their source."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from langchain_tests.integration_tests import ChatModelIntegrationTests
from vcr.request import Request

from kilo_gateway.sandbox import Sandbox
from tests.support import vcr_settings

ROOT = Path(__file__).parent.parent.parent
CASSETTES = sorted((ROOT / "tests/cassettes").glob("*.yaml"))
OF_CHECKS = sorted((ROOT / "tests/cassettes/verify").glob("*.yaml"))
PRIVATE = re.compile(
    r"authorization|cookie|bearer|organi[sz]ationid|sandbox-key|\bsk-|\beyJ[\w-]{10}|localhost"
    r"|\b\d{1,3}(\.\d{1,3}){3}\b|(?<![\w.])(/root|/home|/Users|/tmp|/private)/|[A-Z]:\\\\Users"
    r'|"(user_id|user|safety_identifier|prompt_cache_key)"\s*:\s*"(?!HIDDEN)',
    re.IGNORECASE,
)
KEY, ORGANIZATION = "s3cr3t-key", "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5"


def interactions(path: Path) -> list[dict[str, Any]]:
    recorded: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]
    return recorded


def check(path: Path, source: str) -> None:
    """Fail if a cassette contains more than it should."""
    # The challenge of the gateway contains no token.
    assert PRIVATE.search(path.read_text(encoding="utf-8").replace('Bearer error="invalid_token"', "")) is None
    assert interactions(path)
    for interaction in interactions(path):
        request, response = interaction["request"], interaction["response"]
        assert set(request["headers"]) <= set(vcr_settings.KEPT_REQUEST_HEADERS)
        kept = {vcr_settings.RECORDED_FROM, *vcr_settings.KEPT_RESPONSE_HEADERS, "www-authenticate"}
        assert set(response["headers"]) <= kept
        first, [label] = next(iter(response["headers"].items()))
        assert first == vcr_settings.RECORDED_FROM
        assert re.fullmatch(source, label)
        if path.parent.name == "verify":
            assert request["uri"].startswith(vcr_settings.REPLAY_URL.removesuffix("gateway"))
        else:
            assert request["uri"] == f"{vcr_settings.REPLAY_URL}/chat/completions"


@pytest.mark.parametrize("path", [*CASSETTES, *OF_CHECKS], ids=lambda path: path.stem)
def test_a_cassette_contains_no_more_than_it_should(path: Path) -> None:
    check(path, r"kilo-gateway sandbox|Kilo AI Gateway, live, \d{4}-\d\d-\d\d")


def test_each_test_that_asks_a_model_has_a_cassette() -> None:
    tests = {name for name in dir(ChatModelIntegrationTests) if name.startswith("test_")}
    silent = {"test_no_overrides_DO_NOT_OVERRIDE"}
    assert {path.stem.partition("[")[0] for path in CASSETTES} == tests - silent
    assert sum(path.stat().st_size for path in [*CASSETTES, *OF_CHECKS]) < 1_500_000


def test_a_recorded_list_has_the_models_that_the_checks_choose_from() -> None:
    entries = [
        {"id": "kilo-auto/balanced", "pricing": {"completion": "-1"}, "autoRouting": {"models": ["a/routed"]}},
        {"id": "a/routed", "pricing": {"completion": "0.1"}, "description": "long"},
        {"id": "a/other", "pricing": {"completion": "0.1"}},
        {"id": "b/free:free", "pricing": {"completion": "0"}},
        *(
            {
                "id": f"openai/{n}",
                "pricing": {"completion": f"0.{n}"},
                "opencode": {"ai_sdk_provider": "openai"},
            }
            for n in (3, 2)
        ),
    ]
    body = {"string": json.dumps({"data": entries}).encode()}
    settings = vcr_settings.checks_config(vcr_settings.NOBODY)
    kept = json.loads(settings["before_record_response"]({"headers": {}, "body": body})["body"]["string"])["data"]
    assert [entry["id"] for entry in kept] == ["kilo-auto/balanced", "a/routed", "b/free:free", "openai/2"]
    assert kept[1]["description"] == ""


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: x",
        "set-cookie",
        "http://localhost:1",
        "127.0.0.1",
        "a sk-or-v1-1",
        '"eyJhbGciOiJIUzI1NiJ9.x"',
        "in " + "/".join(("", "root", "x")),
        '"user_id": "user_2x"',
        Sandbox.api_key,
    ],
)
def test_the_search_finds_private_data(text: str) -> None:
    assert PRIVATE.search(text)


def test_a_recording_leaves_out_private_data() -> None:
    source = vcr_settings.Source("here", "https://10.1.2.3/v1", KEY, ORGANIZATION)
    settings = vcr_settings.config(source)
    body = {
        "messages": [
            {"role": "assistant", "tool_calls": [{"id": "toolu_9", "type": "function"}]},
            {"role": "tool", "tool_call_id": "toolu_9", "content": f"{KEY} {ORGANIZATION}"},
        ]
    }
    headers = {"Authorization": KEY, "X-KiloCode-OrganizationId": ORGANIZATION, "Cookie": "a", "Content-Type": "b"}
    sent = Request("POST", f"{source.base_url}/chat/completions", json.dumps(body).encode(), headers)
    recorded = settings["before_record_request"](sent)
    assert recorded.uri == f"{vcr_settings.REPLAY_URL}/chat/completions"
    assert dict(recorded.headers) == {"content-type": "b"}
    assistant, tool = json.loads(recorded.body)["messages"]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"] == "call_0"
    assert tool["content"] == "HIDDEN HIDDEN"
    answer = {
        "status": {"code": 200, "message": "OK"},
        "headers": {"Set-Cookie": ["a"], "X-Vercel-Id": ["fra1"], "Content-Type": ["b"], "Request-Id": ["r"]},
        "body": {"string": f'{{"error": "{KEY}", "user_id" : "user_1"}}'.encode()},
    }
    shown = settings["before_record_response"](answer)
    assert list(shown["headers"].items()) == [
        (vcr_settings.RECORDED_FROM, ["here"]),
        ("content-type", ["b"]),
        ("request-id", ["r"]),
    ]
    assert shown["body"]["string"] == b'{"error": "HIDDEN", "user_id" : "HIDDEN"}'


def test_a_key_in_the_environment_records_from_the_gateway_it_belongs_to(kilo_sandbox: Sandbox, tmp_path: Path) -> None:
    """The sandbox stands for the live gateway, which tests cannot reach."""
    account = {
        "KILO_API_KEY": kilo_sandbox.member_api_key,
        "KILO_ORG_ID": kilo_sandbox.organization_id,
        "KILO_BASE_URL": kilo_sandbox.base_url,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["tests/standard/test_replay.py", "tests/standard/test_verify_replay.py"]
    command += [
        "--force-enable-socket",
        "--record-mode=rewrite",
        "-k",
        "test_invoke or test_astream or test_agent_loop or credentials",
    ]
    environment = {**os.environ, **account, "CASSETTES": str(tmp_path)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout
    recorded = sorted(tmp_path.rglob("*.yaml"))
    names = {"test_invoke", "test_astream[model0]", "test_agent_loop[model1]", "credentials"}
    assert {path.stem for path in recorded} > names
    for path in recorded:
        check(path, r"Kilo AI Gateway, live, \d{4}-\d\d-\d\d")
        assert not any(secret in path.read_text() for secret in account.values())
    asked = [record for record in kilo_sandbox.requests if record.requested_model == "google/gemini-2.5-flash"]
    assert asked
    for record in asked:
        assert record.headers["authorization"] == f"Bearer {kilo_sandbox.member_api_key}"
        assert record.organization_id == kilo_sandbox.organization_id
