"""Write the canned model's texts: scripted answers, echo, plan, extract of a context, formats of stock prompts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import judging, react, scripted
from kilo_gateway.sandbox.model.conversation import Turn
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.model.words import content_words, count_tokens, sentences, terms

_LONG = 40
# At the start of a line, the patterns skip only blanks of that line. With \s, a search would read a run of empty lines
# again from each of them.
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
    """Return the plain-text answer to a turn; it is never empty."""
    if react.speaks(turn):
        return react.action(call, turn) or react.answer(_compose(call, turn))
    return _compose(call, turn)


def _compose(call: Call, turn: Turn) -> str:
    if not turn.results and (formatted := _formatted(turn.user)):
        return formatted
    if answer := _scripted(call, turn):
        return scripted.fill(answer["text"], turn)
    if turn.results:
        return canned(call, "; ".join(f"{name} returned: {result}" for name, result in turn.results))
    if call.mode and call.mode.lower() in ("plan", "architect"):
        return canned(call, _plan(turn.user))
    if extracted := _extract(turn):
        return extracted
    received = f" (also received: {', '.join(turn.attachments)})" if turn.attachments else ""
    return canned(call, f"you said: {turn.user}{received}")


def canned(call: Call, text: str) -> str:
    """Return an answer to a prompt that has no scripted one; it says so, and names the model and the mode."""
    speaker = call.served + (f", mode {call.mode}" if call.mode else "")
    return f"Canned sandbox answer ({speaker}): {text}"


def reasoning(call: Call, turn: Turn, reply: Reply) -> str:
    """Return a line of reasoning that fits the reply."""
    if reply.calls:
        return f"The user needs {' and '.join(c.name for c in reply.calls)}, so I call it first."
    answer = _scripted(call, turn)
    if answer and "thought" in answer:
        return answer["thought"]
    topic = " ".join(turn.user.split()[:8]).rstrip(".!?") or "nothing"
    return f"The user wrote: {topic}. I can answer that directly."


def _scripted(call: Call, turn: Turn) -> scripted.Answer | None:
    return scripted.find(call, turn, (turn.user, turn.user.partition(":\n")[0], _question(turn.user)))


def embedded_schema(prompt: str) -> dict[str, Any] | None:
    """Return the last JSON schema that a prompt contains, or None."""
    schemas = [schema for schema, _, _ in _schemas(_unescaped(prompt))]
    return schemas[-1] if schemas else None


def without_schema(prompt: str) -> str:
    """Return the prompt up to its first JSON schema, without the sentences that introduce the schema."""
    prompt = _unescaped(prompt)
    for _, start, _ in _schemas(prompt):
        return without_keys(prompt[:start])
    return prompt


def named_keys(prompt: str) -> list[str]:
    """Return the JSON keys that a prompt contains in quotes, in order."""
    if not re.search(r"\bkeys?\b|\bfields?\b|\bjson\b", prompt, re.IGNORECASE):
        return []
    return list(dict.fromkeys(re.findall(r"""['"`\u201c]([A-Za-z_]\w*)['"`\u201d]""", prompt)))


def without_keys(prompt: str) -> str:
    """Return the prompt's sentences that do not mention JSON, or the whole prompt if all do."""
    kept = [sentence for sentence in sentences(prompt) if not re.search("json|schema", sentence.lower())]
    return " ".join(kept) or prompt


def _unescaped(prompt: str) -> str:
    """Return the prompt without the doubled braces that some templates leave in a JSON document."""
    return prompt if _schemas(prompt) else prompt.replace("{{", "{").replace("}}", "}")


def _schemas(prompt: str) -> list[tuple[dict[str, Any], int, int]]:
    if '"properties"' not in prompt:
        return []  # avoids a parse at each brace of a long text
    decoder = json.JSONDecoder()
    schemas, position = [], 0
    while (position := prompt.find("{", position)) >= 0:
        try:
            value, end = decoder.raw_decode(prompt, position)
        except ValueError:
            position += 1
            continue
        # A prompt may contain a small schema as an example; the real one has a type, a title or another of these keys.
        real = isinstance(value, dict) and value.keys() & {"type", "title", "required", "$defs"}
        if real and isinstance(value.get("properties"), dict) and value["properties"]:
            schemas.append((value, position, end))
        position = end
    return schemas


def _plan(text: str) -> str:
    topics = [line.lstrip("#-* ").strip() for line in text.splitlines() if re.match(r"\s*(#|[-*] )", line)]
    topics = (topics or sentences(text) or ["the task"])[:6]
    steps = [f"Clarify the goal: {topics[0].rstrip('.!?')}."]
    steps += [f"Work out: {topic.rstrip('.!?')}." for topic in topics[1:]]
    steps += ["Build the smallest version that works.", "Test it and review the result."]
    return "a plan:\n" + "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _extract(turn: Turn) -> str | None:
    """Return the sentences of a long prompt that fit its question best; return None for a short prompt."""
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
        # The sort is stable. So new context replaces the existing answer only if it fits the question better.
        candidates.insert(0, existing.group(1).strip())
    topic = content_words(question)
    ranked = sorted(candidates, key=lambda s: -len(topic & content_words(s)))
    best = [s for s in ranked[:2] if topic & content_words(s)]
    if len(best) == 2 and 2 * len(topic & content_words(best[1])) < len(topic & content_words(best[0])):
        best.pop()
    if best:
        return " ".join(sorted(best, key=context.find))
    if existing:
        return existing.group(1).strip()
    # Without a question, the first sentences are the summary.
    return " ".join(candidates[:2]) or None if "summar" in turn.user.lower() else None


def _question(text: str) -> str:
    if labelled := [*_QUESTION.findall(text), *_ASKED.findall(text)]:
        return str(labelled[-1]).strip()
    lines = [line for line in text.splitlines() if line.rstrip().endswith("?")]
    if lines:
        return (sentences(lines[-1]) or lines)[-1]
    return ""


def _context(text: str) -> str:
    """Return the text between ruled lines, or the whole text without its labelled question."""
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
    """Return number and text of the numbered item that shares most words with the question."""
    items = re.findall(r"^[^\S\n]*\((\d+)\)\s*(.+)$", _context(text), re.MULTILINE)
    question_words = content_words(_question(text))
    number, item = max(items, key=lambda item: len(question_words & content_words(item[1])), default=("1", ""))
    return int(number), item.strip()


def _answer_number(text: str) -> str:
    number, item = _choice(text)
    return f"ANSWER: {number}. It fits the question best: {item}"


def _choice_json(text: str) -> str:
    number, item = _choice(text)
    return json.dumps([{"choice": number, "reason": f"It fits best: {item}"}], ensure_ascii=False)


def _standalone(text: str) -> str:
    match = re.search(r"follow[ -]up (?:message|input|question)\W*\n?\s*(.+)", text, re.IGNORECASE)
    return match.group(1).strip() if match else ""


_FORMATS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"'KEYWORDS: <keywords>'"), _keywords),
    (re.compile(r"'ANSWER: <numbers?>'"), _answer_number),
    (re.compile(r'"?choice"?: (?:1|<|int)'), _choice_json),
    (re.compile(r"standalone question", re.IGNORECASE), _standalone),
    (re.compile(r"\bYES\b.{0,3}(?:or |/ ?)NO\b"), judging.yes_or_no),
    (re.compile(r"sub-questions.+json", re.DOTALL), judging.sub_questions),
)


def _formatted(text: str) -> str | None:
    """Return an answer in the format that a framework's stock prompt requires, or None."""
    return next((write(text) or None for pattern, write in _FORMATS if pattern.search(text)), None)
