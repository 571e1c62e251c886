"""Answer stock prompts that ask for a verdict or for a list of questions."""

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
    """Return "YES" if the last context contains most words of the last claim, else "NO"; "" without either of them."""
    claims, contexts = _CLAIM.findall(text), _CONTEXT.findall(text)
    if not claims or not contexts:
        return ""
    claim, context = content_words(claims[-1]), content_words(contexts[-1])
    return "YES" if len(claim & context) > _SUPPORTED * len(claim) else "NO"


def sub_questions(text: str) -> str:
    """Return the question once for each tool that shares a word with it, or for each tool if none does."""
    prompts = _TOOLS.findall(text)
    if not prompts:
        return ""
    descriptions, question = json.loads(prompts[-1][0]), prompts[-1][1]
    topic = content_words(question)
    fitting = [name for name, summary in descriptions.items() if topic & content_words(f"{name} {summary}")]
    fitting = fitting or list(descriptions)
    items = [{"sub_question": question, "tool_name": name} for name in fitting]
    return f"```json\n{json.dumps({'items': items}, ensure_ascii=False, indent=4)}\n```"
