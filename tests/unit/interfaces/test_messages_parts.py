"""The parts of a user's message as blocks of a Messages request, or the error that says which interface has them."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway.conversation import Audio, File, Image, Message, Opaque, Part, Text, Thought, ToolCall, Video
from kilo_gateway.interfaces.messages import history

MARK = {"type": "ephemeral"}
URL = "https://example.com/a"
PDF = "data:application/pdf;base64,AAAA"


def user(*parts: Part) -> Any:
    """Return the blocks of a user message with these parts."""
    [message] = history.messages([Message("user", parts)])
    assert message["role"] == "user"
    return message["content"]


def written(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def image(media_type: str | None, data: str, **more: Any) -> dict[str, Any]:
    return {"type": "image", "source": source(media_type, data), **more}


def document(media_type: str | None, data: str, **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": source(media_type, data), **more}


def source(media_type: str | None, data: str) -> dict[str, Any]:
    if media_type is None:
        return {"type": "url", "url": data}
    kind = "text" if media_type == "text/plain" else "base64"
    return {"type": kind, "media_type": media_type, "data": data}


UPLOADED = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
FOUND = {"type": "search_result", "title": "t"}
CHAPTERS = {"type": "document", "source": {"type": "content"}}
NAMED = {"file_data": PDF, "filename": "a.pdf"}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Text("a", MARK), {**written("a"), "cache_control": MARK}),
        (Image("data:image/png;base64,AAAA", "low", MARK), image("image/png", "AAAA", cache_control=MARK)),
        (Image("data:image/jpg;base64,AAAA"), image("image/jpeg", "AAAA")),
        (Image(URL), image(None, URL)),
        (File(PDF, filename="a.pdf"), document("application/pdf", "AAAA", title="a.pdf")),
        (File(PDF, cache_control=MARK), document("application/pdf", "AAAA", cache_control=MARK)),
        (File("data:text/csv;base64,YSxi"), document("text/plain", "a,b")),
        (File("data:text/plain,a%20b"), document("text/plain", "a b")),
        (File("data:application/json;charset=utf-8;base64,e30="), document("text/plain", "{}")),
        (File("data:image/png;base64,AAAA"), image("image/png", "AAAA")),
        (File(URL), document(None, URL)),
        (File(file_id="file_1"), UPLOADED),
        (Opaque(FOUND), FOUND),
        (Opaque(CHAPTERS), CHAPTERS),
        (Opaque({"type": "file", "file": {"file_id": "file_1"}}), UPLOADED),
        (
            Opaque({"type": "file", "file": NAMED, "cache_control": MARK}),
            document("application/pdf", "AAAA", title="a.pdf", cache_control=MARK),
        ),
        (Opaque({"type": "image_url", "image_url": {"url": URL}}), image(None, URL)),
        (Opaque({"type": "image_url", "image_url": URL}), image(None, URL)),
        (Opaque({"type": "text", "text": "a"}), written("a")),
        (Opaque({"type": "mcp_tool_result"}, "block"), {"type": "mcp_tool_result"}),
    ],
)
def test_parts(part: Part, expected: Any) -> None:
    assert user(part) == [expected]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Audio("AAAA", "audio/wav"), "audio has no place in the Messages interface.*api='completions'"),
        (Opaque({"type": "input_audio", "input_audio": {}}), "audio has no place"),
        (Video("https://example.com/a.mp4"), "a video has no place in the Messages interface.*api='completions'"),
        (Opaque({"type": "video_url"}), "a video has no place"),
        (Opaque({"type": "strange"}), "a content block of type 'strange' has no place.*api='completions'"),
        (Opaque({"type": "image"}), "a content block of type 'image' has no place"),
        (Opaque(5), "a content block is 5; it must be a dict"),
        (Opaque(None, "block"), "a content block is None; it must be a dict"),
        (Image("gs://a/b.png"), "'gs://a/b.png', which has no place.*use an http"),
        (Image("data:AAAA"), "a data URL has the form"),
        (File(), "a file needs a url, base64 data or a file_id"),
        (
            File("data:application/zip;base64,AAAA", filename="a.zip"),
            "'a.zip' is of type 'application/zip'.*send a PDF",
        ),
        (File("data:text/plain;base64,/w==", filename="a.txt"), "'a.txt' cannot be read.*base64 of UTF-8"),
        (File("data:text/plain;base64,A"), "cannot be read"),
        (ToolCall("t1", "add", "{}"), "a ToolCall has no place in this message"),
        (Thought("x"), "a Thought has no place in this message"),
    ],
)
def test_parts_without_a_place(part: Part, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        user(part)


def test_texts_and_files_of_nothing_are_left_out() -> None:
    assert user(Text("a"), Text("\n"), File("data:text/plain;base64,"), Opaque({"type": "text", "text": ""})) == [
        written("a")
    ]
