"""Represent the canned model's replies, one per choice, without a wire format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kilo_gateway.sandbox.model.words import count_tokens


@dataclass
class ToolCall:
    """A call of an offered tool; `arguments` is JSON text, which a scenario may make invalid."""

    id: str
    name: str
    arguments: str


@dataclass
class Reply:
    """One choice of an answer; `extra` contains further fields of its message (images, annotations, audio)."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    reasoning: str = ""
    hidden_reasoning: bool = False
    refusal: str | None = None
    finish: str = "stop"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def citations(self) -> list[dict[str, Any]]:
        """The web pages that the text cites: `url`, `title` and others."""
        return [note["url_citation"] for note in self.extra.get("annotations", ()) if "url_citation" in note]

    @property
    def reasoning_tokens(self) -> int:
        return count_tokens(self.reasoning)

    @property
    def completion_tokens(self) -> int:
        called = sum(2 + len(call.arguments) // 4 for call in self.calls)
        return max(1, count_tokens(self.text + (self.refusal or "")) + called + self.reasoning_tokens)
