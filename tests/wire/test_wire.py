"""Test the requests of both classes, which the sandbox records."""

import asyncio
import gc
import sys
from typing import Any

import openai
import pytest
from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import (
    GatewaySettings,
    KiloAuthenticationError,
    KiloConnectionError,
    KiloCreditsError,
    KiloDataPolicyWarning,
    KiloModelNotFoundError,
    KiloSignInRequiredError,
    KiloTimeoutError,
    chat,
)
from kilo_gateway.models import known
from kilo_gateway.routing import MODES
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.transport import clients
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.leftovers import open_to
from tests.support.ways import both, collect, messages, text_of

ORGANIZATION = "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5"


def ask(model: Any, **call: Any) -> Any:
    if isinstance(model, ChatKilo):
        return model.invoke("hi", **call)
    return model.chat([ChatMessage(role="user", content="hi")], **call)


async def aask(model: Any, **call: Any) -> Any:
    if isinstance(model, ChatKilo):
        return await model.ainvoke("hi", **call)
    return await model.achat([ChatMessage(role="user", content="hi")], **call)


def ask_twice(model: Any) -> None:
    ask(model)
    ask(model)


def stream(model: Any) -> Any:
    if isinstance(model, ChatKilo):
        return model.stream("hi")
    return model.stream_chat([ChatMessage(role="user", content="hi")])


@both
def test_no_environment_at_all(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, cls: Any) -> None:
    assert cls().base_url == "https://api.kilo.ai/api/gateway"
    monkeypatch.setattr("kilo_gateway.settings.types.DEFAULT_BASE_URL", kilo_sandbox.base_url)
    ask(cls())
    asyncio.run(aask(cls()))
    for record in kilo_sandbox.requests:
        assert record.json["model"] == "kilo-auto/free"
        assert "authorization" not in record.headers
        assert record.account == "anonymous"


@both
def test_tier_and_mode(kilo_sandbox: Sandbox, cls: Any) -> None:
    model = cls(tier="frontier", mode="Plan ", base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    ask(model)
    record = kilo_sandbox.last
    assert record.json["model"] == "kilo-auto/frontier"
    assert record.headers["x-kilocode-mode"] == "plan"
    assert record.headers["authorization"] == f"Bearer {kilo_sandbox.api_key}"
    ask(model, mode="code")
    assert kilo_sandbox.last.headers["x-kilocode-mode"] == "code"
    ask(model, mode=None, tier="small")
    assert "x-kilocode-mode" not in kilo_sandbox.last.headers
    assert kilo_sandbox.last.json["model"] == "kilo-auto/small"


@both
def test_only_requested_fields_are_sent(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, cls: Any) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "belongs-to-openai")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-secret: belongs-to-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    clients.forget()
    ask(cls(base_url=kilo_sandbox.base_url))
    record = kilo_sandbox.last
    assert "belongs-to-openai" not in str(record.headers)
    expected = {"host", "accept", "accept-encoding", "connection", "content-length", "content-type", "user-agent"}
    assert set(record.headers) == expected
    assert set(record.json) == {"model", "messages", "stream"}


@both
def test_all_requested_fields_are_sent(kilo_sandbox: Sandbox, cls: Any) -> None:
    model = cls(
        model="anthropic/claude-sonnet-4.6",
        base_url=kilo_sandbox.base_url,
        api_key=kilo_sandbox.api_key,
        organization_id=kilo_sandbox.organization_id,
        task_id="t1",
        project_id="p1",
        feature="direct-gateway",
        temperature=0.5,
        max_tokens=50,
        top_p=0.9,
        stop="END",
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        logprobs=True,
        top_logprobs=2,
        logit_bias={"50": -1},
        reasoning="low",
        verbosity="high",
        provider={"order": ["x"]},
        plugins=[{"id": "web"}],
        transforms=["middle-out"],
        extra_body={"foo": {"a": 1}},
        default_headers={"x-one": "1"},
        default_query={"trace": "1"},
    )
    ask(model, extra_body={"foo": {"b": 2}}, extra_headers={"x-two": "2"}, provider={"sort": "price"})
    record = kilo_sandbox.last
    body = {k: v for k, v in record.json.items() if k not in ("messages", "stream")}
    assert body == {
        "model": "anthropic/claude-sonnet-4.6",
        "temperature": 0.5,
        "max_tokens": 50,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"50": -1},
        "reasoning": {"effort": "low"},
        "verbosity": "high",
        "provider": {"order": ["x"], "sort": "price"},
        "plugins": [{"id": "web"}],
        "transforms": ["middle-out"],
        "foo": {"a": 1, "b": 2},
    }
    headers = {
        "x-kilocode-organizationid": kilo_sandbox.organization_id,
        "x-kilocode-taskid": "t1",
        "x-kilocode-projectid": "p1",
        "x-kilocode-feature": "direct-gateway",
        "x-one": "1",
        "x-two": "2",
    }
    assert {name: record.headers[name] for name in headers} == headers
    assert record.query == "trace=1"


