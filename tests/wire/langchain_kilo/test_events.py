"""Test the events of an answer with reasoning, text and tool calls: the kinds come in order and end complete."""

from itertools import groupby
from typing import Any

import pytest
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from tests.support.tools import add, greet
from tests.support.ways import TOOLS_TEXT, acollect, collect, summed
from tests.wire.langchain_kilo.conftest import Scenario

REASONING, SAID, CALLED = "The user needs add, so I call it first.", "Let me look that up.", ["add", "greet"]


def kind_of(chunk: Any) -> str | None:
    values = {
        "reasoning": chunk.additional_kwargs.get("reasoning_content"),
        "text": chunk.text,
        "call": chunk.tool_call_chunks,
    }
    return next((kind for kind, value in values.items() if value), None)


async def test_events_of_v2_come_in_order(scenario: Scenario) -> None:
    llm = scenario("tool-text-before", reasoning="low").bind_tools([add, greet])
    events = await acollect(llm.astream_events(TOOLS_TEXT, version="v2"))
    kinds = [event["event"] for event in events]
    chunks = [event["data"]["chunk"] for event in events[1:-1]]
    assert kinds == ["on_chat_model_start", *["on_chat_model_stream"] * len(chunks), "on_chat_model_end"]
    kinds_of_chunks = [kind for chunk in chunks if (kind := kind_of(chunk))]
    assert [kind for kind, _ in groupby(kinds_of_chunks)] == ["reasoning", "text", "call"]
    output = events[-1]["data"]["output"]
    assert (output.text, output.additional_kwargs["reasoning_content"]) == (SAID, REASONING)
    assert [call["name"] for call in output.tool_calls] == CALLED
    assert summed(chunks).tool_calls == output.tool_calls


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")  # v3 is beta in core
@pytest.mark.parametrize("asynchronous", [False, True])
def test_events_of_v3_come_in_order(scenario: Scenario, asynchronous: bool) -> None:
    llm: Any = scenario("tool-text-before", reasoning="low").bind_tools([add, greet])

    asked: Any = {"input": TOOLS_TEXT, "version": "v3"}
    events = collect(llm.astream_events(**asked)) if asynchronous else list(llm.stream_events(**asked))
    assert_valid_event_stream(events)
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("message-start", "message-finish")
    starts = [event["content"]["type"] for event in events if event["event"] == "content-block-start"]
    assert starts == ["reasoning", "text", "tool_call_chunk", "tool_call_chunk"]
    deltas = [event["index"] for event in events if event["event"] == "content-block-delta"]
    assert (deltas, set(deltas)) == (sorted(deltas), {0, 1, 2, 3})
    reasoning, text, *calls = [event["content"] for event in events if event["event"] == "content-block-finish"]
    assert (reasoning["reasoning"], text["text"]) == (REASONING, SAID)
    assert [call["name"] for call in calls] == CALLED
    assert [call["args"] for call in calls] == [{"a": 2, "b": 3}, {"name": "Zoë"}]
    assert events[-1]["usage"]["output_token_details"]["reasoning"] > 0
