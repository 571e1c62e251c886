"""Schemas for Google's models, and the reasoning that a forced tool takes from Anthropic's."""

import copy
import warnings
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from kilo_gateway import GatewaySettings, json_schema
from tests.support.bodies import body

GEMINI, CLAUDE = "google/gemini-2.5-flash", "anthropic/claude-sonnet-4.6"


class Address(BaseModel):
    """Where somebody lives."""

    city: str
    zip_code: int | None = None


class Person(BaseModel):
    """A person."""

    name: str
    home: Address = Field(description="the home address")
    offices: list[Address] = []
    kind: Literal["a", "$ref"] = "a"
    either: int | str | None = None


class Tree(BaseModel):
    """A tree."""

    children: list["Tree"] = []
    parent: Optional["Tree"] = None


def tool(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "save", "parameters": schema}}


def payload(model: str, **call: Any) -> dict[str, Any]:
    return body(GatewaySettings(model=model).prepare([], stream=False, keywords=call))


def test_references_are_written_out_for_google() -> None:
    schema = Person.model_json_schema()
    before = copy.deepcopy(schema)
    sent = payload(GEMINI, tools=[tool(schema)])["tools"][0]["function"]["parameters"]
    assert schema == before
    assert "$defs" not in sent
    city = {"title": "City", "type": "string"}
    zip_code = {"title": "Zip Code", "type": "integer", "nullable": True}
    assert sent["properties"]["home"] == {
        "type": "object",
        "title": "Address",
        "description": "the home address",
        "properties": {"city": city, "zip_code": zip_code},
        "required": ["city"],
    }
    assert sent["properties"]["offices"]["items"]["properties"]["city"] == city
    assert sent["properties"]["kind"]["enum"] == ["a", "$ref"]
    assert sent["properties"]["either"] == {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "title": "Either",
        "nullable": True,
    }


def test_response_formats_too() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "Person", "schema": Person.model_json_schema()}}
    sent = payload(GEMINI, response_format=form)["response_format"]
    assert sent["json_schema"]["name"] == "Person"
    assert sent["json_schema"]["schema"]["properties"]["home"]["title"] == "Address"
    assert "$defs" not in sent["json_schema"]["schema"]


def test_other_routes_get_schemas_as_they_are() -> None:
    schema = Person.model_json_schema()
    for model in (CLAUDE, "openai/gpt-5.4", "kilo-auto/frontier"):
        assert payload(model, tools=[tool(schema)])["tools"][0]["function"]["parameters"] == schema


def test_types_that_are_lists() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}, "default": {"type": ["null", "integer"]}},
    }
    assert json_schema.for_google(schema, "x")["properties"] == {
        "a": {"type": "string", "nullable": True},
        "default": {"type": "integer", "nullable": True},
    }


def test_a_schema_that_contains_itself_ends_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="schema of 'save' contains itself at '#/\\$defs/Tree'"):
        sent = payload(GEMINI, tools=[tool(Tree.model_json_schema())])
    assert "$ref" not in repr(sent)


def test_a_reference_to_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="'save' refers to '#/\\$defs/Nobody'"):
        payload(GEMINI, tools=[tool({"type": "object", "properties": {"a": {"$ref": "#/$defs/Nobody"}}})])


def test_tools_without_a_schema_pass() -> None:
    tools = [{"type": "openrouter:web_search"}, {"type": "function", "function": {"name": "now"}}]
    assert payload(GEMINI, tools=tools)["tools"] == tools


SCHEMAS = st.recursive(
    st.sampled_from(
        [{"type": "string"}, {"type": ["integer", "null"]}, {"$ref": "#/$defs/A"}, {"const": {"$ref": "x"}}]
    ),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["a", "default", "$ref", "items"]), inner).map(
            lambda found: {"type": "object", "properties": found}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"anyOf": [*found, {"type": "null"}]}),
        inner.map(lambda found: {"type": "array", "items": found}),
    ),
    max_leaves=8,
)


