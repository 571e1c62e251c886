"""Stock prompts that want a verdict or a list of questions rather than prose."""

from __future__ import annotations

import json
import re

from kilo_gateway.sandbox.model.words import content_words

_CLAIM = re.compile(
    r"^[^\S\n]*(?:Information|Response|Claim|Statement):(.*?)(?=^[^\S\n]*Context:)", re.MULTILINE | re.DOTALL
)
_CONTEXT = re.compile(r"^[^\S\n]*Context:(.*?)(?:^[^\S\n]*Answer:|\Z)", re.MULTILINE | re.DOTALL)
_TOOLS = re.compile(r"<Tools>\s*```json\s*(\{.*?\})\s*```\s*<User Question>\s*(.+?)\s*(?:<Output>|\Z)", re.DOTALL)
_SUPPORTED = 2 / 3


def yes_or_no(text: str) -> str:
    """Return whether the words of the last claim are in the last context; "" if the prompt has neither."""
    claims, contexts = _CLAIM.findall(text), _CONTEXT.findall(text)
    if not claims or not contexts:
        return ""
    claim, context = content_words(claims[-1]), content_words(contexts[-1])
    return "YES" if len(claim & context) > _SUPPORTED * len(claim) else "NO"


def sub_questions(text: str) -> str:
    """Return the question once for each tool whose name or description it speaks of, else for each tool."""
    found = _TOOLS.findall(text)
    if not found:
        return ""
    described, question = json.loads(found[-1][0]), found[-1][1]
    asked = content_words(question)
    fitting = [name for name, about in described.items() if asked & content_words(f"{name} {about}")] or list(described)
    items = [{"sub_question": question, "tool_name": name} for name in fitting]
    return f"```json\n{json.dumps({'items': items}, ensure_ascii=False, indent=4)}\n```"
