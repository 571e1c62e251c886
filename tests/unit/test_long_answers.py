"""What a long answer costs grows with its length: counted in comparisons and in copied pieces, not in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kilo_gateway import Reply
from kilo_gateway.errors.sent import UNKNOWN
from kilo_gateway.interfaces.chat_completions.answer import Answer
from kilo_gateway.interfaces.chat_completions.tool_calls import ToolCallRepair
from kilo_gateway.reply import Delta, ToolCallDelta

MANY = 2_000
A_FEW = 8
"""Steps of one kind that an item may cost, however many items came before."""


class Counted:
    """Counts what is done to the values that are made with it."""

    def __init__(self) -> None:
        self.steps = 0

    def text(self, value: str) -> str:
        """Return a text that counts comparisons, and the characters that are copied when it is joined with `+`."""
        counted = self

        class Text(str):
            __slots__ = ()

            def __eq__(self, other: object) -> bool:
                counted.steps += 1
                return str.__eq__(self, other) is True

            def __ne__(self, other: object) -> bool:
                return not self == other

            __hash__ = str.__hash__

            def __radd__(self, other: str) -> str:
                counted.steps += len(other) + len(self)
                return str.__add__(other, self)

        return Text(value)

    def number(self, value: int) -> int:
        """Return a number that counts comparisons."""
        counted = self

        class Number(int):
            def __eq__(self, other: object) -> bool:
                counted.steps += 1
                return int.__eq__(self, other) is True

            __hash__ = int.__hash__

        return Number(value)

    def items(self, *values: Any) -> list[Any]:
        """Return a list that counts the items that are copied when it is joined with `+`."""
        counted = self

        class Items(list[Any]):
            def __radd__(self, other: list[Any]) -> list[Any]:
                counted.steps += len(other) + len(self)
                return list.__add__(other, self)

        return Items(values)


@pytest.fixture
def counted() -> Counted:
    return Counted()


def call(position: int | None, call_id: str | None, **function: Any) -> dict[str, Any]:
    return {"index": position, "id": call_id, "function": function}


CROWDS: dict[str, Callable[[Counted, int], dict[str, Any]]] = {
    "an index each": lambda c, i: call(i, c.text(f"call_{i}"), name="add", arguments="{}"),
    "one index": lambda c, i: call(0, c.text(f"call_{i}"), name="add", arguments="{}"),
    "no index": lambda c, i: call(None, c.text(f"call_{i}"), name="add", arguments="{}"),
    "one id": lambda c, i: call(i, c.text("call"), name="add", arguments="{}"),
    "no id": lambda c, i: call(i, None, name=c.text("add"), arguments="{}"),
    "two that take turns": lambda c, i: call(None, c.text(f"call_{i % 2}"), name="add", arguments="a"),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_many_tool_calls_in_one_frame(counted: Counted, crowd: str) -> None:
    repair = ToolCallRepair()
    repair.feed([CROWDS[crowd](counted, i) for i in range(MANY)])
    repair.finish()
    assert len(repair.complete()) in (1, 2, MANY)
    assert counted.steps < A_FEW * MANY


@pytest.mark.parametrize("named", [True, False])
def test_one_call_of_many_fragments(counted: Counted, named: bool) -> None:
    repair = ToolCallRepair()
    repair.feed([call(0, "call", name="add" if named else None)])
    for _ in range(MANY):
        repair.feed([call(0, None, arguments=counted.text("x"))])
    repair.feed([call(0, None, name="add")])
    repair.finish()
    assert repair.complete()[0].arguments == "x" * MANY
    assert counted.steps < A_FEW * MANY


def fed(deltas: list[dict[str, Any]]) -> Reply:
    """Return the answer of these deltas, which are not written as JSON: their values count."""
    answer, reply = Answer(None, UNKNOWN), Reply()
    for delta in deltas:
        for step in answer.frame({"choices": [{"index": 0, "delta": delta}]}):
            reply.add(step)
    for step in answer.finish():
        reply.add(step)
    return reply


@pytest.mark.parametrize("index", [lambda c, i: 0, lambda c, i: c.number(i), lambda c, i: None])
def test_many_reasoning_details(counted: Counted, index: Callable[[Counted, int], Any]) -> None:
    details = [
        {"type": "reasoning.text", "index": index(counted, i), "text": counted.text("x"), "id": f"r{index(counted, i)}"}
        for i in range(MANY)
    ]
    reply = fed([{"reasoning_details": [detail]} for detail in details])
    assert "".join(detail["text"] for detail in reply.ending.reasoning_details) == "x" * MANY
    assert counted.steps < A_FEW * MANY


def test_audio_in_many_pieces(counted: Counted) -> None:
    reply = fed([{"audio": {"id": "a", "data": counted.text("x")}} for _ in range(MANY)])
    assert reply.ending.audio == {"id": "a", "data": "x" * MANY}
    assert counted.steps < A_FEW * MANY


def test_log_probabilities_in_many_pieces(counted: Counted) -> None:
    tokens = [{"token": str(i)} for i in range(MANY)]
    answer = Answer(None, UNKNOWN)
    frames = [{"choices": [{"index": 0, "logprobs": {"content": counted.items(token)}}]} for token in tokens]
    for frame in frames:
        answer.frame(frame)
    [last] = answer.finish()
    assert last.ending is not None
    assert last.ending.logprobs == {"content": tokens}
    assert counted.steps < A_FEW * MANY
    assert frames[0] == {"choices": [{"index": 0, "logprobs": {"content": [tokens[0]]}}]}


def test_a_reply_of_many_deltas(counted: Counted) -> None:
    reply = Reply()
    for _ in range(MANY):
        fragment = ToolCallDelta(0, id="call", name="add", arguments=counted.text("x"))
        reply.add(Delta(text=counted.text("x"), reasoning=counted.text("x"), tool_calls=[fragment]))
    assert (reply.text, reply.reasoning, reply.tool_calls[0].arguments) == ("x" * MANY,) * 3
    assert counted.steps < 3 * A_FEW * MANY


def test_a_reply_can_be_read_between_its_deltas() -> None:
    reply = Reply()
    seen = []
    for piece in ("a", "b", "c"):
        reply.add(Delta(text=piece, reasoning=piece, tool_calls=[ToolCallDelta(0, "call", "add", piece)]))
        seen.append((reply.text, reply.reasoning, reply.tool_calls[0].arguments))
    assert seen == [("a", "a", "a"), ("ab", "ab", "ab"), ("abc", "abc", "abc")]
    assert reply == Reply(text="abc", reasoning="abc", tool_calls=reply.tool_calls)
    assert "text='abc'" in repr(reply)
