"""The filler of JSON schemas gives valid instances of any schema of the common kinds."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from kilo_gateway.sandbox.model.facts import Facts
from kilo_gateway.sandbox.model.instances import instance

TEXTS = st.sampled_from(
    ["", "Hello", "Take 7 of the 'red' ones to Paris", "limit 3, name: Ada", "日本 “東京” 2026-05-01 a@b.org"]
) | st.text(max_size=40)

NAMES = st.sampled_from(["name", "limit", "query", "city_name", "tags", "when"])
BOUNDS = st.integers(-50, 50)


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    low = draw(st.none() | BOUNDS)
    if low is not None:
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        # Two apart, so that an integer fits between exclusive bounds.
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = (low or 0) + draw(st.integers(2, 60))
    return schema


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    kind = draw(st.sampled_from(["plain", "length", "pattern", "format", "enum", "const"]))
    if kind == "length":
        schema["minLength"] = draw(st.integers(0, 30))
        schema["maxLength"] = schema["minLength"] + draw(st.integers(0, 20))
    elif kind == "pattern":
        schema["pattern"] = draw(
            st.sampled_from([r"^\d{5}$", r"^[A-Z]{2,3}-\d+$", r"^(foo|bar)\.[a-f0-9]+$", r"^[^\d]x?\w*$"])
        )
    elif kind == "format":
        schema["format"] = draw(st.sampled_from(["date", "email", "uuid", "uri", "date-time"]))
    elif kind == "enum":
        return {"enum": draw(st.lists(st.sampled_from(["red", "blue", "x-y"]), min_size=1, unique=True))}
    elif kind == "const":
        return {"const": draw(st.sampled_from(["a", 3, None, True]))}
    return schema


def nested(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.dictionaries(NAMES, schemas, max_size=4).flatmap(
        lambda properties: st.builds(
            lambda required: {"type": "object", "properties": properties, "required": required},
            st.lists(st.sampled_from(sorted(properties) or [""]), unique=True).map(
                lambda names: [n for n in names if n]
            ),
        )
    )
    arrays = st.builds(
        lambda items, least, more: {
            "type": "array",
            "items": items,
            "minItems": least,
            "maxItems": least + more,
        },
        schemas,
        st.integers(0, 3),
        st.integers(1, 3),
    )
    unions = st.builds(
        lambda key, options: {key: options},
        st.sampled_from(["anyOf", "oneOf"]),
        st.lists(schemas, min_size=1, max_size=3),
    )
    return objects | arrays | unions


SCALARS = numbers() | strings() | st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}])
SCHEMAS = st.recursive(SCALARS, nested, max_leaves=8)

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}


def valid(schema: dict[str, Any], value: Any) -> bool:
    """Check the few keywords that the strategies above use."""
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return any(valid(option, value) for option in schema[union])
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, TYPES[kind]) for kind in kinds):
        return False
    if isinstance(value, bool):
        return "boolean" in kinds or not kinds
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return set(schema.get("required", [])) <= set(value) and all(
            valid(properties.get(k, {}), v) for k, v in value.items()
        )
    if isinstance(value, list):
        sized = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 99)
        return bool(sized) and all(valid(schema["items"], item) for item in value)
    if isinstance(value, str):
        sized = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**6)
        return bool(sized) and bool(re.search(schema.get("pattern", ""), value))
    if isinstance(value, int | float):
        return bool(
            value >= schema.get("minimum", value)
            and value <= schema.get("maximum", value)
            and value > schema.get("exclusiveMinimum", value - 1)
            and value < schema.get("exclusiveMaximum", value + 1)
        )
    return True


@given(SCHEMAS, TEXTS)
def test_instances_are_valid(schema: dict[str, Any], text: str) -> None:
    value = instance(schema, Facts(text))
    assert valid(schema, value), value


def test_the_checker_of_this_file_can_say_no() -> None:
    assert not valid({"type": "integer", "exclusiveMinimum": 3}, 3)
    assert not valid({"type": "object", "properties": {}, "required": ["a"]}, {})
    assert not valid({"type": "string", "pattern": "^a$"}, "b")
    assert not valid({"anyOf": [{"type": "null"}]}, "x")


class Address(BaseModel):
    street: str
    postcode: str = Field(pattern=r"^\d{5}$")


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Person(BaseModel):
    name: str
    age: int = Field(gt=17, lt=100)
    born: date
    token: UUID
    home: Address
    pet: Cat | Dog = Field(discriminator="kind")
    tags: list[str] = Field(min_length=2, max_length=4)
    scores: set[int] = Field(min_length=3)
    point: tuple[float, float]
    share: float = Field(gt=0, lt=1)
    step: int = Field(multiple_of=5, ge=7)
    notes: dict[str, int]
    boss: Person | None = None
    children: list[Person] = []
    nick: str | None


@pytest.mark.parametrize("text", ["", "Ada Lovelace, 36, born 1815-12-10, has a dog", "5 6 7 '1' '2'"])
def test_models_with_references_unions_and_recursion(text: str) -> None:
    Person.model_validate(instance(Person.model_json_schema(), Facts(text)))


def test_values_come_from_the_text() -> None:
    text = "name: Ada Lovelace, age 36, born 1815-12-10. She has a dog. Tags: 'maths', 'engines' and 'poetry'."
    person = Person.model_validate(instance(Person.model_json_schema(), Facts(text)))
    assert person.name == "Ada Lovelace"
    assert person.age == 36
    assert person.born == date(1815, 12, 10)
    assert isinstance(person.pet, Dog)
    assert person.tags == ["maths", "engines", "poetry"]


OPTIONAL = {"type": "object", "properties": {"limit": {"type": "integer"}, "unit": {"enum": ["km", "miles"]}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search", {}),
        ("search, limit 5", {"limit": 5}),
        ("in miles please, at most 9", {"limit": 9, "unit": "miles"}),
    ],
)
def test_optional_parameters_only_when_the_text_has_a_value(text: str, expected: dict[str, Any]) -> None:
    assert instance({**OPTIONAL, "required": []}, Facts(text)) == expected


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("f(3)", [3.0]),
        ("-4 and 2.5, then 1,200", [-4.0, 2.5, 1200.0]),
        ("gpt-4 on 2026-05-01", []),
        ("two of three", [2.0, 3.0]),
    ],
)
def test_numbers_of_a_text(text: str, numbers: list[float]) -> None:
    facts, found = Facts(text), []
    while (value := facts.number("", lambda value: True)) is not None:
        found.append(value)
    assert found == numbers


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("'a' \"b\" `c`", ["a", "b", "c"]),
        ("\u201cd\u201d \u2018e\u2019 \u201ef\u201c \u00abg\u00bb \u300ch\u300d", ["d", "e", "f", "g", "h"]),
        ("don't, it's", []),
    ],
)
def test_quoted_strings_of_a_text(text: str, quoted: list[str]) -> None:
    assert list(Facts(text).quoted()) == quoted
