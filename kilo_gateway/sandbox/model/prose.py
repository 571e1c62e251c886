"""The canned model's texts: echo, plan, extract of a context, and the few formats that prompts ask for."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import judging, react
from kilo_gateway.sandbox.model.conversation import Turn
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.model.words import content_words, count_tokens, sentences, terms

_LONG = 40
# Where a line begins, only blanks of that line are skipped: with \s, a run of empty lines is read again from each.
_RULE = re.compile(r"^[^\S\n]*-{5,}[^\S\n]*$|-{15,}", re.MULTILINE)
_QUESTION = re.compile(
    r"^[^\S\n]*<?(?:query|question|user question|original query|q)>?\s*(?:is as follows)?\s*:\s*(.+)$",
    re.IGNORECASE | re.MULTILINE,
)
_ASKED = re.compile(r"question(?: is)?:? ['\"](.+?)['\"]\s*$", re.IGNORECASE | re.MULTILINE)
_EXISTING = re.compile(r"(?:existing|original) answer: ?(.+)", re.IGNORECASE)
_INSTRUCTIONS = re.compile(
    r"^(?:context information|given the|answer the query|answer:|query:|question:|we have |the original query"
    r"|if the context|refined answer|new answer|write a summary|try to |original answer|use the following"
    r"|if you don't know|summary:|new context: *$|you are |using only|some choices|provide choice)",
    re.IGNORECASE,
)


def compose(call: Call, turn: Turn) -> str:
    """Return the plain-text answer of a turn; never empty."""
    if react.speaks(turn):
        return react.action(call, turn) or react.answer(_compose(call, turn))
    return _compose(call, turn)


def _compose(call: Call, turn: Turn) -> str:
    who = call.served + (f" (mode {call.mode})" if call.mode else "")
    if turn.results:
        reports = "; ".join(f"{name} returned: {result}" for name, result in turn.results)
        return f"{who} on the sandbox: {reports}"
    if formatted := _formatted(turn.user):
        return formatted
    if call.mode and call.mode.lower() in ("plan", "architect"):
        return _plan(who, turn.user)
    if extracted := _extract(turn):
        return extracted
    received = f" (also received: {', '.join(turn.attachments)})" if turn.attachments else ""
    return f"{who} on the sandbox: you said: {turn.user}{received}"


def reasoning(turn: Turn, reply: Reply) -> str:
    """Return a line of thought that fits the reply."""
    if reply.calls:
        return f"The user needs {' and '.join(c.name for c in reply.calls)}, so I call it first."
    topic = " ".join(turn.user.split()[:8]) or "nothing"
    return f"The user wrote: {topic}. I can answer that directly."


def embedded_schema(prompt: str) -> dict[str, Any] | None:
    """Return the last JSON schema written out in a prompt, or None."""
    found = [schema for schema, _, _ in _schemas(_unescaped(prompt))]
    return found[-1] if found else None


def without_schema(prompt: str) -> str:
    """Return the prompt up to its first JSON schema, less the sentences that introduce it."""
    prompt = _unescaped(prompt)
    for _, start, _ in _schemas(prompt):
        return without_keys(prompt[:start])
    return prompt


def named_keys(prompt: str) -> list[str]:
    """Return the JSON keys a prompt names in quotes, in order."""
    if not re.search(r"\bkeys?\b|\bfields?\b|\bjson\b", prompt, re.IGNORECASE):
        return []
    return list(dict.fromkeys(re.findall(r"""['"`\u201c]([A-Za-z_]\w*)['"`\u201d]""", prompt)))


def without_keys(prompt: str) -> str:
    """Return the prompt's sentences that do not speak of JSON, or all of it."""
    kept = [sentence for sentence in sentences(prompt) if not re.search("json|schema", sentence.lower())]
    return " ".join(kept) or prompt


def _unescaped(prompt: str) -> str:
    """Return the prompt without the doubled braces that some templates leave in a JSON document."""
    return prompt if _schemas(prompt) else prompt.replace("{{", "{").replace("}}", "}")


def _schemas(prompt: str) -> list[tuple[dict[str, Any], int, int]]:
    if '"properties"' not in prompt:
        return []  # nothing to try at each brace of a long text
    decoder = json.JSONDecoder()
    found, position = [], 0
    while (position := prompt.find("{", position)) >= 0:
        try:
            value, end = decoder.raw_decode(prompt, position)
        except ValueError:
            position += 1
            continue
        # An instruction may show a miniature schema as an illustration; the real one has a type or a title.
        real = isinstance(value, dict) and value.keys() & {"type", "title", "required", "$defs"}
        if real and isinstance(value.get("properties"), dict) and value["properties"]:
            found.append((value, position, end))
        position = end
    return found


