"""Read the conversation in a request or an answer of any interface as turns, in the form that the page shows.

A turn is `{"role": ..., "parts": [...]}`. A part has a `kind` (`text`, `reasoning`, `tool call`, `tool result`,
`refusal`, `image`, `other`) and a `text`; calls and results have an `id` and a `name`, images that the page can show a
`url`. Any JSON can be read; what has no form of its own is an `other` part with its JSON as the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from kilo_gateway.sandbox.page.values import Json, cut, mapping, mappings, parsed, string, written

# The page loads nothing: it shows an image only if the request contains it.
_IMAGE: Final = re.compile(r"data:image/(png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/=\s]+", re.IGNORECASE)
_DATA: Final = re.compile(r"[A-Za-z0-9+/_=-]{400,}")
_ENCRYPTED: Final = "(signed or encrypted; it has no text)"
REMARKS: Final = frozenset({_ENCRYPTED})
"""Texts that the page shows in the place of a part without a text."""


def of_request(api: str, body: Json) -> list[Json]:
    """Return the turns of a request body."""
    if api == "embeddings":
        texts = body.get("input")
        return [_turn("input", [_text(item)]) for item in (texts if isinstance(texts, list) else [texts])]
    if api == "responses":
        items = body.get("input")
        turns = [_turn("user", [_text(items)])] if isinstance(items, str) else of_items(items)
        return [*_instructions(body.get("instructions")), *turns]
    messages = body.get("messages")
    turns = [of_message(message) for message in (messages if isinstance(messages, list) else [])]
    return _named([*_instructions(body.get("system") if api == "messages" else None), *turns])


def of_items(items: Any) -> list[Json]:
    """Return the turns of a list of items of Responses, as a request or an answer has them."""
    return _named([_of_item(item) for item in items] if isinstance(items, list) else [])


def of_message(message: Any) -> Json:
    """Return the turn of a message of Chat Completions or Messages."""
    if not isinstance(message, dict):
        return _turn("unknown", [_other(message)])
    role = string(message.get("role")) or "unknown"
    content = [] if message.get("content") is None else list(_parts(message["content"]))
    if role in ("tool", "function"):
        name = string(message.get("name"))
        content = _result(string(message.get("tool_call_id")), content, name)
    calls = [_call(call.get("id"), _function(call)) for call in mappings(message.get("tool_calls"))]
    if function := mapping(message.get("function_call")):
        calls.append(_call("", function))
    refusal = [{"kind": "refusal", "text": text} for text in [string(message.get("refusal"))] if text]
    pictures = [part for image in mappings(message.get("images")) for part in _parts([image])]
    return _turn(role, [*_thoughts(message), *content, *refusal, *calls, *pictures])


def tools(body: Json) -> list[Json]:
    """Return the offered tools of any interface, with name, description and the schema of their arguments."""
    offered = body.get("tools") or body.get("functions")
    return [_tool(entry) for entry in mappings(offered)]


def _tool(entry: Json) -> Json:
    function = mapping(entry.get("function")) or entry
    schema = function.get("parameters", function.get("input_schema"))
    name = string(function.get("name")) or string(entry.get("type")) or "unnamed"
    shown = written(entry if schema is None else schema, indent=2)
    return {"name": name, "description": string(function.get("description")), "schema": cut(shown)}


def _turn(role: str, parts: list[Json]) -> Json:
    return {"role": role, "parts": parts}


def _instructions(text: Any) -> list[Json]:
    return [_turn("system", list(_parts(text)))] if text else []


def _thoughts(message: Json) -> Iterator[Json]:
    """Yield the reasoning of a message of Chat Completions, which may stand there in three forms at once."""
    details = list(mappings(message.get("reasoning_details")))
    texts = [string(detail.get("text")) or string(detail.get("summary")) for detail in details]
    text = string(message.get("reasoning")) or string(message.get("reasoning_content")) or "".join(texts)
    if text:
        yield {"kind": "reasoning", "text": text}
    elif details:
        yield {"kind": "reasoning", "text": _ENCRYPTED}


def _function(call: Json) -> Json:
    return mapping(call.get("function")) or mapping(call.get("custom"))


def _call(call_id: Any, function: Json) -> Json:
    arguments = function.get("arguments", function.get("input"))
    return {
        "kind": "tool call",
        "id": string(call_id),
        "name": string(function.get("name")),
        "text": _arguments(arguments),
    }


def _arguments(value: Any) -> str:
    """Return the arguments of a call, indented if they are complete JSON."""
    if isinstance(value, str) and isinstance(read := parsed(value), dict | list):
        value = read
    return value if isinstance(value, str) else written(value, indent=2)


def _result(call_id: str, parts: list[Json], name: str = "") -> list[Json]:
    """Return the result of a call, and the images in it."""
    text = "\n".join(part["text"] for part in parts if part["kind"] != "image")
    result = {"kind": "tool result", "id": call_id, "name": name, "text": text}
    return [result, *(part for part in parts if part["kind"] == "image")]


def _text(value: Any) -> Json:
    return {"kind": "text", "text": value} if isinstance(value, str) else _other(value)


def _other(value: Any, label: str = "") -> Json:
    shown = _DATA.sub(lambda data: f"… ({len(data[0]):,} characters of data) …", written(value))
    return {"kind": "other", "name": label, "text": cut(shown)}


def _image(url: str, source: Any) -> Json:
    if _IMAGE.fullmatch(url):
        return {"kind": "image", "url": url, "text": f"image, {len(url):,} characters"}
    return {"kind": "other", "name": "image", "text": cut(url, 300)} if url else _other(source, "image")


def _parts(content: Any) -> Iterator[Json]:
    for part in content if isinstance(content, list) else [content]:
        yield from _part(part) if isinstance(part, dict) else [_text(part)]


def _part(part: Json) -> Iterator[Json]:
    kind = string(part.get("type"))
    match kind:
        case "text" | "input_text" | "output_text" | "summary_text":
            yield _text(part.get("text"))
        case "reasoning_text":
            yield {"kind": "reasoning", "text": string(part.get("text"))}
        case "thinking":
            yield {"kind": "reasoning", "text": string(part.get("thinking")) or _ENCRYPTED}
        case "redacted_thinking":
            yield {"kind": "reasoning", "text": _ENCRYPTED}
        case "refusal":
            yield {"kind": "refusal", "text": string(part.get("refusal"))}
        case "image_url" | "input_image":
            place = part.get("image_url")
            yield _image(string(place) or string(mapping(place).get("url")), part)
        case "image":
            source = mapping(part.get("source"))
            data = f"data:{string(source.get('media_type'))};base64,{string(source.get('data'))}"
            yield _image(data if source.get("type") == "base64" else string(source.get("url")), part)
        case "tool_use":
            yield _call(part.get("id"), {"name": part.get("name"), "arguments": part.get("input")})
        case "tool_result":
            inner = [] if part.get("content") is None else list(_parts(part["content"]))
            yield from _result(string(part.get("tool_use_id")), inner)
        case _:
            yield _other(part, kind)


def _of_item(item: Any) -> Json:
    """Return the turn of an item of Responses."""
    if not isinstance(item, dict):
        return _turn("unknown", [_other(item)])
    match item.get("type", "message"):
        case "message":
            content = [] if item.get("content") is None else list(_parts(item["content"]))
            return _turn(string(item.get("role")) or "unknown", content)
        case "reasoning":
            parts = [*mappings(item.get("summary")), *mappings(item.get("content"))]
            text = "\n".join(filter(None, (string(part.get("text")) for part in parts)))
            return _turn("assistant", [{"kind": "reasoning", "text": text or _ENCRYPTED}])
        case "function_call" | "custom_tool_call":
            return _turn("assistant", [_call(item.get("call_id"), item)])
        case "function_call_output" | "custom_tool_call_output":
            output = [] if item.get("output") is None else list(_parts(item["output"]))
            return _turn("tool", _result(string(item.get("call_id")), output))
        case "image_generation_call" if item.get("result"):
            kind = string(item.get("output_format")) or "png"
            return _turn("assistant", [_image(f"data:image/{kind};base64,{string(item.get('result'))}", item)])
        case kind:
            return _turn("assistant", [_other(item, string(kind))])


def _named(turns: list[Json]) -> list[Json]:
    """Return the turns; a result without a name has the name of the call that it answers."""
    names: dict[str, str] = {}
    for turn in turns:
        for part in turn["parts"]:
            if part["kind"] == "tool call":
                names[part["id"]] = part["name"]
            elif part["kind"] == "tool result":
                part["name"] = part["name"] or names.get(part["id"], "")
    return turns
