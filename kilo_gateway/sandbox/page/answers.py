"""Read an answer from its writes: the frames of a stream with their times, the message, tokens, cost and errors."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.sandbox.page import conversation
from kilo_gateway.sandbox.page.values import Json, cut, mapping, mappings, number, parsed, string, written

_LINE: Final = re.compile(r"(.*?)(?:\r\n|\n|\r(?!$))", re.DOTALL)
_STARTS: Final = (b":", b"data:", b"event:", b"\xef\xbb\xbf")
_CHATS: Final = ("chat_completions", "responses", "messages")
_FAILED: Final = ("failed", "cancelled")  # of Responses
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "message_stop"})


class Reading:
    """An answer as far as it has been read; `feed` takes its writes in order, `finish` ends it."""

    def __init__(self, api: str, headers: Mapping[str, str]) -> None:
        self.frames: list[Json] = []
        self.usage: Json = {}
        self.model = ""
        self.finish_reason = ""
        self.error: Json | None = None
        self.finished = False
        self.taken = 0
        """The number of writes that were read."""
        self.streamed = headers.get("content-type", "").startswith("text/event-stream")
        self._api = api
        self._parts: dict[tuple[Any, ...], Json] = {}
        self._turns: list[Json] = []
        self._gateway: Json = {}
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unpack = zlib.decompressobj(31) if headers.get("content-encoding") == "gzip" else None
        self._data = bytearray()
        self._rest = ""
        self._event: list[str] = []
        self._opened = False
        self._seconds = 0.0

    def feed(self, seconds: float, data: bytes) -> None:
        """Read one write of the answer."""
        self.taken += 1
        self._seconds = seconds
        if self._unpack:
            try:
                data = self._unpack.decompress(data)
            except zlib.error:
                self._unpack = None
        if not data:
            return
        if self.taken == 1 and data.startswith(_STARTS):  # also if a proxy has changed the type of the content
            self.streamed = True
        if not self.streamed:
            self._data += data
            self._add(seconds, "body", f"{len(data):,} bytes")
            return
        text = self._decoder.decode(data)
        ended = "\n" in text or "\r" in text or self._rest.endswith("\r")
        self._rest += text
        if self._rest and not self._opened:  # the first text may begin with a byte order mark
            self._opened = True
            self._rest = self._rest.removeprefix("\ufeff")
        if not ended:  # a long event in many writes is searched for lines once
            return
        at = 0
        for line in _LINE.finditer(self._rest):
            at = line.end()
            self._line(seconds, line[1])
        self._rest = self._rest[at:]

    def finish(self, status: int | None) -> None:
        """Read what is left of an answer to which nothing is added any more."""
        self.finished = True
        if self.streamed:
            before = self.error
            self._line(self._seconds, self._rest.rstrip("\r"))
            self._line(self._seconds, "")
            if self.frames and self.frames[-1]["kind"] == "unreadable":
                self.error = before  # the frame was cut with the answer, which is the error then
            return
        text = self._data.decode("utf-8", "replace")
        payload = parsed(text)
        body = mapping(payload)
        if (status is not None and status >= 400) or body.get("error") or body.get("status") in _FAILED:
            self.error = error_of(payload, text)
            return
        self._body(body)
        if self._api in _CHATS and not self._turns:
            self.error = _error("The body is not an answer of this interface.")

    @property
    def turns(self) -> list[Json]:
        """The answer as turns of a conversation."""
        if self._turns or not self._parts:
            return self._turns
        parts = list(self._parts.values())
        return [{"role": "assistant", "parts": [{**part, "text": part["text"]} for part in parts]}]

    @property
    def tokens(self) -> Json:
        """The counts of tokens that the answer reports, and its cost in USD."""
        usage = self.usage
        given, spent = (mapping(usage.get(f"{kind}_tokens_details")) for kind in ("prompt", "completion"))
        given, spent = (
            given or mapping(usage.get("input_tokens_details")),
            spent or mapping(usage.get("output_tokens_details")),
        )
        cached = number(given.get("cached_tokens", usage.get("cache_read_input_tokens")))
        prompt = number(usage.get("prompt_tokens", usage.get("input_tokens")))
        if prompt is not None and "cache_read_input_tokens" in usage:  # Messages counts cached tokens apart
            prompt += (cached or 0) + (number(usage.get("cache_creation_input_tokens")) or 0)
        cost = usage.get("cost", self._gateway.get("marketCost", self._gateway.get("cost")))
        return {
            "input": prompt,
            "output": number(usage.get("completion_tokens", usage.get("output_tokens"))),
            "cached": cached,
            "reasoning": number(spent.get("reasoning_tokens")),
            "cost": number(cost),
        }

    def _add(self, seconds: float, kind: str, text: str) -> None:
        self.frames.append({"at": round(seconds * 1000, 1), "kind": kind, "text": cut(text, 500)})

    def _line(self, seconds: float, line: str) -> None:
        if not line:
            if self._event:
                self._frame(seconds, "\n".join(self._event))
                self._event = []
        elif line.startswith(":"):
            self._add(seconds, "comment", line[1:].strip())
        elif line.startswith("data:"):
            self._event.append(line[5:].removeprefix(" "))

    def _frame(self, seconds: float, data: str) -> None:
        if data.strip() == "[DONE]":
            self._add(seconds, "done", "[DONE]")
            return
        payload = parsed(data)
        if not isinstance(payload, dict):
            self._add(seconds, "unreadable", data)
            self.error = _error("A frame of the stream is not a JSON object.")
            return
        fold = {"responses": self._responses, "messages": self._messages}.get(self._api, self._chat)
        kind, text = fold(payload)
        self._add(seconds, kind, text)

    def _failed(self, payload: Json) -> tuple[str, str]:
        self.error = error_of(payload, written(payload))
        return "error", self.error["message"]

    def _count(self, payload: Json) -> None:
        self.usage |= {name: value for name, value in mapping(payload.get("usage")).items() if value is not None}
        self._gateway |= mapping(mapping(payload.get("provider_metadata")).get("gateway"))
        self.model = string(payload.get("model")) or self.model

    def _grow(self, key: tuple[Any, ...], kind: str, text: str, **fields: str) -> None:
        part = self._parts.setdefault(key, {"kind": kind, "text": ""})
        part["text"] += text
        for name, value in fields.items():
            part[name] = part.get(name) or value

    def _body(self, payload: Json) -> None:
        self._count(payload)
        if self._api == "responses":
            self._turns = conversation.of_items(payload.get("output"))
            self.finish_reason = string(payload.get("status"))
        elif self._api == "messages":
            self._turns = [conversation.of_message(payload)] if "content" in payload else []
            self.finish_reason = string(payload.get("stop_reason"))
        elif self._api == "chat_completions":
            for choice in mappings(payload.get("choices")):
                message = mapping(choice.get("message"))
                self._count({"provider_metadata": message.get("provider_metadata")})
                self._turns.append(conversation.of_message({"role": "assistant", **message}))
                self._ended_by(choice)

    def _chat(self, payload: Json) -> tuple[str, str]:
        self._count(payload)
        if payload.get("error"):
            return self._failed(payload)
        kind, text = ("usage", written(payload["usage"])) if payload.get("usage") else ("chunk", "")
        for choice in mappings(payload.get("choices")):
            place, delta = str(choice.get("index")), mapping(choice.get("delta"))
            self._count({"provider_metadata": delta.get("provider_metadata")})
            if self._ended_by(choice):
                kind, text = "finish", self.finish_reason
            for part in conversation.of_message({**delta, "tool_calls": None})["parts"]:
                known = (place, part["kind"]) in self._parts
                if part["text"] and not (known and part["text"] in conversation.REMARKS):
                    self._grow((place, part["kind"]), part["kind"], part["text"], **_rest(part))
                    kind, text = part["kind"], part["text"]
            for fragment in mappings(delta.get("tool_calls")):
                kind, text = "tool call", self._fragment(place, fragment)
        return kind, text

    def _ended_by(self, choice: Json) -> bool:
        """Read the finish reason of a choice; return True if it has one. It can report an error."""
        reason = string(choice.get("finish_reason"))
        self.finish_reason = reason or self.finish_reason
        if choice.get("error") or reason == "error":
            self.error = error_of(choice, "The provider failed during the answer.")
        return bool(reason)

    def _fragment(self, place: str, fragment: Json) -> str:
        """Add a piece of a tool call: a new id begins a call, even at an index that another one has."""
        function, call_id = mapping(fragment.get("function")), string(fragment.get("id"))
        calls = [key for key in self._parts if key[:2] == (place, "tool call")]
        known = [key for key in calls if call_id and self._parts[key].get("id") == call_id]
        same = [key for key in calls if not call_id and key[2:3] == (str(fragment.get("index")),)]
        key = (known or same or [(place, "tool call", str(fragment.get("index")), len(calls))])[-1]
        name, text = string(function.get("name")), string(function.get("arguments"))
        self._grow(key, "tool call", text, id=call_id, name=name)
        return f"{name}({text}" if name else text

    def _responses(self, payload: Json) -> tuple[str, str]:
        event, response = string(payload.get("type")), mapping(payload.get("response"))
        self._count(response)
        if event in ("error", "response.failed") or payload.get("error"):
            return self._failed(response or payload)
        place, delta = str(payload.get("output_index")), string(payload.get("delta"))
        if event in _ENDS:
            self.finish_reason = string(response.get("status")) or event
            if response.get("output"):
                self._turns = conversation.of_items(response["output"])
            return "finish", self.finish_reason
        match event:
            case "response.output_text.delta":
                kind = "text"
            case "response.refusal.delta":
                kind = "refusal"
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                kind = "reasoning"
            case "response.function_call_arguments.delta":
                kind = "tool call"
            case "response.output_item.added":
                item = mapping(payload.get("item"))
                if item.get("type") == "function_call":
                    named = {"id": string(item.get("call_id")), "name": string(item.get("name"))}
                    self._grow((place, "tool call"), "tool call", "", **named)
                    return "tool call", f"{named['name']}("
                return "event", f"{event} {string(item.get('type'))}"
            case _:
                return "event", event
        self._grow((place, kind), kind, delta, **({"id": "", "name": ""} if kind == "tool call" else {}))
        return kind, delta

    def _messages(self, payload: Json) -> tuple[str, str]:
        event, place, delta = string(payload.get("type")), str(payload.get("index")), mapping(payload.get("delta"))
        self._count(mapping(payload.get("message")))
        self._count(payload)
        if event == "error" or payload.get("error"):
            return self._failed(payload)
        if event == "message_delta":
            self.finish_reason = string(delta.get("stop_reason")) or self.finish_reason
            return "finish", self.finish_reason
        if event == "content_block_start":
            block = mapping(payload.get("content_block"))
            for part in conversation.of_message({"content": [block]})["parts"]:
                text = "" if part["kind"] in ("tool call", "reasoning") else part["text"]
                self._grow((place, part["kind"]), part["kind"], text, **_rest(part))
                if part["kind"] == "tool call":
                    return "tool call", f"{part['name']}("
            return "event", f"{event} {string(block.get('type'))}"
        fields = {"text_delta": ("text", "text"), "thinking_delta": ("reasoning", "thinking")}
        fields["input_json_delta"] = ("tool call", "partial_json")
        if event == "content_block_delta" and (known := fields.get(string(delta.get("type")))):
            kind, name = known
            text = string(delta.get(name))
            self._grow((place, kind), kind, text, **({"id": "", "name": ""} if kind == "tool call" else {}))
            return kind, text
        return "event", event


def _rest(part: Json) -> dict[str, str]:
    return {name: value for name, value in part.items() if name not in ("kind", "text")}


def _error(message: str) -> Json:
    return {"type": "", "code": None, "message": message}


def error_of(payload: Any, raw: str) -> Json:
    """Return type, code and message of an error in any of the gateway's shapes. See docs/gateway.md, "Errors"."""
    holder = mapping(payload)
    error = holder.get("error")
    inner = mapping(error)
    metadata = mapping(inner.get("metadata"))
    message = (
        string(holder.get("message")) or string(inner.get("message")) or string(error) or string(inner.get("title"))
    )
    if provider := string(metadata.get("raw")):
        message = f"{message}: {provider}"
    kinds = (holder.get("error_type"), inner.get("error_type"), metadata.get("error_type"), inner.get("type"))
    code = inner.get("code", holder.get("code"))
    return {
        "type": next(filter(None, map(string, kinds)), ""),
        "code": code if isinstance(code, str | int) else None,
        "message": cut(message or raw or "The answer has no text."),
    }
