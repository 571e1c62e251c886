"""Reads JSON that may hold anything anywhere. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic_core import from_json

DEPTH: Final = 200
"""Levels of nesting that every library takes that may copy or write an answer; pydantic takes 255."""


def parse(data: bytes) -> Any:
    """Return what `json.loads` returns, in a third of its time. Raises ValueError or RecursionError, as it does."""
    return parse_odd(data)[0]


def parse_odd(data: bytes) -> tuple[Any, bool]:
    """Return what `parse` does, and whether `cleaned` may change it."""
    try:
        return from_json(data), False
    except ValueError:
        # Only Python accepts lone surrogates, a byte order mark and deep nesting; its errors name the place.
        return json.loads(data), True


def cleaned(value: Any, depth: int = DEPTH) -> Any:
    """Return `value` with mended texts, and None in place of what is nested deeper than `depth` levels."""
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, dict):
        return {mend(key): cleaned(inner, depth - 1) for key, inner in value.items()} if depth else None
    if isinstance(value, list):
        return [cleaned(inner, depth - 1) for inner in value] if depth else None
    return value


def _is_deep(value: Any, depth: int = DEPTH) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return not depth or any(_is_deep(inner, depth - 1) for inner in inside)


def string(value: Any) -> str:
    """Return a string unchanged, anything else as ""."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping unchanged, anything else as {}."""
    return value if isinstance(value, Mapping) else {}


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the dicts of a list, if it is one."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def object_of(text: str) -> dict[str, Any] | None:
    """Parse `text` as a JSON object, or return None.

    Rejects NaN and Infinity, which Python accepts and JSON does not, and nesting deeper than `DEPTH`.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    if text.count("{") + text.count("[") > DEPTH and _is_deep(value):
        return None
    return value if isinstance(value, dict) else None


def _finite(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise ValueError(f"{digits} is more than a float can hold")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def number(value: Any) -> float | None:
    """Return a finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def mend(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates, which no encoder takes.

    A server written in JavaScript may cut a character in two, and JSON lets it send the halves.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Mender:
    """Mends a text that arrives in pieces: half a character at the end of one waits for the next."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the next piece, whole characters only."""
        if self._held:
            text, self._held = self._held + text, ""
        if not text or text.isascii():
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return mend(text)

    def finish(self) -> str:
        """Return the replacement of a half that never found its other one."""
        held, self._held = self._held, ""
        return mend(held) if held else ""