def _plan(who: str, text: str) -> str:
    topics = [line.lstrip("#-* ").strip() for line in text.splitlines() if re.match(r"\s*(#|[-*] )", line)]
    topics = (topics or sentences(text) or ["the task"])[:6]
    steps = [f"Clarify the goal: {topics[0].rstrip('.!?')}."]
    steps += [f"Work out: {topic.rstrip('.!?')}." for topic in topics[1:]]
    steps += ["Build the smallest version that works.", "Test it and review the result."]
    lines = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return f"Plan by {who} on the sandbox:\n{lines}"


def _extract(turn: Turn) -> str | None:
    """Return the sentences of a long prompt that fit its question best, or None for a short prompt."""
    alone = count_tokens(turn.user) >= _LONG or bool(_RULE.search(turn.user))
    asks = turn.user.rstrip().endswith("?") and count_tokens(turn.system) >= 25
    if not (alone or asks):
        return None
    question = turn.user if not alone else _question(turn.user)
    context = _context(turn.user) if alone else turn.system
    candidates = [
        s for s in dict.fromkeys(sentences(context)) if not _INSTRUCTIONS.match(s) and s.strip() != question.strip()
    ]
    candidates = [re.sub(r"^new context:\s*", "", s, flags=re.IGNORECASE) for s in candidates]
    existing = _EXISTING.search(turn.user)
    if existing:
        # First among equals: new context must fit better to replace an answer.
        candidates.insert(0, existing.group(1).strip())
    asked = content_words(question)
    ranked = sorted(candidates, key=lambda s: -len(asked & content_words(s)))
    best = [s for s in ranked[:2] if asked & content_words(s)]
    if len(best) == 2 and 2 * len(asked & content_words(best[1])) < len(asked & content_words(best[0])):
        best.pop()
    if best:
        return " ".join(sorted(best, key=context.find))
    if existing:
        return existing.group(1).strip()
    # No question to go by: the opening is the fairest summary.
    return " ".join(candidates[:2]) or None if "summar" in turn.user.lower() else None


def _question(text: str) -> str:
    if labelled := [*_QUESTION.findall(text), *_ASKED.findall(text)]:
        return str(labelled[-1]).strip()
    asked = [line for line in text.splitlines() if line.rstrip().endswith("?")]
    if asked:
        return (sentences(asked[-1]) or asked)[-1]
    return ""


def _context(text: str) -> str:
    """Return what stands between ruled lines, or the whole text without its labelled question."""
    ruled = _RULE.split(text)
    return "\n".join(ruled[1:-1]) if len(ruled) > 2 else _QUESTION.sub("", text)


def _keywords(text: str) -> str:
    body = _context(text)
    spelled: dict[str, str] = {}
    for word in re.findall(r"[^\W\d_]+", body):
        for term in terms(word):
            spelled.setdefault(term, word.lower())
    limit = re.search(r"up to (\d+)", text)
    common = Counter(terms(body)).most_common(int(limit.group(1)) if limit else 5)
    return "KEYWORDS: " + ", ".join(spelled.get(term, term) for term, _ in common)


def _choice(text: str) -> tuple[int, str]:
    """Return number and text of the numbered item closest to the question."""
    items = re.findall(r"^[^\S\n]*\((\d+)\)\s*(.+)$", _context(text), re.MULTILINE)
    asked = content_words(_question(text))
    number, item = max(items, key=lambda item: len(asked & content_words(item[1])), default=("1", ""))
    return int(number), item.strip()


def _answer_number(text: str) -> str:
    number, item = _choice(text)
    return f"ANSWER: {number}. It fits the question best: {item}"


def _choice_json(text: str) -> str:
    number, item = _choice(text)
    return json.dumps([{"choice": number, "reason": f"It fits best: {item}"}], ensure_ascii=False)


def _standalone(text: str) -> str:
    found = re.search(r"follow[ -]up (?:message|input|question)\W*\n?\s*(.+)", text, re.IGNORECASE)
    return found.group(1).strip() if found else ""


_FORMATS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"'KEYWORDS: <keywords>'"), _keywords),
    (re.compile(r"'ANSWER: <numbers?>'"), _answer_number),
    (re.compile(r'"?choice"?: (?:1|<|int)'), _choice_json),
    (re.compile(r"standalone question", re.IGNORECASE), _standalone),
    (re.compile(r"\bYES\b.{0,3}(?:or |/ ?)NO\b"), judging.yes_or_no),
    (re.compile(r"sub-questions.+json", re.DOTALL), judging.sub_questions),
)


def _formatted(text: str) -> str | None:
    """Answer in the format a framework's stock prompt insists on."""
    return next((write(text) or None for pattern, write in _FORMATS if pattern.search(text)), None)
