"""Fields that only some providers send are kept, and go back where they belong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, message_chunk_to_message, messages_from_dict, messages_to_dict
from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import Reply
from kilo_gateway.interfaces import INTERFACES
from kilo_gateway.interfaces.chat_completions import ChatCompletions
from langchain_kilo import ChatKilo, from_gateway
from langchain_kilo.to_gateway import conversation as of_langchain
from llama_index_kilo import from_gateway as llama_index
from llama_index_kilo.to_gateway import conversation as of_llama_index

SIGNED = {"google": {"thought_signature": "c2lnbmVk"}}
FUNCTION = {"name": "add", "arguments": "{}"}
CALLS: list[dict[str, Any]] = [
    {"index": 0, "id": "1", "type": "function", "function": FUNCTION, "extra_content": SIGNED},
    {"index": 1, "id": "2", "type": "function", "function": FUNCTION},
]
MESSAGE = {"role": "assistant", "content": "", "name": "scribe", "tool_calls": CALLS}
END = {"index": 0, "finish_reason": "tool_calls"}
REQUEST = ChatKilo(model="google/gemini-3-flash").prepare([], stream=True)


def streamed() -> list[Any]:
    frames = [
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": MESSAGE}]},
        {"object": "chat.completion.chunk", "choices": [{**END, "delta": {}}]},
    ]
    decoder = ChatCompletions().decoder()
    data = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
    return [*decoder.feed(data.encode()), *decoder.finish()]


def whole() -> list[Any]:
    body = {"object": "chat.completion", "choices": [{**END, "message": MESSAGE}]}
    return list(ChatCompletions().whole(json.dumps(body).encode()))


def langchain_answers() -> list[AIMessage]:
    first, *rest = (from_gateway.to_chunk(delta, REQUEST) for delta in streamed())
    for chunk in rest:
        first += chunk
    message = from_gateway.to_message(Reply.of(whole()), REQUEST)
    stored: Any = messages_from_dict(json.loads(json.dumps(messages_to_dict([message]))))
    summed: Any = message_chunk_to_message(first)
    return [message, *stored, summed]


def llama_index_answers() -> list[ChatMessage]:
    reply = Reply()
    *_, last = (llama_index.step(reply, delta, REQUEST) for delta in streamed())
    message = llama_index.response_of(Reply.of(whole()), REQUEST).message
    return [message, last.message, ChatMessage.model_validate_json(message.model_dump_json())]


def sent(parts: Any, api: str) -> str:
    call = ChatKilo(model="google/gemini-3-flash").prepare(parts, stream=False)
    return json.dumps(INTERFACES[api].body(call))


@pytest.mark.parametrize(
    ("answers", "convert"),
    [(langchain_answers, of_langchain), (llama_index_answers, of_llama_index)],
    ids=["langchain", "llama-index"],
)
def test_the_signature_of_a_call_goes_back(answers: Any, convert: Any) -> None:
    for answer in answers():
        body = json.loads(sent(convert([answer]), "completions"))
        calls = body["messages"][0]["tool_calls"]
        assert [call.get("extra_content") for call in calls] == [SIGNED, None]
        for api in ("responses", "messages"):  # there it has no place
            assert "c2lnbmVk" not in sent(convert([answer]), api)


def test_the_name_of_the_speaker_is_kept() -> None:
    message = from_gateway.to_message(Reply.of(whole()), REQUEST)
    assert message.name == "scribe"
    for parts in (of_langchain([message]), of_llama_index(llama_index_answers()[:1])):
        assert json.loads(sent(parts, "completions"))["messages"][0]["name"] == "scribe"


def test_the_object_of_an_answer_is_kept() -> None:
    message, _, summed = langchain_answers()
    kinds = [answer.response_metadata["object"] for answer in (message, summed)]
    assert kinds == ["chat.completion", "chat.completion.chunk"]
