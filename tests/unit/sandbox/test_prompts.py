"""Formats that frameworks' stock prompts insist on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.plain_client import chat

MODEL = "openai/gpt-5.4"
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
AGENT = f"""You have access to the following tools:
> Tool Name: add
Tool Description: Add two numbers
and be exact.
Tool Args: {json.dumps(PARAMETERS)}

> Tool Name: broken
Tool Description: Its schema is broken.
Tool Args: {{oops

Use this form:
Action: tool name
Action Input: the input in JSON, e.g. {{"input": 1}}"""


def ask(gateway: Sandbox, text: str | list[dict[str, Any]]) -> str:
    return chat(gateway, MODEL, text).text


def agent(*turns: str) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    said = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    return [{"role": "system", "content": AGENT}, *said]


def test_an_agent_that_calls_tools_in_text(gw: Sandbox) -> None:
    question = "What is add of 2 and 3?"
    thought, action, given = ask(gw, agent(question)).split("\n")
    assert thought.startswith("Thought: ")
    assert action == "Action: add"
    assert json.loads(given.removeprefix("Action Input: ")) == {"a": 2, "b": 3}
    said = ask(gw, agent(question, f"{thought}\n{action}\n{given}", "Observation: 5"))
    assert said.endswith("Answer: Canned sandbox answer (openai/gpt-5.4): add returned: 5")


def test_an_agent_without_a_fitting_tool_answers(gw: Sandbox) -> None:
    assert ask(gw, agent("Hello")).endswith("\nAnswer: Canned sandbox answer (openai/gpt-5.4): you said: Hello")


def test_an_observation_without_an_agent_is_what_the_user_said(gw: Sandbox) -> None:
    assert ask(gw, "Observation: it rains").endswith("you said: Observation: it rains")


@pytest.mark.parametrize(
    ("claim", "verdict"), [("Rome is sunny.", "YES"), ("Rome is sunny in May.", "NO"), ("It rains in Oslo.", "NO")]
)
@pytest.mark.parametrize("form", ["You need to answer with either YES or NO.", "Two options: Either YES/ NO."])
def test_a_verdict(gw: Sandbox, form: str, claim: str, verdict: str) -> None:
    example = "Information: Oslo is cold.\nContext: Oslo is cold.\nAnswer: YES\n"
    text = f"{form}\n{example}Information: {claim}\nContext: \n In Rome\nit is sunny.\nAnswer: "
    assert ask(gw, text) == verdict


def test_a_verdict_needs_a_claim_and_a_context(gw: Sandbox) -> None:
    assert ask(gw, "Say YES or NO").endswith("you said: Say YES or NO")


@pytest.mark.parametrize(
    ("question", "names"), [("Where does the Rhine end?", ["rhine"]), ("Where is it?", ["rhine", "danube"])]
)
def test_sub_questions(gw: Sandbox, question: str, names: list[str]) -> None:
    tools = json.dumps({"rhine": "All about the Rhine", "danube": "All about the Danube"})
    text = f"List sub-questions in json.\n<Tools>\n```json\n{tools}\n```\n\n<User Question>\n{question}\n\n<Output>\n"
    items = json.loads(ask(gw, text).removeprefix("```json").removesuffix("```"))["items"]
    assert items == [{"sub_question": question, "tool_name": name} for name in names]
    assert ask(gw, "Give me sub-questions as json").endswith("sub-questions as json")
