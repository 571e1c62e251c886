"""Test that LangChain's cache serves an answer only to the account that paid for it."""

from langchain_core.caches import InMemoryCache

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo


def test_an_answer_is_served_to_its_own_account_only(kilo_sandbox: Sandbox) -> None:
    cache = InMemoryCache()
    keys = [None, kilo_sandbox.api_key, kilo_sandbox.member_api_key]
    for api_key in [*keys, *keys]:
        ChatKilo(model="sandbox/echo", base_url=kilo_sandbox.base_url, api_key=api_key, cache=cache).invoke("hi")
    assert [request.headers.get("authorization") for request in kilo_sandbox.requests] == [
        None,
        f"Bearer {kilo_sandbox.api_key}",
        f"Bearer {kilo_sandbox.member_api_key}",
    ]


def test_a_cache_key_shows_no_key() -> None:
    key = ChatKilo(api_key="s3cr3t-key", base_url="https://gateway.example")._get_llm_string()
    assert "s3cr3t" not in key
