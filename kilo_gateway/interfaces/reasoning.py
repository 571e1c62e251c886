"""Reasoning that travels between interfaces: entries of `reasoning_details`, whose `format` says whose they are.

Chat Completions has these entries itself. An Anthropic `thinking` block and a Responses `reasoning` item become such
entries in an answer, and go back as what they were; an interface leaves out entries in a format that it cannot take.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kilo_gateway.encoding.lenient_json import string

ANTHROPIC: Final = "anthropic-claude-v1"
"""Format of signed `thinking` blocks: `reasoning.text` with `signature`; `reasoning.encrypted` for redacted ones."""
OPENAI: Final = "openai-responses-v1"
"""Format of Responses items: `reasoning.summary` and `reasoning.text`, and `reasoning.encrypted` with the content."""


def text_of(details: Iterable[dict[str, Any]]) -> str:
    """Return the readable text of entries."""
    return "".join(string(detail.get("text")) + string(detail.get("summary")) for detail in details)
