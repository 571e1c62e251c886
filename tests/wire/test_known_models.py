"""Test that both classes use the list of models after it was fetched, and never fetch it by themselves."""

from typing import Any

import pytest
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from kilo_gateway import KiloError, KiloModelNotFoundError, KiloSignInRequiredError, list_models
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM

PROMPT = "The person is called 'Ada'."


class Person(BaseModel):
    """A person."""

    name: str


@pytest.fixture
def model(kilo_sandbox: Sandbox) -> str:
    """Return a model that accepts JSON schemas according to the list, but not according to the built-in table."""
    models = list_models(base_url=kilo_sandbox.base_url).filter(structured_outputs=True)
    kilo_sandbox.clear()
    return next(info.id for info in models if not (ChatKilo(model=info.id).profile or {}).get("structured_output"))


def test_the_native_way_is_used_if_the_list_reports_it(kilo_sandbox: Sandbox, model: str) -> None:
    account: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}
    assert ChatKilo(model=model, **account).with_structured_output(Person).invoke(PROMPT) == Person(name="Ada")
    assert "response_format" in kilo_sandbox.last.json
    llm = KiloLLM(model=model, **account)
    assert llm.structured_predict(Person, PromptTemplate(PROMPT)) == Person(name="Ada")
    assert "response_format" in kilo_sandbox.last.json
    assert llm.with_tier("frontier").structured_predict(Person, PromptTemplate(PROMPT)) == Person(name="Ada")
    assert "tools" in kilo_sandbox.last.json


def test_windows_and_limits_are_those_of_the_list(kilo_sandbox: Sandbox, model: str) -> None:
    info = list_models(base_url=kilo_sandbox.base_url).get(model)
    profile = ChatKilo(model=model, base_url=kilo_sandbox.base_url).profile
    assert profile is not None
    assert profile["max_input_tokens"] == info.context_length
    assert KiloLLM(model=model, base_url=kilo_sandbox.base_url).metadata.context_window == info.context_length
    assert not kilo_sandbox.requests  # the list was fetched before


@pytest.mark.parametrize(("keyed", "expected"), [(False, KiloSignInRequiredError), (True, KiloModelNotFoundError)])
def test_the_error_of_an_unknown_model_names_the_nearest(
    kilo_sandbox: Sandbox, keyed: bool, expected: type[KiloError]
) -> None:
    account: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key if keyed else None}
    with pytest.raises(expected, match=r"did you mean 'anthropic/claude-sonnet-4\.6' or "):
        ChatKilo(model="claude-sonet-4.6", **account).invoke("Hi")


def test_the_error_of_a_known_model_names_no_other(kilo_sandbox: Sandbox) -> None:
    with pytest.raises(KiloSignInRequiredError) as caught:
        ChatKilo(model="anthropic/claude-sonnet-4.6", base_url=kilo_sandbox.base_url).invoke("Hi")
    assert "did you mean" not in str(caught.value)
