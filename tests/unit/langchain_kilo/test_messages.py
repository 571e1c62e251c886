"""LangChain messages on the wire."""

import copy
import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)

from kilo_gateway.conversation import Document, File, Text, broken_arguments, tool_call
from langchain_kilo.to_gateway import conversation
from tests.support.bodies import of_langchain as to_wire

DATA = "data:image/png;base64,AAAA"
CACHE = {"type": "ephemeral"}


def part_of(block: Any) -> Any:
    [message] = to_wire([HumanMessage([block])])
    content = message["content"]
    return content if isinstance(content, str) else content[0]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("plain", "plain"),
        ({"type": "text", "text": "a"}, "a"),
        ({"type": "text", "text": "a", "cache_control": CACHE}, {"type": "text", "text": "a", "cache_control": CACHE}),
        (
            {"type": "text", "text": "a", "extras": {"cache_control": CACHE}},
            {"type": "text", "text": "a", "cache_control": CACHE},
        ),
        ({"type": "text-plain", "text": "a", "mime_type": "text/plain"}, "a"),
        (
            {"type": "image_url", "image_url": "http://x/a.png"},
            {"type": "image_url", "image_url": {"url": "http://x/a.png"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
        ),
        ({"type": "image", "url": "http://x/a.png"}, {"type": "image_url", "image_url": {"url": "http://x/a.png"}}),
        (
            {"type": "image", "base64": "AAAA", "mime_type": "image/png", "extras": {"detail": "high"}},
            {"type": "image_url", "image_url": {"url": DATA, "detail": "high"}},
        ),
        (
            {"type": "image", "source_type": "base64", "data": "AAAA", "mime_type": "image/png"},
            {"type": "image_url", "image_url": {"url": DATA}},
        ),
        (
            {"type": "image", "source": {"type": "base64", "data": "AAAA", "media_type": "image/png"}},
            {"type": "image_url", "image_url": {"url": DATA}},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "http://x/a.png"}},
            {"type": "image_url", "image_url": {"url": "http://x/a.png"}},
        ),
        (
            {"type": "audio", "base64": "AAAA", "mime_type": "audio/mpeg"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        ({"type": "video", "url": "http://x/a.mp4"}, {"type": "video_url", "video_url": {"url": "http://x/a.mp4"}}),
        (
            {"type": "file", "base64": "AAAA", "mime_type": "application/pdf", "filename": "a.pdf"},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        ),
        (
            {"type": "file", "url": "http://x/a.pdf"},
            {"type": "file", "file": {"filename": "file", "file_data": "http://x/a.pdf"}},
        ),
        ({"type": "file", "file_id": "f1"}, {"type": "file", "file": {"file_id": "f1"}}),
        ({"type": "file", "source_type": "id", "id": "f1"}, {"type": "file", "file": {"file_id": "f1"}}),
        ({"type": "file", "file": {"file_id": "f1"}}, {"type": "file", "file": {"file_id": "f1"}}),
        (
            {"type": "document", "source": {"type": "base64", "data": "AAAA", "media_type": "application/pdf"}},
            {"type": "file", "file": {"filename": "file", "file_data": "data:application/pdf;base64,AAAA"}},
        ),
        ({"type": "document", "source": {"type": "text", "data": "a"}}, "a"),
        ({"type": "non_standard", "value": {"type": "odd", "x": 1}}, {"type": "odd", "x": 1}),
    ],
)
def test_blocks(block: Any, part: Any) -> None:
    assert part_of(block) == part


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "hologram"}, "'hologram' cannot be sent; the gateway takes: text"),
        ({"type": "image", "base64": "AAAA"}, "needs its mime_type"),
        ({"type": "image", "file_id": "f"}, "needs a url or base64"),
        ({"type": "audio", "url": "http://x/a.mp3"}, "fetches no audio"),
        ({"type": "file"}, "base64 data, a url or a file_id"),
        ({"type": "non_standard"}, "value"),
    ],
)
def test_blocks_that_cannot_be_sent(block: Any, expected: str) -> None:
    with pytest.raises(ValueError, match="block") as caught:
        to_wire([HumanMessage([block])])
    assert expected in str(caught.value)


def test_roles_and_names() -> None:
    wire = to_wire(
        [
            SystemMessage("a"),
            SystemMessage("b", additional_kwargs={"__openai_role__": "developer"}),
            HumanMessage("c", name="zoe"),
            ChatMessage(content="d", role="critic"),
            AIMessage("e", name="bot"),
            ToolMessage("f", tool_call_id="t"),
            FunctionMessage(content="g", name="fn"),
        ]
    )
    assert wire == [
        {"role": "system", "content": "a"},
        {"role": "developer", "content": "b"},
        {"role": "user", "content": "c", "name": "zoe"},
        {"role": "critic", "content": "d"},
        {"role": "assistant", "content": "e", "name": "bot"},
        {"role": "tool", "tool_call_id": "t", "content": "f"},
        {"role": "function", "name": "fn", "content": "g"},
    ]
    with pytest.raises(ValueError, match="RemoveMessage"):
        to_wire([RemoveMessage(id="x")])


def test_tool_calls_go_back_as_valid_json() -> None:
    message = AIMessage(
        "",
        tool_calls=[{"name": "f", "args": {"city": "Zürich"}, "id": "1", "type": "tool_call"}],
        invalid_tool_calls=[
            {"name": "g", "args": '{"a": 1, oops', "id": "2", "error": None, "type": "invalid_tool_call"}
        ],
    )
    [wire] = to_wire([message])
    assert wire["content"] is None
    first, second = wire["tool_calls"]
    assert first == {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"city": "Zürich"}'}}
    assert json.loads(second["function"]["arguments"]) == broken_arguments('{"a": 1, oops')


