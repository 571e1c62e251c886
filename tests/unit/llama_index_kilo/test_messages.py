"""LlamaIndex messages on the wire."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from kilo_gateway.conversation import Document, File, Text
from llama_index_kilo.to_gateway import conversation
from tests.support.bodies import of_llama_index as to_wire

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def content_of(*blocks: Any, role: str = "user") -> Any:
    [message] = to_wire([ChatMessage(role=role, blocks=list(blocks))])
    return message["content"]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (ImageBlock(url="http://x/a.png", detail="low"), {"url": "http://x/a.png", "detail": "low"}),
        (ImageBlock(image=PNG), {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}),
        (VideoBlock(url="http://x/a.mp4"), {"url": "http://x/a.mp4"}),
        (VideoBlock(video=b"\x1aE\xdf\xa3", video_mimetype="video/webm"), {"url": "data:video/webm;base64,GkXfow=="}),
        (AudioBlock(audio=b"RIFF0000WAVEfmt ", format="wav"), {"data": "UklGRjAwMDBXQVZFZm10IA==", "format": "wav"}),
        (DocumentBlock(url="http://x/a.pdf", title="a.pdf"), {"filename": "a.pdf", "file_data": "http://x/a.pdf"}),
        (
            DocumentBlock(data=b"%PDF-1.4", document_mimetype="application/pdf", title="a.pdf"),
            {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQ="},
        ),
    ],
)
def test_blocks(block: Any, part: dict[str, Any]) -> None:
    [wire] = content_of(block)
    assert wire[wire["type"]] == part


def test_a_history_of_functions_from_before_tools_is_sent() -> None:
    call = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    history = [
        ChatMessage(role="assistant", content="", additional_kwargs={"function_call": call}),
        ChatMessage(role="function", content="rain", additional_kwargs={"name": "weather"}),
        ChatMessage(role="function", content="sun", additional_kwargs={"name": "weather", "tool_call_id": "1"}),
    ]
    assert to_wire(history) == [
        {"role": "assistant", "content": "", "function_call": call},
        {"role": "function", "name": "weather", "content": "rain"},
        {"role": "tool", "tool_call_id": "1", "content": "sun"},
    ]
    with pytest.raises(ValueError, match=r'additional_kwargs=\{"name": \.\.\.\}: the name of the function'):
        to_wire([ChatMessage(role="function", content="rain")])


def test_text_is_a_plain_string() -> None:
    assert content_of(TextBlock(text="a")) == "a"
    assert content_of(TextBlock(text="a"), TextBlock(text="b"), role="assistant") == "ab"
    both = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert content_of(TextBlock(text="a"), TextBlock(text="b")) == both


@pytest.mark.parametrize("role", ["system", "user", "tool"])
def test_a_cache_point_marks_the_part_before_it(role: str) -> None:
    message = ChatMessage(
        role=role,
        blocks=[
            TextBlock(text="a"),
            CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h")),
            TextBlock(text="b"),
        ],
        additional_kwargs={"tool_call_id": "t"},
    )
    [wire] = to_wire([message])
    first, second = wire["content"]
    assert first["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert "cache_control" not in second


@pytest.mark.parametrize(
    ("role", "wire"),
    [("chatbot", "assistant"), ("model", "assistant"), ("developer", "developer"), ("system", "system")],
)
def test_roles(role: str, wire: str) -> None:
    [message] = to_wire([ChatMessage(role=role, content="a")])
    assert (message["role"], message["content"]) == (wire, "a")


def test_a_tool_message_needs_the_id_of_its_call() -> None:
    with pytest.raises(ValueError, match="tool_call_id"):
        to_wire([ChatMessage(role="tool", content="a")])
    [message] = to_wire([ChatMessage(role="function", content="a", additional_kwargs={"tool_call_id": "t"})])
    assert message == {"role": "tool", "content": "a", "tool_call_id": "t"}


def test_assistant_messages() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}]
    message = ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="hm", additional_information={"reasoning_details": details}),
            TextBlock(text="a"),
            CitationBlock(cited_content=TextBlock(text="x"), source="s", title="t", additional_location_info={}),
            ToolCallBlock(tool_call_id="1", tool_name="f", tool_kwargs={"x": 1}),
            ToolCallBlock(tool_call_id="2", tool_name="g", tool_kwargs=""),
        ],
        additional_kwargs={"tool_calls": [{"id": "ignored, because the blocks say it", "function": {"name": "f"}}]},
    )
    assert to_wire([message]) == [
        {
            "role": "assistant",
            "content": "a",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
            "reasoning_details": details,
        }
    ]


def test_tool_calls_of_other_llm_classes() -> None:
    class Call:
        def model_dump(self) -> dict[str, Any]:
            return {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}

    for call in (Call(), Call().model_dump()):
        [wire] = to_wire([ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [call]})])
        assert wire["tool_calls"] == [Call().model_dump()]
        assert wire["content"] is None


def test_a_citable_block_is_a_document() -> None:
    content = [TextBlock(text="c"), DocumentBlock(url="http://x/a.pdf", title="a.pdf")]
    block = CitableBlock(title="t", source="s", content=content)
    mark = CachePoint(cache_control=CacheControl(type="ephemeral"))
    [message] = conversation([ChatMessage(role="user", blocks=[block, mark])])
    document = Document([Text("c"), File("http://x/a.pdf", filename="a.pdf")], "t", "s")
    assert message.parts == [replace(document, cache_control={"type": "ephemeral", "ttl": "5m"})]


def test_a_tools_result_may_hold_images() -> None:
    blocks = [TextBlock(text="see"), ImageBlock(image=PNG)]
    [wire] = to_wire([ChatMessage(role="tool", blocks=blocks, additional_kwargs={"tool_call_id": "t"})])
    assert [part["type"] for part in wire["content"]] == ["text", "image_url"]


@pytest.mark.parametrize("details", ["text", 7, [7, "text"], {"a": 1}, None])
def test_reasoning_details_that_are_none_are_not_sent(details: Any) -> None:
    thought = ThinkingBlock(content="hm", additional_information={"reasoning_details": details, "signature": "s"})
    [wire] = to_wire([ChatMessage(role="assistant", blocks=[thought, TextBlock(text="a")])])
    assert wire == {"role": "assistant", "content": "a", "reasoning": "hm"}


def test_messages_are_not_changed() -> None:
    messages = [
        ChatMessage(
            role="user", blocks=[TextBlock(text="a"), CachePoint(cache_control=CacheControl(type="ephemeral"))]
        ),
        ChatMessage(
            role="assistant",
            blocks=[ThinkingBlock(content="hm", additional_information={"reasoning_details": [{"type": "x"}]})],
            additional_kwargs={"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": 1}}}]},
        ),
        ChatMessage(role="tool", content="b", additional_kwargs={"tool_call_id": "1"}),
    ]
    before = [message.model_dump_json() for message in messages]
    sent = to_wire(messages)
    sent[1]["reasoning_details"].clear()
    sent[1]["tool_calls"].clear()
    assert [message.model_dump_json() for message in messages] == before


def test_thinking_without_details_goes_back_as_text() -> None:
    [wire] = to_wire([ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm"), TextBlock(text="a")])])
    assert (wire["reasoning"], wire["content"]) == ("hm", "a")


def test_a_block_that_cannot_be_sent_is_named() -> None:
    class Odd(TextBlock):
        pass

    message = ChatMessage(role="user", content="a")
    message.blocks = [Odd(text="b")]
    with pytest.raises(ValueError, match="Odd cannot be sent; the gateway takes: TextBlock"):
        to_wire([message])
