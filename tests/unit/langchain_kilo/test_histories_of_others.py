"""Tools that return rows, and answers of other providers: a thread goes on with either."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from kilo_gateway.interfaces import INTERFACES
from langchain_kilo import ChatKilo
from langchain_kilo.block_parts import warn_of_block_left_out
from langchain_kilo.to_gateway import conversation
from tests.support.bodies import of_langchain as to_wire


@pytest.fixture(autouse=True)
def _no_warning_given() -> Iterator[None]:
    warn_of_block_left_out.cache_clear()
    yield
    warn_of_block_left_out.cache_clear()


def result_of(rows: list[Any]) -> Any:
    """Return the content on the wire of a tool that returns `rows`, which LangChain runs."""

    @tool
    def listing() -> list[Any]:
        """List the rows."""
        return rows

    message = listing.invoke({"type": "tool_call", "id": "1", "name": "listing", "args": {}})
    assert message.content == rows
    [wire] = to_wire([message])
    return wire["content"]


@pytest.mark.parametrize(
    "row",
    [
        {"type": "file", "name": "a.txt"},
        {"type": "file", "file": {"name": "ä.txt"}},
        {"type": "image", "title": "A river"},
        {"type": "image", "url": "/images/river.png"},
        {"type": "document", "pages": 3},
        {"type": "text", "name": "notes"},
        {"type": "json", "name": "b.json"},
        {"type": "search_result", "source": "https://example.com", "title": "A", "content": []},
        {"type": "custom_tool_call_output", "output": "5"},
    ],
)
def test_a_tool_that_returns_rows(row: dict[str, Any]) -> None:
    content = result_of([row, row])
    assert isinstance(content, str)
    assert json.loads(content) == [row, row]


def test_a_tool_that_returns_rows_beside_a_text_and_an_image() -> None:
    image = {"type": "image", "url": "https://example.com/a.png"}
    content = result_of(["found", {"type": "file", "name": "a.txt"}, {"type": "file", "name": "b.txt"}, image])
    assert content == [
        {"type": "text", "text": "found"},
        {"type": "text", "text": '[{"type": "file", "name": "a.txt"}, {"type": "file", "name": "b.txt"}]'},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]


def test_a_tool_that_returns_rows_with_dates_and_names_of_other_blocks() -> None:
    rows: list[Any] = [{"type": "tool_call", "at": {1}}, {"type": "hologram"}]
    [wire] = to_wire([ToolMessage(rows, tool_call_id="1")])
    assert json.loads(wire["content"]) == [{"type": "tool_call", "at": "{1}"}, {"type": "hologram"}]


ANSWERS: dict[str, list[Any]] = {
    "anthropic": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "rivers"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "The Rhine.", "citations": [{"type": "web_search_result_location", "url": "x"}]},
    ],
    "openai": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "image_generation_call", "id": "ig_1", "result": "AAAA"},
        {"type": "text", "text": "The Rhine.", "annotations": [], "id": "msg_1"},
    ],
    "google_genai": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "executable_code", "executable_code": "print(1)", "language": 1},
        {"type": "code_execution_result", "code_execution_result": "1", "outcome": 1},
        {"type": "media", "mime_type": "image/png", "data": "AAAA"},
        {"type": "image", "file_id": "f"},
        "The Rhine.",
    ],
    "of standard blocks": [
        {"type": "non_standard", "value": {"type": "container_upload", "file_id": "f"}},
        {"type": "non_standard", "value": {"type": "thinking", "thinking": "hm"}},
        {"type": "server_tool_call", "id": "1", "name": "web_search", "args": {}},
        {"type": "text", "text": "The Rhine."},
    ],
}


@pytest.mark.filterwarnings("ignore:an earlier answer contains a content block")
@pytest.mark.parametrize("api", ["completions", "responses", "messages"])
@pytest.mark.parametrize("provider", ANSWERS)
def test_a_thread_of_another_provider_goes_on(provider: str, api: Any) -> None:
    answer = AIMessage(ANSWERS[provider], response_metadata={"model_provider": provider})
    llm = ChatKilo(model="x/y", api=api)
    messages: list[BaseMessage] = [HumanMessage("Name a river."), answer, HumanMessage("And another?")]
    body = INTERFACES[api].body(llm.prepare(conversation(messages), stream=False))
    sent = json.dumps(body["input" if api == "responses" else "messages"])
    assert sent.count("The Rhine.") == 1
    for kind in ("srvtoolu_1", "_call", "AAAA", "executable", "container_upload"):
        assert kind not in sent


def test_a_block_of_another_provider_is_reported_once() -> None:
    answer = AIMessage(ANSWERS["anthropic"], response_metadata={"model_provider": "anthropic"})
    with pytest.warns(UserWarning, match="an earlier answer contains") as caught:
        to_wire([answer, answer])
    assert [str(warning.message).split("type ")[1].split(",")[0] for warning in caught] == [
        "'server_tool_use'",
        "'web_search_tool_result'",
    ]
    to_wire([answer])


@pytest.mark.parametrize(("provider", "sent"), [("kilo", {"id": "audio_1"}), ("openai", None)])
def test_the_audio_of_another_provider_is_not_referred_to(provider: str, sent: Any) -> None:
    audio = {"id": "audio_1", "data": "AAAA", "transcript": "Rhine"}
    message = AIMessage("Rhine", additional_kwargs={"audio": audio}, response_metadata={"model_provider": provider})
    [wire] = to_wire([message])
    assert wire.get("audio") == sent
