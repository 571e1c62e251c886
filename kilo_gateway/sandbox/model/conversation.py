"""Read a list of messages: its texts, the last user turn, and the tool results since then."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

# Agents that call tools in text (ReAct) write a call and its result in this form.
_ACTION = re.compile(r"^Action: (\S+)", re.MULTILINE)
_OBSERVED = "Observation:"
MOST_READ = 200_000
"""The number of characters of a text that the canned model reads: of a longer one, its beginning and its end."""
_TEXT_KINDS = frozenset({"text", "input_text", "output_text"})


@dataclass
class Turn:
    """The last user turn: its text, the types of its other parts, and the tool results since then, with names."""

    user: str = ""
    attachments: list[str] = field(default_factory=list)
    system: str = ""
    results: list[tuple[str, str]] = field(default_factory=list)

    @property
    def answered(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.results)


def clipped(text: str) -> str:
    """Return the part of a text that the canned model reads."""
    return text if len(text) <= MOST_READ else f"{text[: MOST_READ // 2]}\n{text[-MOST_READ // 2 :]}"


def read(messages: list[Json]) -> Turn:
    """Return the last user turn of a conversation."""
    turn = Turn()
    names: dict[str, str] = {}
    action = "tool"
    for message in messages:
        role = message.get("role")
        text, attachments = _content(message.get("content"))
        text = clipped(text)
        if role == "user" and turn.user and text.startswith(_OBSERVED):
            turn.results.append((action, text.removeprefix(_OBSERVED).strip()))
        elif role == "user":
            turn.user, turn.attachments, turn.results = text, attachments, []
        elif role in ("system", "developer"):
            turn.system = clipped("\n".join(filter(None, (turn.system, text))))
        elif role == "assistant":
            if actions := _ACTION.findall(text):
                action = actions[-1]
            for call in message.get("tool_calls") or []:
                if isinstance(call, dict):
                    names[str(call.get("id"))] = str((call.get("function") or {}).get("name"))
        elif role in ("tool", "function"):
            name = names.get(str(message.get("tool_call_id"))) or message.get("name") or "tool"
            turn.results.append((str(name), text or ", ".join(attachments)))
    return turn


def length(messages: list[Json]) -> int:
    """Return the number of characters in all texts, as the basis of token counts."""
    return sum(len(_content(message.get("content"))[0]) for message in messages)


def _content(content: Any) -> tuple[str, list[str]]:
    if isinstance(content, str):
        return content, []
    parts = [part for part in content or [] if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [str(part.get("text", "")) for part in parts if part.get("type") in _TEXT_KINDS]
    texts += [part for part in content or [] if isinstance(part, str)] if isinstance(content, list) else []
    kinds = [str(part.get("type")) for part in parts if part.get("type") not in _TEXT_KINDS]
    return "\n".join(texts), kinds
