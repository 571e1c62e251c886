"""Arguments of the openai client inside `model_kwargs` or `additional_kwargs` are those arguments, not fields."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.load import dumps

from kilo_gateway import Call
from kilo_gateway.settings.chat import GatewaySettings
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.bodies import body

SECRET = "s3cr3t-header"
GIVEN: dict[str, Any] = {
    "user": "42",
    "extra_headers": {"x-tenant": SECRET},
    "extra_query": {"trace": "1"},
    "extra_body": {"provider": {"order": ["anthropic"]}, "route": "fallback"},
    "timeout": 7,
    "mode": "plan",
}
CLASSES: list[tuple[Any, str]] = [(ChatKilo, "model_kwargs"), (KiloLLM, "additional_kwargs")]


def call_of(llm: GatewaySettings, holder: str, **keywords: Any) -> Call:
    return llm.prepare("hi", stream=False, defaults=getattr(llm, holder), keywords=keywords)


def check(llm: GatewaySettings, call: Call) -> None:
    headers = llm.private_headers() | dict(call.headers)
    assert headers == {"x-tenant": SECRET, "x-kilocode-mode": "plan"}
    assert (call.query, call.timeout, call.mode) == ({"trace": "1"}, 7, "plan")
    sent = {"user": "42", "provider": {"order": ["anthropic"]}, "route": "fallback"}
    assert body(call) == {**sent, "model": "vendor/model", "messages": call_messages(call), "stream": False}


def call_messages(call: Call) -> Any:
    return [{"role": message.role, "content": "hi"} for message in call.conversation]


@pytest.mark.parametrize(("cls", "holder"), CLASSES)
def test_routing_headers_and_timeout_in_the_further_fields(cls: Any, holder: str) -> None:
    llm = cls(model="vendor/model", **{holder: GIVEN})
    check(llm, call_of(llm, holder))
    assert SECRET not in repr(llm) + str(vars(llm)) + llm.model_dump_json()
    if isinstance(llm, ChatKilo):
        assert SECRET not in dumps(llm) + repr(llm._identifying_params)
    assert GIVEN["extra_headers"] == {"x-tenant": SECRET}


def test_routing_headers_and_timeout_in_bind() -> None:
    llm = ChatKilo(model="vendor/model")
    check(llm, call_of(llm, "model_kwargs", **llm.bind(**GIVEN).kwargs))


@pytest.mark.parametrize(("cls", "holder"), CLASSES)
def test_an_argument_of_its_own_wins(cls: Any, holder: str) -> None:
    own = {"default_headers": {"x-tenant": "a"}, "extra_body": {"provider": {"order": ["openai"], "sort": "price"}}}
    llm = cls(model="vendor/model", request_timeout=5, **own, **{holder: GIVEN})
    call = call_of(llm, holder)
    assert (llm.private_headers(), call.timeout) == ({"x-tenant": "a"}, 5)
    assert call.options["provider"] == {"order": ["openai"], "sort": "price"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"extra_headers": {"Authorization": SECRET}}, "default_headers must not contain Authorization"),
        ({"extra_headers": SECRET}, "default_headers"),
        ({"timeout": -1}, "timeout\n.*-1"),
        ({"extra_body": {"extra_headers": {"x-tenant": SECRET}}}, "must not contain 'extra_headers'.*default_headers="),
    ],
)
@pytest.mark.parametrize(("cls", "holder"), CLASSES)
def test_they_are_checked_as_those_arguments(cls: Any, holder: str, given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        cls(**{holder: given})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("cls", "holder"), CLASSES)
def test_assigned_later_or_given_to_a_call_they_are_refused(cls: Any, holder: str) -> None:
    llm = cls()
    with pytest.raises(ValueError, match=f"{holder}: must not contain 'extra_headers'.*use default_headers=") as caught:
        setattr(llm, holder, {"extra_headers": GIVEN["extra_headers"]})
    assert SECRET not in str(caught.value)
    with pytest.raises(ValueError, match=f"'{holder}' cannot be set per call; give what it contains as keywords"):
        call_of(llm, holder, **{holder: GIVEN})


@pytest.mark.parametrize(("cls", "holder"), CLASSES)
def test_another_name_of_a_field_is_that_field(cls: Any, holder: str) -> None:
    llm = cls(model="vendor/model", **{holder: {"stop_sequences": ["END"]}})
    sent = body(call_of(llm, holder))
    assert sent["stop"] == ["END"]
    assert "stop_sequences" not in sent
