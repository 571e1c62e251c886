"""Test a value against a regular expression of a schema, or build a value that matches it."""

from __future__ import annotations

import importlib
import re
from typing import Any

# The parser of regular expressions in the standard library has no public name.
_sre: Any = importlib.import_module("re._parser")

_CLASSES: dict[str, str] = {"CATEGORY_DIGIT": "1", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " "}
_CANDIDATES = "a1A-_ .:/é"


def matches(pattern: str, value: str) -> bool:
    """Return True if a value matches a schema's pattern, or if Python cannot parse the pattern."""
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True


def example(pattern: str, shortest: int = 0) -> str:
    """Return a string that matches, if possible; look-arounds and back references are ignored."""
    try:
        value = _expand(_sre.parse(pattern), 0)
    except re.error:
        return "a" * max(1, shortest)
    for repeats in range(1, shortest - len(value) + 1):
        longer = _expand(_sre.parse(pattern), repeats)
        if len(longer) >= shortest and matches(pattern, longer):
            return longer
    return value


def _expand(parsed: Any, more: int) -> str:
    return "".join(_one(str(op), argument, more) for op, argument in parsed)


def _one(op: str, argument: Any, more: int) -> str:
    if op == "LITERAL":
        return chr(argument)
    if op == "NOT_LITERAL":
        return "b" if chr(argument) == "a" else "a"
    if op == "ANY":
        return "a"
    if op == "IN":
        return _member(argument)
    if op == "BRANCH":
        return _expand(argument[1][0], more)
    if op == "SUBPATTERN":
        return _expand(argument[-1], more)
    if op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, part = argument
        return _expand(part, more) * int(min(most, least + more))
    return ""


def _member(items: Any) -> str:
    names = [(str(op), argument) for op, argument in items]
    negated = names[0][0] == "NEGATE"
    if not negated:
        op, argument = names[0]
        if op == "LITERAL":
            return chr(argument)
        if op == "RANGE":
            return chr(argument[0])
        return _CLASSES.get(str(argument), "-")
    return next((c for c in _CANDIDATES if not any(_covers(c, *name) for name in names[1:])), "~")


def _covers(character: str, op: str, argument: Any) -> bool:
    if op == "LITERAL":
        return bool(ord(character) == argument)
    if op == "RANGE":
        return bool(argument[0] <= ord(character) <= argument[1])
    tests = {"CATEGORY_DIGIT": str.isdigit, "CATEGORY_WORD": str.isalnum, "CATEGORY_SPACE": str.isspace}
    test = tests.get(str(argument))
    return test is None or bool(test(character))
