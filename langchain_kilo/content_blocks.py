"""LangChain's standard content blocks of `ChatKilo`'s messages, whole and while they stream. Pure.

Core asks the translator that is registered for a message's `model_provider`. Chunks are slices of one
message, so each block has an index of its own kind: numbers alone would merge reasoning with tool calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator
from langchain_core.messages.tool import ToolCallChunk

from kilo_gateway.encoding.lenient_json import dicts, mapping, string
from kilo_gateway.reply import citation_of, url_of_image
from langchain_kilo.from_gateway import PROVIDER, invalid_calls

Block = dict[str, Any]

_REFUSAL_IS_A_BLOCK: Final = "refusal" in types.KNOWN_BLOCK_TYPES  # since langchain-core 1.7.5


def translate(message: AIMessage) -> list[types.ContentBlock]:
    """Return the blocks of a whole message."""
    blocks = [{k: v for k, v in block.items() if k != "index"} for block in _said(message)]
    return cast("list[types.ContentBlock]", blocks + _calls(message))


def translate_chunk(message: AIMessageChunk) -> list[types.ContentBlock]:
    """Return the blocks of a chunk: deltas, or, of a stream that was added up to its end, whole calls."""
    fragments = message.tool_call_chunks
    added_up = message.chunk_position == "last" and all(call["name"] for call in fragments)
    calls = _calls(message) if added_up else [_fragment(call) for call in fragments]
    return cast("list[types.ContentBlock]", [*_said(message), *calls])


def _calls(message: AIMessage) -> list[Block]:
    valid = [{"type": "tool_call", "id": c["id"], "name": c["name"], "args": c["args"]} for c in message.tool_calls]
    invalid = [{**call, "type": "invalid_tool_call"} for call in invalid_calls(message)]
    return valid + invalid


def _fragment(call: ToolCallChunk) -> Block:
    fields = {"id": call["id"], "name": call["name"], "args": call["args"]}
    return {"type": "tool_call_chunk", **fields, "index": f"lc_tc_{call['index']}"}


def _said(message: AIMessage) -> Iterator[Block]:
    if not isinstance(message.content, str):
        raise NotImplementedError  # content of another provider: core's best effort knows more
    extra = message.additional_kwargs
    reasoning, details = extra.get("reasoning_content"), extra.get("reasoning_details")
    if reasoning or details:
        block: Block = {"type": "reasoning", "reasoning": reasoning or "", "index": "lc_rs_0"}
        yield {**block, "extras": {"reasoning_details": details}} if details else block
    annotations = [_citation(annotation) for annotation in dicts(extra.get("annotations"))]
    if message.content or annotations:
        text: Block = {"type": "text", "text": message.content, "index": "lc_txt_0"}
        yield {**text, "annotations": annotations} if annotations else text
    refusal = extra.get("refusal")
    # The stop reason of Claude, which may come without words; ModelRefusalMiddleware of langchain looks for the block.
    if refusal or message.response_metadata.get("native_finish_reason") == "refusal":
        refused: Block = {"type": "refusal", "refusal": refusal or ""}
        yield {**(refused if _REFUSAL_IS_A_BLOCK else {"type": "non_standard", "value": refused}), "index": "lc_ref_0"}
    for position, image in enumerate(extra.get("images") or ()):
        yield {**_image(image), "index": f"lc_img_{position}"}
    if audio := extra.get("audio"):
        yield {**_audio(audio), "index": "lc_aud_0"}
    pieces = (piece for piece in dicts(extra.get("layout")) if piece.get("type") == "opaque")
    for position, piece in enumerate(piece for piece in pieces if isinstance(piece.get("value"), dict)):
        yield {**_server_item(piece["value"], piece.get("place")), "index": f"lc_srv_{position}"}


def _citation(annotation: dict[str, Any]) -> Block:
    """Return an annotation as a citation, with the provider's own in `extras`; any other annotation unchanged."""
    if (citation := citation_of(annotation)) is None:
        return {"type": "non_standard_annotation", "value": annotation}
    texts = {name: getattr(citation, name) for name in ("url", "title", "cited_text")}
    places = {name: citation.numbers.get(name) for name in ("start_index", "end_index")}
    fields = {name: value for name, value in {**texts, **places}.items() if value is not None}
    return {"type": "citation", **fields, "extras": {"annotation": annotation}}


def _server_item(value: dict[str, Any], place: Any) -> Block:
    """Return a tool call of the provider's server, or its result; any other item unchanged."""
    kind, extras = string(value.get("type")), {"item": value, "place": place}
    if kind == "server_tool_use":
        arguments = mapping(value.get("input"))
        call = {"id": string(value.get("id")), "name": string(value.get("name")), "args": dict(arguments)}
        return {"type": "server_tool_call", **call, "extras": extras}
    if kind.endswith("_tool_result"):
        result = {"tool_call_id": string(value.get("tool_use_id")), "status": "success", "output": value.get("content")}
        return {"type": "server_tool_result", **result, "extras": extras}
    if kind.endswith("_call"):
        call = {
            "id": string(value.get("id")),
            "name": kind.removesuffix("_call"),
            "args": dict(mapping(value.get("action"))),
        }
        return {"type": "server_tool_call", **call, "extras": extras}
    return {"type": "non_standard", "value": value}


def _image(image: Any) -> Block:
    url = url_of_image(image)
    header, separator, data = url.partition(";base64,")
    if separator and header.startswith("data:"):
        return {"type": "image", "base64": data, "mime_type": header.removeprefix("data:")}
    return {"type": "image", "url": url} if url else {"type": "non_standard", "value": image}


def _audio(audio: Any) -> Block:
    extras = {name: value for name, value in audio.items() if name != "data"}
    block: Block = {"type": "audio", "base64": string(audio.get("data")), "extras": extras}
    # The answer does not name the format; it is the one that was requested.
    return {**block, "mime_type": f"audio/{audio['format']}"} if audio.get("format") else block


register_translator(PROVIDER, translate, translate_chunk)