@both
def test_a_header_is_sent_once_in_any_case(kilo_sandbox: Sandbox, cls: Any) -> None:
    model = cls(base_url=kilo_sandbox.base_url, default_headers={"user-agent": "mine", "X-One": "1"})
    ask(model, extra_headers={"x-one": "2"})
    sent = kilo_sandbox.last.headers
    assert (sent.getlist("user-agent"), sent.getlist("x-one")) == (["mine"], ["2"])
    ask(model)
    assert kilo_sandbox.last.headers.getlist("x-one") == ["1"]


@both
def test_credentials(kilo_sandbox: Sandbox, cls: Any) -> None:
    url, paid = kilo_sandbox.base_url, "anthropic/claude-sonnet-4.6"
    with pytest.raises(KiloSignInRequiredError, match='tier="free"'):
        ask(cls(model=paid, base_url=url))
    with pytest.raises(KiloAuthenticationError, match="KILO_API_KEY"):
        ask(cls(model=paid, base_url=url, api_key="rejected"))
    with pytest.raises(KiloCreditsError, match=r"Add credits at https://app.kilo.ai/profile") as caught:
        ask(cls(model=paid, base_url=url, api_key=kilo_sandbox.poor_api_key))
    assert caught.value.balance is not None
    assert caught.value.buy_credits_url == "https://app.kilo.ai/profile"
    with pytest.raises(KiloSignInRequiredError, match="check api_key and organization_id"):
        ask(cls(model=paid, base_url=url, api_key=kilo_sandbox.api_key, organization_id=ORGANIZATION))
    with pytest.raises(KiloModelNotFoundError, match="GET /models"):
        ask(cls(model="no/such-model", base_url=url, api_key=kilo_sandbox.api_key))
    with pytest.raises(openai.AuthenticationError):
        ask(cls(model=paid, base_url=url, api_key="rejected"))


@both
def test_an_unreachable_gateway(cls: Any) -> None:
    model = cls(base_url="http://127.0.0.1:1/api/gateway", max_retries=0)
    with pytest.raises(KiloConnectionError, match="Check base_url, the network and the proxy") as caught:
        ask(model)
    assert isinstance(caught.value, openai.APIConnectionError)
    with pytest.raises(KiloConnectionError):
        asyncio.run(aask(model))


@both
def test_a_stream_that_stalls(kilo_sandbox: Sandbox, cls: Any) -> None:
    for scenario in ("stall", "stall-keepalive"):
        model = cls(model=f"sandbox/{scenario}", base_url=kilo_sandbox.base_url, stream_idle_timeout=0.5)
        with pytest.raises(KiloTimeoutError, match="stream_idle_timeout") as caught:
            list(stream(model))
        assert caught.value.partial_text
        assert kilo_sandbox.wait_for(lambda record: record.disconnected, timeout=20)
        kilo_sandbox.clear()


@both
def test_an_answer_that_takes_too_long(kilo_sandbox: Sandbox, cls: Any) -> None:
    model = cls(model="sandbox/stall", base_url=kilo_sandbox.base_url, timeout=0.2, max_retries=0)
    with pytest.raises(KiloTimeoutError, match=r"within 0.2 seconds.*Raise timeout="):
        ask(model)


@both
def test_leaving_a_stream_early_closes_the_connection(kilo_sandbox: Sandbox, cls: Any) -> None:
    model = cls(model="sandbox/slow", base_url=kilo_sandbox.base_url)
    pieces = stream(model)
    next(pieces)
    pieces.close()
    assert kilo_sandbox.wait_for(lambda record: record.disconnected, timeout=20)


