"""List the outcome that each scenario of the sandbox has on Responses and Messages, in all ways."""

from dataclasses import replace
from typing import Any

from kilo_gateway.sandbox.gateway.signatures import sign
from kilo_gateway.sandbox.scenarios.answers import UNICODE
from tests.support.outcomes import BROKEN, Outcome
from tests.support.ways import TOOLS_TEXT

THOUGHT = "The user wrote: Add 2 and 3 with add(2, 3), and. I can answer that directly."
_OPENAI = {"id": None, "format": "openai-responses-v1", "index": 0}
_ENCRYPTED = {"type": "reasoning.encrypted", "data": "ZW5jcnlwdGVkLXNhbmRib3gtcmVhc29uaW5n", **_OPENAI}
_SUMMARY = {"type": "reasoning.summary", "summary": THOUGHT, **_OPENAI}
_TEXT = {"type": "reasoning.text", "text": THOUGHT}
_ANTHROPIC = {"format": "anthropic-claude-v1", "index": 0}
_SIGNED = {**_TEXT, "signature": sign(THOUGHT), **_ANTHROPIC}

_CALLS = [("get_time", {}), ("get_weather", {"city": "Zoë"})]
_REFUSAL = "I can't help with that request."

HALF = "the first half"
"""Stands for the text of an answer that is cut."""

# The changes of the usual answer: fields of `Outcome`, or `tokens` of the output. {} stands for the usual text.
_THINKING = {"reasoning": THOUGHT, "tokens": 34}
_CALLING = {"text": "", "calls": _CALLS, "tokens": 7, "finish_reason": "tool_calls"}
_HALF = {"text": HALF, "tokens": 9}
_UNKNOWN: dict[str, Any] = {"usage": None, "cost": None}

CHANGES: dict[str, dict[str, Any]] = {
    "byok": {"cost": 0.0},
    "content-filter": {**_HALF, "finish_reason": "content_filter"},
    "context-window-exceeded": {**_HALF, "finish_reason": "length"},
    "cost-stripped": {"cost": None},
    "cost-zero": {"cost": 0.0},
    "empty-answer": {"text": "", "tokens": 1},
    "leading-whitespace": {"text": "\n\n  {} \n"},
    "leaked-call": {"text": '{} <tool_call>{"name": "add", "arguments": {}}</tool_call>', "tokens": 22},
    "length": {**_HALF, "finish_reason": "length"},
    "no-last-event": _UNKNOWN,
    "output-index-reused": _THINKING,
    "parallel-tools": _CALLING,
    "pause-turn": {**_HALF, "finish_reason": "pause_turn"},
    "reasoning": _THINKING,
    "reasoning-late": _THINKING,
    "reasoning-only": {**_THINKING, "text": "", "tokens": 16, "finish_reason": "length"},
    "reasoning-refused-later": _THINKING,
    "reasoning-text": {**_THINKING, "details": [{**_TEXT, **_OPENAI}, _ENCRYPTED]},
    "reasoning-undecryptable-later": _THINKING,
    "refusal-explained": {"text": "", "tokens": 1, "finish_reason": "content_filter"},
    "signature-apart": _THINKING,
    "signature-at-start": _THINKING,
    "signature-late": _THINKING,
    "summary-strings": _THINKING,
    "think-tags": {"text": "<think>Hm.</think>{}"},
    "thinking-omitted": {**_THINKING, "reasoning": "", "details": [{**_SIGNED, "text": "", "signature": sign("")}]},
    "thinking-redacted": {
        **_THINKING,
        "reasoning": "",
        "details": [{"type": "reasoning.encrypted", "data": "cmVkYWN0ZWQtc2FuZGJveA==", **_ANTHROPIC}],
    },
    "thinking-unsigned": {**_THINKING, "details": [{**_TEXT, "format": "unknown", "index": 0}]},
    "tool-args-at-done": _CALLING,
    "tool-args-empty": {**_CALLING, "calls": [("get_time", {}), _CALLS[1]]},
    "tool-args-invalid": {**_CALLING, "calls": [("get_time", BROKEN), _CALLS[1]]},
    "tool-args-truncated": {**_CALLING, "calls": [("get_time", BROKEN), _CALLS[1]], "finish_reason": "length"},
    "tool-args-at-item-done": _CALLING,
    "tool-finish-stop": {**_CALLING, "finish_reason": "stop"},
    "tool-ids-repeated": _CALLING,
    "tool-input-at-start": _CALLING,
    "tool-text-before": {**_CALLING, "text": "Let me look that up.", "tokens": 12},
    "usage-null": _UNKNOWN,
}
BY_API: dict[tuple[str, str], dict[str, Any]] = {
    ("responses", "refusal"): {"text": "", "tokens": 6},
    ("messages", "refusal"): {"text": _REFUSAL, "tokens": 6, "finish_reason": "content_filter"},
}
DETAILS: dict[str, list[dict[str, Any]]] = {"responses": [_SUMMARY, _ENCRYPTED], "messages": [_SIGNED]}
"""The details of usual reasoning."""


def expected(api: str, model: str) -> Outcome:
    """Return the outcome of a scenario."""
    name = model.removeprefix("sandbox/")
    changes = dict(BY_API.get((api, name)) or CHANGES.get(name, {}))
    usual = f"Canned sandbox answer ({model}): you said: {TOOLS_TEXT}"
    if name == "unicode":
        usual, changes = usual + UNICODE, {"tokens": 27}
    tokens = changes.pop("tokens", 18)
    text = changes.pop("text", "{}")
    if text == HALF:
        text = usual[: usual.index(" 3 with")]
    details: list[dict[str, Any]] = DETAILS[api] if "reasoning" in changes else []
    outcome = Outcome(
        text=text.replace("{}", usual, 1),
        reasoning="",
        calls=[],
        usage=(21, tokens, 21 + tokens),
        cost=round(21e-6 + tokens * 5e-6, 10),
        finish_reason="stop",
        details=details,
    )
    return replace(outcome, **changes)
