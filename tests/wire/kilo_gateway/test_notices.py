"""Test how often a notice is issued, and which settings silence it."""

import contextlib
from typing import Any

import pytest

from kilo_gateway import (
    KiloDataCollectionError,
    KiloError,
)
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloLLM
from tests.support.warned import issued


def test_it_is_issued_once_per_process_and_model(kilo_sandbox: Sandbox) -> None:
    def act() -> None:
        for model in ("kilo-auto/free", "kilo-auto/free", "openrouter/free", "sandbox/echo"):
            for cls in (ChatKilo, KiloLLM):
                llm: Any = cls(model=model, base_url=kilo_sandbox.base_url)
                llm.invoke("Hi") if cls is ChatKilo else llm.complete("Hi")

    first, second = issued(act)
    assert first.startswith("kilo-auto/free picks")
    assert second.startswith("openrouter/free: ")
    assert issued(act) == []


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"data_collection": "deny"}, {"data_collection": "deny"}),
        ({"data_collection": "deny", "provider": {"sort": "price"}}, {"data_collection": "deny", "sort": "price"}),
        ({"provider": {"data_collection": "deny"}}, {"data_collection": "deny"}),
        ({"provider": {"zdr": True}}, {"zdr": True}),
        ({"acknowledge_data_policy": True}, None),
    ],
)
@pytest.mark.parametrize("cls", [ChatKilo, KiloLLM])
def test_settings_that_silence_it(kilo_sandbox: Sandbox, cls: Any, fields: dict[str, Any], sent: Any) -> None:
    llm = cls(base_url=kilo_sandbox.base_url, **fields)

    def act() -> None:
        with contextlib.suppress(KiloDataCollectionError):  # the gateway may refuse the call
            llm.invoke("Hi") if cls is ChatKilo else llm.complete("Hi")

    assert issued(act) == []
    assert kilo_sandbox.last.json.get("provider") == sent
    assert kilo_sandbox.last.status == (200 if sent is None else 400)


def test_data_collection_per_call(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(base_url=kilo_sandbox.base_url, provider={"sort": "price"}, data_collection="allow")
    with pytest.raises(KiloDataCollectionError):
        llm.invoke("Hi", data_collection="deny")
    assert kilo_sandbox.last.json["provider"] == {"sort": "price", "data_collection": "deny"}
    with pytest.raises(KiloDataCollectionError):
        llm.invoke("Hi", provider={"data_collection": "deny"})
    llm.invoke("Hi")
    assert kilo_sandbox.last.json["provider"] == {"sort": "price", "data_collection": "allow"}


def test_embeddings_have_notices_too(kilo_sandbox: Sandbox) -> None:
    account: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}

    def act(**fields: Any) -> None:
        with contextlib.suppress(KiloError):  # the notice comes before the answer, so the call may fail
            KiloEmbeddings(model="a/embed:free", **account, **fields).embed_query("foo")

    assert issued(lambda: act(acknowledge_data_policy=True)) == []
    assert issued(lambda: act(data_collection="deny")) == []
    assert kilo_sandbox.last.json["provider"] == {"data_collection": "deny"}
    assert len(issued(act)) == 1
