"""Register odd answers of providers: envelopes, counts, endings, text, reasoning. See docs/gateway.md, "Answers"."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.answers import think
from kilo_gateway.sandbox.scenarios.base import Json, Registry, deltas, is_finish, is_text
from kilo_gateway.sandbox.wire import chat_completions as wire

REGISTRY = Registry("chat_completions")
_add = REGISTRY.add


def _everywhere(name: str, description: str, change: Callable[[Json], Any], **more: Any) -> None:
    """Register a scenario that changes the body, and each chunk of a stream, in the same way."""

    def body(call: Call, payload: Json) -> Json:
        change(payload)
        return payload

    def frames(call: Call, chunks: list[Json]) -> list[Json]:
        for chunk in chunks:
            change(chunk)
        return chunks

    _add(name, description, body=body, frames=frames, **more)


def _usage(name: str, description: str, change: Callable[[Json], Any]) -> None:
    _everywhere(name, description, lambda payload: "usage" in payload and change(payload["usage"]))


# Envelopes.
_everywhere("no-id", "neither id nor model nor created", lambda m: [m.pop(k, None) for k in ("id", "model", "created")])
_everywhere(
    "more-fields",
    "further fields of providers: fingerprint, service tier, blocks of their own",
    lambda payload: payload.update(
        system_fingerprint="fp_sandbox", service_tier="default", x_groq={"id": "req_1"}, generationId="gen_1"
    ),
)

# Counts.
_NO_DETAILS: Json = {"prompt_tokens_details": None, "completion_tokens_details": None}
_usage("usage-details-null", "the details of the token counts are null", lambda u: u.update(_NO_DETAILS))
_usage("usage-details-missing", "token counts without details", lambda u: [u.pop(key) for key in _NO_DETAILS])
_usage("usage-total-off", "the total is not the sum", lambda u: u.update(total_tokens=u["total_tokens"] + 7))
_usage(
    "reasoning-tokens-exceed",
    "more reasoning tokens than output tokens",
    lambda u: u["completion_tokens_details"].update(reasoning_tokens=u["completion_tokens"] + 9),
)


# Endings.
def _finish_with_text(call: Call, chunks: list[Json]) -> list[Json]:
    """Move the last text into the chunk with the finish reason, as if a provider sent its answer in one piece."""
    texts = [chunk for chunk in chunks if is_text(chunk)]
    end = next(chunk for chunk in chunks if is_finish(chunk))
    if texts:
        end["choices"][0]["delta"]["content"] = texts[-1]["choices"][0]["delta"]["content"]
        chunks.remove(texts[-1])
    return chunks


def _finish_changes(call: Call, chunks: list[Json]) -> list[Json]:
    at = next(index for index, chunk in enumerate(chunks) if is_finish(chunk))
    later = copy.deepcopy(chunks[at])
    later["choices"][0]["finish_reason"] = "length"
    return [*chunks[: at + 1], later, *chunks[at + 1 :]]


def _finished(reason: str) -> Callable[[Call, Reply], None]:
    return lambda call, reply: setattr(reply, "finish", reason)


_add("finish-with-text", "the last text and the finish reason in one chunk", frames=_finish_with_text)
_add("finish-changes", "a second, different finish reason: the first one counts", frames=_finish_changes)
_add("finish-unknown", "a finish reason in the provider's own words", reply=_finished("end_turn"))


def _sparse(call: Call, chunks: list[Json]) -> list[Json]:
    for delta in deltas(chunks):
        for key in [key for key, value in delta.items() if value in (None, "")]:
            del delta[key]
    return chunks


_add("sparse-deltas", "deltas without their empty fields", frames=_sparse)


# Reasoning.
def _mixed(call: Call, chunks: list[Json]) -> list[Json]:
    """Move each chunk of reasoning into a chunk of text, so that both come together."""
    thoughts = [chunk for chunk in chunks if any(delta.get("reasoning") for delta in deltas([chunk]))]
    texts = [chunk for chunk in chunks if is_text(chunk)]
    for thought, text in zip(thoughts, texts, strict=False):
        delta = thought["choices"][0]["delta"]
        text["choices"][0]["delta"] |= {key: delta[key] for key in ("reasoning", "reasoning_details")}
        chunks.remove(thought)
    rest = [chunk for chunk in thoughts if chunk in chunks]
    signed = [f for f in chunks if f not in rest and any("reasoning_details" in d for d in deltas([f]))]
    if texts and (rest or signed):
        # The rest of the reasoning follows the last text with reasoning; the signature comes last.
        moved = [*rest, *(chunk for chunk in signed if not is_text(chunk))]
        chunks = [chunk for chunk in chunks if chunk not in moved]
        at = chunks.index(texts[min(len(texts), len(thoughts)) - 1]) + 1
        chunks[at:at] = moved
    return chunks


def _hidden_body(call: Call, payload: Json) -> Json:
    for choice in payload["choices"]:
        choice["message"]["reasoning"] = None
        choice["message"]["reasoning_details"] = [dict(_HIDDEN)]
    return payload


def _hidden_frames(call: Call, chunks: list[Json]) -> list[Json]:
    return [wire.chunk(call, {"role": "assistant", "content": "", "reasoning_details": [dict(_HIDDEN)]}), *chunks]


_HIDDEN = {
    "type": "reasoning.encrypted",
    "data": "ZW5jcnlwdGVkLXNhbmRib3g=",
    "id": "rs_sandbox",
    "format": "google-gemini-v1",
    "index": 0,
}
_add("reasoning-hidden", "reasoning only as an encrypted entry", body=_hidden_body, frames=_hidden_frames)
_add("reasoning-mixed", "reasoning and text in the same chunk", reply=think, frames=_mixed)


# Annotations.
_add(
    "annotations-file",
    "the message contains a parsed file and a citation",
    reply=lambda call, reply: reply.extra.update(
        annotations=[
            {"type": "file", "file": {"hash": "ab12", "name": "a.pdf", "content": [{"type": "text", "text": "page"}]}},
            {"type": "url_citation", "url_citation": {"url": "https://example.com/a", "title": "A"}},
        ]
    ),
)
