"""Test odd answers, as part of the contract: OpenAI-like servers really send them."""

from __future__ import annotations

from typing import Any

import pytest

from .base import CHAT, ContractBase, collect, each_tool_endpoint

FAILURES = (
    "an error object in the stream",
    "a string error in the stream",
    "finish reason error",
    "an error inside the choice",
    "status 200 with an error",
    "no choices",
    "the stream ends early",
    "the connection breaks",
    "the stream is empty",
)
CALLS = (
    "two calls in one chunk",
    "interleaved calls",
    "id and name in every chunk",
    "no index",
    "the same index for all calls",
)
BROKEN = ("arguments cut at the output limit", "arguments that are not JSON")

failure = pytest.mark.parametrize("situation", FAILURES)
calls = pytest.mark.parametrize("situation", CALLS)
broken = pytest.mark.parametrize("situation", BROKEN)


class QuirkContract(ContractBase):
    """The tests of odd, failed and malformed answers."""

    def make_llm_meeting(self, situation: str) -> Any:
        """Return an LLM whose server behaves as `situation` says, or None.

        In a situation with calls, the server sends two: `multiply` with 6 and 7, and `greet` with "Ada". In one
        with broken arguments, it sends one call of `multiply`.
        """
        return None

    def _meeting(self, situation: str) -> Any:
        llm = self.make_llm_meeting(situation)
        self.need(llm, f"server for {situation!r}")
        return llm

    @failure
    @pytest.mark.parametrize("endpoint", [name for name in CHAT if "stream" in name])
    def test_a_failed_stream_raises(self, situation: str, endpoint: str) -> None:
        """A stream that fails is never accepted as a complete answer, for any form of the failure."""
        llm = self._meeting(situation)
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- the contract allows any class
            self.ask(llm, endpoint)
        assert str(caught.value)

    @calls
    @each_tool_endpoint
    def test_calls_stay_apart(self, situation: str, endpoint: str) -> None:
        """Two calls stay two, each with complete arguments and its own id, for any order of their fragments."""
        llm = self._meeting(situation)
        kwargs: dict[str, Any] = {"allow_parallel_tool_calls": True}
        last = self.ask_with_tools(llm, endpoint, self.parallel_question, **kwargs)[-1]
        selections = llm.get_tool_calls_from_response(last)
        names_and_arguments = sorted((call.tool_name, sorted(call.tool_kwargs.items())) for call in selections)
        assert names_and_arguments == [("greet", [("name", "Ada")]), ("multiply", [("a", 6), ("b", 7)])]
        assert len({call.tool_id for call in selections} - {""}) == 2

    @broken
    @each_tool_endpoint
    def test_broken_arguments_do_not_look_complete(self, situation: str, endpoint: str) -> None:
        """A tool never runs with incomplete or missing arguments.

        Reading the call raises, or its arguments do not fit the tool.
        """
        llm = self._meeting(situation)
        last = collect(getattr(llm, endpoint), self.tools[:1], self.tool_question)[-1]
        try:
            selections = llm.get_tool_calls_from_response(last)
        except ValueError:
            return
        assert [call.tool_name for call in selections] == ["multiply"]
        assert set(selections[0].tool_kwargs) - {"a", "b"}
