"""A function as `api_key`: called for each attempt and never earlier, in every class, sync and async."""

from __future__ import annotations

import asyncio
import copy
import functools
import itertools
import json
import pickle
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from langchain_core.load import dumps
from pydantic import SecretStr, ValidationError

from kilo_gateway import (
    GatewaySettings,
    KiloAuthenticationError,
    KiloBudget,
    KiloServerError,
    alist_models,
    list_models,
)
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.settings.keys import KeyFunction
from kilo_gateway.transport.clients import sync_client
from kilo_gateway.transport.event_loops import async_client
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM
from tests.support.in_process import InProcess

SECRET = "sandbox-key"
SENTENCE = "may-leak-in-the-text-of-an-error"


@pytest.fixture
def gateway() -> Iterator[InProcess]:
    with InProcess() as gateway:
        yield gateway


class Vault:
    """Gives another token for each call."""

    def __init__(self) -> None:
        self.tokens = itertools.cycle([Sandbox.api_key, Sandbox.member_api_key])
        self.given: list[str] = []

    def token(self) -> str:
        self.given.append(next(self.tokens))
        return self.given[-1]

    async def atoken(self) -> str:
        await asyncio.sleep(0)
        return self.token()

    def hidden(self) -> SecretStr:
        return SecretStr(self.token())


def module_token() -> str:
    """A function that another process can import."""
    return SECRET


def arguments(gateway: InProcess, key: Any) -> dict[str, Any]:
    clients = {"http_client": gateway.client, "http_async_client": gateway.async_client}
    return {"api_key": key, "base_url": gateway.base_url, **clients}


SYNC: dict[str, Callable[[dict[str, Any]], object]] = {
    "ChatKilo": lambda account: ChatKilo(tier="small", **account).invoke("Hi"),
    "a stream of ChatKilo": lambda account: list(ChatKilo(tier="small", **account).stream("Hi")),
    "KiloLLM": lambda account: KiloLLM(tier="small", **account).complete("Hi"),
    "KiloEmbeddings": lambda account: KiloEmbeddings(**account).embed_query("Hi"),
    "KiloEmbedding": lambda account: KiloEmbedding(**account).get_query_embedding("Hi"),
    "list_models": lambda account: list_models(refresh=True, **account),
}
ASYNC: dict[str, Callable[[dict[str, Any]], Awaitable[object]]] = {
    "ChatKilo": lambda account: ChatKilo(tier="small", **account).ainvoke("Hi"),
    "KiloLLM": lambda account: KiloLLM(tier="small", **account).acomplete("Hi"),
    "KiloEmbeddings": lambda account: KiloEmbeddings(**account).aembed_query("Hi"),
    "list_models": lambda account: alist_models(refresh=True, **account),
}


def sent(gateway: InProcess) -> list[str | None]:
    return [record.headers.get("authorization") for record in gateway.requests]


@pytest.mark.parametrize("method", ["token", "hidden"])
@pytest.mark.parametrize("call", SYNC)
def test_each_request_has_the_token_of_that_moment(gateway: InProcess, call: str, method: str) -> None:
    vault = Vault()
    account = arguments(gateway, getattr(vault, method))
    for _ in range(2):
        SYNC[call](account)
    assert sent(gateway) == ["Bearer sandbox-key", "Bearer sandbox-key-of-a-member"]


@pytest.mark.parametrize("method", ["token", "atoken"])
@pytest.mark.parametrize("call", ASYNC)
def test_an_async_call_takes_both_kinds_of_functions(gateway: InProcess, call: str, method: str) -> None:
    async def twice() -> None:
        for _ in range(2):
            await ASYNC[call](account)

    account = arguments(gateway, getattr(Vault(), method))
    asyncio.run(twice())
    assert sent(gateway) == ["Bearer sandbox-key", "Bearer sandbox-key-of-a-member"]


