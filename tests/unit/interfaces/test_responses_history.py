"""A conversation as the input of a Responses request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kilo_gateway.conversation import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Video,
)
from kilo_gateway.interfaces.responses import history

ADD = ToolCall("call_1", "add", '{"a": 1}')
SHOW = ToolCall("call_2", "show", "")
MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}


def items(*messages: Message, model: str = "openai/gpt-5.4") -> list[dict[str, Any]]:
    return history.items(messages, model)


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def result(call_id: str, *parts: Part) -> Message:
    return Message("tool", [ToolResult(call_id, parts or [Text("done")])])


def called(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments or "{}"
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}


def returned(call_id: str, output: Any = "done") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def said(*texts: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "role": "assistant", "status": "completed", "content": content}


def test_texts_of_another_phase_are_another_message() -> None:
    comment, final = Text("Let me see.", phase="commentary"), Text("Three.", phase="final_answer")
    assert items(user(Text("Hi")), assistant(comment, comment, ADD, final, Text("Well")), result("call_1"))[1:] == [
        {**said("Let me see.", "Let me see."), "phase": "commentary"},
        called(ADD),
        {**said("Three."), "phase": "final_answer"},
        said("Well"),
        returned("call_1"),
    ]


def content_of(*parts: Part) -> Any:
    [message] = items(user(*parts))
    return message["content"]


def kinds(sent: Sequence[dict[str, Any]]) -> list[str]:
    return [item.get("role") or item["type"] for item in sent]


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_messages_have_a_type(role: str) -> None:  # Kilo-Org/kilocode#5700
    assert items(Message(role, [Text("Hi")], "Zoë")) == [{"type": "message", "role": role, "content": "Hi"}]
    assert items(Message(role, [])) == [{"type": "message", "role": role, "content": ""}]


def test_an_answer_has_type_and_status_and_no_id() -> None:  # openai/codex#12114
    assert items(assistant(Text("Hel"), Text(""), Text("lo"))) == [said("Hel", "lo")]
    [refused] = items(assistant(Refusal("no")))
    assert refused["content"] == [{"type": "refusal", "refusal": "no"}]
    assert items(assistant(Text(""))) == []


DATA = "data:application/pdf;base64,AA"


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (Image("https://e.com/a"), {"type": "input_image", "image_url": "https://e.com/a", "detail": "auto"}),
        (Image("data:x", "low"), {"type": "input_image", "image_url": "data:x", "detail": "low"}),
        (Audio("AA", "audio/mpeg"), {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}}),
        (Video("https://e.com/v"), {"type": "input_video", "video_url": "https://e.com/v"}),
        (File(DATA, filename="a.pdf"), {"type": "input_file", "filename": "a.pdf", "file_data": DATA}),
        (File(DATA), {"type": "input_file", "filename": "file", "file_data": DATA}),
        (File("https://e.com/a.pdf"), {"type": "input_file", "file_url": "https://e.com/a.pdf"}),
        (File(file_id="file-1"), {"type": "input_file", "file_id": "file-1"}),
        (Text("Hi", {"type": "ephemeral"}), {"type": "input_text", "text": "Hi", **MARK}),
        (
            Image("data:x", cache_control={"type": "ephemeral"}),
            {"type": "input_image", "image_url": "data:x", "detail": "auto", **MARK},
        ),
    ],
)
def test_parts(part: Part, sent: dict[str, Any]) -> None:
    assert content_of(part) == [sent]
    assert content_of(Text("See:"), part) == [{"type": "input_text", "text": "See:"}, sent]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ({"type": "text", "text": "Hi", "cache_control": {}}, "Hi"),
        ({"type": "text", "text": "Hi", "cache_control": {"a": 1}}, [{"type": "input_text", "text": "Hi", **MARK}]),
        (
            {"type": "image_url", "image_url": {"url": "data:x", "detail": "high"}},
            [{"type": "input_image", "image_url": "data:x", "detail": "high"}],
        ),
        (
            {"type": "image_url", "image_url": "data:x"},
            [{"type": "input_image", "image_url": "data:x", "detail": "auto"}],
        ),
        ({"type": "video_url", "video_url": {"url": "v"}}, [{"type": "input_video", "video_url": "v"}]),
        ({"type": "file", "file": {"file_id": "f"}}, [{"type": "input_file", "file_id": "f"}]),
        (
            {"type": "file", "file": {"file_data": DATA}},
            [{"type": "input_file", "filename": "file", "file_data": DATA}],
        ),
        ({"type": "input_audio", "input_audio": {"x": 1}}, [{"type": "input_audio", "input_audio": {"x": 1}}]),
        ({"type": "input_file", "file_url": "u"}, [{"type": "input_file", "file_url": "u"}]),
    ],
)
def test_parts_in_chat_form(value: dict[str, Any], sent: Any) -> None:
    assert content_of(Opaque(value)) == sent


def test_parts_without_a_place_are_named() -> None:
    with pytest.raises(ValueError, match="content block of type 'x_thing' has no place in a message"):
        items(user(Opaque({"type": "x_thing"})))
    with pytest.raises(ValueError, match="a Video has no place in an assistant message"):
        items(assistant(Video("v")))
    with pytest.raises(ValueError, match="content block of type 'x_thing' has no place in an assistant message"):
        items(assistant(Opaque({"type": "x_thing"})))
    with pytest.raises(ValueError, match="a Refusal has no place"):
        items(user(Refusal("no")))
    with pytest.raises(ValueError, match="'input_audio' has no place in a tool result"):
        items(assistant(ADD), result("call_1", Audio("AA", "audio/wav")))
    with pytest.raises(ValueError, match="a tool call needs an id and a function"):
        items(assistant(Opaque({"type": "x"}, "tool_calls")))


@pytest.mark.parametrize("role", ["function", "critic", "tool"])
def test_a_role_without_a_place_is_named(role: str) -> None:
    with pytest.raises(ValueError, match=f"role '{role}' has no place .*; use 'system'"):
        items(Message(role, [Text("x")]))


def test_calls_and_results() -> None:
    assert items(user(Text("Hi")), assistant(Text("Well"), ADD, SHOW), result("call_2"), result("call_1")) == [
        {"type": "message", "role": "user", "content": "Hi"},
        said("Well"),
        called(ADD),
        called(SHOW),
        returned("call_2"),
        returned("call_1"),
    ]


def test_results_in_a_user_message_come_first() -> None:
    sent = items(assistant(ADD), user(Text("Go on"), ToolResult("call_1", [Text("done")])))
    assert sent == [called(ADD), returned("call_1"), {"type": "message", "role": "user", "content": "Go on"}]


def test_results_with_images() -> None:
    [_, sent] = items(assistant(ADD), result("call_1", Text("see"), Image("data:x")))
    assert sent["output"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:x", "detail": "auto"},
    ]
    assert items(assistant(ADD), Message("tool", [ToolResult("call_1", [])]))[1] == returned("call_1", "")


def test_a_call_without_a_result_gets_one() -> None:  # Kilo-Org/cloud#4249
    not_run = "The tool was not run, so that it has no result."
    assert items(assistant(ADD, SHOW), result("call_2"), user(Text("Stop"))) == [
        called(ADD),
        called(SHOW),
        returned("call_1", not_run),
        returned("call_2"),
        {"type": "message", "role": "user", "content": "Stop"},
    ]
    assert items(assistant(ADD))[-1] == returned("call_1", not_run)


def test_a_result_without_a_call_is_a_user_message() -> None:
    sent = items(result("call_9"), assistant(ADD), result("call_1"), result("call_1", Image("data:x"), Text("again")))
    assert kinds(sent) == ["user", "function_call", "function_call_output", "user"]
    assert sent[0]["content"] == "done"
    assert "call_id" not in sent[3]
    assert [part["type"] for part in sent[3]["content"]] == ["input_image", "input_text"]


def test_ids_that_each_turn_uses_again() -> None:
    turn = [assistant(ADD), result("call_1")]
    assert items(*turn, *turn) == [called(ADD), returned("call_1")] * 2


def opaque(kind: str, **more: Any) -> Opaque:
    return Opaque({"type": kind, "id": "x_1", **more}, "output")


def test_items_of_the_provider_that_cannot_stand_alone_are_left_out() -> None:
    alone = [
        opaque("item_reference"),
        opaque("image_generation_call", status="completed"),
        opaque("mcp_approval_request", name="f"),
        opaque("shell_call", call_id="call_5"),
        opaque("custom_tool_call", call_id="call_6", name="f", input="x"),
        opaque("program_output", call_id="call_7"),
        Opaque("text", "output"),
        Opaque({"type": "server_tool_use"}, "block"),
        Opaque({"type": "image_url"}, "images"),
        Opaque({"type": "image_url", "image_url": {"url": "data:x"}}),
    ]
    assert items(assistant(*alone, Text("Hi"))) == [said("Hi")]
    pair = [opaque("shell_call", call_id="call_5"), opaque("shell_call_output", call_id="call_5")]
    assert kinds(items(assistant(*pair, Text("Hi")))) == ["shell_call", "shell_call_output", "assistant"]
    assert items(user(Text("Hi"), Opaque({}, "output")))[0]["content"] == "Hi"


def test_a_custom_call_with_its_result() -> None:
    call = opaque("custom_tool_call", call_id="call_6", name="f", input="x")
    assert items(assistant(call), result("call_6")) == [
        {"type": "custom_tool_call", "call_id": "call_6", "name": "f", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "call_6", "output": "done"},
    ]


def test_calls_in_other_forms() -> None:
    chat = Opaque(
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}, "tool_calls"
    )
    assert items(assistant(chat), result("call_1")) == [called(ADD), returned("call_1")]
    custom = Opaque({"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}, "tool_calls")
    assert kinds(items(assistant(custom), result("c"))) == ["custom_tool_call", "custom_tool_call_output"]
    [old, output] = items(assistant(Opaque({"name": "add", "arguments": "{}"}, "function_call")))
    assert old == {"type": "function_call", "call_id": "call_add", "name": "add", "arguments": "{}"}
    assert output["call_id"] == "call_add"


def test_no_id_of_an_item_is_ever_sent() -> None:  # OpenRouterTeam/ai-sdk-provider#254
    ran = [opaque("web_search_call"), opaque("mcp_call", approval_request_id="mcpr_1")]
    sent = items(
        assistant(Thought("a", [{"type": "reasoning.encrypted", "data": "X", "id": "rs_1"}]), *ran, Text("Hi"), ADD)
    )
    assert len(sent) == 6
    assert not any({"id", "approval_request_id"} & value.keys() for value in sent)
