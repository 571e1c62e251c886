"""Each field of a call in the body of a Messages request, or the error that says where it has a place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway.call import Call
from kilo_gateway.conversation import Conversation, Message, Text
from kilo_gateway.interfaces.messages import Messages
from kilo_gateway.interfaces.messages.request import DEFAULT_MAX_TOKENS
from kilo_gateway.settings.chat import GatewaySettings

HELLO = [Message("user", [Text("Hello")])]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
NATIVE_TOOL = {"name": "weather", "description": "The weather", "input_schema": SCHEMA}
NOTHING = {"type": "object", "properties": {}}
MARK = {"type": "ephemeral"}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def call(options: dict[str, Any], conversation: Conversation = HELLO, *, stream: bool = False) -> Call:
    """Return a call with these options, which need not be ones that a field accepts."""
    return Call(
        conversation=conversation,
        options=options,
        model="anthropic/claude-sonnet-4.6",
        tier=None,
        mode=None,
        stream=stream,
        headers={},
        query={},
        timeout=None,
        total_timeout=None,
        stream_idle_timeout=None,
        max_retries=0,
        max_retry_wait=None,
        include_response_headers=False,
    )


def body(**options: Any) -> dict[str, Any]:
    """Return the body of a request, without what every request has."""
    rendered = Messages().body(call(options))
    assert rendered.pop("model") == "anthropic/claude-sonnet-4.6"
    assert rendered.pop("messages") == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert rendered.pop("stream") is False
    if rendered["max_tokens"] == DEFAULT_MAX_TOKENS:
        del rendered["max_tokens"]
    return rendered


def test_what_every_request_has() -> None:
    assert Messages().body(call({}, stream=True)) == {
        "model": "anthropic/claude-sonnet-4.6",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "stream": True,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": "all"}, {"max_tokens": "all"}),
        ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}),
        ({"stop": ["END"]}, {"stop_sequences": ["END"]}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"top_k": 3, "user": "me", "service_tier": "auto"}, {"top_k": 3, "user": "me", "service_tier": "auto"}),
        ({"provider": {"order": ["x"]}}, {"provider": {"order": ["x"]}}),
        ({"plugins": [{"id": "web"}]}, {"plugins": [{"id": "web"}]}),
        ({"stream_options": {"include_usage": True}, "n": 1, "logprobs": False, "store": False}, {}),
        ({"modalities": ["text"], "frequency_penalty": 0.0, "transforms": [], "usage": {"include": True}}, {}),
        ({"unknown": {"a": 1}}, {"unknown": {"a": 1}}),
    ],
)
def test_plain_fields(options: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(**options) == expected


def test_the_limit_of_the_model_is_used_where_the_call_knows_it() -> None:
    assert Messages().body(replace(call({}), output_limit=4_000))["max_tokens"] == 4_000
    assert Messages().body(replace(call({"max_tokens": 5}), output_limit=4_000))["max_tokens"] == 5


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ({"effort": "high"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("max", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        ({"effort": "minimal"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ({"effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"enabled": False}, {"thinking": {"type": "disabled"}}),
        ({"enabled": False, "effort": "high", "exclude": True}, {"thinking": {"type": "disabled"}}),
        ({"enabled": True}, {"thinking": {"type": "adaptive"}}),
        ({"max_tokens": 1024}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (
            {"max_tokens": 2000, "effort": "low", "exclude": True},
            {
                "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
                "output_config": {"effort": "low"},
            },
        ),
        ({"exclude": True}, {"thinking": {"type": "adaptive", "display": "omitted"}}),
        ({"exclude": False}, {}),
        ({}, {}),
        (None, {}),
    ],
)
def test_reasoning(reasoning: Any, expected: dict[str, Any]) -> None:
    assert body(reasoning=reasoning) == expected


def test_older_names_of_reasoning() -> None:
    assert body(reasoning_effort="low") == body(reasoning={"effort": "low"})
    assert body(include_reasoning=False, reasoning={"effort": "low"}) == body(
        reasoning={"effort": "low", "exclude": True}
    )
    assert body(include_reasoning=True) == {}


def test_verbosity_is_effort() -> None:
    assert body(verbosity="low") == {"output_config": {"effort": "low"}}
    assert body(verbosity="low", reasoning={"effort": "minimal"})["output_config"] == {"effort": "low"}
    assert body(verbosity="low", reasoning={"effort": "none"}) == {
        "thinking": {"type": "disabled"},
        "output_config": {"effort": "low"},
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TOOL, NATIVE_TOOL),
        ({"type": "function", **FUNCTION}, NATIVE_TOOL),
        (
            {"type": "function", "function": {"name": "now", "strict": True, "description": ""}, "cache_control": MARK},
            {"name": "now", "strict": True, "input_schema": NOTHING, "cache_control": MARK},
        ),
        (
            {"type": "function", "function": {"name": "now", "strict": None, "parameters": {}}},
            {"name": "now", "input_schema": NOTHING},
        ),
        (SEARCH, SEARCH),
        (NATIVE_TOOL, NATIVE_TOOL),
        ({"type": "openrouter:web_search"}, {"type": "openrouter:web_search"}),
    ],
)
def test_tools(given: Any, expected: Any) -> None:
    assert body(tools=[given]) == {"tools": [expected]}


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("none", None, {"type": "none"}),
        ({"type": "function", "function": {"name": "weather"}}, None, {"type": "tool", "name": "weather"}),
        ({"type": "any"}, None, {"type": "any"}),
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        (
            {"type": "function", "function": {"name": "weather"}},
            False,
            {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_the_choice_of_tools(choice: Any, parallel: Any, expected: Any) -> None:
    rendered = body(tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel)
    assert rendered.get("tool_choice") == expected
    assert "tool_choice" not in body(tool_choice=choice, parallel_tool_calls=parallel)  # beside no tools it is a 400


def test_response_formats() -> None:
    nested = {
        "type": "object",
        "properties": {"cities": {"type": "array", "items": SCHEMA}, "x": {"$ref": "#/$defs/x"}},
    }
    schema = {**nested, "$defs": {"x": {"anyOf": [SCHEMA, {"type": "null"}]}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    closed = {**SCHEMA, "additionalProperties": False}
    assert body(response_format=form, verbosity="low")["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"cities": {"type": "array", "items": closed}, "x": {"$ref": "#/$defs/x"}},
                "$defs": {"x": {"anyOf": [closed, {"type": "null"}]}},
                "additionalProperties": False,
            },
        },
    }
    assert schema["$defs"]["x"] == {"anyOf": [SCHEMA, {"type": "null"}]}  # type: ignore[index] # `schema` is a dict in this test
    assert body(response_format={"type": "text"}) == {}


def test_the_fields_of_messages_itself_win() -> None:
    own = {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}, "system": "Be short."}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "string"}}}
    conversation = [Message("system", [Text("Be long.")]), *HELLO]
    rendered = Messages().body(call({"reasoning": {"effort": "low"}, "response_format": form, **own}, conversation))
    assert rendered["thinking"] == {"type": "disabled"}
    assert rendered["output_config"] == {
        "effort": "max",
        "format": {"type": "json_schema", "schema": {"type": "string"}},
    }
    assert rendered["system"] == "Be short."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, r"seed=1 has no place in the Messages interface; leave it out, or use api='completions'$"),
        ({"frequency_penalty": 1.0}, r"frequency_penalty=1.0 .* use api='completions' or api='responses'$"),
        ({"presence_penalty": 1.0}, r"presence_penalty=1.0 .*"),
        ({"logprobs": True}, r"logprobs=True .* use api='completions'$"),
        ({"top_logprobs": 2}, r"top_logprobs=2 .* use api='completions' or api='responses'$"),
        ({"logit_bias": {"1": 2}}, r"logit_bias=.* use api='completions'$"),
        ({"transforms": ["middle-out"]}, r"transforms=.* use api='completions'$"),
        ({"n": 2}, r"n=2 .* use api='completions'$"),
        ({"modalities": ["text", "image"]}, r"modalities=.* use api='completions' or api='responses'$"),
        ({"prediction": {}}, r"prediction=.* use api='completions'$"),
        ({"store": True}, r"store=True .*"),
        ({"response_format": {"type": "json_object"}}, r"response_format=.*json_object.* use a json_schema"),
        ({"reasoning": {"max_tokens": 1000}}, r"1000.* is less than the 1024 tokens"),
        ({"reasoning": {"max_tokens": "x"}}, r"'x'.* is less than the 1024 tokens"),
        ({"reasoning": {"max_tokens": 2000}, "max_tokens": 2000}, r"below max_tokens=2000.* set max_tokens above 2000"),
        ({"reasoning": {"max_tokens": 9000}}, r"below max_tokens=8192"),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, r"the fields \['summary'\].* extra_body"),
        ({"reasoning": 5}, r"reasoning=5 must be an effort or a dict"),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, r"'high' contradicts .*give one of them"),
        ({"reasoning": {"effort": "low"}, "verbosity": "high"}, r"verbosity='high' contradicts .*'low'"),
        ({"tools": [{"type": "custom", "custom": {"name": "sql"}}]}, r"'sql' takes free text.* use a function"),
        ({"tools": ["weather"]}, r"tools contains 'weather'; each tool must be a dict"),
        ({"tools": [TOOL], "tool_choice": "weather"}, r"tool_choice='weather' has no place"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, r"tool_choice=.*allowed_tools.* has no place"),
    ],
)
def test_fields_without_a_place(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        body(**options)


def test_a_call_of_the_settings() -> None:
    settings = GatewaySettings(
        model="anthropic/claude-sonnet-4.6", temperature=0.5, stop=["END"], reasoning={"effort": "low"}, max_tokens=7
    )
    rendered = Messages().body(settings.prepare("Hello", stream=True, keywords={"tools": [TOOL], "user": "me"}))
    assert rendered == {
        "model": "anthropic/claude-sonnet-4.6",
        "max_tokens": 7,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "stream": True,
        "tools": [NATIVE_TOOL],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "user": "me",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "function", "name", "effort", "max_tokens", "json_schema", "schema", "properties"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
FIELDS = [
    "max_tokens", "stop", "reasoning", "reasoning_effort", "verbosity", "tools", "tool_choice", "parallel_tool_calls",
    "response_format", "n", "thinking", "output_config", "system", "stream_options", "include_reasoning",
]  # fmt: skip # names need no line each


@pytest.mark.filterwarnings("ignore:.*does not reason while:UserWarning")  # which some of the options ask for
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_any_options_are_a_body_or_a_value_error(options: dict[str, Any]) -> None:
    try:
        rendered = Messages().body(call(options))
    except ValueError:
        return
    json.dumps(rendered)
    assert rendered["max_tokens"] is not None
