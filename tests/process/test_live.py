"""Test the run against the live gateway (`make test-live`): a sandbox with a key stands for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support import live

ROOT = Path(__file__).parent.parent.parent
CONTRACT = ["tests/contract/test_kilo_contract.py", "tests/contract/test_kilo_contract_interfaces.py"]
STANDARD = [f"tests/standard/test_{name}.py" for name in ("integration", "embeddings", "interfaces")]


def run(gateway: Sandbox, tests: list[str], chosen: str, limit_usd: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-k", chosen]
    account = {"KILO_API_KEY": gateway.api_key, "KILO_BASE_URL": gateway.base_url, "KILO_LIVE_LIMIT_USD": limit_usd}
    environment = {**os.environ, **account, "KILO_LIVE": "1"}
    return subprocess.run([*command, *tests], env=environment, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_live_gateway_takes_the_place_of_the_sandbox(kilo_sandbox: Sandbox) -> None:
    chosen = "test_answers or test_ainvoke or test_embed_query or test_tool_calling or test_a_failed_stream_raises"
    result = run(kilo_sandbox, [*STANDARD, *CONTRACT], chosen, "0.50")
    assert result.returncode == 0, result.stdout
    assert "no server for 'the stream is empty'" in result.stdout  # only the sandbox has faults
    assert kilo_sandbox.requests[0].path.endswith("/models")
    models = {record.requested_model for record in kilo_sandbox.requests[1:]}
    assert {"google/gemini-2.5-flash", "openai/gpt-5.4-mini", "anthropic/claude-haiku-4.5"} < models
    chats = [record.json for record in kilo_sandbox.requests if record.json and "messages" in record.json]
    assert {body["max_tokens"] for body in chats} == {1000}
    assert kilo_sandbox.api_key not in result.stdout + result.stderr


def test_a_spent_budget_ends_the_run(kilo_sandbox: Sandbox) -> None:
    result = run(kilo_sandbox, CONTRACT[:1], "test_answers", "0.0042")
    assert result.returncode == pytest.ExitCode.INTERRUPTED, result.stdout
    assert "the budget of this run is spent (KILO_LIVE_LIMIT_USD): " in result.stdout
    assert "1 failed, " in result.stdout
    chats = [record for record in kilo_sandbox.requests if record.method == "POST"]
    assert 0 < len(chats) < 8


def test_a_live_run_needs_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with live.gateway(tmp_path) as source:
        assert source is None
    monkeypatch.setenv("KILO_LIVE", "1")
    needs_a_key = pytest.raises(pytest.exit.Exception, match="KILO_LIVE=1 needs the key of an account")
    with needs_a_key, live.gateway(tmp_path):
        pass
