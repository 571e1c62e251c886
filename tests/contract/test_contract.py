"""Test the contract itself: an LLM other than Kilo's can fulfil it, and its tests find defects."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from .llama_index_contract import LLMContract
from .quirks import BROKEN, CALLS, FAILURES
from .scripted import KEY, NamelessLLM, ScriptedLLM, Server


class TestScriptedLLM(LLMContract):
    """The scripted LLM fulfils the contract, except where LlamaIndex's structured methods have defects."""

    is_deterministic = True
    has_structured_output = False
    cls: type[ScriptedLLM] = ScriptedLLM
    defects: frozenset[str] = frozenset()

    def make_llm(self, **fields: Any) -> ScriptedLLM:
        shown = KEY if "key in repr" in self.defects else None
        return self.cls(defects=self.defects, shown_key=shown, **fields)

    def make_thinking_llm(self) -> ScriptedLLM:
        return self.make_llm(thinks=True)

    def make_failing_llm(self) -> ScriptedLLM:
        return self.make_llm(fails=True)

    def make_llm_meeting(self, situation: str) -> ScriptedLLM:
        return self.make_llm(fails=situation in FAILURES, breaks_arguments=situation in BROKEN)

    def secrets(self) -> list[str]:
        return [KEY]

    def count_requests(self) -> int:
        return len(Server.requests)

    def last_messages(self) -> list[dict[str, Any]]:
        return Server.requests[-1]


def test_the_contract_names_no_llm() -> None:
    files = [Path(inspect.getfile(base)) for base in LLMContract.__mro__[:-1]]
    assert len(set(files)) == 7
    for file in files:
        assert "kilo" not in file.read_text(encoding="utf-8").lower()


DEFECTS = [
    ("metadata asks", "test_metadata_costs_no_request", ()),
    ("asks twice", "test_one_request_per_call", ("chat",)),
    ("first async delta lost", "test_sync_and_async_are_alike", ()),
    ("not cumulative", "test_streams_grow", ("stream_chat",)),
    ("not cumulative", "test_streams_grow", ("astream_complete",)),
    ("blocks shared", "test_streamed_responses_do_not_change_later", ("stream_chat",)),
    ("many blocks", "test_text_is_one_block", ("astream_chat",)),
    ("counted twice", "test_one_event_and_one_span_per_call", ("complete",)),
    ("no usage in streams", "test_tokens_are_counted_exactly", ("stream_chat",)),
    ("fails in silence", "test_failures_are_raised", ("chat",)),
    ("fails in silence", "test_failures_are_raised", ("astream_complete",)),
    ("messages changed", "test_messages_are_not_changed", ("achat",)),
    ("system prompt in chat", "test_chat_does_not_add_the_system_prompt", ()),
    ("thoughts on the message", "test_thoughts", ()),
    ("thoughts lost", "test_signed_thoughts_are_sent_back", ()),
    ("nameless calls", "test_calls_can_be_read_from_every_chunk", ("stream_chat_with_tools",)),
    ("half arguments raise", "test_calls_can_be_read_from_every_chunk", ("astream_chat_with_tools",)),
    ("second call lost", "test_parallel_calls", ("chat_with_tools",)),
    ("parallel calls kept", "test_one_call_when_parallel_ones_are_not_allowed", ("stream_chat_with_tools",)),
    ("demand ignored", "test_a_tool_can_be_demanded", ("achat_with_tools",)),
    ("choice without tools", "test_an_empty_list_of_tools_is_a_plain_chat", ({"tool_required": True},)),
    ("history extended", "test_the_history_is_not_changed", ("chat_with_tools",)),
    ("bound to a loop", "test_two_event_loops", ()),
    ("client kept", "test_copies_work_after_use", ()),
    ("not picklable", "test_pickles_work_after_use", ()),
    ("key in repr", "test_secrets_are_not_shown", ()),
    ("key in logs", "test_secrets_are_not_traced", ("achat",)),
    ("key in payload", "test_secrets_are_not_traced", ("chat",)),
]


@pytest.mark.parametrize(("defect", "name", "arguments"), DEFECTS)
def test_a_defect_is_found(defect: str, name: str, arguments: tuple[Any, ...]) -> None:
    contract = TestScriptedLLM()
    getattr(contract, name)(*arguments)
    contract.defects = frozenset({defect})
    with pytest.raises(Exception):  # noqa: B017, PT011 -- an assertion, or the defect's own exception
        getattr(contract, name)(*arguments)


def test_a_class_without_a_name_is_found() -> None:
    contract = TestScriptedLLM()
    contract.cls = NamelessLLM
    with pytest.raises(AssertionError):
        contract.test_it_has_a_name_of_its_own()


@pytest.mark.parametrize("situation", [*FAILURES, *CALLS, *BROKEN])
def test_a_misread_answer_is_found(situation: str) -> None:
    """A gullible LLM fails: it accepts a failed stream as an answer, loses a call, and drops partial arguments."""
    name = "test_a_failed_stream_raises"

    class Gullible(TestScriptedLLM):
        def make_llm_meeting(self, situation: str) -> ScriptedLLM:
            return ScriptedLLM(defects=frozenset({"second call lost"}))

    contract = Gullible()
    endpoint = "astream_chat"
    if situation not in FAILURES:
        name = "test_calls_stay_apart" if situation in CALLS else "test_broken_arguments_do_not_look_complete"
        endpoint = "stream_chat_with_tools"
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(contract, name)(situation, endpoint)


def test_a_defect_of_llama_index_is_found() -> None:
    """Its async structured prediction omits the system prompt, so an LLM class must add it."""

    class Structured(TestScriptedLLM):
        has_structured_output = True

    contract = Structured()
    contract.test_an_object_keeps_the_system_prompt("structured_predict")
    with pytest.raises(AssertionError):
        contract.test_an_object_keeps_the_system_prompt("astructured_predict")


def test_a_stream_that_is_not_closed_is_found() -> None:
    """LlamaIndex's decorators leave the wrapped stream open while a caller keeps the exception."""
    closed: list[bool] = []

    class Slow(ScriptedLLM):
        def _steps(self, *args: Any) -> Any:
            try:
                yield from super()._steps(*args)
            finally:
                closed.append(True)

    class Watched(TestScriptedLLM):
        def make_slow_llm(self) -> ScriptedLLM:
            return Slow()

        def was_disconnected(self) -> bool:
            return bool(closed)

    contract = Watched()
    contract.test_leaving_a_stream_frees_the_connection("stream_chat", kept=False)
    closed.clear()
    with pytest.raises(AssertionError):
        contract.test_leaving_a_stream_frees_the_connection("stream_chat", kept=True)
