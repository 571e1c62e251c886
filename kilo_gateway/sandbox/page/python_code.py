"""Write a recorded chat request as a Python program that sends it with ChatKilo or KiloLLM."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from kilo_gateway.sandbox.gateway.masking import Mask
from kilo_gateway.sandbox.gateway.records import Record
from kilo_gateway.sandbox.page import conversation
from kilo_gateway.sandbox.page.exports import NotPossible
from kilo_gateway.sandbox.page.values import Json, mapping, mappings, string, written
from kilo_gateway.sandbox.page.views import body_of, interface_of, mask_of

_APIS: Final = {"chat_completions": "completions", "responses": "responses", "messages": "messages"}
_TIERS: Final = ("frontier", "balanced", "efficient", "free", "small", "org")
# Fields of a body that are arguments of the classes, by their names on the three interfaces.
_ARGUMENTS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop": "stop",
    "stop_sequences": "stop",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "logit_bias": "logit_bias",
    "verbosity": "verbosity",
    "reasoning": "reasoning",
    "plugins": "plugins",
    "transforms": "transforms",
    "provider": "provider",
    "parallel_tool_calls": "parallel_tool_calls",
}
_HEADERS: Final = {
    "mode": "x-kilocode-mode",
    "task_id": "x-kilocode-taskid",
    "project_id": "x-kilocode-projectid",
    "feature": "x-kilocode-feature",
}
# The conversation and the fields of the call, which are written apart.
_WRITTEN: Final = frozenset(
    {"model", "messages", "input", "instructions", "system", "stream", "tools", "tool_choice", "response_format"}
)
# What the classes send without being asked.
_ALWAYS: Final = {
    "stream_options": {"include_usage": True},
    "include": ["reasoning.encrypted_content"],
    "store": False,
}
_ROLES: Final = {"system": "SystemMessage", "user": "HumanMessage"}


def langchain(record: Record, base_url: str) -> str:
    """Return a program that sends the request with ChatKilo."""
    return _program(record, base_url, "langchain_kilo", "ChatKilo", _langchain_message, _LANGCHAIN)


def llama_index(record: Record, base_url: str) -> str:
    """Return a program that sends the request with KiloLLM."""
    return _program(record, base_url, "llama_index_kilo", "KiloLLM", _llama_index_message, _LLAMA_INDEX)


_LANGCHAIN: Final = {
    True: 'for chunk in llm.stream({call}):\n    print(chunk.text, end="", flush=True)\nprint()\n',
    False: "answer = llm.invoke({call})\nprint(answer.text)\nprint(answer.tool_calls)\n",
}
_LLAMA_INDEX: Final = {
    True: 'for piece in llm.stream_chat({call}):\n    print(piece.delta, end="", flush=True)\nprint()\n',
    False: "answer = llm.chat({call})\nprint(answer.message.blocks)\n",
}
_IMPORTED: Final = re.compile(
    r"\b(AIMessage|ChatMessage|HumanMessage|SystemMessage|ToolMessage|ImageBlock|TextBlock|ToolCallBlock)\("
)


def _program(
    record: Record,
    base_url: str,
    package: str,
    name: str,
    message: Callable[[str, list[Json], list[str]], str],
    calls: dict[bool, str],
) -> str:
    api, body = interface_of(record), body_of(record)
    if api not in _APIS or not body:
        raise NotPossible("Only a chat request with a JSON body can be written as Python.")
    mask = mask_of(record)
    left_out = list(_marks(body))
    turns: list[Json] = mask.json(conversation.of_request(api, body))
    messages = [message(turn["role"], turn["parts"], left_out) for turn in _merged(turns, left_out)]
    constructor = _arguments({**_constructor(record, api, body, mask), "base_url": base_url})
    call = ", ".join(["messages", *_keywords(api, body, mask)])
    text = f"messages = [\n{''.join(f'    {line},{chr(10)}' for line in messages)}]\n"
    lines = [f"# Left out: {', '.join(dict.fromkeys(left_out))}."] if left_out else []
    lines += _imports(text, package)
    lines += [f"from {package} import {name}", "", f"llm = {name}(", *constructor, ")", text]
    return "\n".join(lines) + calls[bool(body.get("stream"))].format(call=call)


def _imports(text: str, package: str) -> Iterator[str]:
    names = sorted(set(_IMPORTED.findall(text)))
    source = "langchain_core.messages" if package == "langchain_kilo" else "llama_index.core.base.llms.types"
    if names:
        yield f"from {source} import {', '.join(names)}"


def _constructor(record: Record, api: str, body: Json, mask: Mask) -> Json:
    model = string(body.get("model"))
    tier = model.removeprefix("kilo-auto/")
    arguments: Json = {"tier": tier} if tier != model and tier in _TIERS else {"model": model}
    for name, header in _HEADERS.items():
        if value := record.headers.get(header):
            arguments[name] = value
    if api != "chat_completions":
        arguments["api"] = _APIS[api]
    if not record.headers.get("authorization"):
        arguments["api_key"] = "anonymous"
    further = {}
    for field, value in body.items():
        if value is None or field in _WRITTEN or _ALWAYS.get(field) == value:
            continue
        argument = _ARGUMENTS.get(field)
        if argument:
            arguments[argument] = value
        else:
            further[field] = value
    if further:
        arguments["extra_body"] = further
    return dict(mask.json(arguments))


def _keywords(api: str, body: Json, mask: Mask) -> Iterator[str]:
    """Yield the arguments of the call: tools and their choice in the form of Chat Completions."""
    if tools := [_tool(api, tool) for tool in mappings(body.get("tools"))]:
        yield f"tools={mask.json(tools)!r}"
    choice = body.get("tool_choice")
    if api == "messages" and isinstance(choice, dict):
        named = {"type": "function", "function": {"name": choice.get("name")}}
        kinds = {"tool": named, "any": "required", "none": "none", "auto": "auto"}
        if choice.get("disable_parallel_tool_use"):
            yield "parallel_tool_calls=False"
        choice = kinds.get(string(choice.get("type")))
    elif api == "responses" and isinstance(choice, dict) and choice.get("type") == "function":
        choice = {"type": "function", "function": {"name": choice.get("name")}}
    if choice is not None:
        yield f"tool_choice={mask.json(choice)!r}"
    if (form := body.get("response_format")) is not None:
        yield f"response_format={mask.json(form)!r}"


def _tool(api: str, tool: Json) -> Json:
    if api == "chat_completions" or (api == "responses" and tool.get("type") != "function"):
        return tool
    if api == "messages" and "input_schema" not in tool:
        return tool
    names = {"name": "name", "description": "description", "strict": "strict"}
    names |= {"parameters": "parameters", "input_schema": "parameters"}
    return {"type": "function", "function": {names[name]: tool[name] for name in tool if name in names}}


def _arguments(arguments: Json) -> list[str]:
    return [f"    {name}={value!r}," for name, value in arguments.items()]


def _marks(body: Json) -> Iterator[str]:
    """Yield what messages can have besides their parts."""
    if '"cache_control"' in written(body):
        yield "cache marks"
    if any(message.get("name") for message in mappings(body.get("messages"))):
        yield "names of messages"


def _merged(turns: list[Json], left_out: list[str]) -> Iterator[Json]:
    """Yield the turns as messages: items of one answer together, and each result of a tool by itself."""
    last: Json | None = None
    for turn in turns:
        results = [part for part in turn["parts"] if part["kind"] == "tool result"]
        rest = [part for part in turn["parts"] if part["kind"] != "tool result"]
        if last and (results or turn["role"] != "assistant"):
            yield last
            last = None
        yield from ({"role": "tool", "parts": [result]} for result in results)
        if turn["role"] == "assistant":
            last = {"role": "assistant", "parts": [*(last["parts"] if last else ()), *rest]}
        elif rest and results and turn["role"] == "tool":
            left_out.append("images in results")
        elif rest:
            yield {"role": turn["role"], "parts": rest}
    if last:
        yield last


def _content(parts: list[Json], left_out: list[str]) -> tuple[list[Json], list[Json]]:
    """Return the texts and images of a message, and its calls; name what has no place in the program."""
    shown = [part for part in parts if part["kind"] in ("text", "image")]
    calls = [part for part in parts if part["kind"] == "tool call"]
    rest = [part for part in parts if part["kind"] not in ("text", "image", "tool call", "tool result")]
    left_out += ["reasoning" if part["kind"] == "reasoning" else part.get("name") or part["kind"] for part in rest]
    return shown, calls


def _read(arguments: str) -> Json | None:
    try:
        return mapping(json.loads(arguments)) if arguments else {}
    except (ValueError, RecursionError):
        return None


def _langchain_message(role: str, parts: list[Json], left_out: list[str]) -> str:
    shown, calls = _content(parts, left_out)
    if parts and parts[0]["kind"] == "tool result":
        return f"ToolMessage({parts[0]['text']!r}, tool_call_id={parts[0]['id']!r})"
    content: Any = [
        {"type": "image_url", "image_url": {"url": part["url"]}}
        if part["kind"] == "image"
        else {"type": "text", "text": part["text"]}
        for part in shown
    ]
    if len(shown) <= 1 and all(part["kind"] == "text" for part in shown):
        content = shown[0]["text"] if shown else ""
    if role == "assistant":
        read = [(call, _read(call["text"])) for call in calls]
        whole = [{"name": c["name"], "args": args, "id": c["id"]} for c, args in read if args is not None]
        broken = [
            {"name": c["name"], "args": c["text"], "id": c["id"], "error": None} for c, args in read if args is None
        ]
        more = f", tool_calls={whole!r}" if whole else ""
        more += f", invalid_tool_calls={broken!r}" if broken else ""
        return f"AIMessage({content!r}{more})"
    if role in _ROLES:
        return f"{_ROLES[role]}({content!r})"
    return f"ChatMessage({content!r}, role={role!r})"


def _llama_index_message(role: str, parts: list[Json], left_out: list[str]) -> str:
    shown, calls = _content(parts, left_out)
    if parts and parts[0]["kind"] == "tool result":
        answered = {"tool_call_id": parts[0]["id"]}
        return f"ChatMessage({parts[0]['text']!r}, role='tool', additional_kwargs={answered!r})"
    if not calls and len(shown) == 1 and shown[0]["kind"] == "text":
        return f"ChatMessage({shown[0]['text']!r}, role={role!r})"
    blocks = [
        f"ImageBlock(url={part['url']!r})" if part["kind"] == "image" else f"TextBlock(text={part['text']!r})"
        for part in shown
    ]
    for call in calls:
        arguments = _read(call["text"])
        given = call["text"] if arguments is None else arguments
        blocks.append(f"ToolCallBlock(tool_call_id={call['id']!r}, tool_name={call['name']!r}, tool_kwargs={given!r})")
    return f"ChatMessage(role={role!r}, blocks=[{', '.join(blocks)}])"
