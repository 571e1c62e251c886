"""Documents that a model may cite: a document of Messages; on the other interfaces their title, source and content."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway import GatewaySettings
from kilo_gateway.conversation import Document, File, Image, Message, Text, ToolCall, ToolResult
from kilo_gateway.interfaces.chat_completions import history as chat
from kilo_gateway.interfaces.messages import history as messages
from kilo_gateway.interfaces.responses import history as responses
from kilo_gateway.models.prices import size_of

MARK = {"type": "ephemeral"}
SOURCE = "https://example.com/rivers"
RIVERS = Document([Text("The Rhine is 1233 km long.")], "Rivers", SOURCE)
HEADING = "Title: Rivers\nSource: https://example.com/rivers\n"
PDF = File("data:application/pdf;base64,AAAA", filename="a.pdf")
PIXEL = Image("data:image/png;base64,QQ==")
CITABLE = {"title": "Rivers", "context": SOURCE, "citations": {"enabled": True}}


def text_source(text: str) -> dict[str, Any]:
    return {"type": "text", "media_type": "text/plain", "data": text}


def content_source(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content", "content": list(blocks)}


def written(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def user(*parts: Any) -> Any:
    [message] = messages.messages([Message("user", parts)])
    return message["content"]


PIXEL_BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}
PDF_SOURCE = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
A, B = Text("a"), Text("b")


@pytest.mark.parametrize(
    ("parts", "sources"),
    [
        ([A], [text_source("a")]),
        ([A, B], [content_source(written("a"), written("b"))]),
        ([A, PIXEL], [content_source(written("a"), PIXEL_BLOCK)]),
        ([PDF], [PDF_SOURCE]),
        ([File("https://example.com/a.pdf")], [{"type": "url", "url": "https://example.com/a.pdf"}]),
        ([File("data:text/plain,a")], [text_source("a")]),
        ([A, PDF, B], [text_source("a"), PDF_SOURCE, text_source("b")]),
        ([Text(" ")], []),
    ],
)
def test_messages_have_documents(parts: list[Any], sources: list[Any]) -> None:
    sent = user(Text("Hi"), Document(parts, "Rivers", SOURCE, MARK))[1:]
    assert sent == [{"type": "document", "source": source, **CITABLE} for source in sources[:-1]] + [
        {"type": "document", "source": source, **CITABLE, "cache_control": MARK} for source in sources[-1:]
    ]


def test_a_file_keeps_its_own_name_without_a_title() -> None:
    assert user(Document([PDF])) == [
        {"type": "document", "source": PDF_SOURCE, "title": "a.pdf", "citations": {"enabled": True}}
    ]


def test_a_tool_may_return_a_document() -> None:
    conversation = [
        Message("user", [Text("Hi")]),
        Message("assistant", [ToolCall("call_1", "look_up")]),
        Message("tool", [ToolResult("call_1", [RIVERS])]),
    ]
    [result] = messages.messages(conversation)[2]["content"]
    assert result["content"] == [{"type": "document", "source": text_source("The Rhine is 1233 km long."), **CITABLE}]
    texts = [HEADING, "The Rhine is 1233 km long."]
    assert chat.messages(conversation)[2]["content"] == [written(text) for text in texts]
    output = responses.items(conversation, "vendor/model")[2]["output"]
    assert output == [{"type": "input_text", "text": text} for text in texts]


def test_the_other_interfaces_get_title_source_and_content() -> None:
    asked = [Message("user", [Text("How long?"), Document([A, PIXEL], "Rivers", None, MARK), PDF])]
    [message] = chat.messages(asked)
    *texts, pixel, pdf = message["content"]
    assert texts == [written("How long?"), written("Title: Rivers\n"), written("a")]
    assert pixel == {"type": "image_url", "image_url": {"url": PIXEL.url}, "cache_control": MARK}
    assert pdf["file"]["filename"] == "a.pdf"
    [item] = responses.items(asked, "vendor/model")
    assert [part["type"] for part in item["content"]] == [*["input_text"] * 3, "input_image", "input_file"]


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_where_messages_have_no_documents_they_are_texts(role: str) -> None:
    conversation = [Message("user", [Text("Hi")]), Message(role, [RIVERS])]
    sent = messages.system(conversation) if role == "system" else messages.messages(conversation)[1]["content"]
    assert "".join(block["text"] for block in sent) == f"{HEADING}The Rhine is 1233 km long."


def test_a_document_is_part_of_the_prompt_that_a_budget_counts() -> None:
    short, long = (
        size_of(GatewaySettings().prepare([Message("user", [Document([Text("a" * count)])])], stream=False))
        for count in (10, 1000)
    )
    assert long.prompt - short.prompt >= 990
