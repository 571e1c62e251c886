"""Which models come with a notice, and how often it is given."""

import contextlib
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kilo_gateway import (
    GatewaySettings,
    KiloDataCollectionError,
    KiloDataPolicyWarning,
    KiloError,
    known_models,
    model_cache,
    notices,
)
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloLLM


@pytest.mark.parametrize(
    ("model", "keyed", "told"),
    [
        ("kilo-auto/free", True, "NVIDIA trial endpoints"),
        ("kilo-auto/small", False, "nothing confidential"),
        ("kilo-auto/small", True, None),
        ("kilo-auto/balanced", True, "routing classifier"),
        ("kilo-auto/efficient", True, "routing classifier"),
        ("kilo-auto/frontier", True, None),
        ("nvidia/nemotron-3-ultra-550b-a55b:free", False, "API trial terms"),
        ("nvidia/super-1:free", False, "API trial terms"),
        ("kilo/giga-potato-free", False, "training"),
        ("poolside/laguna-m.1:free", False, "training"),
        ("openrouter/free", False, "training"),
        ("stealth/space-bunny-alpha", False, "training"),
        ("anthropic/claude-sonnet-4.6", True, None),
    ],
)
def test_notices(model: str, keyed: bool, told: str | None) -> None:
    notice = notices.notice_for(model, keyed=keyed)
    assert (notice is None) == (told is None)
    assert (told or "") in (notice or "")


def issued(act: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    assert {warning.category for warning in caught} <= {KiloDataPolicyWarning}
    return [str(warning.message) for warning in caught]


def test_what_the_list_of_models_tells(kilo_sandbox: Sandbox) -> None:
    def told(**facts: object) -> str | None:
        catalog_entry = {"id": "a/quiet", **facts}
        model_cache.ListFile.of(kilo_sandbox.base_url, "").write(model_cache.Stored(time.time(), [catalog_entry]))
        known_models.forget()
        return notices.notice_for("a/quiet", keyed=True, base_url=kilo_sandbox.base_url)

    assert "training" in (told(mayTrainOnYourPrompts=True) or "")
    assert "training" in (told(isFree=True) or "")
    assert told(isFree=True, mayTrainOnYourPrompts=False) is None
    assert told(isFree=False) is None
    assert told() is None


def test_once_per_process_and_model(kilo_sandbox: Sandbox) -> None:
    def act() -> None:
        for model in ("kilo-auto/free", "kilo-auto/free", "openrouter/free", "sandbox/echo"):
            for cls in (ChatKilo, KiloLLM):
                llm: Any = cls(model=model, base_url=kilo_sandbox.base_url)
                llm.invoke("Hi") if cls is ChatKilo else llm.complete("Hi")

    first, second = issued(act)
    assert first.startswith("kilo-auto/free picks")
    assert second.startswith("openrouter/free: ")
    assert issued(act) == []


def test_threads_issue_it_once() -> None:
    settings = GatewaySettings()

    def act() -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: notices.warn_once(settings, "kilo-auto/free", {}), range(100)))

    assert len(issued(act)) == 1


def test_a_filter_of_the_category_silences_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=KiloDataPolicyWarning)  # what is tested
        notices.warn_once(GatewaySettings(), "kilo-auto/free", {})


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
def test_what_silences_it(kilo_sandbox: Sandbox, cls: Any, fields: dict[str, Any], sent: Any) -> None:
    llm = cls(base_url=kilo_sandbox.base_url, **fields)

    def act() -> None:
        with contextlib.suppress(KiloDataCollectionError):  # what the notice tells of may be refused, too
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


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="data_collection='deny' contradicts provider="):
        GatewaySettings(data_collection="deny", provider={"data_collection": "allow"})
    settings = GatewaySettings(data_collection="deny")
    with pytest.raises(ValueError, match="contradicts"):
        settings.provider = {"data_collection": "allow"}
    with pytest.raises(ValueError, match="'allow' or 'deny'"):
        settings.data_collection = "no"
    with pytest.raises(ValueError, match="contradicts"):
        settings.request([], stream=False, call={"data_collection": "deny", "provider": {"data_collection": "allow"}})


def test_embeddings_have_notices_too(kilo_sandbox: Sandbox) -> None:
    account = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}

    def act(**fields: Any) -> None:
        with contextlib.suppress(KiloError):  # the notice comes before the answer, whatever that is
            KiloEmbeddings(model="a/embed:free", **account, **fields).embed_query("foo")

    assert issued(lambda: act(acknowledge_data_policy=True)) == []
    assert issued(lambda: act(data_collection="deny")) == []
    assert kilo_sandbox.last.json["provider"] == {"data_collection": "deny"}
    assert len(issued(act)) == 1
