"""The gateway's answers as LangChain messages and chunks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.messages.tool import tool_call_chunk as make_tool_call_chunk

from kilo_gateway import output
from kilo_gateway.encoding.lenient_json import dicts, string

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kilo_gateway.call import Call
    from kilo_gateway.conversation import ToolCall as BrokenCall
    from kilo_gateway.reply import Delta, Ending, Reply, ToolCallDelta
    from kilo_gateway.usage import Usage

PROVIDER: Final = "kilo"
"""`model_provider` of each message and `ls_provider` of each run: LangChain compares the two."""


def text_to_read(call: Call) -> list[str] | None:
    """Return where `to_chunk` collects the text of an answer that is an object; None for any other answer."""
    return None if call.output is None else []


def to_chunk(delta: Delta, call: Call, written: list[str] | None = None) -> AIMessageChunk:
    """Return a delta as a chunk. The last one alone carries usage and metadata, so that summing adds nothing twice."""
    if delta.choice:
        return _other_chunk(delta)
    if written is not None:
        written.append(delta.text)
    extra: dict[str, Any] = {}
    if delta.reasoning:
        extra["reasoning_content"] = delta.reasoning
    if delta.refusal:
        extra["refusal"] = delta.refusal
    if delta.ending is None:
        # A message validates each argument that it is given, and most chunks have nothing but text.
        fields: dict[str, Any] = {}
        if extra:
            fields["additional_kwargs"] = extra
        if delta.tool_calls:
            fields["tool_call_chunks"] = _fragments(delta.tool_calls)
        return AIMessageChunk(content=delta.text, response_metadata={"model_provider": PROVIDER}, **fields)
    return AIMessageChunk(
        content=delta.text,
        additional_kwargs=extra
        | _extras(delta.ending)
        | _as_written(delta.ending)
        | _object(call, "".join(written or ()), delta.refusal, delta.ending),
        response_metadata=_metadata(delta.ending, call),
        usage_metadata=usage_metadata(delta.ending.usage),
        tool_call_chunks=_fragments(delta.tool_calls) + _spoilers(delta.ending),
        chunk_position="last",
    )


def _fragments(calls: Sequence[ToolCallDelta]) -> list[ToolCallChunk]:
    return [
        make_tool_call_chunk(name=call.name, args=call.arguments, id=call.id, index=call.position) for call in calls
    ]


def generation_info(message: AIMessage) -> dict[str, Any] | None:
    """Return the facts of a complete answer that tracing tools read beside the message; None for a piece of one."""
    metadata = message.response_metadata
    if "model_name" not in metadata:
        return None
    return {name: metadata[name] for name in ("finish_reason", "model_name") if name in metadata}


def summed(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sum of two token usages."""
    total = dict(left)
    for name, value in right.items():
        total[name] = summed(left.get(name, {}), value) if isinstance(value, Mapping) else left.get(name, 0) + value
    return total


def to_message(reply: Reply, call: Call) -> AIMessage:
    """Return a complete answer as a message; tool calls whose arguments are not a JSON object become invalid ones."""
    valid: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for finished in reply.tool_calls:
        if (arguments := finished.parsed()) is not None:
            valid.append(ToolCall(name=finished.name, args=arguments, id=finished.id, type="tool_call"))
        else:
            invalid.append(_invalid(finished))
    extra = _extras(reply.ending)
    if reply.reasoning:
        extra["reasoning_content"] = reply.reasoning
    if reply.refusal:
        extra["refusal"] = reply.refusal
    if reply.others:
        extra["choices"] = [_choice(index, other, other.ending) for index, other in sorted(reply.others.items())]
    return AIMessage(
        content=reply.text,
        name=reply.ending.name,
        additional_kwargs=extra | _object(call, reply.text, reply.refusal, reply.ending),
        response_metadata=_metadata(reply.ending, call),
        usage_metadata=usage_metadata(reply.ending.usage),
        tool_calls=valid,
        invalid_tool_calls=invalid,
    )


def _other_chunk(delta: Delta) -> AIMessageChunk:
    """Return a chunk of another choice than the first, which must not mix with the text of the message."""
    return AIMessageChunk(
        content="",
        additional_kwargs={"choices": [_choice(delta.choice, delta, delta.ending)]},
        response_metadata={"model_provider": PROVIDER},
    )


def _choice(index: int, answer: Delta | Reply, ending: Ending | None) -> dict[str, Any]:
    """Return a choice, or the next piece of it, as LangChain's adder of chunks joins it: by its index."""
    choice: dict[str, Any] = {"index": index}
    if answer.text:
        choice["content"] = answer.text
    if answer.reasoning:
        choice["reasoning_content"] = answer.reasoning
    if answer.refusal:
        choice["refusal"] = answer.refusal
    if ending is None:
        return choice
    choice |= _extras(ending)
    if ending.tool_calls:
        choice["tool_calls"] = [call.wire() for call in ending.tool_calls]
    facts = ("finish_reason", "native_finish_reason", "logprobs")
    return choice | {name: value for name in facts if (value := getattr(ending, name)) is not None}


