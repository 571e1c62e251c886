"""Tokens and cost of an answer, from either upstream route. Pure. See docs/gateway.md, "Usage"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from kilo_gateway.encoding import lenient_json


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer (zero details mean "none or not reported") and its cost in USD, or None if not reported."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens read from the provider's cache."""
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    """Part of `completion_tokens`."""
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    cost: float | None = None
    """USD; 0.0 is a reported price (free models), None one that is not reported."""
    cost_details: dict[str, Any] | None = None
    is_byok: bool | None = None
    counted: bool = True
    """False if only a cost was reported and the token counts are not known."""
    raw: dict[str, Any] = field(default_factory=dict)
    reported: frozenset[str] = frozenset()
    """The details that were reported, zeros included, by the names of their fields here."""

    def as_chat(self) -> dict[str, Any]:
        """Return it in the form of Chat Completions, whatever the interface: the reported counts and the cost."""
        if not self.counted:
            return {} if self.cost is None else {"cost": self.cost}
        totals = ("prompt_tokens", "completion_tokens", "total_tokens")
        usage: dict[str, Any] = {name: getattr(self, name) for name in totals}
        for name, (group, theirs) in _DETAILS.items():
            if name in self.reported:
                usage.setdefault(group, {})[theirs] = getattr(self, name)
        return usage if self.cost is None else {**usage, "cost": self.cost}


_DETAILS: Final = {
    "cached_tokens": ("prompt_tokens_details", "cached_tokens"),
    "cache_write_tokens": ("prompt_tokens_details", "cache_write_tokens"),
    "audio_input_tokens": ("prompt_tokens_details", "audio_tokens"),
    "reasoning_tokens": ("completion_tokens_details", "reasoning_tokens"),
    "audio_output_tokens": ("completion_tokens_details", "audio_tokens"),
}
"""Where Chat Completions has a field of `Usage`."""


def parse_usage(usage: Any, provider_metadata: Any = None) -> Usage | None:
    """Read the gateway's `usage` object; None if it reports neither tokens nor cost.

    Numbers that are negative or not finite count as not reported: a budget must not be refilled by them.

    `provider_metadata` is the block of the Vercel route, which holds the cost as a string.
    """
    raw = usage if isinstance(usage, dict) else {}
    gateway = lenient_json.mapping(lenient_json.mapping(provider_metadata).get("gateway"))
    cost = next((cost for cost in map(_amount, (raw.get("cost"), gateway.get("cost"))) if cost is not None), None)
    counted = any(_amount(raw.get(name)) is not None for name in ("prompt_tokens", "completion_tokens"))
    if not counted and cost is None:
        return None
    prompt, completion = _count(raw.get("prompt_tokens")), _count(raw.get("completion_tokens"))
    amounts = {
        name: _amount(lenient_json.mapping(raw.get(group)).get(theirs)) for name, (group, theirs) in _DETAILS.items()
    }
    details = raw.get("cost_details")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_count(raw.get("total_tokens")) or prompt + completion,
        **{name: int(amount or 0) for name, amount in amounts.items()},
        cost=cost,
        cost_details=details if isinstance(details, dict) else None,
        is_byok=raw["is_byok"] if isinstance(raw.get("is_byok"), bool) else None,
        counted=counted,
        raw=raw,
        reported=frozenset(name for name, amount in amounts.items() if amount is not None),
    )


def _count(value: Any) -> int:
    return int(_amount(value) or 0)


def _amount(value: Any) -> float | None:
    """Return a finite number that is not negative; anything else counts as not reported."""
    number = lenient_json.number(value)
    return number + 0.0 if number is not None and number >= 0 else None  # never -0.0
