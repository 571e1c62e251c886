"""The last conversation of `kilo-gateway chat`, which `--continue` goes on with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kilo_gateway.conversation import Message, Text
from kilo_gateway.models import store

FORMAT: Final = 1
OPTIONS: Final[tuple[str, ...]] = ("tier", "model", "mode", "api")
"""The options that choose a model, which a conversation keeps."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Texts by role, in order, and the options that chose the model."""

    turns: Sequence[tuple[str, str]] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    def messages(self) -> list[Message]:
        """Return the conversation as a request has it."""
        return [Message(role, [Text(text)]) for role, text in self.turns]

    def save(self) -> None:
        """Put this conversation in place of the last one; only the user can read it. Raises OSError."""
        store.write_json(_path(), {"format": FORMAT, "turns": self.turns, "options": self.options})


def last() -> Conversation | None:
    """Return the last conversation; None if the file is missing or cannot be used."""
    try:
        held: Any = json.loads(_path().read_bytes())
        if held["format"] == FORMAT:
            options = {name: str(value) for name, value in held["options"].items() if name in OPTIONS}
            return Conversation([(str(role), str(text)) for role, text in held["turns"]], options)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    return None


def _path() -> Path:
    return store.folder() / "conversation.json"
