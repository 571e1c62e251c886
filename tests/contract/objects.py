"""Test structured output, as part of the contract."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate

from .base import City, ContractBase, collect, each_predict, observe


class ObjectContract(ContractBase):
    """The tests that an LLM with structured output must pass."""

    @each_predict
    def test_an_object_is_returned(self, endpoint: str) -> None:
        """Structured prediction returns the requested object, also at the end of a stream."""
        self.need(self.has_structured_output, "structured output")
        objects = collect(getattr(self.make_llm(), endpoint), City, PromptTemplate(self.city_question), name="Oslo")
        assert objects[-1] == City(name="Oslo", population=700000)

    @each_predict
    def test_an_object_keeps_the_system_prompt(self, endpoint: str) -> None:
        """`system_prompt` is sent in all four ways."""
        self.need(self.has_structured_output, "structured output")
        llm = self.make_llm(system_prompt="Answer as a geographer.")
        with observe(llm) as seen:
            collect(getattr(llm, endpoint), City, PromptTemplate(self.city_question), name="Oslo")
        [start] = seen.named("Start")
        assert [message.role.value for message in start.messages] == ["system", "user"]
        assert start.messages[0].content == "Answer as a geographer."

    @pytest.mark.parametrize("endpoint", ["stream_structured_predict", "astream_structured_predict"])
    def test_partial_objects_grow(self, endpoint: str) -> None:
        """A field that is set in a partial object stays set in later ones."""
        self.need(self.has_structured_output, "structured output")
        objects = collect(getattr(self.make_llm(), endpoint), City, PromptTemplate(self.city_question), name="Oslo")
        before: dict[str, Any] = {}
        for item in objects:
            now = {name: value for name, value in item.model_dump().items() if value is not None}
            assert before.keys() <= now.keys()
            before = now

    @each_predict
    def test_a_failed_call_returns_no_object(self, endpoint: str) -> None:
        """A failed call raises, and does not return a partial object."""
        self.need(self.has_structured_output, "structured output")
        llm = self.make_failing_llm()
        self.need(llm, "failing LLM")
        with pytest.raises(Exception) as caught:  # noqa: PT011, B017, RUF100 -- the contract allows any class
            collect(getattr(llm, endpoint), City, PromptTemplate(self.city_question), name="Oslo")
        assert str(caught.value)

    def test_a_structured_llm_answers_with_json(self) -> None:
        """`as_structured_llm` answers with the object's JSON, the object itself in `raw`."""
        self.need(self.has_structured_output, "structured output")
        structured = self.make_llm().as_structured_llm(City)
        message = [ChatMessage(role="user", content=self.city_question.replace("{name}", "Oslo"))]
        for endpoint in ("chat", "achat"):
            [response] = collect(getattr(structured, endpoint), message)
            assert response.raw == City.model_validate_json(response.message.content)
