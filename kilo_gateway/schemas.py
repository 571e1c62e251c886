"""JSON schemas: what refers to itself, what strict mode demands, and what Google's models take. No I/O."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kilo_gateway.callers import user_stacklevel
from kilo_gateway.plain import mapping

_DEFINITIONS: Final = ("$defs", "definitions")
_NAMED_SCHEMAS: Final = ("properties", "patternProperties", "dependentSchemas")
_SCHEMAS: Final = (
    *("items", "prefixItems", "additionalProperties", "propertyNames", "contains", "anyOf", "allOf", "oneOf", "not"),
    *("if", "then", "else", "unevaluatedItems", "unevaluatedProperties"),
)


def contains_itself(schema: Mapping[str, Any]) -> bool:
    """Return whether a definition of `schema` refers to itself, directly or by way of others."""
    definitions = {
        f"#/{place}/{name}": found for place in _DEFINITIONS for name, found in mapping(schema.get(place)).items()
    }
    reaches = {name: set(_references(found)) for name, found in definitions.items()}
    for _ in reaches:
        for targets in reaches.values():
            targets.update(*(reaches.get(target, ()) for target in list(targets)))
    return any(name in targets for name, targets in reaches.items())


def with_top_level(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` with its fields at the top: that of a class which contains itself is a mere reference."""
    if not isinstance(reference := schema.get("$ref"), str):
        return dict(schema)
    return {**resolve(schema, reference, "schema"), **{key: value for key, value in schema.items() if key != "$ref"}}


def strict(schema: Any) -> Any:
    """Return `schema` as strict mode demands it: objects name all their fields as required, and take no others."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {
        key: {name: strict(each) for name, each in value.items()}
        if key in (*_NAMED_SCHEMAS, *_DEFINITIONS) and isinstance(value, Mapping)
        else strict(value)
        if key in _SCHEMAS
        else value
        for key, value in schema.items()
        if key != "default"
    }
    if "properties" in found:
        found |= {"required": list(found["properties"]), "additionalProperties": False}
    return found


def plain(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a JSON schema without references, and with `nullable` for unions with null.

    A schema that contains itself cannot be written out: there it becomes a plain object, with a warning
    that calls it `name`. Raises ValueError for a reference to nothing.
    """
    return _Plain(schema, name).node(schema, ())


def resolve(root: Mapping[str, Any], reference: str, name: str) -> Mapping[str, Any]:
    """Return what a reference inside `root` refers to; raises ValueError, which calls the schema `name`."""
    found: Any = root
    start, *steps = reference.split("/")
    for step in steps:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(key)] if key.isdecimal() and int(key) < len(found) else None
        else:
            found = mapping(found).get(key)
    if start != "#" or not isinstance(found, Mapping):
        raise ValueError(f"the schema of {name!r} refers to {reference!r}, which it does not define")
    return found


def _references(node: Any) -> Iterator[str]:
    for value in node if isinstance(node, list) else mapping(node).values():
        yield from _references(value)
    if isinstance(reference := mapping(node).get("$ref"), str):
        yield reference


class _Plain:
    def __init__(self, root: Mapping[str, Any], name: str) -> None:
        self._root = root
        self._name = name

    def node(self, node: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        reference = node.get("$ref")
        if isinstance(reference, str):
            if reference in inside:
                warnings.warn(
                    f"the schema of {self._name!r} contains itself at {reference!r}, and Google's models take no "
                    "references: deeper levels are sent as a plain object",
                    UserWarning,
                    stacklevel=user_stacklevel(),
                )
                target: Mapping[str, Any] = {"type": "object"}
            else:
                target = resolve(self._root, reference, self._name)
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return self.node({**target, **beside}, (*inside, reference))
        return _nullable({k: self._value(k, v, inside) for k, v in node.items() if k not in _DEFINITIONS})

    def _value(self, key: str, value: Any, inside: tuple[str, ...]) -> Any:
        # Everything else may be data that only looks like a schema: const, enum, default, examples.
        if key in _NAMED_SCHEMAS and isinstance(value, Mapping):
            return {name: self._inner(schema, inside) for name, schema in value.items()}
        if key == "discriminator" and isinstance(value, Mapping):
            return {name: told for name, told in value.items() if name != "mapping"}  # to references
        return self._inner(value, inside) if key in _SCHEMAS else value

    def _inner(self, schema: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(schema, list):
            return [self._inner(each, inside) for each in schema]
        return self.node(schema, inside) if isinstance(schema, Mapping) else schema


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kinds := node.get("type"), list):
        key, options = "anyOf", [{"type": kind} for kind in kinds]
    else:
        key = "oneOf" if isinstance(node.get("oneOf"), list) else "anyOf"
        found = node.get(key)
        options = found if isinstance(found, list) else []
    others = [option for option in options if mapping(option).get("type") != "null"]
    if not options or (len(others) == len(options) and key in node):
        return node
    if not others:
        return {**{name: value for name, value in node.items() if name not in ("type", key)}, "type": "null"}
    rest = {name: value for name, value in node.items() if name not in ("type", key)}
    if len(others) < len(options):
        rest = {name: value for name, value in rest.items() if (name, value) != ("default", None)} | {"nullable": True}
        if isinstance(rest.get("enum"), list):
            rest["enum"] = [value for value in rest["enum"] if value is not None]
    return {**others[0], **rest} if len(others) == 1 else {key: others, **rest}
