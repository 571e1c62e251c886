"""Send requests with the standard library alone, to see the bytes of the sandbox unchanged."""

from __future__ import annotations

import http.client
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

from kilo_gateway.sandbox import Sandbox
from tests.support.in_process import InProcess

CHAT = "/api/gateway/chat/completions"
PATHS = {"completions": CHAT, "responses": "/api/gateway/responses", "messages": "/api/gateway/messages"}


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    data: bytes
    complete: bool = True
    comments: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def events(self) -> list[str]:
        """The data of each event, parsed by the rules of the event stream format."""
        text = self.data.decode(errors="replace").removeprefix("\ufeff")
        lines = re.split(r"\r\n|\n|\r", text)
        events: list[str] = []
        data: list[str] = []
        for line in lines:
            if line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif not line and data:
                events.append("\n".join(data))
                data = []
        return events

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def message(self) -> dict[str, Any]:
        return dict(self.json["choices"][0]["message"])

    @property
    def text(self) -> str:
        return str(self.message["content"])

    @property
    def arguments(self) -> list[tuple[str, Any]]:
        calls = self.message.get("tool_calls") or []
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def request(
    gateway: Sandbox, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Response:
    if isinstance(gateway, InProcess):
        result = gateway.exchange(method, path, body or b"", headers)
        named = {name.decode().lower(): value.decode("latin-1") for name, value in result.headers}
        return Response(result.status, named, _unpacked(b"".join(result.pieces), named), result.complete)
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        complete = True
        try:
            data = answer.read()
        except http.client.IncompleteRead as cut:
            data, complete = cut.partial, False
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, names, _unpacked(data, names), complete)
    finally:
        connection.close()


def _unpacked(data: bytes, headers: dict[str, str]) -> bytes:
    return zlib.decompress(data, wbits=31) if headers.get("content-encoding") == "gzip" else data


def post(
    gateway: Sandbox, path: str, body: Any, key: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    sent = {"content-type": "application/json", **(headers or {})}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(gateway, "POST", path, data, sent)


def chat(
    gateway: Sandbox,
    model: str,
    text: str | list[dict[str, Any]] = "Hello there",
    *,
    key: str | None = Sandbox.api_key,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> Response:
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return post(gateway, CHAT, {"model": model, "messages": messages, **fields}, key, headers)


def ask(
    gateway: Sandbox, api: str, model: str, text: str, tools: list[dict[str, Any]] | None = None, **fields: Any
) -> Response:
    """Ask on any interface; `tools` are in the form of `tool`."""
    functions = [offered["function"] for offered in tools or ()]
    turns = [{"role": "user", "content": text}]
    body: dict[str, Any] = {"messages": turns, "tools": tools}
    if api == "responses":
        body = {"input": text, "tools": [{"type": "function", **function} for function in functions]}
    elif api == "messages":
        named = [{"input_schema": f["parameters"], **f} for f in functions]
        body = {"messages": turns, "max_tokens": 8000, "tools": named}
    body = {name: value for name, value in body.items() if value}
    return post(gateway, PATHS[api], {"model": model, **body, **fields}, gateway.api_key)


def tool(name: str, description: str = "", required: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice.get("delta") or {} for chunk in chunks for choice in chunk.get("choices") or []]


def joined(chunks: list[dict[str, Any]], field: str = "content") -> str:
    parts = [delta.get(field) or "" for delta in deltas(chunks)]
    return "".join(p if isinstance(p, str) else "".join(item["text"] for item in p) for p in parts)


def calls(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the calls of a stream: a new id starts a call, other fragments belong to their index or the last call."""
    joined_calls: list[dict[str, Any]] = []
    for delta in deltas(chunks):
        for fragment in delta.get("tool_calls") or []:
            function = fragment["function"]
            known = [call["id"] for call in joined_calls]
            if not joined_calls or (fragment.get("id") and fragment["id"] not in known):
                joined_calls.append({"id": fragment.get("id"), "index": fragment.get("index"), "parts": []})
            if fragment.get("id"):
                call = next(call for call in joined_calls if call["id"] == fragment["id"])
            else:
                same = [call for call in joined_calls if call["index"] == fragment.get("index")]
                call = same[-1] if same else joined_calls[-1]
            call["name"] = function.get("name") or call.get("name")
            call["parts"].append(function.get("arguments"))
    return joined_calls


def finishes(chunks: list[dict[str, Any]]) -> list[str]:
    return [
        choice["finish_reason"]
        for chunk in chunks
        for choice in chunk.get("choices") or []
        if choice.get("finish_reason")
    ]