def test_a_retry_asks_for_the_token_again(gateway: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    with pytest.raises(KiloServerError):
        ChatKilo(model="sandbox/error-503", max_retries=1, **arguments(gateway, Vault().token)).invoke("Hi")
    assert sent(gateway) == ["Bearer sandbox-key", "Bearer sandbox-key-of-a-member"]


def test_building_copying_and_showing_a_model_calls_nothing() -> None:
    vault = Vault()
    for model in (
        ChatKilo(api_key=vault.token),
        KiloLLM(api_key=vault.atoken),
        KiloEmbeddings(api_key=vault.token),
        KiloEmbedding(api_key=vault.token),
    ):
        copies = [copy.copy(model), copy.deepcopy(model), model.model_copy()]
        shown = [repr(model), str(model), repr(model.api_key), json.dumps(model.model_dump(mode="json"), default=str)]
        assert all(other.api_key is model.api_key for other in copies)
        assert not any(SECRET in text for text in shown)
    llm = ChatKilo(tier="small", api_key=vault.token)
    llm.estimate_cost("Hi")
    llm.api_key = vault.atoken  # type: ignore[assignment] # pydantic's plugin does not know validators of assignments
    assert isinstance(llm.api_key, KeyFunction)
    assert "KILO_API_KEY" in dumps(llm)
    assert vault.given == []


def test_a_function_of_a_module_travels_to_another_process_and_a_lambda_does_not() -> None:
    llm = pickle.loads(pickle.dumps(ChatKilo(api_key=module_token)))  # noqa: S301 -- made here
    assert llm.api_key.function is module_token
    assert SECRET.encode() not in pickle.dumps(llm)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(ChatKilo(api_key=lambda: SECRET))


def test_a_rotating_token_needs_one_client(gateway: InProcess) -> None:
    vault = Vault()

    async def twice() -> bool:
        one, other = (GatewaySettings(base_url=gateway.base_url, api_key=vault.token) for _ in range(2))
        return await async_client(one) is await async_client(other)

    one, other = (GatewaySettings(base_url=gateway.base_url, api_key=vault.token) for _ in range(2))
    stranger = GatewaySettings(base_url=gateway.base_url, api_key=Vault().token)
    assert sync_client(one) is sync_client(other)
    assert sync_client(one) is not sync_client(stranger)
    assert asyncio.run(twice())
    assert vault.given == []


def broken() -> str:
    raise TimeoutError(SENTENCE)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (broken, "raised TimeoutError"),
        (lambda: None, "returned a NoneType"),
        (lambda: " ", "returned no key"),
        (lambda: "public", "returned no key"),
        (lambda: f"{SENTENCE}\nX-Other: 1", "printable ASCII"),
        (functools.partial(int, "7"), "functools.partial, which was passed as api_key, returned a int"),
    ],
)
def test_a_function_that_fails_is_named_and_nothing_is_sent(gateway: InProcess, function: Any, message: str) -> None:
    budget = KiloBudget(1.0)
    llm = ChatKilo(tier="small", budget=budget, **arguments(gateway, function))
    acts: list[Callable[[], object]] = [lambda: llm.invoke("Hi"), lambda: asyncio.run(llm.ainvoke("Hi"))]
    for act in acts:
        with pytest.raises(KiloAuthenticationError) as caught:
            act()
        assert message in str(caught.value)
        assert "api_key" in str(caught.value)
        assert SENTENCE not in str(caught.value)
        assert isinstance(caught.value.__cause__, TimeoutError) == (function is broken)
    assert sent(gateway) == []
    assert (budget.spent_usd, budget.under_way_usd) == (0, 0)


def test_an_async_function_in_a_synchronous_call_is_refused_with_the_remedy(gateway: InProcess) -> None:
    vault = Vault()
    with pytest.raises(ValueError, match=r"Vault\.atoken, and this call is synchronous: use the async method"):
        ChatKilo(tier="small", **arguments(gateway, vault.atoken)).invoke("Hi")
    assert (vault.given, sent(gateway)) == ([], [])


def test_a_token_does_not_travel_over_plain_http_to_another_machine() -> None:
    vault = Vault()
    with pytest.raises(ValidationError, match="plain http"):
        ChatKilo(api_key=vault.token, base_url="http://gateway.example")
    assert ChatKilo(api_key=vault.token, base_url="http://gateway.example", allow_insecure=True).bearer
    assert vault.given == []


def test_an_answer_in_a_cache_belongs_to_one_function() -> None:
    vault = Vault()
    llm, other = ChatKilo(api_key=vault.token), ChatKilo(api_key=Vault().token)
    assert llm._get_llm_string() == llm.with_mode(None)._get_llm_string()
    assert llm._get_llm_string() != other._get_llm_string()
    assert vault.given == []
