"""Tokens and finish reason stand where OpenTelemetry, ragas and token counters of LangChain read them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.outputs import LLMResult

from langchain_kilo import ChatKilo

USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
    "cost": 0.25,
}
FACTS = {"model": "vendor/served", "usage": USAGE}
INFO = {"finish_reason": "stop", "model_name": "vendor/served"}


class Ended(BaseCallbackHandler):
    """Keeps the results that callbacks get."""

    def __init__(self) -> None:
        self.results: list[LLMResult] = []

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.results.append(response)


def answered(request: httpx.Request) -> httpx.Response:
    choice = {"index": 0, "finish_reason": "stop"}
    message = {"role": "assistant", "content": "Rhine"}
    if not json.loads(request.content).get("stream"):
        return httpx.Response(200, json={**FACTS, "choices": [{**choice, "message": message}]})
    frames = [{"choices": [{"index": 0, "delta": message}]}, {**FACTS, "choices": [{**choice, "delta": {}}]}]
    text = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames) + "data: [DONE]\n\n"
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


@pytest.fixture
def llm() -> ChatKilo:
    client = httpx.Client(transport=httpx.MockTransport(answered))
    return ChatKilo(model="vendor/model", api_key="k", http_client=client)


def test_the_tokens_of_several_prompts_are_summed(llm: ChatKilo) -> None:
    result = llm.generate([[HumanMessage("a")], [HumanMessage("b")], [HumanMessage("c")]])
    assert result.llm_output == {
        "model_name": "vendor/served",
        "token_usage": {
            "prompt_tokens": 30,
            "completion_tokens": 15,
            "total_tokens": 45,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 6},
            "cost": 0.75,
        },
    }
    assert [generation.generation_info for [generation] in result.generations] == [INFO] * 3


def test_a_callback_of_a_stream_gets_the_finish_reason(llm: ChatKilo) -> None:
    ended = Ended()
    *_, last = llm.stream("a", config={"callbacks": [ended]})
    llm.invoke("a", config={"callbacks": [ended]})
    for result in ended.results:
        [[generation]] = result.generations
        assert generation.generation_info == INFO
    assert last.response_metadata["token_usage"] == USAGE


@pytest.mark.parametrize("streaming", [False, True])
def test_the_message_has_the_tokens_and_their_zero_details(llm: ChatKilo, streaming: bool) -> None:
    llm.streaming = streaming
    message = llm.invoke("a")
    assert message.response_metadata["token_usage"] == USAGE
    assert message.usage_metadata == {
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "input_token_details": {"cache_read": 0},
        "output_token_details": {"reasoning": 2},
    }
