"""Any message of LangChain or LlamaIndex has a form on the wire, or a ValueError names what has none."""

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms import types as li

from tests.support.bodies import of_langchain, of_llama_index

TEXT = st.text(max_size=8) | st.sampled_from(
    ["", "\u2028", "\x00", "e\u0301", "\U0001f469\u200d\U0001f467", "https://x/y"]
)
SCALAR = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | TEXT
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=5
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)

# LangChain.
TYPES = ["text", "text-plain", "image", "image_url", "audio", "input_audio", "video", "video_url", "file", "document"]
TYPES += [
    "json",
    "non_standard",
    "tool_use",
    "tool_call",
    "tool_result",
    "reasoning",
    "thinking",
    "refusal",
    "hologram",
]
SOURCE = st.fixed_dictionaries(
    {"type": st.sampled_from(["base64", "url", "text", "file"])},
    optional={"data": TEXT, "media_type": TEXT, "url": TEXT, "file_id": TEXT},
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "url": TEXT,
    "base64": TEXT,
    "data": TEXT,
    "mime_type": st.sampled_from(["image/png", "audio/mpeg", ""]),
    "source_type": st.sampled_from(["base64", "url", "id", "text"]),
    "source": SOURCE,
    "image_url": st.fixed_dictionaries({}, optional={"url": TEXT, "detail": TEXT}),
    "file": OBJECT | TEXT,
    "file_id": TEXT,
    "id": TEXT,
    "tool_use_id": TEXT,
    "content": TEXT | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=2),
    "json": JSON,
    "value": OBJECT | SCALAR,
    "reasoning": TEXT,
    "refusal": TEXT,
    "extras": OBJECT,
    "cache_control": st.just({"type": "ephemeral"}),
}
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES)}, optional={name: value | JSON for name, value in FIELDS.items()}
)
CONTENT = TEXT | st.lists(TEXT | BLOCK | OBJECT, max_size=3)
CALL = st.builds(
    lambda name, args, call_id: {"name": name, "args": args, "id": call_id, "type": "tool_call"},
    TEXT,
    OBJECT,
    st.none() | TEXT,
)
INVALID_CALL = st.builds(
    lambda name, args: {"name": name, "args": args, "id": "i", "error": None, "type": "invalid_tool_call"},
    st.none() | TEXT,
    st.none() | TEXT,
)
KWARGS = st.fixed_dictionaries(
    {}, optional={"reasoning_content": TEXT, "reasoning_details": st.lists(OBJECT, max_size=2)}
)
MESSAGE = (
    st.builds(HumanMessage, CONTENT, name=st.none() | TEXT)
    | st.builds(SystemMessage, CONTENT)
    | st.builds(ToolMessage, CONTENT, tool_call_id=TEXT)
    | st.builds(ChatMessage, CONTENT, role=TEXT)
    | st.builds(
        AIMessage,
        CONTENT,
        additional_kwargs=KWARGS,
        tool_calls=st.lists(CALL, max_size=2),
        invalid_tool_calls=st.lists(INVALID_CALL, max_size=1),
        response_metadata=st.sampled_from([{}, {"model_provider": "kilo"}, {"model_provider": "anthropic"}]),
    )
)


def check(wire: Any) -> None:
    for message in wire:
        assert isinstance(message["role"], str)
        assert message["content"] is None or isinstance(message["content"], str | list)
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
    json.dumps(wire)


@pytest.mark.filterwarnings("ignore:an earlier answer contains a content block")
@given(st.lists(MESSAGE, max_size=3) | st.builds(lambda block: [HumanMessage([block])], BLOCK))
@example([HumanMessage([{"type": "image_url"}])])
@example([HumanMessage([{"type": "image_url", "image_url": {}}])])
@example([HumanMessage([{"type": "image_url", "image_url": True}])])
@example([HumanMessage([{"type": "input_audio", "text": None}])])
@example([AIMessage([{"type": "non_standard", "value": {"text": None}}])])
@example([HumanMessage([{"type": "non_standard", "value": {"type": "text", "text": None}}])])
@example([HumanMessage([{"type": "image", "base64": b"\x89PNG", "mime_type": "image/png"}])])
@example([HumanMessage([{"type": "tool_result"}])])
@example([HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": 5}])])
@example([HumanMessage([{"type": "image", "source": {"type": "base64"}}])])
@example([HumanMessage([{"type": "text", "text": 5}])])
@example([HumanMessage([{"type": "json", "json": {1, 2}}])])
@example([HumanMessage([{"type": ["text"]}])])
@example([HumanMessage([{}])])
@example([AIMessage("", additional_kwargs={"tool_calls": "none"})])
@example([HumanMessage([{"type": "text", "text": "a"}, {"type": "tool_result", "tool_use_id": "1"}])])
def test_langchain(messages: list[BaseMessage]) -> None:
    before = copy.deepcopy(messages)
    try:
        check(of_langchain(messages))
    except ValueError as error:
        assert "block" in str(error) or "Message" in str(error)  # noqa: PT017 -- most messages have a form
    assert repr(messages) == repr(before)


# LlamaIndex.
DATA = st.binary(min_size=1, max_size=8)
LI_BLOCK = st.recursive(
    st.builds(li.TextBlock, text=TEXT)
    | st.builds(
        li.ImageBlock, image=st.none() | DATA, url=st.none() | st.just("https://x/y.png"), detail=st.none() | TEXT
    )
    | st.builds(li.AudioBlock, audio=st.none() | DATA, format=st.none() | st.just("mp3"))
    | st.builds(li.VideoBlock, video=st.none() | DATA, url=st.none() | st.just("https://x/y.mp4"))
    | st.builds(
        li.DocumentBlock, data=st.none() | DATA, url=st.none() | st.just("https://x/y.pdf"), title=st.none() | TEXT
    )
    | st.builds(li.ThinkingBlock, content=st.none() | TEXT, additional_information=OBJECT)
    | st.builds(li.ToolCallBlock, tool_call_id=st.none() | TEXT, tool_name=TEXT, tool_kwargs=TEXT | OBJECT)
    | st.builds(li.CachePoint, cache_control=st.just(li.CacheControl(type="ephemeral"))),
    lambda inner: st.builds(
        li.CitableBlock,
        title=TEXT,
        source=TEXT,
        content=st.lists(
            inner.filter(lambda b: isinstance(b, li.TextBlock | li.ImageBlock | li.DocumentBlock)), max_size=2
        ),
    ),
    max_leaves=3,
)
LI_KWARGS = st.fixed_dictionaries(
    {},
    optional={
        "tool_call_id": TEXT,
        "name": TEXT,
        "refusal": TEXT,
        "tool_calls": st.none() | st.lists(OBJECT, max_size=1),
    },
)
LI_MESSAGE = st.builds(
    li.ChatMessage,
    role=st.sampled_from(list(li.MessageRole)),
    blocks=st.lists(LI_BLOCK, max_size=3),
    additional_kwargs=LI_KWARGS,
)


@given(st.lists(LI_MESSAGE, max_size=3))
def test_llama_index(messages: list[li.ChatMessage]) -> None:
    before = copy.deepcopy(messages)
    try:
        check(of_llama_index(messages))
    except ValueError as error:
        assert any(word in str(error) for word in ("block", "Block", "tool message", "function message", "tool call"))  # noqa: PT017 -- as above
    assert repr(messages) == repr(before)