@given(SCHEMAS)
def test_no_schema_keeps_a_reference(schema: dict[str, Any]) -> None:
    root = {**schema, "$defs": {"A": {"type": "object", "properties": {"b": {"type": "number"}}}}}
    plain = json_schema.for_google(root, "x")

    def check(node: Any) -> None:
        assert not isinstance(node.get("$ref"), str)
        assert "null" not in (node.get("type") or ())
        for inner in [*node.get("properties", {}).values(), *node.get("anyOf", ())]:
            check(inner)
        if "items" in node:
            check(node["items"])

    check(plain)


@pytest.mark.parametrize("model", [CLAUDE, "kilo-auto/frontier"])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "save"}}])
@pytest.mark.parametrize("reasoning", ["low", {"max_tokens": 2000}, {"enabled": True}])
def test_a_forced_tool_without_the_reasoning_that_was_asked_for_warns(model: str, choice: Any, reasoning: Any) -> None:
    with pytest.warns(UserWarning, match="does not reason while tool_choice forces a tool"):
        payload(model, tools=[tool({})], tool_choice=choice, reasoning=reasoning)


@pytest.mark.parametrize(
    ("model", "choice", "reasoning"),
    [
        (CLAUDE, "auto", "low"),
        (CLAUDE, "required", None),
        (CLAUDE, "required", "none"),
        (CLAUDE, "required", {"enabled": False}),
        ("google/gemini-2.5-pro", "required", "low"),
        ("openai/gpt-5.4", "required", "low"),
    ],
)
def test_otherwise_nobody_is_warned(model: str, choice: Any, reasoning: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        payload(model, tools=[tool({})], tool_choice=choice, reasoning=reasoning)


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (
            {"propertyNames": {"$ref": "#/$defs/C"}, "$defs": {"C": {"enum": ["a"]}}},
            {"propertyNames": {"enum": ["a"]}},
        ),
        ({"if": {"$ref": "#/$defs/C"}, "$defs": {"C": {"enum": ["a"]}}}, {"if": {"enum": ["a"]}}),
        (
            {"discriminator": {"propertyName": "kind", "mapping": {"a": "#/$defs/A"}}},
            {"discriminator": {"propertyName": "kind"}},
        ),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
        ({"type": ["null"]}, {"type": "null"}),
        ({"anyOf": [{"type": "null"}]}, {"type": "null"}),
        ({"type": ["string", "null"], "enum": ["a", None]}, {"type": "string", "enum": ["a"], "nullable": True}),
        (
            {"properties": {"a": {"anyOf": [{"type": "string"}]}, "b": {"$ref": "#/properties/a/anyOf/0"}}},
            {"properties": {"a": {"anyOf": [{"type": "string"}]}, "b": {"type": "string"}}},
        ),
    ],
)
def test_corners_of_json_schema(schema: dict[str, Any], sent: dict[str, Any]) -> None:
    assert json_schema.for_google(schema, "x") == sent


def test_a_reference_by_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="'x' refers to '#anchor'"):
        json_schema.for_google({"properties": {"a": {"$ref": "#anchor"}}}, "x")


def test_what_contains_itself() -> None:
    assert json_schema.contains_itself(Tree.model_json_schema())
    assert not json_schema.contains_itself(Person.model_json_schema())
    there_and_back = {"A": {"items": {"$ref": "#/$defs/B"}}, "B": {"items": {"$ref": "#/$defs/A"}}}
    assert json_schema.contains_itself({"$defs": there_and_back})


def test_strict_schemas_name_all_fields_and_take_no_others() -> None:
    found = json_schema.strict(Person.model_json_schema())
    assert found["required"] == list(Person.model_fields)
    assert found["additionalProperties"] is found["$defs"]["Address"]["additionalProperties"] is False
    assert "default" not in found["properties"]["kind"]