def test_blocks_that_other_fields_carry_are_sent_once() -> None:
    message = AIMessage(
        [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        ],
        tool_calls=[{"name": "f", "args": {}, "id": "1", "type": "tool_call"}],
    )
    [wire] = to_wire([message])
    assert wire["content"] == "a"
    assert len(wire["tool_calls"]) == 1


def test_anthropic_tool_results_become_tool_messages() -> None:
    blocks: list[str | dict[Any, Any]] = [
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "42"}]},
        {"type": "text", "text": "and now?"},
    ]
    assert to_wire([HumanMessage(blocks)]) == [
        {"role": "tool", "tool_call_id": "1", "content": "42"},
        {"role": "user", "content": "and now?"},
    ]


def test_images_in_a_tool_message() -> None:
    message = ToolMessage([{"type": "image", "url": "http://x/a.png"}], tool_call_id="t")
    [wire] = to_wire([message])
    assert wire["content"] == [{"type": "image_url", "image_url": {"url": "http://x/a.png"}}]


def test_the_callers_messages_stay_as_they_are() -> None:
    messages: list[BaseMessage] = [
        SystemMessage([{"type": "text", "text": "a", "cache_control": CACHE}]),
        HumanMessage([{"type": "image", "url": "http://x/a.png"}]),
        AIMessage("", additional_kwargs={"reasoning_details": [{"type": "reasoning.text", "text": "x"}]}),
    ]
    before = copy.deepcopy(messages)
    wire = to_wire(messages)
    wire[2]["reasoning_details"].append("changed")
    assert messages == before


def test_calls_in_anthropic_blocks_are_sent() -> None:
    said = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}]}
    heard = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}
    assistant, result = to_wire(convert_to_messages([said, heard]))
    assert assistant["tool_calls"] == [tool_call("t", "f", {"x": 1}).wire()]
    assert result == {"role": "tool", "tool_call_id": "t", "content": "ok"}


def test_function_calls_of_old_are_sent() -> None:
    call = {"name": "f", "arguments": "{}"}
    [wire] = to_wire([AIMessage("", additional_kwargs={"function_call": call})])
    assert wire["function_call"] == call


@pytest.mark.parametrize(("whose", "sent"), [(None, "deep"), ("kilo", "deep"), ("deepseek", None)])
def test_the_reasoning_of_other_providers_stays_here(whose: str | None, sent: str | None) -> None:
    metadata = {"model_provider": whose} if whose else {}
    message = AIMessage("a", additional_kwargs={"reasoning_content": "deep"}, response_metadata=metadata)
    assert to_wire([message])[0].get("reasoning") == sent


CACHED = {"type": "ephemeral"}


def test_cache_control_in_odd_positions() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "ok", "cache_control": CACHED}
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://x.org/a.pdf"}, "cache_control": CACHED}
    old = {"type": "text", "text": "a", "extras": {"metadata": {"cache_control": CACHED}}}
    tool, user = to_wire([HumanMessage([result, file, old])])
    assert tool["content"][0]["cache_control"] == CACHED
    assert [part["cache_control"] for part in user["content"]] == [CACHED, CACHED]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "image_url"}, "needs 'image_url'"),
        ({"type": "image_url", "image_url": {"detail": "low"}}, "needs the url"),
        ({"type": "tool_result", "content": "x"}, "needs 'tool_use_id'"),
        ({"type": "image", "source": {"type": "base64", "data": "QQ=="}}, "'data' and 'media_type'"),
        ({"type": "input_text", "text": "a"}, "use 'text'"),
        ({"type": "media", "data": "a"}, "use 'image, audio, video or file'"),
    ],
)
def test_blocks_that_lack_something_are_named(block: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        to_wire([HumanMessage([block])])
    assert block["type"] in str(caught.value)


def test_parameters_of_an_audio_type_are_no_part_of_its_format() -> None:
    block = {"type": "audio", "base64": "QQ==", "mime_type": "audio/webm;codecs=opus"}
    assert to_wire([HumanMessage([block])])[0]["content"][0]["input_audio"]["format"] == "webm"


CITABLE: Any = {"citations": {"enabled": True}}
CITED_TEXT = Document([Text("a")], "Rivers", "https://example.com", {"type": "ephemeral"})


@pytest.mark.parametrize(
    ("block", "document"),
    [
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a"},
                "title": "Rivers",
                "context": "https://example.com",
                "cache_control": {"type": "ephemeral"},
                **CITABLE,
            },
            CITED_TEXT,
        ),
        (
            {
                "type": "text-plain",
                "text": "a",
                "mime_type": "text/plain",
                "title": "Rivers",
                "context": "https://example.com",
                "extras": {**CITABLE, "cache_control": {"type": "ephemeral"}},
            },
            CITED_TEXT,
        ),
        (
            {"type": "file", "base64": "AAAA", "mime_type": "application/pdf", "filename": "a.pdf", "extras": CITABLE},
            Document([File("data:application/pdf;base64,AAAA", filename="a.pdf")], "a.pdf"),
        ),
        (
            {
                "type": "document",
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                },
                **CITABLE,
            },
            Document([Text("a"), Text("b")]),
        ),
        ({"type": "document", "source": {"type": "text", "data": "a"}, "citations": {"enabled": False}}, Text("a")),
    ],
)
def test_blocks_that_may_be_cited_are_documents(block: dict[str, Any], document: Any) -> None:
    [message] = conversation([HumanMessage([block])])
    assert message.parts == [document]


def test_a_document_of_sounds_is_refused() -> None:
    sound = {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}
    with pytest.raises(ValueError, match="consists of texts, images and files"):
        conversation(
            [HumanMessage([{"type": "document", "source": {"type": "content", "content": [sound]}, **CITABLE}])]
        )
