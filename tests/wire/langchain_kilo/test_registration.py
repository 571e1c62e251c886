"""Models that are named by a text: `kilo:kilo-auto/free`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import base, init_chat_model
from langchain_core.runnables import RunnableConfig

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, register
from tests.support.tools import weather

QUESTION: Any = {"messages": [("user", "What is the weather in 'Oslo'?")]}


@pytest.fixture(autouse=True)
def _own_table(monkeypatch: pytest.MonkeyPatch, kilo_sandbox: Sandbox) -> Iterator[None]:
    """Other tests see langchain's own table."""
    table = {name: row for name, row in base._BUILTIN_PROVIDERS.items() if name != "kilo"}
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", table)
    base._get_chat_model_creator.cache_clear()
    monkeypatch.setenv("KILO_BASE_URL", kilo_sandbox.base_url)
    monkeypatch.setenv("KILO_API_KEY", kilo_sandbox.api_key)
    yield
    base._get_chat_model_creator.cache_clear()


def test_an_agent_whose_model_is_a_text_answers_after_register(kilo_sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="Unable to infer model provider"):
        create_agent("kilo:kilo-auto/small")
    register()
    register()
    agent = create_agent("kilo:kilo-auto/small", [weather])
    assert "Oslo" in agent.invoke(QUESTION)["messages"][-1].text
    assert {record.json["model"] for record in kilo_sandbox.requests} == {"kilo-auto/small"}


def test_the_free_tier_and_ids_with_a_colon_can_be_named() -> None:
    register()
    create_agent("kilo:kilo-auto/free")
    model = init_chat_model("kilo:stepfun/step-3.7-flash:free", temperature=0, max_tokens=5, timeout=3, max_retries=0)
    assert isinstance(model, ChatKilo)
    assert (model.model, model.temperature, model.max_tokens) == ("stepfun/step-3.7-flash:free", 0, 5)
    assert (model.timeout, model.max_retries) == (3, 0)
    assert isinstance(init_chat_model("kilo-auto/free", model_provider="kilo"), ChatKilo)
    with pytest.raises(ValueError, match="did you mean 'temperature'"):
        init_chat_model("kilo:kilo-auto/free", temprature=0)


def test_a_configurable_model_takes_the_model_of_each_call(kilo_sandbox: Sandbox) -> None:
    register()
    model = init_chat_model("kilo:kilo-auto/small", configurable_fields=("model", "mode"))
    other: RunnableConfig = {"configurable": {"model": "kilo:kilo-auto/frontier", "mode": "plan"}}
    model.invoke("Hi")
    model.bind_tools([weather]).invoke("Hi", other)
    asked = [(record.json["model"], record.headers.get("x-kilocode-mode")) for record in kilo_sandbox.requests]
    assert asked == [("kilo-auto/small", None), ("kilo-auto/frontier", "plan")]


def test_a_deep_agent_whose_model_is_a_text_answers(kilo_sandbox: Sandbox) -> None:
    deepagents = pytest.importorskip("deepagents", reason="deepagents is not among the packages of the tests")
    register()
    agent = deepagents.create_deep_agent(model="kilo:kilo-auto/small", tools=[weather])
    assert agent.invoke({"messages": [("user", "Name a river.")]})["messages"][-1].text
    assert {record.json["model"] for record in kilo_sandbox.requests} == {"kilo-auto/small"}


@pytest.mark.parametrize(
    "table", [None, [], {}, {"openai": ("langchain_openai", "ChatOpenAI")}, {"openai": {"module": "langchain_openai"}}]
)
def test_another_form_of_the_table_is_an_error_with_the_way_around(monkeypatch: pytest.MonkeyPatch, table: Any) -> None:
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", table)
    with pytest.raises(RuntimeError, match=r"langchain \d.*create_agent\(ChatKilo\("):
        register()


def test_a_row_that_langchain_brings_is_kept() -> None:
    row = ("langchain_kilo", "ChatKilo", lambda cls, **arguments: cls(**arguments))
    base._BUILTIN_PROVIDERS["kilo"] = row
    register()
    assert base._BUILTIN_PROVIDERS["kilo"] is row
