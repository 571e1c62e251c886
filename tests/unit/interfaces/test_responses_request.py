"""The body of a Responses request, field by field."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kilo_gateway.call import Call
from kilo_gateway.interfaces import fields
from kilo_gateway.interfaces.responses import Responses
from llama_index_kilo import KiloLLM

FUNCTION = {
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}
TOOL = {"type": "function", "function": FUNCTION}
FLAT = {"type": "function", "strict": False, **FUNCTION}
SCHEMA = {"name": "answer", "schema": {"type": "object", "properties": {}}, "strict": True}


def call(model: str = "openai/gpt-5.4", **keywords: Any) -> Call:
    return KiloLLM(model=model).prepare("Hi", stream=True, keywords=keywords)


def body(**keywords: Any) -> dict[str, Any]:
    return Responses().body(call(**keywords))


def extra(**keywords: Any) -> dict[str, Any]:
    """Return what the body has beside what each one has."""
    plain = body()
    return {name: value for name, value in body(**keywords).items() if plain.get(name) != value}


def test_the_smallest_body() -> None:
    assert body() == {
        "model": "openai/gpt-5.4",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert Responses.path == "/responses"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"max_tokens": 5}, {"max_output_tokens": 5}),
        ({"max_completion_tokens": 5}, {"max_output_tokens": 5}),
        ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}),
        ({"frequency_penalty": 1, "presence_penalty": 1}, {"frequency_penalty": 1, "presence_penalty": 1}),
        ({"top_logprobs": 2}, {"top_logprobs": 2}),
        ({"reasoning": "low"}, {"reasoning": {"effort": "low"}}),
        ({"reasoning": {"max_tokens": 9, "exclude": False}}, {"reasoning": {"max_tokens": 9}}),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        (
            {"reasoning_effort": "low", "reasoning": {"summary": "auto"}},
            {"reasoning": {"summary": "auto", "effort": "low"}},
        ),
        ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
        ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": SCHEMA}, "verbosity": "low"},
            {"text": {"format": {"type": "json_schema", **SCHEMA}, "verbosity": "low"}},
        ),
        ({"extra_body": {"text": {"verbosity": "high"}}, "verbosity": "low"}, {"text": {"verbosity": "low"}}),
        (
            {"include": ["file_search_call.results"]},
            {"include": ["file_search_call.results", "reasoning.encrypted_content"]},
        ),
        ({"include": ["reasoning.encrypted_content"]}, {}),
        ({"stream_options": {"include_usage": True}}, {}),
        ({"stream_options": {"include_obfuscation": False}}, {"stream_options": {"include_obfuscation": False}}),
        ({"provider": {"only": ["openai"]}}, {"provider": {"only": ["openai"]}}),
        ({"plugins": [{"id": "web"}]}, {"plugins": [{"id": "web"}]}),
        ({"metadata": {"a": "b"}, "service_tier": "flex"}, {"metadata": {"a": "b"}, "service_tier": "flex"}),
        ({"truncation": "auto", "extra_body": {"max_tool_calls": 3}}, {"truncation": "auto", "max_tool_calls": 3}),
        ({"n": 1, "store": False, "logprobs": False, "logit_bias": {}, "transforms": []}, {}),
        ({"parallel_tool_calls": False, "tools": [TOOL]}, {"parallel_tool_calls": False, "tools": [FLAT]}),
    ],
)
def test_where_a_field_goes(given: dict[str, Any], sent: dict[str, Any]) -> None:
    assert extra(**given) == sent


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        (TOOL, FLAT),
        ({"type": "function", "function": {**FUNCTION, "strict": True}}, {**FLAT, "strict": True}),
        (
            {"type": "function", "function": {"name": "now"}},
            {"type": "function", "strict": False, "name": "now", "parameters": {"type": "object", "properties": {}}},
        ),
        ({"type": "web_search", "search_context_size": "low"}, {"type": "web_search", "search_context_size": "low"}),
        ({"type": "openrouter:web_search"}, {"type": "openrouter:web_search"}),
        (FLAT, FLAT),
        ({"type": "custom", "custom": {"name": "sql"}}, {"type": "custom", "name": "sql"}),
        (
            {"type": "custom", "custom": {"name": "sql", "format": {"type": "grammar", "grammar": {"syntax": "lark"}}}},
            {"type": "custom", "name": "sql", "format": {"type": "grammar", "syntax": "lark"}},
        ),
    ],
)
def test_tools_are_flat(tool: dict[str, Any], sent: dict[str, Any]) -> None:
    before = copy.deepcopy(tool)
    assert extra(tools=[tool]) == {"tools": [sent]}
    assert tool == before


NAMED = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        (NAMED, {"type": "function", "name": "add"}),
        ({"type": "function", "name": "add"}, {"type": "function", "name": "add"}),
        ({"type": "custom", "custom": {"name": "sql"}}, {"type": "custom", "name": "sql"}),
        ({"type": "web_search"}, {"type": "web_search"}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "add"}]},
        ),
    ],
)
def test_tool_choices_are_flat(choice: Any, sent: Any) -> None:
    assert extra(tools=[TOOL], tool_choice=choice)["tool_choice"] == sent


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stop": ["END"]}, r"stop=\['END'\] has no place in the Responses interface; leave it out, or use "
         r"api='completions' or api='messages'"),
        ({"seed": 1}, "seed=1 has no place .* api='completions'$"),
        ({"logprobs": True}, "logprobs=True .* api='completions'$"),
        ({"logit_bias": {"5": 1}}, "logit_bias=.* api='completions'$"),
        ({"transforms": ["middle-out"]}, "transforms=.* api='completions'$"),
        ({"n": 2}, "n=2 has no place .* api='completions'$"),
        ({"audio": {"voice": "alloy"}}, "audio=.* api='completions'$"),
        ({"min_p": 0.1}, "min_p=0.1 .* api='completions'$"),
        ({"store": True}, "store=True has no place"),
        ({"previous_response_id": "resp_1"}, "previous_response_id='resp_1' has no place"),
        ({"extra_body": {"input": "x"}}, "input='x' has no place"),
        ({"reasoning": {"exclude": True}}, "reasoning=.* has no place"),
    ],
)  # fmt: skip # a row for each case, to be compared by eye
def test_a_field_without_a_place_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        body(**given)


def test_the_error_says_which_interfaces_have_the_field() -> None:
    assert str(fields.misplaced("seed", 1, "messages")).endswith("leave it out, or use api='completions'")
    assert str(fields.misplaced("top_logprobs", 1, "messages")).endswith("or use api='completions' or api='responses'")
    assert "Messages interface" in str(fields.misplaced("n", 2, "messages"))


def test_google_gets_schemas_without_references() -> None:
    parameters = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "add", "parameters": parameters}}
    [sent] = Responses().body(call("google/gemini-3-flash", tools=[tool]))["tools"]
    assert sent["parameters"]["properties"]["a"] == {"type": "integer"}


def test_the_call_stays_as_it_is() -> None:
    given = call(
        tools=[TOOL],
        tool_choice=NAMED,
        verbosity="low",
        reasoning_effort="low",
        reasoning={"summary": "auto"},
        response_format={"type": "json_schema", "json_schema": SCHEMA},
        stream_options={"include_usage": True},
        extra_body={"text": {"a": 1}},
    )
    before = copy.deepcopy(given.options)
    first = Responses().body(given)
    assert given.options == before
    assert Responses().body(given) == first
