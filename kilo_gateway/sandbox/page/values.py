"""Read values of any JSON, which a request or a server may contain, and write them for a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

Json = dict[str, Any]

MOST_CHARACTERS: Final = 4_000
"""The number of characters that are shown of a value in a table."""
_MOST_DEPTH: Final = 40
_MOST_ROWS: Final = 300


def mapping(value: Any) -> Json:
    """Return a JSON object, or an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> Iterator[Json]:
    """Yield the JSON objects in a list; nothing if it is not a list."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def string(value: Any) -> str:
    """Return a text, or an empty one in the place of anything else."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | int | None:
    """Return a number, also one that is written as a text; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # JSON has no infinity and no NaN, and the page could not parse them.
    return value if value - value == 0 else None


def whole(text: str) -> int | None:
    """Return the whole number that a text of digits means; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def written(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON, or a remark in the place of one that is nested too deeply."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except RecursionError:
        return "(nested too deeply to be shown)"


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return the beginning of a long text, which says that it was cut."""
    return text if len(text) <= most else f"{text[:most]} … (cut; {len(text):,} characters)"


def parsed(text: str | bytes) -> Any:
    """Return the value of a JSON text; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def differences(before: Any, after: Any) -> list[Json]:
    """Return a row for each place at which two JSON values differ; `before` or `after` is None where it is absent."""
    rows: list[Json] = []
    for path, old, new in _differences(before, after, "", 0):
        if len(rows) == _MOST_ROWS:
            rows.append({"path": f"… more than {_MOST_ROWS} differences", "before": None, "after": None})
            break
        rows.append({"path": path, "before": _shown(old), "after": _shown(new)})
    return rows


def marked(rows: list[Json]) -> list[Json]:
    """Return rows of differences whose values are in three pieces; the one in the middle differs."""
    return [_marked(row["path"], row["before"], row["after"]) for row in rows]


def _marked(path: str, before: str | None, after: str | None) -> Json:
    sides = [side for side in (before, after) if side is not None]
    start = end = 0
    if len(sides) == 2:
        start = _alike(*sides)
        end = _alike(*(side[start:][::-1] for side in sides))
    pieces = [
        None if side is None else [side[:start], side[start : len(side) - end], side[len(side) - end :]]
        for side in (before, after)
    ]
    return {"path": path, "before": pieces[0], "after": pieces[1], "same": before == after}


def _alike(one: str, other: str) -> int:
    """Return the number of characters with which both texts begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


_ABSENT: Final = object()


def _differences(before: Any, after: Any, path: str, depth: int) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict) and depth < _MOST_DEPTH:
        for name in before | after:
            inner = f"{path}.{name}" if path else name
            yield from _differences(before.get(name, _ABSENT), after.get(name, _ABSENT), inner, depth + 1)
    elif isinstance(before, list) and isinstance(after, list) and depth < _MOST_DEPTH:
        for place in range(max(len(before), len(after))):
            old, new = (items[place] if place < len(items) else _ABSENT for items in (before, after))
            yield from _differences(old, new, f"{path}[{place}]", depth + 1)
    # In Python, 1 is equal to True and to 1.0; in JSON they differ.
    elif before is _ABSENT or after is _ABSENT or written(before) != written(after):
        yield path, before, after


def _shown(value: Any) -> str | None:
    return None if value is _ABSENT else cut(value if isinstance(value, str) else written(value))
