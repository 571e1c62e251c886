"""Calls, items and places in streams of Responses, as they were seen in the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kilo_gateway.conversation import ToolCall
from kilo_gateway.errors import KiloResponseError
from kilo_gateway.interfaces.responses import Responses
from kilo_gateway.reply import Reply
from tests.unit.interfaces.responses_events import (
    ADD,
    CALL,
    MESSAGE,
    Event,
    added,
    announced,
    arguments,
    completed,
    created,
    done,
    reply_of,
    text,
)

DONE_CALL = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": CALL["arguments"]}


@pytest.mark.parametrize(
    "events",
    [
        [added(announced(CALL)), DONE_CALL],
        [added(announced(CALL)), done(CALL)],
        [added(announced(CALL)), arguments('{"a"'), done(CALL)],
        [added(announced(CALL)), arguments('{"a"'), DONE_CALL, arguments(": 1}"), done(CALL)],
        [added(announced(CALL)), completed(CALL)],
        [added({**announced(CALL), "arguments": "{}"}), arguments(CALL["arguments"]), done(CALL)],  # a placeholder
        [done({**CALL, "arguments": {"a": 1}})],
        [done({**CALL, "arguments": ""}), completed(CALL)],
        [{**DONE_CALL, "name": "add"}, done({**CALL, "arguments": ""})],
    ],
)
def test_arguments_wherever_they_are(events: list[Event]) -> None:  # tailcallhq/forgecode#2558
    reply = reply_of(*events, completed())
    assert reply.tool_calls == reply.ending.tool_calls == [ADD]


def test_a_call_without_arguments() -> None:
    [call] = reply_of(done({**CALL, "arguments": ""}), completed()).tool_calls
    assert call.parsed() == {}
    body = {"status": "completed", "output": [{**CALL, "arguments": None}]}
    assert Reply.of(Responses().whole(json.dumps(body).encode())).tool_calls[0].parsed() == {}


@pytest.mark.parametrize(
    "events",
    [
        [added(announced(CALL)), completed()],
        [added(announced(CALL)), completed({**CALL, "arguments": "", "status": "in_progress"})],
        [added(announced(CALL)), done({**CALL, "arguments": "", "status": "incomplete"}), completed()],
        [arguments('{"a": 1}'), completed()],  # nobody said whose they are
    ],
)
def test_a_call_that_was_only_announced_never_runs(events: list[Event]) -> None:  # NousResearch/hermes-agent#110975
    with pytest.raises(KiloResponseError, match=r"'add' without arguments|call without a name"):
        reply_of(*events)


def test_a_call_that_was_cut_off() -> None:
    last = {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}}
    reply = reply_of(added(announced(CALL)), last)
    assert (reply.tool_calls, reply.ending.finish_reason) == ([], "length")
    [call] = reply_of(added(announced(CALL)), arguments('{"a"'), last).tool_calls
    assert call.parsed() is None


def test_deltas_before_their_item() -> None:  # anomalyco/opencode#44575
    reply = reply_of(
        text("Hel"),
        added(announced(MESSAGE)),
        text("lo"),
        arguments('{"a"', 1),
        arguments(": 1}", 1),
        added(announced(CALL), 1),
        done(CALL, 1),
        completed(MESSAGE, CALL),
    )
    assert (reply.text, reply.tool_calls) == ("Hello", [ADD])


def test_events_without_items() -> None:  # as Vercel documents them
    reply = reply_of(created(), text("Hel"), text("lo"), completed())
    assert (reply.text, reply.ending.finish_reason) == ("Hello", "stop")
    part = {"type": "response.content_part.delta", "delta": "Hello"}
    last = {"type": "response.done", "response": {"output": [MESSAGE]}}  # OpenRouter's examples
    assert reply_of(part, last).text == "Hello"


def test_ids_that_rotate_and_places_that_are_reused() -> None:  # BerriAI/litellm#36375
    second = {**CALL, "id": "fc_2", "call_id": "call_2", "name": "show", "arguments": '{"b": 2}'}
    reply = reply_of(
        added(announced(MESSAGE)),
        text("Hel", item_id="msg_8"),
        text("lo", item_id="msg_9"),
        done({**MESSAGE, "id": "msg_7"}),
        added(announced(CALL)),
        arguments('{"a"', item_id="x"),
        arguments(": 1}", item_id="y"),
        done(CALL),
        added(announced(second)),
        arguments('{"b": 2}', item_id="z"),
        done(second),
        completed(MESSAGE, CALL, second),
    )
    assert reply.text == "Hello"
    assert reply.tool_calls == [ADD, ToolCall("call_2", "show", '{"b": 2}')]


def test_two_calls_with_one_id_and_one_place() -> None:
    same = {**CALL, "arguments": '{"a": 2}'}
    calls = [event for call in (CALL, same) for event in (added(announced(call)), done(call))]
    assert reply_of(*calls, completed()).tool_calls == [ADD, ToolCall("call_1", "add", '{"a": 2}')]


def test_events_without_places() -> None:
    def bare(event: Event, **more: Any) -> Event:
        return {name: value for name, value in event.items() if name != "output_index"} | more

    reply = reply_of(
        bare(added(announced(MESSAGE))),
        bare(text("Hel"), item_id="msg_1"),
        bare(text("lo")),
        bare(done(MESSAGE)),
        bare(added(announced(CALL))),
        bare(arguments('{"a": 1}'), item_id="fc_1"),
        bare(done(CALL)),
        completed(MESSAGE, CALL),
    )
    assert (reply.text, reply.tool_calls) == ("Hello", [ADD])


@pytest.mark.parametrize("early", ["Hel", "Hello", "Hello, W"])
def test_a_text_that_is_called_whole_too_early(early: str) -> None:  # diegosouzapw/OmniRoute#13693
    whole = {**MESSAGE, "content": [{"type": "output_text", "text": "Hello, World"}]}
    early_end = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": early}
    reply = reply_of(text("Hel"), early_end, text("lo, "), text("Wor"), text("ld"), done(whole), completed(whole))
    assert reply.text == "Hello, World"
    assert reply_of(text("Hel"), early_end, done(whole), completed()).text == "Hello, World"


def test_deltas_that_do_not_count_the_parts_of_a_message() -> None:
    parts = [{"type": "output_text", "text": "Hel"}, {"type": "output_text", "text": "lo!"}]
    message = {**MESSAGE, "content": parts}
    assert reply_of(text("Hel"), text("lo"), done(message), completed(message)).text == "Hello!"


def test_an_item_that_is_never_closed() -> None:  # sgl-project/sglang#12652
    reply = reply_of(
        added(announced(MESSAGE)), text("Hello"), added(announced(CALL), 1), arguments("{}", 1), completed()
    )
    assert (reply.text, reply.tool_calls) == ("Hello", [ToolCall("call_1", "add", "{}")])
