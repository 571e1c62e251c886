"""Test requests that the sandbox passes on to another gateway; here a second sandbox is this gateway."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from kilo_gateway import KiloCreditsError, KiloServerError, KiloStreamInterruptedError
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloLLM
from tests.support.in_process import InProcess
from tests.support.plain_client import CHAT, chat, post, request
from tests.wire.sandbox.test_protection import upstream


@pytest.fixture
def live() -> Iterator[Sandbox]:
    """The gateway that answers."""
    with Sandbox() as server:
        yield server


@pytest.fixture
def gateway(live: Sandbox) -> Iterator[Sandbox]:
    with Sandbox(upstream=live.base_url) as server:
        yield server


@pytest.mark.parametrize("api", ["completions", "responses", "messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_other_gateway_decides_and_answers(gateway: Sandbox, live: Sandbox, api: Any, stream: bool) -> None:
    llm = ChatKilo(tier="frontier", mode="plan", api=api, base_url=gateway.base_url, api_key=live.api_key)
    answer = [*llm.stream("Plan a garden")] if stream else [llm.invoke("Plan a garden")]
    assert answer[-1].response_metadata["model_name"] == "anthropic/claude-opus-4.7"
    received, seen = live.last, gateway.last
    assert received.account == "rich"
    assert received.body == seen.body
    assert (received.path, received.mode) == (seen.path, "plan")
    assert received.headers["user-agent"] == seen.headers["user-agent"]
    assert received.headers["host"] == f"127.0.0.1:{live.port}"
    row = request(gateway, "GET", f"/page/requests/{seen.number}").json["row"]
    assert (row["served"], row["state"], row["requested"]) == ("anthropic/claude-opus-4.7", "ok", "kilo-auto/frontier")
    assert row["cost"] > 0
    assert seen.effective == {}  # only the other gateway knows what it changes


def test_everything_else_is_passed_on_too(gateway: Sandbox, live: Sandbox) -> None:
    models = request(gateway, "GET", "/api/gateway/v1/models?page=1")
    assert models.json == request(live, "GET", "/api/gateway/v1/models").json
    assert [record.query for record in live.requests] == ["page=1", ""]
    embeddings = KiloEmbeddings(model="mistralai/mistral-embed-2312", base_url=gateway.base_url, api_key=live.api_key)
    assert len(embeddings.embed_query("one")) == 1024
    assert str(KiloLLM(base_url=gateway.base_url).complete("Hi"))
    assert "authorization" not in live.last.headers
    assert request(gateway, "POST", "/other").status == 400
    assert len(live.requests) == 4


def test_its_errors_and_scenarios_are_its_own(gateway: Sandbox, live: Sandbox) -> None:
    with pytest.raises(KiloCreditsError):
        ChatKilo(tier="frontier", base_url=gateway.base_url, api_key=live.poor_api_key).invoke("Hi")
    with pytest.raises(KiloStreamInterruptedError):
        list(ChatKilo(model="sandbox/drop-connection", base_url=gateway.base_url).stream("Hi"))
    row = request(gateway, "GET", f"/page/requests/{gateway.last.number}").json["row"]
    assert (row["state"], row["error"]["message"]) == ("failed", "The connection broke before the end of the answer.")


def test_the_key_is_in_no_record(gateway: Sandbox, live: Sandbox) -> None:
    headers = {
        "x-api-key": "api-key-of-the-caller",
        "x-kilocode-organizationid": live.organization_id,
        "x-team": "header-of-the-team",
    }
    secrets = [live.api_key, *headers.values(), "key-of-the-query"]
    body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": f"I say {' '.join(secrets)}"}]}
    for stream in (False, True):
        answer = post(gateway, f"{CHAT}?key=key-of-the-query", {**body, "stream": stream}, live.api_key, headers)
        assert all(secret in answer.data.decode() for secret in secrets)  # the caller gets the answer as it is
    assert live.last.organization_id == live.organization_id
    assert live.last.query == "key=key-of-the-query"
    for record in gateway.requests:
        kept = [*record.headers.raw, record.query, record.body, record.json, *record.written, record.mask]
        assert not [secret for secret in secrets if secret in str(kept)]
        assert record.headers["authorization"] == "[hidden]"
    command = request(gateway, "GET", "/page/requests/1/curl").data.decode()
    assert '--header "Authorization: Bearer $KILO_API_KEY"' in command


def test_a_browser_and_this_computer_are_not_named(gateway: Sandbox, live: Sandbox) -> None:
    own = {
        "cookie": "a=b",
        "origin": f"http://127.0.0.1:{gateway.port}",
        "referer": "http://127.0.0.1/",
        "x-forwarded-for": "1.2.3.4",
    }
    assert chat(gateway, "sandbox/echo", headers=own).status == 200
    assert not own.keys() & set(live.last.headers)


def test_a_redirect_is_not_followed() -> None:
    with upstream(200, {}, {}) as (other, others):
        with upstream(307, {"location": f"{other}/chat/completions", "set-cookie": "a=b"}, {}) as (url, seen):
            with Sandbox(upstream=url.replace("/v1", "/api/gateway")) as gateway:
                answer = chat(gateway, "any/model")
    assert (answer.status, len(seen), others) == (307, 1, [])
    assert "set-cookie" not in answer.headers


def test_an_absent_gateway_is_a_502() -> None:
    with Sandbox(upstream="http://127.0.0.1:9/api/gateway") as gateway:
        with pytest.raises(KiloServerError, match=r"127\.0\.0\.1:9"):
            ChatKilo(base_url=gateway.base_url, max_retries=0).invoke("hi")


def test_a_client_that_leaves_frees_the_gateway_too(gateway: Sandbox, live: Sandbox) -> None:
    stream: Any = ChatKilo(model="sandbox/stall", base_url=gateway.base_url).stream("hi")
    next(stream)
    stream.close()
    assert gateway.wait_for(lambda record: record.disconnected)
    assert live.wait_for(lambda record: record.disconnected)


def test_a_client_that_leaves_before_an_answer_frees_the_gateway_too(gateway: Sandbox, live: Sandbox) -> None:
    body = json.dumps({"model": "sandbox/stall", "messages": []}).encode()
    with socket.create_connection(("127.0.0.1", gateway.port)) as sock:
        head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
        sock.sendall(head % (CHAT.encode(), len(body), body))
        live.wait_for(lambda record: record.status == 200)
    assert live.wait_for(lambda record: record.disconnected)
    record = gateway.wait_for(lambda record: record.finished)
    assert (record.status, record.disconnected) == (499, True)


@pytest.mark.parametrize(
    ("url", "model", "passes"),
    [
        ("https://api.kilo.ai/api/gateway", None, True),
        ("https://api.kilo.ai/api/openrouter/v1/", None, True),
        ("http://localhost:8787/api/gateway", None, True),
        ("https://api.kilo.ai/api/gateway", "kilo-auto/free", False),
        ("http://127.0.0.1:11434/v1", None, False),
    ],
)
def test_the_address_says_if_a_gateway_answers(url: str, model: str | None, passes: bool) -> None:
    assert InProcess(upstream=url, upstream_model=model).options.passes_through is passes


@pytest.mark.parametrize("host", ["gateway.example", "127.0.0.1.evil.example", "127.evil.example"])
def test_a_key_does_not_travel_unencrypted(host: str) -> None:
    with pytest.raises(ValueError, match="unencrypted to another machine; use its https URL"):
        Sandbox(upstream=f"http://{host}/api/gateway")


def test_the_page_says_who_answers(gateway: Sandbox, live: Sandbox) -> None:
    chat(gateway, "sandbox/echo")
    text = request(gateway, "GET", "/page/requests/1/cassette").data.decode()
    assert f"{live.base_url}, through the kilo-gateway sandbox" in text
    assert f"{live.base_url}/chat/completions" in text
    assert json.loads(gateway.last.body)["model"] == "sandbox/echo"
