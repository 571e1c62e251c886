"""The gateway's answers as LlamaIndex responses. Pure; streams and whole answers go the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitationBlock,
    CompletionResponse,
    ContentBlock,
    ImageBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import ValidationError

from kilo_gateway import output
from kilo_gateway.conversation import ToolCall
from kilo_gateway.encoding.lenient_json import dicts, number, string
from kilo_gateway.reply import Delta, Reply, citation_of

if TYPE_CHECKING:
    from kilo_gateway.call import Call
    from kilo_gateway.usage import Usage


def step(reply: Reply, delta: Delta, call: Call) -> ChatResponse:
    """Add `delta` to `reply` and return the stream's next response: its delta, and the message so far."""
    reply.add(delta)
    response = response_of(reply, call, complete=delta.ending is not None)
    response.delta = delta.text
    if delta.reasoning:
        response.additional_kwargs["thinking_delta"] = delta.reasoning
    return response


def response_of(reply: Reply, call: Call, *, complete: bool = True) -> ChatResponse:
    """Return `reply` as a response; usage, cost and metadata only if it is `complete`."""
    extra: dict[str, Any] = {}
    calls = reply.tool_calls
    if calls:
        if call.parallel_tool_calls is False:
            calls = calls[:1]
        # Plain dicts beside the blocks: agents and structured streaming look here, and memory is kept as JSON.
        extra["tool_calls"] = [finished.wire() for finished in calls]
    if reply.refusal:
        extra["refusal"] = reply.refusal
    ending = reply.ending
    if ending.name:
        extra["name"] = ending.name
    if ending.annotations:
        extra["annotations"] = ending.annotations
    if ending.audio:
        extra["audio"] = ending.audio
    if ending.layout:
        extra["layout"] = ending.layout
    raw = reply.raw
    if complete and ending.usage and raw.get("usage") != (usage := _raw_usage(ending.usage)):
        raw = {**raw, "usage": usage}
    return ChatResponse(
        message=ChatMessage(role=MessageRole.ASSISTANT, blocks=_blocks(reply, calls), additional_kwargs=extra),
        raw=raw,
        logprobs=_logprobs(ending.logprobs) if complete else None,
        additional_kwargs=_additional(reply, call) if complete else {},
    )


def _raw_usage(usage: Usage) -> dict[str, Any]:
    """Return the gateway's own usage, with the totals that LlamaIndex's `TokenCountingHandler` reads first.

    It would also read `input_tokens`, which on Messages does not include cached tokens.
    """
    if "input_tokens" not in usage.raw:
        return usage.raw
    totals = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {**usage.raw, **{name: getattr(usage, name) for name in totals}}


def completion(response: ChatResponse) -> CompletionResponse:
    """Return a chat response as a completion."""
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        logprobs=response.logprobs,
        additional_kwargs={**response.message.additional_kwargs, **response.additional_kwargs},
    )


def _blocks(reply: Reply, calls: Sequence[ToolCall]) -> list[ContentBlock]:
    blocks: list[ContentBlock] = []
    text, reasoning, ending = reply.text, reply.reasoning, reply.ending
    if reasoning or ending.reasoning_details:
        blocks.append(
            ThinkingBlock(
                content=reasoning or None,
                num_tokens=ending.usage.reasoning_tokens if ending.usage else None,
                additional_information=(
                    {"reasoning_details": ending.reasoning_details} if ending.reasoning_details else {}
                ),
            )
        )
    if text or not calls:
        blocks.append(TextBlock(text=text))
    if ending.annotations:
        blocks.extend(_citations(ending.annotations))
    if ending.images:
        blocks.extend(_images(ending.image_urls()))
    if calls:
        blocks += [ToolCallBlock(tool_call_id=c.id, tool_name=c.name, tool_kwargs=c.arguments) for c in calls]
    return blocks


def _citations(annotations: Sequence[dict[str, Any]]) -> Iterator[CitationBlock]:
    """Yield the citations of an answer; `additional_kwargs["annotations"]` has them as the provider wrote them."""
    for citation in filter(None, map(citation_of, annotations)):
        yield CitationBlock(
            cited_content=TextBlock(text=citation.cited_text or ""),
            source=citation.source or "",
            title=citation.title or "",
            additional_location_info=citation.numbers,
        )


def _images(urls: Sequence[str]) -> Iterator[ImageBlock]:
    """Yield an image for each URL that LlamaIndex accepts; the others are in `raw`."""
    for url in urls:
        with suppress(ValidationError):
            yield ImageBlock(url=url)


def _bytes(values: Any) -> list[int]:
    """Return the bytes of a token, or an empty list where they are not numbers."""
    return values if isinstance(values, list) and all(type(value) is int for value in values) else []


def _logprobs(logprobs: dict[str, Any] | None) -> list[list[LogProb]] | None:
    """Return the reported candidates of each token, or the token itself."""
    if logprobs is None:
        return None
    return [
        [
            LogProb(token=string(c.get("token")), logprob=number(c.get("logprob")) or 0.0, bytes=_bytes(c.get("bytes")))
            for c in (list(dicts(token.get("top_logprobs"))) or [token])
        ]
        for token in dicts(logprobs.get("content"))
    ]


def _additional(reply: Reply, call: Call) -> dict[str, Any]:
    ending = reply.ending
    facts = {"model": ending.model or call.model, **ending.facts(call)}
    if call.output is not None:
        facts |= output.read(call.output, reply.text, reply.refusal, ending)
    usage = ending.usage
    if usage is None or not usage.counted:
        return facts
    counts = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens")
    return facts | {name: getattr(usage, name) for name in (*counts, "reasoning_tokens")}
