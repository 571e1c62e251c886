"""Relay requests to another server's model, behind the sandbox's tiers, modes, credentials and errors.

Any server with OpenAI's Chat Completions interface works (llama.cpp, Ollama, vLLM). The sandbox passes its answers on
as they arrive, and sets ids, the name of the served model and the framing itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import openai

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.delivery import Answer, json_answer
from kilo_gateway.sandbox.gateway.error_bodies import upstream_body
from kilo_gateway.sandbox.gateway.parts import Part
from kilo_gateway.sandbox.wire import framing as sse
from kilo_gateway.sandbox.wire.chat_completions import envelope

Json = dict[str, Any]

# Every such server accepts these fields; strict servers refuse the gateway's own fields.
_FIELDS = frozenset(
    {"messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "n", "logit_bias"}
    | {"frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "tools", "tool_choice", "response_format"}
    | {"parallel_tool_calls", "stream_options"}
)


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
        body = {name: value for name, value in call.effective.items() if name in _FIELDS}
        try:
            body["model"] = self._model or (await client.models.list()).data[0].id
            if call.streaming:
                chunks: Any = await client.post(
                    "/chat/completions",
                    body={**body, "stream": True},
                    cast_to=object,
                    stream=True,
                    stream_cls=openai.AsyncStream[object],
                )
                return Answer(200, _stream(call, client, chunks), {"content-type": "text/event-stream"}, streaming=True)
            payload: Any = await client.post("/chat/completions", body=body, cast_to=object)
        except openai.APIStatusError as error:
            await client.close()
            if error.status_code < 400:
                return json_answer(upstream_body(502, f"{self._url} redirects; use the URL that it redirects to"), 502)
            return json_answer(upstream_body(error.status_code, error.response.text), error.status_code)
        except openai.APIConnectionError as error:
            await client.close()
            return json_answer(upstream_body(502, f"{self._url}: {error.__cause__ or error}"), 502)
        await client.close()
        return json_answer(_labelled(call, payload, "chat.completion"))


async def _stream(call: Call, client: openai.AsyncOpenAI, chunks: Any) -> AsyncIterator[Part]:
    options = call.options
    yield sse.comment(options.keepalive)
    async with client, aclosing(chunks.response):
        try:
            async for chunk in chunks:
                yield sse.event(_labelled(call, chunk, "chat.completion.chunk"))
        except openai.APIError as error:
            yield sse.event(upstream_body(502, str(error)))
            return
    if options.done:
        yield b"data: [DONE]\n\n"


def _labelled(call: Call, payload: Json, kind: str) -> Json:
    choices = [
        {**choice, "native_finish_reason": choice.get("finish_reason")} if call.upstream == "openrouter" else choice
        for choice in payload.get("choices") or ()
    ]
    usage = {"usage": payload["usage"]} if payload.get("usage") else {}
    return {**envelope(call, kind), "choices": choices, **usage}
