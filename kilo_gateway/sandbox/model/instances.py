"""Build instances of a JSON schema, with values from the prompt where it contains any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kilo_gateway.sandbox.gateway.provider_checks import UpstreamRefusal
from kilo_gateway.sandbox.model import patterns
from kilo_gateway.sandbox.model.facts import Facts
from kilo_gateway.sandbox.model.words import words

Json = dict[str, Any]

MISSING: Any = object()
_DEEPEST = 6
_FREE_TEXT = frozenset({"query", "question", "text", "input", "prompt", "message", "q", "content", "topic"})
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT1H",
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "byte": "c2FuZGJveA==",
    "binary": "sandbox",
}


def instance(schema: Any, facts: Facts) -> Any:
    """Return a value that satisfies `schema`; raise UpstreamRefusal if it is not a JSON schema.

    The value contains all required parts, and the optional parts for which the prompt contains a value.
    """
    try:
        return _Filler(schema, facts).fill(schema, "", required=True, depth=0)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise UpstreamRefusal("expected a valid JSON schema") from None


class _Filler:
    def __init__(self, root: Any, facts: Facts) -> None:
        self.root = root
        self.facts = facts

    def fill(self, schema: Any, name: str, *, required: bool, depth: int) -> Any:
        """Return a value, or MISSING if the part is optional and the prompt contains no value for it."""
        schema = self._plain(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._enum(schema["enum"], required)
        for union in ("anyOf", "oneOf"):
            if schema.get(union):
                return self._union(schema, schema[union], name, required, depth)
        kind = _kind(schema)
        if isinstance(kind, list):
            return self._union({}, [{**schema, "type": option} for option in kind], name, required, depth)
        value = self._typed(kind, schema, name, required, depth)
        return schema["default"] if value is MISSING and required and "default" in schema else value

    def _typed(self, kind: str, schema: Json, name: str, required: bool, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, required, depth)
        if kind == "array":
            return self._array(schema, name, required, depth)
        if kind == "string":
            return self._string(schema, name, required)
        if kind in ("integer", "number"):
            return self._number(schema, name, required, whole=kind == "integer")
        if kind == "boolean":
            value = self.facts.flag(name)
            return value if value is not None else (schema.get("default", True) if required else MISSING)
        return None if required else MISSING

    def _plain(self, schema: Any) -> Json:
        """Follow references and merge `allOf`."""
        seen = 0
        while isinstance(schema, dict) and "$ref" in schema and seen < 20:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            target = _pointer(self.root, schema["$ref"])
            schema = {**(target if isinstance(target, dict) else {}), **rest}
            seen += 1
        if not isinstance(schema, dict):
            return {}
        if schema.get("allOf"):
            merged: Json = {key: value for key, value in schema.items() if key != "allOf"}
            for part in map(self._plain, schema["allOf"]):
                merged = {
                    **part,
                    **merged,
                    "properties": {**part.get("properties", {}), **merged.get("properties", {})},
                    "required": [*part.get("required", []), *merged.get("required", [])],
                }
            return {key: value for key, value in merged.items() if value not in ({}, [])}
        return schema

    def _enum(self, values: list[Any], required: bool) -> Any:
        mentioned = self.facts.mentioned([value for value in values if isinstance(value, str)])
        if mentioned is not None:
            return mentioned
        return values[0] if required else MISSING

    def _union(self, outer: Json, options: list[Any], name: str, required: bool, depth: int) -> Any:
        shared = {key: value for key, value in outer.items() if key not in ("anyOf", "oneOf", "default")}
        resolved = [{**self._plain(option), **shared} for option in options]
        nullable = any(_kind(option) == "null" for option in resolved)
        # Below the depth limit, the simplest option comes first, to end a recursive schema. Above it, an option comes
        # first if the prompt mentions its constant.
        candidates = [option for option in resolved if _kind(option) != "null"]
        candidates.sort(key=lambda option: (depth > _DEEPEST and _weight(option), not self._tagged(option)))
        for option in candidates:
            if depth > _DEEPEST and nullable:
                break
            value = self.fill(option, name, required=required and not nullable, depth=depth + 1)
            if value is not MISSING:
                return value
        return None if required else MISSING

    def _tagged(self, option: Json) -> bool:
        constants = [
            part["const"]
            for part in map(self._plain, option.get("properties", {}).values())
            if isinstance(part.get("const"), str)
        ]
        return self.facts.mentioned(constants) is not None

    def _object(self, schema: Json, required: bool, depth: int) -> Any:
        needed = schema.get("required", [])
        fields: Json = {}
        properties = schema.get("properties", {})
        # Each value is used once. So required parts come first, and among them those that the prompt names.
        order = sorted(properties, key=lambda key: (key not in needed, not self.facts.names_something(key)))
        for key in order:
            if key not in needed and depth > _DEEPEST:
                continue
            value = self.fill(properties[key], key, required=key in needed, depth=depth + 1)
            if value is not MISSING:
                fields[key] = value
        fields = {key: fields[key] for key in properties if key in fields}
        for key in needed:
            if key not in fields:
                fields[key] = self.fill(schema.get("additionalProperties"), key, required=True, depth=depth + 1)
        for number in range(len(fields), schema.get("minProperties", 0)):
            extra = schema.get("additionalProperties")
            fields[f"key{number + 1}"] = self.fill(extra, "", required=True, depth=depth + 1)
        return fields if required or fields else MISSING

    def _array(self, schema: Json, name: str, required: bool, depth: int) -> Any:
        values = [self.fill(part, name, required=True, depth=depth + 1) for part in schema.get("prefixItems", [])]
        items = schema.get("items", {} if not values else False)
        least, most = schema.get("minItems", 0), schema.get("maxItems", 8)
        if items is not False:
            values += self._several(items, name, most - len(values))
            count = max(least, 1 if required and not values and depth <= _DEEPEST else 0)
            for _ in range(min(count, most) - len(values)):
                values.append(self.fill(items, _singular(name), required=True, depth=depth + 1))
        if schema.get("uniqueItems"):
            values = _distinct(values, least)
        return values if required or values else MISSING

    def _several(self, items: Any, name: str, most: int) -> list[Any]:
        """Return all values that the prompt lists for an array of scalars."""
        schema = self._plain(items)
        kind = _kind(schema)
        if "enum" in schema:
            strings = [value for value in schema["enum"] if isinstance(value, str)]
            return self.facts.all_mentioned(strings)[: max(0, most)]
        if kind not in ("integer", "number", "string"):
            return []
        values: list[Any] = self.facts.listed(name) if kind == "string" else []
        while len(values) < most:
            value = self.fill(schema, _singular(name), required=False, depth=_DEEPEST)
            if value is MISSING:
                break
            values.append(value)
        return values[: max(0, most)]

    def _number(self, schema: Json, name: str, required: bool, *, whole: bool) -> Any:
        low, high = _bounds(schema, whole)
        step = schema.get("multipleOf")

        def fits(value: float) -> bool:
            in_range = (low is None or value >= low) and (high is None or value <= high)
            aligned = not step or abs(value / step - round(value / step)) < 1e-9
            return in_range and aligned and (not whole or value == int(value))

        value = self.facts.number(name, fits)
        if value is None:
            if not required:
                return MISSING
            if isinstance(schema.get("default"), int | float):
                return schema["default"]
            value = _nearest(low, high, step)
        return int(value) if whole or value == int(value) else value

    def _string(self, schema: Json, name: str, required: bool) -> Any:
        kind, pattern = schema.get("format"), schema.get("pattern")
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength")

        def fits(value: str) -> bool:
            long_enough = shortest <= len(value) and (longest is None or len(value) <= longest)
            return long_enough and (not pattern or patterns.matches(pattern, value))

        if kind in _FORMATS:
            formatted = self.facts.formatted(kind)
            return formatted if formatted and fits(formatted) else (_FORMATS[kind] if required else MISSING)
        for value in self._strings(schema, name, required):
            if fits(value):
                self.facts.use(value)
                return value
        if not required:
            return MISSING
        if pattern:
            return patterns.example(pattern, shortest)
        value = self.facts.summary(name) or name or "sandbox"
        while len(value) < shortest:
            value += f" {name or 'sandbox'}"
        return value[:longest] if longest is not None else value

    def _strings(self, schema: Json, name: str, required: bool) -> Iterator[str]:
        if (after := self.facts.after(name)) is not None:
            yield after
        yield from self.facts.quoted()
        free_text = bool(_FREE_TEXT & set(words(name)))
        if required and free_text:
            yield self.facts.text
        if required:
            if not free_text:
                yield from self.facts.names()
            if schema.get("pattern"):
                yield from re.findall(r"\S+", self.facts.text)


def _kind(schema: Json) -> Any:
    if "type" in schema:
        kind = schema["type"]
        return kind[0] if isinstance(kind, list) and len(kind) == 1 else kind
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
        return "number"
    return "string"


def _pointer(root: Any, reference: str) -> Any:
    node = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if key:
            node = node.get(key, {}) if isinstance(node, dict) else {}
    return node


def _weight(option: Json) -> int:
    return {"object": 2, "array": 1}.get(str(_kind(option)), 0)


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _bounds(schema: Json, whole: bool) -> tuple[float | None, float | None]:
    low, high = schema.get("minimum"), schema.get("maximum")
    margin = 1 if whole else 1e-6
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    # In draft 4 of JSON Schema these are booleans, which make minimum and maximum exclusive.
    above = (low if above else None) if isinstance(above, bool) else above
    below = (high if below else None) if isinstance(below, bool) else below
    if above is not None:
        low = max(above + margin, low if low is not None else above + margin)
    if below is not None:
        high = min(below - margin, high if high is not None else below - margin)
    return low, high


def _nearest(low: float | None, high: float | None, step: float | None) -> float:
    value: float = 1
    if low is not None and high is not None and not low <= 1 <= high and not step:
        middle = (low + high) / 2
        value = round(middle) if low <= round(middle) <= high else middle
    if low is not None and value < low:
        value = low
    if high is not None and value > high:
        value = high
    if step:
        value = -(-value // step) * step
        if high is not None and value > high:
            value -= step
    return value


def _distinct(values: list[Any], least: int) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    seed = kept[-1] if kept else 1
    while len(kept) < least:
        number = len(kept) + 1
        kept.append(f"{seed} {number}" if isinstance(seed, str) else max(kept) + 1)
    return kept
