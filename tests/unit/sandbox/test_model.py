"""What the canned model says, and when it calls which tool with what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from kilo_gateway.sandbox import Sandbox
from tests.support.plain_client import chat, joined, tool

MODEL = "openai/gpt-5.4"
STRING, INTEGER = {"type": "string"}, {"type": "integer"}
WEATHER = tool("get_weather", "Get the weather at a location.", location=STRING)
MAGIC = tool("magic_function", "Apply a magic function to an input.", input={**INTEGER, "maximum": 1000})
ADD = tool("add", "Add two numbers", a=INTEGER, b=INTEGER)
MULTIPLY = tool("multiply", "Multiply two numbers", a=INTEGER, b=INTEGER)


def ask(gateway: Sandbox, text: Any, **fields: Any) -> Any:
    answer = chat(gateway, fields.pop("model", MODEL), text, **fields)
    assert answer.status == 200, answer.data
    return answer


# Text.
def test_an_unknown_prompt_is_echoed_as_a_canned_answer(gw: Sandbox) -> None:
    assert ask(gw, "Hello there").text == "Canned sandbox answer (openai/gpt-5.4): you said: Hello there"
    said = ask(gw, "Hello there", headers={"x-kilocode-mode": "code"}).text
    assert said == "Canned sandbox answer (openai/gpt-5.4, mode code): you said: Hello there"


def test_it_is_deterministic(gw: Sandbox) -> None:
    answers = [ask(gw, "Hello", model="kilo-auto/frontier").json for _ in range(2)]
    for answer in answers:
        del answer["id"], answer["created"]
    assert answers[0] == answers[1]


def test_it_plans_in_planning_modes(gw: Sandbox) -> None:
    text = "# Accounts\nPeople sign in.\n# Messages\nPeople write."
    said = ask(gw, text, model="kilo-auto/frontier", headers={"x-kilocode-mode": "plan"}).text
    assert said.startswith("Canned sandbox answer (anthropic/claude-opus-4.7, mode plan): a plan:\n")
    assert "1. Clarify the goal: Accounts." in said
    assert "2. Work out: Messages." in said


def test_it_mentions_other_parts(gw: Sandbox) -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "file", "file": {}},
    ]
    said = ask(gw, [{"role": "user", "content": parts}]).text
    assert said.endswith("you said: Look (also received: image_url, file)")


FACTS = (
    "The gateway serves many models. Retries happen twice with exponential backoff. "
    "Paris is the capital of France. Cats sleep for sixteen hours a day."
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the capital of France?", "Paris is the capital of France."),
        ("How long does a cat sleep?", "Cats sleep for sixteen hours a day."),
        ("When are retries made?", "Retries happen twice with exponential backoff."),
    ],
)
def test_it_answers_from_a_context(gw: Sandbox, question: str, answer: str) -> None:
    rule = "---------------------"
    ruled = f"Context information is below.\n{rule}\n{FACTS}\n{rule}\nQuery: {question}\nAnswer: "
    assert ask(gw, ruled).text == answer
    system = {"role": "system", "content": f"Answer from these pieces of context.\n\n{FACTS}"}
    assert ask(gw, [system, {"role": "user", "content": question}]).text == answer


def test_stock_prompts_of_llama_index_get_usable_answers(gw: Sandbox) -> None:
    from llama_index.core.prompts import default_prompts as prompts

    refined = prompts.DEFAULT_REFINE_PROMPT.format(
        context_msg="Nothing of use here.", query_str="What is the capital?", existing_answer="It is Paris."
    )
    assert ask(gw, refined).text == "It is Paris."
    summary = prompts.DEFAULT_SUMMARY_PROMPT.format(context_str=FACTS)
    assert ask(gw, summary).text.startswith("The gateway serves many models.")
    keywords = prompts.DEFAULT_KEYWORD_EXTRACT_TEMPLATE.format(max_keywords=3, text=FACTS)
    assert ask(gw, keywords).text == "KEYWORDS: gateway, serves, models"
    choice = prompts.DEFAULT_QUERY_PROMPT.format(
        num_chunks=2,
        context_list="(1) cats and dogs\n\n(2) capitals of Europe",
        query_str="the capital of France?",
    )
    assert ask(gw, choice).text.startswith("ANSWER: 2")


# Parameters.
@pytest.mark.parametrize("stop", ["you", ["nowhere", "you"], ["said", "you"]])
def test_stop_cuts(gw: Sandbox, stop: str | list[str]) -> None:
    answer = ask(gw, "Hello there", stop=stop)
    assert answer.text == "Canned sandbox answer (openai/gpt-5.4): "
    assert answer.json["choices"][0]["finish_reason"] == "stop"
    assert joined(ask(gw, "Hello there", stop=stop, stream=True).chunks) == answer.text


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_limits_cut(gw: Sandbox, field: str) -> None:
    answer = ask(gw, "Hello there", **{field: 3})
    assert answer.text == "Canned sandbox answer"
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert answer.json["usage"]["completion_tokens"] == 3
    assert ask(gw, "Hello there", **{field: 50}).json["choices"][0]["finish_reason"] == "stop"


def test_several_choices(gw: Sandbox) -> None:
    choices = ask(gw, "Hi", n=3).json["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3
    chunks = ask(gw, "Hi", n=3, stream=True).chunks
    assert {choice["index"] for chunk in chunks for choice in chunk["choices"]} == {0, 1, 2}


def test_logprobs(gw: Sandbox) -> None:
    choice = ask(gw, "Hi", logprobs=True, top_logprobs=2).json["choices"][0]
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == choice["message"]["content"]
    assert {len(entry["top_logprobs"]) for entry in entries} == {2}
    assert ask(gw, "Hi").json["choices"][0]["logprobs"] is None


@pytest.mark.parametrize(
    ("fields", "shown", "counted"),
    [
        ({"reasoning": {"effort": "high"}}, True, True),
        ({"reasoning": {"enabled": True}}, True, True),
        ({"reasoning": {"max_tokens": 100}}, True, True),
        ({"reasoning_effort": "low"}, True, True),
        ({"include_reasoning": True}, True, True),
        ({"reasoning": {"effort": "high", "exclude": True}}, False, True),
        ({"reasoning": {"effort": "none"}}, False, False),
        ({"reasoning": {"enabled": False}}, False, False),
        ({"reasoning_effort": "none"}, False, False),
        ({}, False, False),
    ],
)
def test_reasoning_on_request(gw: Sandbox, fields: dict[str, Any], shown: bool, counted: bool) -> None:
    answer = ask(gw, "Hi", **fields)
    assert bool(answer.message.get("reasoning")) == bool(answer.message.get("reasoning_details")) == shown
    assert (answer.json["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0) == counted


# Tools.
def test_it_calls_a_tool_named_in_the_text(gw: Sandbox) -> None:
    answer = ask(gw, "What is the value of magic_function(3)? Use the tool.", tools=[WEATHER, MAGIC])
    assert answer.arguments == [("magic_function", {"input": 3})]
    assert answer.message["content"] is None
    assert answer.json["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the weather in San Francisco, CA?", [("get_weather", {"location": "San Francisco, CA"})]),
        ("Multiply 6 by 7", [("multiply", {"a": 6, "b": 7})]),
        ("What is 2.5 plus 4, if we add them?", [("add", {"a": 4, "b": 1})]),
        ("Hello!", []),
        ("Use get_weather for 'Oslo'", [("get_weather", {"location": "Oslo"})]),
        ("Wie ist get_weather in „Köln“?", [("get_weather", {"location": "Köln"})]),
        ("get_weather location='北京'", [("get_weather", {"location": "北京"})]),
    ],
)
def test_it_chooses_by_the_words_of_the_text(gw: Sandbox, text: str, expected: list[Any]) -> None:
    assert ask(gw, text, tools=[ADD, MULTIPLY, WEATHER]).arguments == expected


def test_it_calls_several_tools_named_at_once(gw: Sandbox) -> None:
    text = "Use `multiply` and `add` on 5 and 8"
    both = [("multiply", {"a": 5, "b": 8}), ("add", {"a": 5, "b": 8})]
    answer = ask(gw, text, tools=[ADD, MULTIPLY])
    assert answer.arguments == both
    assert len({call["id"] for call in answer.message["tool_calls"]}) == 2
    assert ask(gw, text, tools=[ADD, MULTIPLY], parallel_tool_calls=False).arguments == both[:1]


def test_non_ascii_arguments_are_not_escaped(gw: Sandbox) -> None:
    customer = tool("unicode_customer", "Creates a customer", customer_name=STRING, description=STRING)
    answer = ask(
        gw,
        "Create a customer named '你好啊集团' (Hello Group) - a Chinese technology company",
        tools=[customer],
    )
    assert answer.arguments[0][1]["customer_name"] == "你好啊集团"
    assert "你好啊集团" in answer.message["tool_calls"][0]["function"]["arguments"]


def test_tools_without_parameters(gw: Sandbox) -> None:
    bare = {"type": "function", "function": {"name": "tick_tock", "description": "Ticks"}}
    assert ask(gw, "tick_tock", tools=[bare]).arguments == [("tick_tock", {})]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", []),
        ("auto", ["get_weather"]),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "add"}}, ["add"]),
    ],
)
def test_tool_choice(gw: Sandbox, choice: Any, expected: list[str]) -> None:
    answer = ask(gw, "How is the weather in Rome?", tools=[ADD, WEATHER], tool_choice=choice)
    assert [name for name, _ in answer.arguments] == expected


def test_required_calls_even_when_nothing_fits(gw: Sandbox) -> None:
    assert len(ask(gw, "Hello!", tools=[MAGIC, WEATHER], tool_choice="required").arguments) == 1


def after_tool(text: str, *results: tuple[str, str]) -> list[dict[str, Any]]:
    conversation: list[dict[str, Any]] = [{"role": "user", "content": text}]
    for number, (name, result) in enumerate(results):
        call = {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        conversation.append({"role": "assistant", "content": None, "tool_calls": [call]})
        conversation.append({"role": "tool", "tool_call_id": f"c{number}", "content": result})
    return conversation


def test_it_answers_from_a_tools_result(gw: Sandbox) -> None:
    conversation = after_tool("How is the weather in Rome?", ("get_weather", "It's sunny."))
    answer = ask(gw, conversation, tools=[WEATHER, ADD])
    assert answer.arguments == []
    assert "get_weather returned: It's sunny." in answer.text
    again = [
        *conversation,
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "The weather in Oslo?"},
    ]
    assert ask(gw, again, tools=[WEATHER]).arguments == [("get_weather", {"location": "Oslo"})]


def test_named_tools_are_called_one_after_the_other(gw: Sandbox) -> None:
    text = "Use `multiply` and `add` on 5 and 8"
    conversation = after_tool(text, ("multiply", "40"))
    assert [name for name, _ in ask(gw, conversation, tools=[ADD, MULTIPLY]).arguments] == ["add"]
    conversation = after_tool(text, ("multiply", "40"), ("add", "13"))
    said = ask(gw, conversation, tools=[ADD, MULTIPLY]).text
    assert "multiply returned: 40" in said
    assert "add returned: 13" in said


def test_required_goes_round_every_tool(gw: Sandbox) -> None:
    conversation = after_tool("How is the weather in Rome?", ("get_weather", "sunny"))
    names = [n for n, _ in ask(gw, conversation, tools=[WEATHER, ADD], tool_choice="required").arguments]
    assert names == ["add"]


# JSON.
class Joke(BaseModel):
    """Joke to tell user."""  # words: keep -- a prompt

    setup: str = Field(description="question to set up a joke")
    punchline: str
    rating: int = Field(ge=1, le=5)


def test_json_schema(gw: Sandbox) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "Joke", "schema": Joke.model_json_schema()}}
    joke = Joke.model_validate_json(ask(gw, "A joke about 'cats', 4 stars", response_format=wanted).text)
    assert joke.setup == "cats"
    assert joke.rating == 4
    streamed = joined(ask(gw, "A joke about 'cats', 4 stars", response_format=wanted, stream=True).chunks)
    assert Joke.model_validate_json(streamed) == joke


def test_json_object(gw: Sandbox) -> None:
    text = "Write a joke about cats. Return the result as a JSON with 'setup' and 'punchline' keys."
    found = json.loads(ask(gw, text, response_format={"type": "json_object"}).text)
    assert set(found) == {"setup", "punchline"}
    assert all("cats" in value for value in found.values())
    assert set(json.loads(ask(gw, "Hi, in JSON", response_format={"type": "json_object"}).text)) == {"answer"}


@pytest.mark.parametrize("fields", [{}, {"response_format": {"type": "json_object"}}])
def test_a_schema_in_the_prompt_is_filled(gw: Sandbox, fields: dict[str, Any]) -> None:
    text = f"A joke about cats.\nHere's a JSON schema to follow:\n{json.dumps(Joke.model_json_schema())}\n"
    Joke.model_validate_json(ask(gw, text, **fields).text)
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert ask(gw, doubled, **fields).text == ask(gw, text, **fields).text


# Usage.
def test_usage_grows_with_the_text(gw: Sandbox) -> None:
    short, long = (ask(gw, "word " * count).json["usage"] for count in (2, 30))
    assert long["prompt_tokens"] > short["prompt_tokens"] > 0
    assert long["cost"] > short["cost"] > 0
    assert short["total_tokens"] == short["prompt_tokens"] + short["completion_tokens"]
    assert short["prompt_tokens_details"]["cached_tokens"] == 0