@both
def test_leaving_an_async_stream_early_closes_the_connection(kilo_sandbox: Sandbox, cls: Any) -> None:
    async def leave() -> None:
        model = cls(model="sandbox/slow", base_url=kilo_sandbox.base_url)
        pieces = model.astream("hi") if cls is ChatKilo else await model.astream_chat([ChatMessage(content="hi")])
        async for _ in pieces:
            break
        await pieces.aclose()
        assert await asyncio.to_thread(kilo_sandbox.wait_for, lambda record: record.disconnected, timeout=20)

    asyncio.run(leave())


@both
def test_one_instance_in_two_event_loops_leaves_nothing_open(kilo_sandbox: Sandbox, cls: Any) -> None:
    model = cls(base_url=kilo_sandbox.base_url, max_retries=0)
    for _ in range(2):
        asyncio.run(aask(model))
        gc.collect()  # an unclosed socket would warn here, which fails the test
        assert text_of(collect(model.astream("hi") if cls is ChatKilo else model.astream_chat(messages())))
        gc.collect()
    assert ask(model)
    assert len(kilo_sandbox.requests) == 5


@both
def test_a_request_starts_no_thread(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, cls: Any) -> None:
    def threaded(*args: Any) -> None:
        raise AssertionError("a request does not need a thread")

    # The list of models on the disk is read in a thread, at most once a second.
    known.known("kilo-auto/free", base_url=kilo_sandbox.base_url)
    monkeypatch.setattr(known, "_is_old", lambda _: False)

    async def twice() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", threaded)
        for _ in range(2):
            await aask(cls(base_url=kilo_sandbox.base_url, max_retries=0))

    asyncio.run(twice())
    assert len(kilo_sandbox.requests) == 2


def test_instances_share_connections(kilo_sandbox: Sandbox) -> None:
    first = clients.sync_client(GatewaySettings(base_url=kilo_sandbox.base_url, api_key="a"))
    same = clients.sync_client(ChatKilo(base_url=kilo_sandbox.base_url, api_key="a"))
    other = clients.sync_client(KiloLLM(base_url=kilo_sandbox.base_url, api_key="b"))
    assert first is same
    assert other is not first
    assert other._client is first._client


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are counted in /proc")
def test_a_thousand_instances_share_one_connection(kilo_sandbox: Sandbox) -> None:
    kinds: list[dict[str, Any]] = [
        {"mode": mode, "temperature": t / 100, "timeout": 20 + t} for t in range(100) for mode in MODES[:5]
    ]
    many = [cls(base_url=kilo_sandbox.base_url, **kind) for kind in kinds for cls in (ChatKilo, KiloLLM)]
    assert len({id(clients.sync_client(model)) for model in many}) == 1
    ask(many[0])
    connections = open_to(kilo_sandbox.base_url)
    for model in many[::99]:
        ask(model)
    assert open_to(kilo_sandbox.base_url) == connections


@pytest.mark.parametrize("status", [503, 429])
def test_a_flaky_model_is_retried(kilo_sandbox: Sandbox, status: int) -> None:
    llm = ChatKilo(model=f"sandbox/flaky-{status}", base_url=kilo_sandbox.base_url, max_retries=1)
    assert llm.invoke("hi").text
    assert [record.status for record in kilo_sandbox.requests] == [status, 200]


def test_the_callers_http_client_is_used(kilo_sandbox: Sandbox) -> None:
    seen: list[Any] = []
    with openai.DefaultHttpxClient(event_hooks={"request": [seen.append]}) as own:
        ask(ChatKilo(base_url=kilo_sandbox.base_url, http_client=own))
    assert len(seen) == 1


def test_the_core_alone(kilo_sandbox: Sandbox) -> None:
    settings = GatewaySettings(base_url=kilo_sandbox.base_url)
    request = settings.prepare("hi", stream=True)
    deltas = list(chat.stream(settings, request))
    assert "".join(delta.text for delta in deltas) == "Hello! How can I help you?"
    assert [delta.ending is not None for delta in deltas] == [False] * (len(deltas) - 1) + [True]


@both
def test_the_notice_is_given_once_and_points_to_the_caller(kilo_sandbox: Sandbox, cls: Any) -> None:
    model = cls(base_url=kilo_sandbox.base_url)
    with pytest.warns(KiloDataPolicyWarning, match="nothing confidential") as caught:
        ask_twice(model)
    assert [w.filename for w in caught if w.category is KiloDataPolicyWarning] == [__file__]
