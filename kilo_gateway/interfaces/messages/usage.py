"""Token counts of Messages, brought into the form of Chat Completions, which one place reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kilo_gateway.encoding.lenient_json import mapping, number
from kilo_gateway.usage import Usage, parse_usage

_READ: Final = "cache_read_input_tokens"
_WRITTEN: Final = "cache_creation_input_tokens"
_INPUT: Final = frozenset({"input_tokens", _READ, _WRITTEN})


def merged(usage: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return `usage` after a further report of it.

    Counts are cumulative, so that the last one stands and none is added. Null replaces nothing. Zero does not
    replace input tokens: some routes report these at the start only, others (Vercel) at the end only, and both
    send zeros in the other place.
    """
    return {**usage, **{name: value for name, value in report.items() if _replaces(name, value, usage)}}


def _replaces(name: str, value: Any, usage: Mapping[str, Any]) -> bool:
    if value is None:
        return False
    if not name.endswith("_tokens") or name not in usage:
        return True
    count = number(value)
    return count is not None and count >= (1 if name in _INPUT else 0)


def read(usage: dict[str, Any], provider_metadata: Any = None) -> Usage | None:
    """Read a native `usage` object; None if it reports neither tokens nor cost.

    Messages does not count the tokens of the prompt cache as input; everything else here does.
    """
    counts = {name: number(usage.get(name)) for name in _INPUT}
    if counts[_WRITTEN] is None and (parts := mapping(usage.get("cache_creation"))):
        counts[_WRITTEN] = sum(map(_count, parts.values()))
    shared: dict[str, Any] = {name: usage.get(name) for name in ("cost", "cost_details", "is_byok")}
    if any(count is not None for count in counts.values()):
        shared["prompt_tokens"] = sum(map(_count, counts.values()))
        shared["prompt_tokens_details"] = {
            "cached_tokens": counts[_READ],
            "cache_write_tokens": counts[_WRITTEN],
        }
    shared["completion_tokens"] = usage.get("output_tokens")
    details = mapping(usage.get("output_tokens_details"))
    thoughts = [details.get(name) for name in ("thinking_tokens", "reasoning_tokens")]
    shared["completion_tokens_details"] = {"reasoning_tokens": next(filter(_count, thoughts), thoughts[0])}
    parsed = parse_usage(shared, provider_metadata)
    return None if parsed is None else replace(parsed, raw=usage)


def _count(value: Any) -> int:
    count = number(value)
    return int(count) if count is not None and count >= 0 else 0
