"""Test another server's model behind the sandbox; here a second sandbox is this server."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from kilo_gateway import KiloInvalidRequestError, KiloRateLimitError, KiloServerError, KiloSignInRequiredError
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo

FREE = "stepfun/step-3.7-flash:free"


@pytest.fixture
def backend() -> Iterator[Sandbox]:
    with Sandbox(era="E2") as server:  # era E2 accepts any key
        yield server


@pytest.fixture
def gateway(backend: Sandbox) -> Iterator[Sandbox]:
    with Sandbox(upstream=backend.base_url, upstream_model=FREE) as server:
        yield server


class City(BaseModel):
    """A city."""

    name: str


def added_up(llm: ChatKilo, text: str, **call: Any) -> AIMessage:
    chunks = list(llm.stream(text, merge_ready=False, **call))
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert len(chunks) > 3
    return total


def test_the_sandbox_sets_tier_and_mode_and_the_server_answers(gateway: Sandbox, backend: Sandbox) -> None:
    llm = ChatKilo(tier="frontier", mode="plan", base_url=gateway.base_url, api_key=gateway.api_key)
    for answer in (llm.invoke("Say 'Oslo'", temperature=0.5), added_up(llm, "Say 'Oslo'", temperature=0.5)):
        assert "Oslo" in answer.text
        assert answer.response_metadata["model_name"] == "anthropic/claude-opus-4.7"
        assert answer.response_metadata["native_finish_reason"] == "stop"
        assert answer.usage_metadata
        assert answer.usage_metadata["output_tokens"] > 0
        sent = backend.last.json
        assert sent["model"] == FREE
        assert sent["temperature"] == 0.5
        # The gateway adds these fields for the tier; the sandbox drops them, because a strict server refuses them.
        assert not {"reasoning", "verbosity", "provider"} & set(sent)
        assert "sandbox-key" not in str(backend.last.headers)


@pytest.mark.parametrize("api", ["responses", "messages"])
def test_each_interface_has_its_own_path(gateway: Sandbox, backend: Sandbox, api: Any) -> None:
    account: dict[str, Any] = {"base_url": gateway.base_url, "api_key": gateway.api_key}
    llm = ChatKilo(model="anthropic/claude-sonnet-4.6", api=api, reasoning="low", **account)
    for answer in (llm.invoke("Say 'Oslo'", temperature=0.5), added_up(llm, "Say 'Oslo'", temperature=0.5)):
        assert "Oslo" in answer.text
        assert answer.response_metadata["model_name"] == "anthropic/claude-sonnet-4.6"
        assert answer.usage_metadata
        sent = backend.last.json
        assert backend.last.path.endswith(f"/{api}")
        assert (sent["model"], sent["temperature"]) == (FREE, 0.5)
        assert not {"reasoning", "thinking", "user", "metadata", "include"} & set(sent)
        assert "cache" not in str(sent)
        assert "cache" in str(gateway.last.effective) or isinstance(sent.get("input"), str)
    city: Any = llm.with_structured_output(City, method="json_schema").invoke("Oslo")
    assert "Oslo" in city.name


@pytest.mark.parametrize("api", ["responses", "messages"])
def test_a_server_without_the_path_says_so(api: Any) -> None:
    with Sandbox(era="E1") as old, Sandbox(upstream=old.base_url, upstream_model=FREE) as gateway:
        with pytest.raises(KiloInvalidRequestError, match="only accepts the path"):
            ChatKilo(base_url=gateway.base_url, api=api).invoke("hi")


@pytest.mark.parametrize("api", ["completions", "responses", "messages"])
def test_a_stream_that_fails_at_the_server_fails(backend: Sandbox, api: Any) -> None:
    with Sandbox(upstream=backend.base_url, upstream_model="sandbox/stream-error-timeout") as gateway:
        with pytest.raises(KiloServerError, match="did not answer in time") as caught:
            list(ChatKilo(base_url=gateway.base_url, api=api).stream("hi"))
    assert caught.value.partial_text == "Hello! How can"


def test_credentials_are_checked_before_the_server_is_called(gateway: Sandbox, backend: Sandbox) -> None:
    with pytest.raises(KiloSignInRequiredError):
        ChatKilo(tier="frontier", base_url=gateway.base_url).invoke("hi")
    assert not backend.requests


def test_scenarios_still_work(gateway: Sandbox, backend: Sandbox) -> None:
    with pytest.raises(KiloRateLimitError):
        ChatKilo(model="sandbox/error-429", base_url=gateway.base_url, max_retries=0).invoke("hi")
    assert not backend.requests


@pytest.mark.parametrize("streamed", [False, True])
def test_errors_of_the_server_are_errors_of_a_provider(backend: Sandbox, streamed: bool) -> None:
    with Sandbox(upstream=backend.base_url, upstream_model="sandbox/error-503") as gateway:
        llm = ChatKilo(base_url=gateway.base_url, max_retries=0)
        with pytest.raises(KiloServerError) as caught:
            list(llm.stream("hi")) if streamed else llm.invoke("hi")
    assert caught.value.status_code == 503
    assert caught.value.provider_name == "Sandbox"


def test_an_absent_server_is_a_502() -> None:
    with Sandbox(upstream="http://127.0.0.1:9") as gateway, pytest.raises(KiloServerError, match=r"127\.0\.0\.1:9"):
        ChatKilo(base_url=gateway.base_url, max_retries=0).invoke("hi")


def test_leaving_early_frees_the_server_too(backend: Sandbox) -> None:
    with Sandbox(upstream=backend.base_url, upstream_model="sandbox/stall") as gateway:
        stream: Any = ChatKilo(base_url=gateway.base_url).stream("hi")
        next(stream)
        stream.close()
        assert gateway.wait_for(lambda record: record.disconnected)
        assert backend.wait_for(lambda record: record.disconnected)
