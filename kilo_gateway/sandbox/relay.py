"""Relay requests to another server's model, behind the sandbox's tiers, modes, credentials and errors.

Any server with OpenAI's Chat Completions interface works (llama.cpp, Ollama, vLLM). Responses and Messages go to the
server's own paths; if it does not have them, its error is the answer. The sandbox passes answers on as they arrive, and
sets the name of the served model and the framing itself, on Chat Completions also the ids.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import openai

from kilo_gateway.sandbox.gateway import cache_marks
from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.delivery import Answer, json_answer
from kilo_gateway.sandbox.gateway.error_bodies import upstream_body
from kilo_gateway.sandbox.gateway.options import Api
from kilo_gateway.sandbox.gateway.parts import Part
from kilo_gateway.sandbox.wire import framing as sse
from kilo_gateway.sandbox.wire.chat_completions import envelope
from kilo_gateway.sandbox.wire.interface import Fault
from kilo_gateway.sandbox.wire.interfaces import wire_of

Json = dict[str, Any]

# Every such server accepts these fields; strict servers refuse the gateway's own fields.
_CHAT = frozenset(
    {"messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "n", "logit_bias"}
    | {"frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "tools", "tool_choice", "response_format"}
    | {"parallel_tool_calls", "stream_options"}
)
_RESPONSES = frozenset(
    {"input", "instructions", "max_output_tokens", "temperature", "top_p", "tools", "tool_choice", "text", "store"}
    | {"parallel_tool_calls", "top_logprobs", "truncation"}
)
_MESSAGES = frozenset(
    {"messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "tools", "tool_choice"}
    | {"output_config"}
)
_FIELDS: dict[Api, frozenset[str]] = {"chat_completions": _CHAT, "responses": _RESPONSES, "messages": _MESSAGES}
_PATHS: dict[Api, str] = {
    "chat_completions": "/chat/completions",
    "responses": "/responses",
    "messages": "/messages",
}


class _Upstream(openai.AsyncOpenAI):
    """A client that sends only data of the call, and no values that the environment has for api.openai.com."""

    def __init__(self, base_url: str) -> None:
        # A redirect could send the prompt to another host (docs/gateway.md, "Endpoints").
        http_client = openai.DefaultAsyncHttpxClient(follow_redirects=False)
        super().__init__(base_url=base_url, api_key="none", max_retries=0, http_client=http_client)

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "kilo-sandbox"}


class Relay:
    """A client of the server at `url`, mostly a base URL that ends in /v1; `model` defaults to the first one listed."""

    def __init__(self, url: str, model: str | None = None) -> None:
        self._url = url
        self._model = model

    async def answer(self, call: Call) -> Answer:
        """Return the server's answer to an admitted call; the server's errors become errors of a provider."""
        client = _Upstream(self._url)
        body, path = _request(call), _PATHS[call.api]
        try:
            body["model"] = self._model or (await client.models.list()).data[0].id
            if call.streaming:
                chunks: Any = await client.post(
                    path,
                    body={**body, "stream": True},
                    cast_to=object,
                    stream=True,
                    stream_cls=openai.AsyncStream[object],
                )
                return Answer(200, _stream(call, client, chunks), {"content-type": "text/event-stream"}, streaming=True)
            payload: Any = await client.post(path, body=body, cast_to=object)
        except openai.APIStatusError as error:
            await client.close()
            if error.status_code < 400:
                return _failed(call, 502, f"{self._url} redirects; use the URL that it redirects to")
            return _failed(call, error.status_code, error.response.text)
        except openai.APIConnectionError as error:
            await client.close()
            return _failed(call, 502, f"{self._url}: {error.__cause__ or error}")
        await client.close()
        return json_answer(_labelled(call, payload, "chat.completion"))


def _request(call: Call) -> Json:
    """Return the body for the server: without the gateway's own fields, cache marks and settings of a tier."""
    body = {name: value for name, value in call.effective.items() if name in _FIELDS[call.api]}
    for name in ("messages", "input", "system"):
        if name in body:
            body[name] = cache_marks.removed(body[name])
    for name in ("text", "output_config"):
        if isinstance(settings := body.pop(name, None), dict) and "format" in settings:
            body[name] = {"format": settings["format"]}
    return body


def _failed(call: Call, status: int, text: str) -> Answer:
    return json_answer(upstream_body(status, text, call.api), status)


async def _stream(call: Call, client: openai.AsyncOpenAI, chunks: Any) -> AsyncIterator[Part]:
    options, wire = call.options, wire_of(call)
    yield sse.comment(options.keepalive)
    async with client, aclosing(chunks.response):
        try:
            async for chunk in chunks:
                yield sse.event(_labelled(call, chunk, "chat.completion.chunk"))
                if chunk.get("type") in wire.LAST:
                    return
        except openai.APIError as error:
            yield sse.event(wire.fault_frame(call, Fault(502, str(error), "provider_unavailable", by_gateway=False)))
            return
    if options.done and wire.DONE:
        yield b"data: [DONE]\n\n"


def _labelled(call: Call, payload: Json, kind: str) -> Json:
    """Return a body or a frame with the name of the served model."""
    if call.api != "chat_completions":
        holders = [name for name in ("response", "message") if isinstance(payload.get(name), dict)]
        named: Json = {name: {**payload[name], "model": call.served} for name in holders}
        return {**payload, **named, **({"model": call.served} if "model" in payload else {})}
    choices = [
        {**choice, "native_finish_reason": choice.get("finish_reason")} if call.upstream == "openrouter" else choice
        for choice in payload.get("choices") or ()
    ]
    usage = {"usage": payload["usage"]} if payload.get("usage") else {}
    return {**envelope(call, kind), "choices": choices, **usage}
