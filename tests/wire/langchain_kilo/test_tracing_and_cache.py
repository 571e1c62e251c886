"""Test the data that traces, caches and logs receive: enough to distinguish calls, and no secret."""

import pytest
from langchain_core.caches import InMemoryCache
from pydantic import SecretStr

from kilo_gateway import __version__
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo

PAID = "anthropic/claude-sonnet-4.6"


@pytest.fixture
def llm(kilo_sandbox: Sandbox) -> ChatKilo:
    return ChatKilo(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)


def test_the_cache_distinguishes_calls(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    cached = llm.model_copy(update={"cache": InMemoryCache()})
    organization = kilo_sandbox.organization_id
    secret = {"x-tenant": "s3cr3t"}
    for _ in range(2):
        cached.invoke("hi")
        cached.invoke("hi", mode="plan")
        cached.with_mode("plan").invoke("hi")
        cached.with_tier("frontier").invoke("hi")
        cached.invoke("hi", extra_headers=secret)
        cached.model_copy(update={"default_headers": secret}).invoke("hi")
        cached.model_copy(update={"organization_id": SecretStr(organization)}).invoke("hi")
        cached.bind(temperature=0).invoke("hi")
    assert len(kilo_sandbox.requests) == 8
    keys = [llm._get_llm_string(extra_headers=secret), llm._get_llm_string(extra_query={"a": "s3cr3t"})]
    assert "s3cr3t" not in str(keys)
    assert organization not in llm.model_copy(update={"organization_id": SecretStr(organization)})._get_llm_string()


def test_the_cache_follows_an_assignment(llm: ChatKilo) -> None:
    before = llm._get_llm_string()
    llm.mode = "plan"
    assert llm._get_llm_string() != before


def test_response_headers_on_request(llm: ChatKilo) -> None:
    assert "headers" not in llm.invoke("hi").response_metadata
    with_headers = llm.model_copy(update={"include_response_headers": True})
    streamed = list(with_headers.stream("hi"))[-1]
    for metadata in (with_headers.invoke("hi").response_metadata, streamed.response_metadata):
        assert metadata["headers"]["request-id"] == metadata["request_id"]
        assert "set-cookie" not in metadata["headers"]


def test_traces_name_the_version(llm: ChatKilo) -> None:
    assert llm.metadata is not None
    versions = llm.metadata["lc_versions"]
    assert versions["kilo-gateway"] == __version__
    assert "langchain-core" in versions
