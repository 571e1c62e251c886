"""Test the facts that docs/observability.md promises in the runs that LangSmith's client sends."""

import json
from typing import Any

import pytest
import requests
from langsmith import Client, tracing_context

from kilo_gateway import KiloError
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from tests.support.pages import ROOT, blocks

[RECIPE] = [block for block in blocks(ROOT / "docs/observability.md") if "from langsmith" in block.code]
SERVED, COST = "anthropic/claude-opus-4.7", 0.00278
HEADER, CALL_HEADER = "s3cr3t-header", "s3cr3t-header-of-a-call"


class Kept(requests.Session):
    """Keeps the bodies of requests instead of sending them."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    def request(self, method: Any, url: Any, *args: Any, data: Any = None, **kwargs: Any) -> requests.Response:
        self.bodies.append(data)
        response = requests.Response()
        response.status_code = 200
        return response

    def ended(self) -> dict[str, dict[str, Any]]:
        """Return the runs that have ended, by their names."""
        runs = map(json.loads, self.bodies)
        return {run["name"]: run for run in runs if run.get("end_time")}


@pytest.fixture
def account(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Set an account in the environment, and return its secrets."""
    monkeypatch.setenv("KILO_BASE_URL", kilo_sandbox.base_url)
    monkeypatch.setenv("KILO_API_KEY", kilo_sandbox.member_api_key)
    monkeypatch.setenv("KILO_ORG_ID", kilo_sandbox.organization_id)
    return [kilo_sandbox.member_api_key, kilo_sandbox.organization_id, HEADER, CALL_HEADER]


@pytest.fixture
def langsmith() -> Kept:
    return Kept()


@pytest.fixture
def client(langsmith: Kept) -> Client:
    return Client("http://127.0.0.1:9", api_key="key", session=langsmith, auto_batch_tracing=False)


def test_the_recipe(account: list[str], langsmith: Kept, client: Client) -> None:
    with tracing_context(enabled=True, client=client):
        exec(compile(RECIPE.code, RECIPE.place, "exec"), {"__name__": "__main__"})  # noqa: S102 -- our own documentation
    runs = langsmith.ended()
    assert runs["ChatKilo"]["trace_id"] == runs["plan"]["id"]
    metadata = runs["ChatKilo"]["extra"]["metadata"]
    assert (metadata["ls_model_name"], metadata["kilo_mode"]) == ("kilo-auto/frontier", "plan")
    assert [metadata["usage_metadata"][f"{name}_tokens"] for name in ("input", "output", "total")] == [11, 109, 120]
    answered = runs["ChatKilo"]["outputs"]["generations"][0][0]["message"]["kwargs"]["response_metadata"]
    assert (answered["model_name"], answered["cost"]) == (SERVED, COST)
    assert runs["plan"]["extra"]["metadata"]["usage_metadata"] == {"total_cost": COST}


@pytest.mark.parametrize("model", ["kilo-auto/frontier", "sandbox/error-401"])
def test_runs_show_no_secret(account: list[str], langsmith: Kept, client: Client, model: str) -> None:
    llm = ChatKilo(model=model, default_headers={"x-tenant": HEADER}, max_retries=0)
    error = None
    with tracing_context(enabled=True, client=client):
        try:
            list(llm.stream("hi", extra_headers={"x-call": CALL_HEADER}))
        except KiloError as raised:
            error = raised
    run = langsmith.ended()["ChatKilo"]
    assert bool(run.get("error")) == (error is not None) == ("error" in model)
    sent = b"".join(langsmith.bodies).decode()
    assert model in sent
    assert {secret for secret in account if secret in sent} == set()