def _invalid(call: BrokenCall) -> InvalidToolCall:
    error = f"The arguments of {call.name!r} are not a JSON object"
    return InvalidToolCall(name=call.name, args=call.arguments, id=call.id, error=error, type="invalid_tool_call")


def _as_written(ending: Ending) -> dict[str, Any]:
    """Return the calls with broken arguments as the model wrote them, without the fragments of `_spoilers`."""
    broken = [_invalid(call) for call in ending.tool_calls if call.parsed() is None]
    return {"invalid_tool_calls": broken} if broken else {}


def invalid_calls(message: AIMessage) -> list[InvalidToolCall]:
    """Return the invalid calls of a message: those of a stream as the model wrote them, with the reason.

    Core has no error for the calls of a stream, and has added the fragments of `_spoilers` to their arguments.
    """
    kept = list(dicts(message.additional_kwargs.get("invalid_tool_calls")))
    return [
        next((cast("InvalidToolCall", raw) for raw in kept if _is_of(raw, call)), call)
        for call in message.invalid_tool_calls
    ]


def _is_of(raw: Mapping[str, Any], call: InvalidToolCall) -> bool:
    written = string(raw.get("args"))
    return raw.get("id") == call["id"] and string(call["args"]) == written + spoiler(written)


def _spoilers(ending: Ending) -> list[ToolCallChunk]:
    """Return the fragments that keep calls with broken arguments from looking valid.

    A summed stream is parsed leniently: `{"city": "Par`, cut at max_tokens, would become a call with
    {"city": "Par"} and be executed. Nothing but a closing bracket that nothing opened makes the parser refuse.
    """
    return [
        make_tool_call_chunk(name=None, args=spoiler(call.arguments), id=None, index=position)
        for position, call in enumerate(ending.tool_calls)
        if call.parsed() is None
    ]


def spoiler(arguments: str) -> str:
    """Return the shortest text after which no parser takes broken `arguments` for a JSON object."""
    inside = escaped = False
    opened: list[str] = []
    for character in arguments:
        if inside:
            inside = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            inside = True
        elif character in "{[":
            opened.append(character)
        elif character in "}]" and opened:
            opened.pop()
    ends_the_string = ("\\" if escaped else "") + '"' if inside else ""
    return ends_the_string + ("]" if opened and opened[-1] == "{" else "}")


def usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    """Return token counts as LangChain counts them; the cost is elsewhere, because its adder refuses floats."""
    if usage is None or not usage.counted:
        return None
    metadata = UsageMetadata(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=usage.total_tokens
    )
    incoming = InputTokenDetails()
    if "cached_tokens" in usage.reported:
        incoming["cache_read"] = usage.cached_tokens
    if "cache_write_tokens" in usage.reported:
        incoming["cache_creation"] = usage.cache_write_tokens
    if "audio_input_tokens" in usage.reported:
        incoming["audio"] = usage.audio_input_tokens
    outgoing = OutputTokenDetails()
    if "reasoning_tokens" in usage.reported:
        outgoing["reasoning"] = usage.reasoning_tokens
    if "audio_output_tokens" in usage.reported:
        outgoing["audio"] = usage.audio_output_tokens
    if incoming:
        metadata["input_token_details"] = incoming
    if outgoing:
        metadata["output_token_details"] = outgoing
    return metadata


def _extras(ending: Ending) -> dict[str, Any]:
    extras = {
        "reasoning_details": ending.reasoning_details,
        "images": ending.images,
        "annotations": ending.annotations,
        "audio": ending.audio,
        "layout": ending.layout,
        "extra_content": {call.id: call.extra_content for call in ending.tool_calls if call.extra_content},
    }
    return {name: value for name, value in extras.items() if value}


def _object(call: Call, text: str, refusal: str, ending: Ending) -> dict[str, Any]:
    """Return the object of a complete answer, or why there is none, if the call gave its form."""
    if call.output is None:
        return {}
    return output.read(call.output, text, refusal, ending)


def _metadata(ending: Ending, call: Call) -> dict[str, Any]:
    metadata = {"model_provider": PROVIDER, "model_name": ending.model or call.model, **ending.facts(call)}
    if ending.usage is not None:
        metadata["token_usage"] = ending.usage.as_chat()
    return metadata if ending.logprobs is None else {**metadata, "logprobs": ending.logprobs}
