"""Look up answers that were written in advance, for the prompts of the documentation; see answers.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NotRequired, TypedDict

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.conversation import Turn

_RESULT = re.compile(r"\{(\w+)\}")
LONGEST = 200
"""No scripted prompt is longer, so longer ones need no normalisation."""


class Answer(TypedDict):
    """An entry of answers.toml, which explains the keys."""

    prompts: list[str]
    text: str
    tiers: NotRequired[list[str]]
    thought: NotRequired[str]


def find(call: Call, turn: Turn, prompts: Iterable[str]) -> Answer | None:
    """Return the first answer to one of the prompts that fits the tier and the tool results, or None."""
    for prompt in prompts:
        for answer in answers().get(_normalised(prompt), ()) if len(prompt) <= LONGEST else ():
            needed = set(_RESULT.findall(answer["text"]))
            fits = bool(needed) == bool(turn.results) and needed <= turn.answered
            if fits and ("tiers" not in answer or call.tier in answer["tiers"]):
                return answer
    return None


def fill(text: str, turn: Turn) -> str:
    """Return a text with the results of tools in the places of their names."""
    results = dict(turn.results)
    return _RESULT.sub(lambda match: results[match[1]], text)


@cache
def answers() -> dict[str, list[Answer]]:
    """Return the answers by normalised prompt."""
    table: dict[str, list[Answer]] = {}
    entries: list[Answer] = tomllib.loads(Path(__file__).with_name("answers.toml").read_text("utf-8"))["answers"]
    for answer in entries:
        for prompt in answer["prompts"]:
            table.setdefault(_normalised(prompt), []).append(answer)
    return table


def _normalised(prompt: str) -> str:
    return " ".join(prompt.lower().split()).rstrip(".!?:")
