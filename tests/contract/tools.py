"""Test tools, as part of the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage

from .base import ContractBase, collect, each_tool_endpoint, greet, multiply, observe, text_of


class ToolContract(ContractBase):
    """The tests that an LLM with function calling must pass."""

    def calls(self, llm: Any, response: Any) -> list[tuple[str, dict[str, Any]]]:
        """Return names and arguments of a response's calls."""
        selections = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
        return [(call.tool_name, call.tool_kwargs) for call in selections]

    @each_tool_endpoint
    def test_a_tool_is_called(self, endpoint: str) -> None:
        """The last response contains the call with an id, both as a block and as a plain dict."""
        self.need(self.has_tools, "tools")
        llm: Any = self.make_llm()
        last = self.ask_with_tools(llm, endpoint)[-1]
        assert self.calls(llm, last) == [("multiply", {"a": 6, "b": 7})]
        assert all(call.tool_id for call in llm.get_tool_calls_from_response(last))
        [block] = [b for b in last.message.blocks if b.block_type == "tool_call"]
        [plain] = last.message.additional_kwargs["tool_calls"]
        plain = plain if isinstance(plain, dict) else plain.model_dump()
        assert (block.tool_call_id, block.tool_name) == (plain["id"], plain["function"]["name"])

    @each_tool_endpoint
    def test_one_event_and_one_span_per_call_with_tools(self, endpoint: str) -> None:
        """A call with tools has one event and one span too."""
        self.need(self.has_tools, "tools")
        llm = self.make_llm()
        with observe(llm) as seen:
            self.ask_with_tools(llm, endpoint)
        assert (len(seen.named("Start")), len(seen.named("End"))) == (1, 1)
        assert (len(seen.starts), len(seen.ends)) == (1, 1)
        assert seen.spans_of(llm) == [endpoint.removesuffix("_with_tools")]

    @pytest.mark.parametrize("endpoint", ["stream_chat_with_tools", "astream_chat_with_tools"])
    def test_calls_can_be_read_from_every_chunk(self, endpoint: str) -> None:
        """Agents read the calls of each chunk: partial arguments do not raise, and each call has a name."""
        self.need(self.has_tools, "tools")
        llm = self.make_llm()
        seen = [self.calls(llm, response) for response in self.ask_with_tools(llm, endpoint)]
        assert all(name == "multiply" for calls in seen for name, _ in calls)
        assert all(len(calls) <= 1 for calls in seen)

    @each_tool_endpoint
    def test_parallel_calls(self, endpoint: str) -> None:
        """Several calls of one answer stay apart, each with its own id."""
        self.need(self.has_parallel_tools, "parallel calls")
        llm: Any = self.make_llm()
        last = self.ask_with_tools(llm, endpoint, self.parallel_question, allow_parallel_tool_calls=True)[-1]
        assert sorted(self.calls(llm, last)) == [("greet", {"name": "Ada"}), ("multiply", {"a": 6, "b": 7})]
        assert len({call.tool_id for call in llm.get_tool_calls_from_response(last)}) == 2
        assert len(last.message.additional_kwargs["tool_calls"]) == 2

    @each_tool_endpoint
    def test_one_call_when_parallel_ones_are_not_allowed(self, endpoint: str) -> None:
        """`allow_parallel_tool_calls=False` returns one call even if the model sends two, also in streams."""
        self.need(self.has_parallel_tools, "parallel calls")
        llm = self.make_llm()
        for response in self.ask_with_tools(llm, endpoint, self.parallel_question, allow_parallel_tool_calls=False):
            assert len(self.calls(llm, response)) <= 1
            assert len(response.message.additional_kwargs.get("tool_calls") or ()) <= 1
        assert len(self.calls(llm, response)) == 1

    @each_tool_endpoint
    def test_a_tool_can_be_demanded(self, endpoint: str) -> None:
        """`tool_required` makes the model call a tool, even if the question needs none."""
        self.need(self.has_tools, "tools")
        llm = self.make_llm()
        assert self.calls(llm, self.ask_with_tools(llm, endpoint, self.question, tool_required=True)[-1])

    @pytest.mark.parametrize("arguments", [{}, {"tool_required": True}, {"tool_choice": "auto"}])
    def test_an_empty_list_of_tools_is_a_plain_chat(self, arguments: dict[str, Any]) -> None:
        """Agents pass an empty list, sometimes with a tool choice; the call is then a plain chat."""
        self.need(self.has_tools, "tools")
        llm: Any = self.make_llm()
        response = llm.chat_with_tools([], self.question, **arguments)
        assert text_of(response).strip()
        assert self.calls(llm, response) == []

    def test_no_call_is_an_error_by_default(self) -> None:
        """`get_tool_calls_from_response` raises by default when there is no call."""
        self.need(self.has_tools, "tools")
        llm: Any = self.make_llm()
        with pytest.raises(ValueError):  # noqa: PT011 -- each class has its own text
            llm.get_tool_calls_from_response(llm.chat(self.user))

    @each_tool_endpoint
    def test_the_history_is_not_changed(self, endpoint: str) -> None:
        """The user's message is not appended to the caller's list."""
        self.need(self.has_tools, "tools")
        history = [ChatMessage(role="user", content="Hello"), ChatMessage(role="assistant", content="Hello!")]
        before = [message.model_dump_json() for message in history]
        self.ask_with_tools(self.make_llm(), endpoint, chat_history=history)
        assert [message.model_dump_json() for message in history] == before

    @each_tool_endpoint
    def test_a_turn_with_calls_survives_json(self, endpoint: str) -> None:
        """A turn with calls survives JSON, which conversation stores use, and goes back unchanged."""
        self.need(self.has_tools, "tools")
        llm: Any = self.make_llm()
        turn = self.ask_with_tools(llm, endpoint)[-1].message
        turn = ChatMessage.model_validate_json(turn.model_dump_json())
        call_id = next(block.tool_call_id for block in turn.blocks if block.block_type == "tool_call")
        result = ChatMessage(role="tool", content="42", additional_kwargs={"tool_call_id": call_id})
        question = ChatMessage(role="user", content=self.tool_question)
        answer = collect(getattr(llm, endpoint), self.tools, chat_history=[question, turn, result])[-1]
        assert text_of(answer).strip()
        sent = self.last_messages()
        if sent is not None:
            [call] = sent[1]["tool_calls"]
            assert (call["id"], json.loads(call["function"]["arguments"])) == (call_id, {"a": 6, "b": 7})
            assert sent[2]["tool_call_id"] == call_id

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's agents use old names of pydantic
    @pytest.mark.parametrize("streaming", [True, False])
    def test_an_agent_finishes(self, streaming: bool) -> None:
        """A FunctionAgent calls a tool, reads its result and answers."""
        self.need(self.has_tools, "tools")
        agent = FunctionAgent(tools=[multiply, greet], llm=self.make_llm(), streaming=streaming)

        async def run() -> Any:
            return await agent.run(self.tool_question)

        output = collect(_named("arun", run))[0]
        assert [str(call.tool_output.content) for call in output.tool_calls] == ["42"]
        assert str(output).strip()


def _named(name: str, function: Any) -> Any:
    function.__name__ = name
    return function
