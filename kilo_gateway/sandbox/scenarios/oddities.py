"""Scenarios of what providers behind the gateway are known to send: odd envelopes, counts, endings and orders."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that the registry asks for

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import prose
from kilo_gateway.sandbox.model.conversation import read
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.base import Json, Registry, deltas, is_finish, is_text
from kilo_gateway.sandbox.wire import chat_completions as wire

REGISTRY = Registry()
_add = REGISTRY.add


def _everywhere(name: str, description: str, change: Callable[[Json], Any], **more: Any) -> None:
    """Register a scenario that changes the body, and each chunk of a stream, in the same way."""

    def body(call: Call, made: Json) -> Json:
        change(made)
        return made

    def frames(call: Call, made: list[Json]) -> list[Json]:
        for frame in made:
            change(frame)
        return made

    _add(name, description, body=body, frames=frames, **more)


def _usage(name: str, description: str, change: Callable[[Json], Any]) -> None:
    _everywhere(name, description, lambda made: "usage" in made and change(made["usage"]))


# Envelopes.
_everywhere("no-id", "neither id nor model nor created", lambda m: [m.pop(k, None) for k in ("id", "model", "created")])
_everywhere(
    "more-fields",
    "fields of providers around the answer: fingerprint, service tier, their own blocks",
    lambda made: made.update(
        system_fingerprint="fp_sandbox", service_tier="default", x_groq={"id": "req_1"}, generationId="gen_1"
    ),
)

# Counts.
_NO_DETAILS: Json = {"prompt_tokens_details": None, "completion_tokens_details": None}
_usage("usage-details-null", "the details of the token counts are null", lambda u: u.update(_NO_DETAILS))
_usage("usage-details-missing", "token counts without details", lambda u: [u.pop(key) for key in _NO_DETAILS])
_usage("usage-total-off", "the total is not the sum", lambda u: u.update(total_tokens=u["total_tokens"] + 7))
_usage("cost-zero", "a paid model costs 0", lambda u: "cost" in u and u.update(cost=0))
_usage(
    "reasoning-tokens-exceed",
    "more reasoning tokens than output tokens",
    lambda u: u["completion_tokens_details"].update(reasoning_tokens=u["completion_tokens"] + 9),
)


# Endings.
def _finish_with_text(call: Call, made: list[Json]) -> list[Json]:
    """The last text and the finish reason share a chunk, as where a provider sends its answer in one piece."""
    texts = [frame for frame in made if is_text(frame)]
    end = next(frame for frame in made if is_finish(frame))
    if texts:
        end["choices"][0]["delta"]["content"] = texts[-1]["choices"][0]["delta"]["content"]
        made.remove(texts[-1])
    return made


def _finish_changes(call: Call, made: list[Json]) -> list[Json]:
    at = next(index for index, frame in enumerate(made) if is_finish(frame))
    later = copy.deepcopy(made[at])
    later["choices"][0]["finish_reason"] = "length"
    return [*made[: at + 1], later, *made[at + 1 :]]


def _finished(reason: str) -> Callable[[Call, Reply], None]:
    return lambda call, said: setattr(said, "finish", reason)


def _only_reasoning(call: Call, said: Reply) -> None:
    _think(call, said)
    said.text, said.calls, said.finish = "", [], "length"


_add("finish-with-text", "the last text and the finish reason in one chunk", frames=_finish_with_text)
_add("finish-changes", "a second, different finish reason: the first one counts", frames=_finish_changes)
_add("finish-unknown", "a finish reason of the provider's own", reply=_finished("end_turn"))


# Text.
def _text(change: Callable[[str], str]) -> Callable[[Call, Reply], None]:
    def reply(call: Call, said: Reply) -> None:
        if said.text:
            said.text = change(said.text)

    return reply


def _sparse(call: Call, made: list[Json]) -> list[Json]:
    for delta in deltas(made):
        for key in [key for key, value in delta.items() if value in (None, "")]:
            del delta[key]
    return made


_add("leading-whitespace", "text starts and ends with blank lines and spaces", reply=_text(lambda t: f"\n\n  {t} \n"))
_add("think-tags", "reasoning inside the text, in tags: it stays text", reply=_text(lambda t: f"<think>Hm.</think>{t}"))
_add(
    "leaked-call",
    "a tool call written into the text: it stays text",
    reply=_text(lambda t: f'{t} <tool_call>{{"name": "add", "arguments": {{}}}}</tool_call>'),
)
_add("sparse-deltas", "deltas without the fields that say nothing", frames=_sparse)


# Reasoning.
def _think(call: Call, said: Reply) -> None:
    said.reasoning = prose.reasoning(read(call.messages), said)
    said.hidden_reasoning = False


def _mixed(call: Call, made: list[Json]) -> list[Json]:
    """Each text piece carries the reasoning that came before it in a chunk of its own."""
    thoughts = [frame for frame in made if any(delta.get("reasoning") for delta in deltas([frame]))]
    texts = [frame for frame in made if is_text(frame)]
    for thought, text in zip(thoughts, texts, strict=False):
        told = thought["choices"][0]["delta"]
        text["choices"][0]["delta"] |= {key: told[key] for key in ("reasoning", "reasoning_details")}
        made.remove(thought)
    rest = [frame for frame in thoughts if frame in made]
    signed = [f for f in made if f not in rest and any("reasoning_details" in d for d in deltas([f]))]
    if texts and (rest or signed):
        # What is left of the reasoning comes after the text it belongs to, the signature last.
        unsaid = [*rest, *(frame for frame in signed if not is_text(frame))]
        made = [frame for frame in made if frame not in unsaid]
        at = made.index(texts[min(len(texts), len(thoughts)) - 1]) + 1
        made[at:at] = unsaid
    return made


def _hidden_body(call: Call, made: Json) -> Json:
    for choice in made["choices"]:
        choice["message"]["reasoning"] = None
        choice["message"]["reasoning_details"] = [dict(_HIDDEN)]
    return made


def _hidden_frames(call: Call, made: list[Json]) -> list[Json]:
    return [wire.chunk(call, {"role": "assistant", "content": "", "reasoning_details": [dict(_HIDDEN)]}), *made]


_HIDDEN = {
    "type": "reasoning.encrypted",
    "data": "ZW5jcnlwdGVkLXNhbmRib3g=",
    "id": "rs_sandbox",
    "format": "google-gemini-v1",
    "index": 0,
}
_add("reasoning-hidden", "reasoning as an encrypted entry alone", body=_hidden_body, frames=_hidden_frames)
_add("reasoning-mixed", "reasoning and text in the same chunk", reply=_think, frames=_mixed)
_add("reasoning-only", "the output limit ends the answer while the model still thinks", reply=_only_reasoning)


# Annotations.
_add(
    "annotations-file",
    "the message carries a parsed file and a citation",
    reply=lambda call, said: said.extra.update(
        annotations=[
            {"type": "file", "file": {"hash": "ab12", "name": "a.pdf", "content": [{"type": "text", "text": "page"}]}},
            {"type": "url_citation", "url_citation": {"url": "https://example.com/a", "title": "A"}},
        ]
    ),
)
