"""An answer is an ordered list of parts, and its text, reasoning and tool calls are views of that list."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway.conversation import Image, Message, Refusal, Text, Thought, ToolCall
from kilo_gateway.interfaces.chat_completions import history
from kilo_gateway.reply import Delta, Ending, Reply, ToolCallDelta

SIGNED = {"type": "reasoning.text", "text": "hm", "signature": "s"}


def test_parts_are_in_the_order_in_which_they_came() -> None:
    call = ToolCallDelta(0, id="1", name="add", arguments='{"a"')
    reply = Reply.of(
        [
            Delta(reasoning="first "),
            Delta(reasoning="this"),
            Delta(text="Let me "),
            Delta(text="see."),
            Delta(tool_calls=[call]),
            Delta(tool_calls=[ToolCallDelta(0, arguments=": 1}")]),
            Delta(reasoning="then that"),
            Delta(text="Done.", refusal="no"),
        ]
    )
    assert reply.parts == [
        Thought("first this"),
        Text("Let me see."),
        ToolCall("1", "add", '{"a": 1}'),
        Thought("then that"),
        Text("Done."),
        Refusal("no"),
    ]
    assert (reply.text, reply.reasoning) == ("Let me see.Done.", "first thisthen that")


def test_the_entries_of_the_provider_are_in_the_first_thought() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}
    ending = Ending(reasoning_details=[SIGNED], images=[image])
    assert Reply("a", "hm", ending=ending).parts == [
        Thought("hm", [SIGNED]),
        Text("a"),
        Image("data:image/png;base64,QQ=="),
    ]
    assert Reply("a", ending=ending).parts[0] == Thought(details=[SIGNED])


def test_an_answer_goes_on_in_the_conversation() -> None:
    reply = Reply("a", "hm", tool_calls=[ToolCall("1", "add", "{}")], ending=Ending(reasoning_details=[SIGNED]))
    assert history.messages([reply.message()]) == [
        {
            "role": "assistant",
            "content": "a",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
            "reasoning_details": [SIGNED],
        }
    ]
    assert reply.message() == Message("assistant", reply.parts)


def test_the_id_of_an_item_is_not_sent_back() -> None:
    """OpenAI answers 404 to the id of an item that it has not stored, even beside its content."""
    entry = {"type": "reasoning.encrypted", "data": "x", "id": "rs_1", "format": "openai-responses-v1"}
    other = {"type": "reasoning.text", "text": "x", "id": "r1"}
    [message] = history.messages([Message("assistant", [Thought(details=[entry, other])])])
    assert message["reasoning_details"] == [{k: v for k, v in entry.items() if k != "id"}, other]
    assert entry["id"] == "rs_1"


DELTA = st.builds(Delta, text=st.text(max_size=3), reasoning=st.text(max_size=3))


@given(st.lists(DELTA, max_size=12), st.sets(st.integers(0, 12)))
def test_parts_hold_what_the_views_hold(deltas: list[Delta], read_after: set[int]) -> None:
    reply = Reply()
    for number, delta in enumerate(deltas):
        reply.add(delta)
        if number in read_after:  # reading joins the pieces, which must not move a part
            assert reply.text == "".join(delta.text for delta in deltas[: number + 1])
            assert reply.reasoning == "".join(delta.reasoning for delta in deltas[: number + 1])
    parts = reply.parts
    assert "".join(part.text for part in parts if isinstance(part, Text)) == reply.text
    assert "".join(part.text for part in parts if isinstance(part, Thought)) == reply.reasoning
    assert all(type(one) is not type(other) for one, other in pairwise(parts))
