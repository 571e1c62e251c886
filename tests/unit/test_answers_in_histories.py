"""Citations, phases and the provider's own tools in both frameworks, and what goes back of them on each interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, message_to_dict, messages_from_dict
from llama_index.core.base.llms.types import ChatMessage, CitationBlock, TextBlock
from llama_index.core.memory import ChatMemoryBuffer

import langchain_kilo.from_gateway as langchain_answers
import langchain_kilo.to_gateway as langchain_history
import llama_index_kilo.from_gateway as llama_index_answers
import llama_index_kilo.to_gateway as llama_index_history
from kilo_gateway import GatewaySettings, Reply
from kilo_gateway.conversation import Message
from kilo_gateway.interfaces import INTERFACES
from kilo_gateway.reply import citation_of
from tests.unit.interfaces import responses_events as responses
from tests.unit.interfaces.messages_events import CITATION, FOUND, SEARCH, decoded, grows, starts, stops, text, whole

CALL = GatewaySettings(model="vendor/model").prepare("Hi", stream=False)
IN_A_TEXT = {
    "type": "char_location",
    "cited_text": "1233 km",
    "document_index": 0,
    "document_title": "Rivers",
    "start_char_index": 0,
    "end_char_index": 7,
}
TEXT = "The Rhine. It is 1233 km long. It is in Europe."


def answer() -> Reply:
    """Return an answer with a search and three texts, of which the last two cite."""
    cited = [starts(3, type="text", text="", citations=[]), grows(3, "text_delta", text="It is 1233 km long. ")]
    return decoded(
        *whole(
            starts(0, **SEARCH),
            stops(0),
            starts(1, **FOUND),
            stops(1),
            text(2, "The Rhine. "),
            [*cited, *(grows(3, "citations_delta", citation=c) for c in (CITATION, {**IN_A_TEXT, "file_id": None}))],
            stops(3),
            [starts(4, type="text", text="It is in Europe.", citations=[CITATION]), stops(4)],
        )
    )


def _langchain(reply: Reply) -> list[Message]:
    message = langchain_answers.to_message(reply, CALL)
    stored = json.loads(json.dumps(message_to_dict(message)))
    return langchain_history.conversation([HumanMessage("Hi"), *messages_from_dict([stored])])


def _content_blocks(reply: Reply) -> list[Message]:
    """Return a history in which only the content blocks of the answer are left."""
    blocks = langchain_answers.to_message(reply, CALL).content_blocks
    return langchain_history.conversation([HumanMessage("Hi"), AIMessage(content_blocks=blocks)])


def _llama_index(reply: Reply) -> list[Message]:
    stored = llama_index_answers.response_of(reply, CALL).message.model_dump_json()
    memory = ChatMemoryBuffer.from_defaults(token_limit=10_000, tokenizer_fn=str.split)
    memory.put_messages([ChatMessage("Hi"), ChatMessage.model_validate_json(stored)])
    return llama_index_history.conversation(memory.get())


def sent(conversation: list[Message], api: str) -> Any:
    body = INTERFACES[api].body(GatewaySettings(model="vendor/model").prepare(conversation, stream=False))
    return body["input" if api == "responses" else "messages"]


FRAMEWORKS = pytest.mark.parametrize("history", [_langchain, _llama_index])
FIRST = {"type": "text", "text": "The Rhine. "}
SECOND = {"type": "text", "text": "It is 1233 km long. ", "citations": [CITATION, IN_A_TEXT]}
THIRD = {"type": "text", "text": "It is in Europe.", "citations": [CITATION]}


@FRAMEWORKS
def test_on_messages_the_answer_goes_back_as_it_came(history: Callable[[Reply], list[Message]]) -> None:
    _, assistant = sent(history(answer()), "messages")
    assert assistant["content"] == [SEARCH, FOUND, FIRST, SECOND, THIRD]
    assert json.dumps(assistant["content"][4]) == json.dumps(THIRD)  # the order of keys, too


@FRAMEWORKS
def test_on_the_other_interfaces_the_text_goes_back_once(history: Callable[[Reply], list[Message]]) -> None:
    conversation = history(answer())
    assert sent(conversation, "completions")[1] == {"role": "assistant", "content": TEXT}
    [said] = sent(conversation, "responses")[1:]
    assert "".join(part["text"] for part in said["content"]) == TEXT
    assert "1233" not in json.dumps(sent(conversation, "responses")).replace(TEXT[11:31], "")


@FRAMEWORKS
def test_on_responses_items_of_the_providers_tools_and_phases_go_back(
    history: Callable[[Reply], list[Message]],
) -> None:
    search: Any = {"type": "web_search_call", "status": "completed", "action": {"query": "x"}}
    image = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}
    comment = {**responses.MESSAGE, "id": "msg_0", "phase": "commentary"}
    output = [
        responses.REASONING,
        comment,
        {**search, "id": "ws_1"},
        image,
        {**responses.MESSAGE, "phase": "final_answer"},
    ]
    conversation = history(responses.reply_of(responses.completed(*output)))
    reasoning, *rest = sent(conversation, "responses")[1:]
    assert reasoning["encrypted_content"] == "gAAAA"
    said = {name: value for name, value in responses.MESSAGE.items() if name != "id"}
    assert rest == [{**said, "phase": "commentary"}, search, {**said, "phase": "final_answer"}]
    assert sent(conversation, "messages")[1]["content"] == [{"type": "text", "text": "Hello"}] * 2
    assert sent(conversation, "completions")[1]["content"] == "HelloHello"


def test_content_blocks_alone_keep_what_the_provider_ran() -> None:
    """Without a layout the texts are one, so that no citation has exactly its place."""
    _, assistant = sent(_content_blocks(answer()), "messages")
    assert assistant["content"] == [SEARCH, FOUND, {"type": "text", "text": TEXT}]
    lone = decoded(*whole([starts(0, type="text", text="One.", citations=[CITATION]), stops(0)]))
    _, assistant = sent(_content_blocks(lone), "messages")
    assert assistant["content"] == [{"type": "text", "text": "One.", "citations": [CITATION]}]


def test_citations_of_an_edited_text_stay_here() -> None:
    reply = decoded(*whole([starts(0, type="text", text="One.", citations=[CITATION]), stops(0)]))
    message = langchain_answers.to_message(reply, CALL)
    message.content = "Another."
    _, assistant = sent(langchain_history.conversation([HumanMessage("Hi"), message]), "messages")
    assert assistant["content"] == [{"type": "text", "text": "Another."}]


def test_citations_of_another_interface_do_not_go_to_messages() -> None:
    cited = {"type": "url_citation", "url": "https://example.com", "start_index": 0, "end_index": 4}
    message = AIMessage("One.", additional_kwargs={"annotations": [cited]})
    _, assistant = sent(langchain_history.conversation([HumanMessage("Hi"), message]), "messages")
    assert assistant["content"] == [{"type": "text", "text": "One."}]


def test_llama_index_shows_citation_blocks() -> None:
    message = llama_index_answers.response_of(answer(), CALL).message
    said, first, second, third = message.blocks
    assert (said, message.content) == (TextBlock(text=TEXT), TEXT)
    place = {"start_index": 11, "end_index": 31}
    assert first == CitationBlock(
        cited_content=TextBlock(text="One"),
        source="https://example.com",
        title="Example",
        additional_location_info=place,
    )
    in_the_source = {"document_index": 0, "start_char_index": 0, "end_char_index": 7}
    assert second == CitationBlock(
        cited_content=TextBlock(text="1233 km"),
        source="Rivers",
        title="Rivers",
        additional_location_info={**in_the_source, **place},
    )
    assert isinstance(third, CitationBlock)


def test_langchain_shows_standard_citations() -> None:
    [text_block] = [b for b in langchain_answers.to_message(answer(), CALL).content_blocks if b["type"] == "text"]
    citations: list[Any] = text_block["annotations"]
    assert [TEXT[c["start_index"] : c["end_index"]] for c in citations] == ["It is 1233 km long. "] * 2 + [
        "It is in Europe."
    ]
    assert {name: citations[1][name] for name in ("type", "title", "cited_text")} == {
        "type": "citation",
        "title": "Rivers",
        "cited_text": "1233 km",
    }


@pytest.mark.parametrize(
    ("annotation", "source", "title"),
    [
        ({"type": "url_citation", "url_citation": {"url": "https://a.org", "title": "A"}}, "https://a.org", "A"),
        ({"type": "url_citation", "url": "https://a.org", "start_index": True}, "https://a.org", None),
        ({"type": "file_citation", "file_id": "file_1", "filename": "a.pdf", "index": 3}, "a.pdf", None),
        ({"type": "search_result_location", "source": "s", "title": None, "cited_text": "x"}, "s", None),
    ],
)
def test_annotations_of_each_interface_are_citations(annotation: Any, source: str, title: str | None) -> None:
    citation = citation_of(annotation)
    assert citation is not None
    assert (citation.source, citation.title) == (source, title)
    assert "start_index" not in citation.numbers


def test_a_parsed_file_is_not_a_citation() -> None:
    parsed = {"type": "file", "file": {"hash": "ab12", "name": "a.pdf"}}
    message = AIMessage(
        "One.", additional_kwargs={"annotations": [parsed]}, response_metadata={"model_provider": "kilo"}
    )
    assert message.content_blocks[0]["annotations"] == [{"type": "non_standard_annotation", "value": parsed}]  # type: ignore[typeddict-item] # one of a union
