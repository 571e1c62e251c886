"""The contract's part about servers: what OpenAI-like ones really send, and what must come of it."""

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
BROKEN = ("arguments cut at the output limit", "arguments that are no JSON")

failure = pytest.mark.parametrize("situation", FAILURES)
calls = pytest.mark.parametrize("situation", CALLS)
broken = pytest.mark.parametrize("situation", BROKEN)


class QuirkContract(ContractBase):
    """What an LLM makes of answers that are not as they should be."""

    def make_llm_meeting(self, situation: str) -> Any:
        """Return an LLM whose server behaves as told, or None.

        Situations with calls are two calls, of `multiply` with 6 and 7 and of `greet` with "Ada"; where the
        arguments are broken, one of `multiply`.
        """
        return None

    def _meeting(self, situation: str) -> Any:
        llm = self.make_llm_meeting(situation)
        self.need(llm, f"server for {situation!r}")
        return llm

    @failure
    @pytest.mark.parametrize("endpoint", [name for name in CHAT if "stream" in name])
    def test_a_failed_stream_raises(self, situation: str, endpoint: str) -> None:
        """A stream that fails, in whichever way it says so, is never taken for a whole answer."""
        llm = self._meeting(situation)
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- any kind will do
            self.ask(llm, endpoint)
        assert str(caught.value)

    @calls
    @each_tool_endpoint
    def test_calls_stay_apart(self, situation: str, endpoint: str) -> None:
        """Two calls are two calls, with whole arguments and ids of their own, however their fragments come."""
        llm = self._meeting(situation)
        kwargs: dict[str, Any] = {"allow_parallel_tool_calls": True}
        last = self.ask_with_tools(llm, endpoint, self.parallel_question, **kwargs)[-1]
        found = llm.get_tool_calls_from_response(last)
        made = sorted((call.tool_name, sorted(call.tool_kwargs.items())) for call in found)
        assert made == [("greet", [("name", "Ada")]), ("multiply", [("a", 6), ("b", 7)])]
        assert len({call.tool_id for call in found} - {""}) == 2

    @broken
    @each_tool_endpoint
    def test_broken_arguments_do_not_look_whole(self, situation: str, endpoint: str) -> None:
        """A tool is never run with a part of its arguments, nor with none: reading the call raises, or what
        it gives fits no tool."""
        llm = self._meeting(situation)
        last = collect(getattr(llm, endpoint), self.tools[:1], self.tool_question)[-1]
        try:
            found = llm.get_tool_calls_from_response(last)
        except ValueError:
            return
        assert [call.tool_name for call in found] == ["multiply"]
        assert set(found[0].tool_kwargs) - {"a", "b"}
