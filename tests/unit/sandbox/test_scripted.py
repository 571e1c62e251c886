"""Which prompts have scripted answers, and when a scripted answer is given."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.model import scripted
from tests.support.plain_client import chat, tool

FIND = tool("find_trains", "Find trains.", city={"type": "string"})
ASKED = "Use find_trains for the city 'Oslo'."


def ask(gateway: Sandbox, messages: Any, model: str = "openai/gpt-5.4", **fields: Any) -> Any:
    return chat(gateway, model, messages, **fields)


def test_there_are_many_and_each_can_be_read_at_a_glance() -> None:
    entries = [answer for answers in scripted.answers().values() for answer in answers]
    assert len({answer["text"] for answer in entries}) >= 40
    assert all(0 < len(answer["text"]) < 1200 for answer in entries)
    assert all(len(prompt) <= scripted.LONGEST for answer in entries for prompt in answer["prompts"])


@pytest.mark.parametrize("prompt", ["Hi", "hi!", " Hi. ", "Some context.\nQuestion: Hi", "Hi:\n\nand a long text"])
def test_the_spelling_of_a_prompt_does_not_matter(gw: Sandbox, prompt: str) -> None:
    assert ask(gw, prompt).text == "Hello! How can I help you?"


@pytest.mark.parametrize("prompt", ["Hi there", "Say Hi", "h i"])
def test_another_prompt_has_no_scripted_answer(gw: Sandbox, prompt: str) -> None:
    assert ask(gw, prompt).text == f"Canned sandbox answer (openai/gpt-5.4): you said: {prompt}"


def test_results_of_tools_are_filled_in(gw: Sandbox) -> None:
    call = ask(gw, ASKED, tools=[FIND]).json["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "Trains: 9:00"}
    said = ask(gw, [{"role": "user", "content": ASKED}, call, result], tools=[FIND]).text
    assert said == "I have looked them up. Trains: 9:00. The first one leaves you the whole day there."
    assert ask(gw, ASKED).text.startswith("Canned sandbox answer")  # no tool has run


def test_a_tier_may_have_an_answer_of_its_own(gw: Sandbox) -> None:
    question = "Answer from this text alone.\nQuestion: Near which city does the Rhine end?"
    said = {tier: ask(gw, question, f"kilo-auto/{tier}").text for tier in ("free", "small")}
    assert said["free"] == "The Rhine ends in the North Sea."
    assert said["small"] != said["free"]


def test_the_reasoning_fits_the_answer(gw: Sandbox) -> None:
    message = ask(gw, "Why is the sky blue?", reasoning={"effort": "high"}).json["choices"][0]["message"]
    assert "Rayleigh" in message["reasoning"]
