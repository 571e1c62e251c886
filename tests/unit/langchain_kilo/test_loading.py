"""A model that was written with LangChain's `dumps` is read again by its `loads`, as docs/arguments.md shows."""

from __future__ import annotations

from typing import Any, Final

import pytest
from langchain_core.load import dumps, loads
from langchain_core.prompts import ChatPromptTemplate, HumanMessagePromptTemplate, PromptTemplate
from langchain_core.runnables import RunnableBinding, RunnableSequence

from langchain_kilo import ChatKilo
from tests.support.tools import weather

pytestmark = pytest.mark.filterwarnings("ignore:The function `loads` is in beta")

OURS: Final[dict[str, Any]] = {"allowed_objects": [ChatKilo], "valid_namespaces": ["langchain_kilo"]}


def test_a_model_is_loaded_with_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILO_API_KEY", "key-of-the-environment")
    written = ChatKilo(tier="frontier", mode="plan", temperature=0.5, api_key="key-of-the-writer")
    text = dumps(written)
    assert "key-of" not in text
    read = loads(text, **OURS)
    assert (read.tier, read.mode, read.temperature) == ("frontier", "plan", 0.5)
    assert read.bearer == "key-of-the-environment"
    assert loads(text, **OURS, secrets_map={"KILO_API_KEY": "another"}).bearer == "another"
    monkeypatch.delenv("KILO_API_KEY")
    assert loads(text, **OURS).bearer is None


def test_a_model_with_tools_and_a_chain_are_loaded() -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
    chain = prompt | ChatKilo(tier="small").bind_tools([weather])
    core: list[Any] = [
        RunnableSequence,
        RunnableBinding,
        ChatPromptTemplate,
        HumanMessagePromptTemplate,
        PromptTemplate,
    ]
    read = loads(dumps(chain), allowed_objects=[ChatKilo, *core], valid_namespaces=["langchain_kilo"])
    assert isinstance(read.last.bound, ChatKilo)
    assert [tool["function"]["name"] for tool in read.last.kwargs["tools"]] == ["weather"]


@pytest.mark.parametrize("left_out", OURS)
def test_both_arguments_are_needed(left_out: str) -> None:
    arguments: dict[str, Any] = {"allowed_objects": "all", "valid_namespaces": None}
    with pytest.raises(ValueError, match=r"Invalid namespace|is not allowed"):
        loads(dumps(ChatKilo()), **{**OURS, left_out: arguments[left_out]})
