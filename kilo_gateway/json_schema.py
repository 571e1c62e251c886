"""JSON schemas: recursion, strict mode, and the form that Google's models accept. No I/O."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kilo_gateway._frames import user_stacklevel
from kilo_gateway.encoding.lenient_json import mapping

Schema = Mapping[str, Any]

_DEFINITIONS: Final = ("$defs", "definitions")

_HOLDS_NAMED_SCHEMAS: Final = frozenset({"properties", "patternProperties", "dependentSchemas", *_DEFINITIONS})
"""Keywords whose value maps names to schemas."""

_HOLDS_SCHEMAS: Final = frozenset(
    {
        "items",
        "prefixItems",
        "additionalProperties",
        "propertyNames",
        "contains",
        "anyOf",
        "allOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords whose value is a schema or a list of schemas. Every other value may be data that only looks like one."""


def contains_itself(schema: Schema) -> bool:
    """Return True if a definition of `schema` refers to itself, directly or through others."""
    definitions = {
        f"#/{place}/{name}": definition
        for place in _DEFINITIONS
        for name, definition in mapping(schema.get(place)).items()
    }
    reaches = {name: set(_references(definition)) for name, definition in definitions.items()}
    for _ in reaches:
        for targets in reaches.values():
            targets.update(*(reaches.get(target, ()) for target in list(targets)))
    return any(name in targets for name, targets in reaches.items())


def with_top_level(schema: Schema) -> dict[str, Any]:
    """Return `schema` with its fields at the top: the schema of a class that contains itself is only a reference."""
    if not isinstance(reference := schema.get("$ref"), str):
        return dict(schema)
    return {**resolve(schema, reference, "schema"), **{key: value for key, value in schema.items() if key != "$ref"}}


def resolve(root: Schema, reference: str, name: str) -> Schema:
    """Return the schema inside `root` that `reference` points to.

    Raises ValueError, which calls the schema `name`, if there is none.
    """
    target: Any = root
    start, *steps = reference.split("/")
    for step in steps:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list):
            target = target[int(key)] if key.isdecimal() and int(key) < len(target) else None
        else:
            target = mapping(target).get(key)
    if start != "#" or not isinstance(target, Mapping):
        raise ValueError(f"the schema of {name!r} refers to {reference!r}, which it does not define")
    return target


def strict(schema: Schema) -> dict[str, Any]:
    """Return `schema` as strict mode demands it: objects require all their fields and accept no others."""
    return _Strict().visit(schema)


def for_google(schema: Schema, name: str) -> dict[str, Any]:
    """Return `schema` without references, and with `nullable` instead of unions with null.

    A schema that contains itself has no finite form without references: it ends in a plain object, with a
    warning that calls the schema `name`. Raises ValueError for a reference that points to nothing.
    """
    return _ForGoogle(schema, name).visit(schema)


class _Walker:
    """Copies a schema; a subclass changes each node on the way up."""

    def visit(self, node: Schema) -> dict[str, Any]:
        return self.leave({key: self.value(key, value) for key, value in node.items()})

    def leave(self, node: dict[str, Any]) -> dict[str, Any]:
        return node

    def value(self, key: str, value: Any) -> Any:
        if key in _HOLDS_NAMED_SCHEMAS and isinstance(value, Mapping):
            return {name: self._schemas(schema) for name, schema in value.items()}
        return self._schemas(value) if key in _HOLDS_SCHEMAS else value

    def _schemas(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._schemas(each) for each in value]
        return self.visit(value) if isinstance(value, Mapping) else value


class _Strict(_Walker):
    def leave(self, node: dict[str, Any]) -> dict[str, Any]:
        node.pop("default", None)
        if "properties" in node:
            node |= {"required": list(node["properties"]), "additionalProperties": False}
        return node


class _ForGoogle(_Walker):
    def __init__(self, root: Schema, name: str) -> None:
        self._root = root
        self._name = name
        self._inside: tuple[str, ...] = ()

    def visit(self, node: Schema) -> dict[str, Any]:
        if not isinstance(reference := node.get("$ref"), str):
            return super().visit({key: value for key, value in node.items() if key not in _DEFINITIONS})
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        outside, target = self._inside, self._target(reference)
        self._inside = (*outside, reference)
        try:
            return self.visit({**target, **siblings})
        finally:
            self._inside = outside

    def _target(self, reference: str) -> Schema:
        if reference not in self._inside:
            return resolve(self._root, reference, self._name)
        warnings.warn(
            f"the schema of {self._name!r} contains itself at {reference!r}, and Google's models accept no "
            "references: deeper levels are sent as a plain object",
            UserWarning,
            stacklevel=user_stacklevel(),
        )
        return {"type": "object"}

    def value(self, key: str, value: Any) -> Any:
        if key == "discriminator" and isinstance(value, Mapping):
            # Its mapping points to references.
            return {name: inner for name, inner in value.items() if name != "mapping"}
        return super().value(key, value)

    def leave(self, node: dict[str, Any]) -> dict[str, Any]:
        return _nullable(node)


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    """Return `node` with `nullable` instead of a union with null, and without a union of one."""
    key, options = _union(node)
    others = [option for option in options if mapping(option).get("type") != "null"]
    if not options or (len(others) == len(options) and key in node):
        return node
    rest = {name: value for name, value in node.items() if name not in ("type", key)}
    if not others:
        return {**rest, "type": "null"}
    if len(others) < len(options):
        rest = _without_null(rest)
    return {**others[0], **rest} if len(others) == 1 else {key: others, **rest}


def _union(node: Schema) -> tuple[str, list[Any]]:
    """Return the keyword of the node's union and its options; a list of types is a union too."""
    if isinstance(kinds := node.get("type"), list):
        return "anyOf", [{"type": kind} for kind in kinds]
    key = "oneOf" if isinstance(node.get("oneOf"), list) else "anyOf"
    options = node.get(key)
    return key, options if isinstance(options, list) else []


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    if node.get("default", ...) is None:
        del node["default"]
    if isinstance(values := node.get("enum"), list):
        node["enum"] = [value for value in values if value is not None]
    return {**node, "nullable": True}


def _references(node: Any) -> Iterator[str]:
    for value in node if isinstance(node, list) else mapping(node).values():
        yield from _references(value)
    if isinstance(reference := mapping(node).get("$ref"), str):
        yield reference
