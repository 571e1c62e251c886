"""The values of headers show nowhere, however they are bound to a model."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.load import dumps
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableBinding
from pydantic import BaseModel, SecretStr

from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM

SECRET = "s3cr3t-header"
HEADERS = {"x-tenant": SECRET}


class City(BaseModel):
    """A city."""

    name: str


def clock() -> str:
    """Return the time."""
    return "noon"


def llm() -> Any:
    return ChatKilo(model="vendor/model", base_url="https://gateway.example")


BOUND: dict[str, Callable[[], Any]] = {
    "bind": lambda: llm().bind(extra_headers=HEADERS),
    "bind more": lambda: llm().bind(temperature=0).bind(extra_headers=HEADERS),
    "bind less": lambda: llm().bind(extra_headers=HEADERS).bind(temperature=0),
    "bind_tools": lambda: llm().bind_tools([clock], extra_headers=HEADERS),
    "bind beside tools": lambda: llm().bind_tools([clock]).bind(extra_headers=HEADERS),
    "structured output": lambda: llm().with_structured_output(City, extra_headers=HEADERS),
    "config": lambda: llm().bind(temperature=0).with_config(tags=["a"]).bind(extra_headers=HEADERS),
    "retry": lambda: llm().bind(extra_headers=HEADERS).with_retry(),
    "fallbacks": lambda: llm().bind(extra_headers=HEADERS).with_fallbacks([llm().bind(extra_headers=HEADERS)]),
    "a chain": lambda: ChatPromptTemplate.from_template("{a}") | llm().bind(extra_headers=HEADERS),
    "a secret of pydantic": lambda: RunnableBinding(
        bound=llm(), kwargs={"extra_headers": {"x-tenant": SecretStr(SECRET)}}
    ),
    "a configurable field": lambda: (
        llm()
        .configurable_fields(default_headers=ConfigurableField("headers"))
        .with_config(configurable={"headers": {"x-tenant": SecretStr(SECRET)}})
    ),
}


@pytest.mark.parametrize("how", BOUND)
def test_a_bound_header_does_not_show(how: str) -> None:
    bound = BOUND[how]()
    shown = [repr(bound), str(bound), dumps(bound), dumps(bound, pretty=True), repr(bound.to_json())]
    shown += [repr(bound.model_dump()), repr(bound.get_graph().to_json()), repr(vars(bound))]
    if how not in ("structured output", "a chain", "retry", "fallbacks"):  # they hold functions and classes
        shown.append(bound.model_dump_json())
    assert [text for text in shown if SECRET in text] == []


def test_a_bound_model_is_to_langchain_what_it_binds_itself() -> None:
    bound = llm().bind(temperature=0)
    assert isinstance(bound, RunnableBinding)
    assert json.loads(dumps(bound))["id"] == RunnableBinding.lc_id()


def test_a_bound_header_travels_in_a_pickle() -> None:
    bound = pickle.loads(pickle.dumps(llm().bind(extra_headers=HEADERS)))  # noqa: S301 -- made on this line
    assert bound.bound.prepare([], stream=False, keywords=bound.kwargs).headers == HEADERS


@pytest.mark.parametrize("cls", [ChatKilo, KiloLLM])
def test_a_header_may_be_a_secret_of_pydantic(cls: Any) -> None:
    model = cls(default_headers={"x-tenant": SecretStr(SECRET)})
    assert model.private_headers() == HEADERS
    assert SECRET not in repr(vars(model))
    request = model.prepare([], stream=False, keywords={"extra_headers": {"x-tenant": SecretStr(SECRET)}})
    assert request.headers == HEADERS
    assert SECRET not in repr(request)


def test_the_cache_tells_bound_headers_apart() -> None:
    keys = [llm()._get_llm_string(**llm().bind(extra_headers={"x-tenant": who}).kwargs) for who in ("a", "b")]
    assert keys[0] != keys[1]
    assert llm()._get_llm_string(extra_headers={"x-tenant": "a"}) == keys[0]
