"""Whatever an answer holds, what is shown of it steers no terminal, reorders no text and has an end."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from pydantic import BaseModel
from rich.console import Console

from kilo_gateway import KiloError, ModelCatalog
from kilo_gateway.encoding.printable import printable
from kilo_gateway.errors.connection import from_transport, interrupted
from kilo_gateway.errors.sent import Sent
from kilo_gateway.errors.translate import from_body, unreadable
from kilo_gateway.interfaces.chat_completions import ChatCompletions
from kilo_gateway.reply import Reply
from langchain_kilo.errors import KiloRefusalError

HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2066\u200f\ud83d\x00\r" + "x" * 1_000_000
LONGEST = 8_000


def is_safe(text: str) -> bool:
    """Return whether a terminal shows all of `text` and obeys none of it."""
    shown = (c for c in text if c not in "\n\t\u200c\u200d")
    return not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)


@given(st.text(), st.none() | st.integers(1, 30), st.booleans())
def test_any_text(text: str, limit: int | None, lines: bool) -> None:
    shown = printable(text, limit, lines=lines)
    assert is_safe(shown)
    assert lines or "\n" not in shown
    assert limit is None or len(shown) <= limit + len(" ...")


@pytest.mark.parametrize("text", ["Zoë 日本語", "a\u200cb", "👩\u200d👧", "un\u00a0mot", "a\n\tb"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_what_is_escaped_can_be_read() -> None:
    assert printable("a\x1b[2J\x07b\nc\td\r\n") == "a\\x1b[2J\\x07b\nc\td\n"
    assert printable("a\nb", lines=False) == "a\\nb"
    assert printable("abcdef", 3) == "abc ..."


class Response:
    """What an error is made of, with hostile headers."""

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.status_code = 500


def errors() -> Iterator[tuple[str, KiloError]]:
    fields = ("message", "code", "type", "title", "error_type", "buyCreditsUrl")
    for name in fields:
        yield name, from_body({"error": {"message": "no", name: HOSTILE}}, status=402)
        yield f"{name} in an answer", from_body({"error": {"message": "no", name: HOSTILE}}, status=None)
        yield f"top {name}", from_body({"error": "no", name: HOSTILE}, status=500)
    for name in ("provider_name", "raw", "buyCreditsUrl"):
        metadata = {name: HOSTILE}
        yield f"metadata {name}", from_body({"error": {"message": "no", "metadata": metadata}}, status=402)
    yield "text", from_body(HOSTILE, status=502)
    yield "request id", from_body("no", status=500, response=Response(request_id=HOSTILE))
    yield "location", from_body("no", status=302, response=Response(location=HOSTILE))
    yield "model", from_body("no", status=500, sent=Sent(model=HOSTILE))
    yield "cause", from_transport(OSError(HOSTILE), Sent())
    yield "broken", from_transport(OSError(HOSTILE), Sent(), response=Response())
    yield "unreadable", unreadable(HOSTILE, body={"a": HOSTILE})
    yield "interrupted", interrupted(HOSTILE, None, "")
    for body in (f'"{HOSTILE[-9:]}"', HOSTILE, "[" + "1," * 100_000 + "]"):
        with pytest.raises(KiloError) as caught:
            Reply.of(ChatCompletions().whole(body.encode("utf-8", "replace")))
        yield body[:20], caught.value


@pytest.mark.parametrize(
    ("where", "error"), [pytest.param(w, e, id=w.encode("unicode_escape").decode()) for w, e in errors()]
)
def test_an_error_shows_any_text_safely(where: str, error: KiloError) -> None:
    assert is_safe(str(error)), where
    assert is_safe(repr(error)), where
    assert len(str(error)) < LONGEST, where


class City(BaseModel):
    """A city."""

    name: str


@pytest.mark.parametrize("refused", [True, False])
def test_structured_output_shows_any_text_safely(refused: bool) -> None:
    from langchain_kilo import structured

    broken: Any = {"name": "City", "args": HOSTILE, "id": "a", "error": None, "type": "invalid_tool_call"}
    message = AIMessage(
        "",
        additional_kwargs={"refusal": HOSTILE} if refused else {},
        invalid_tool_calls=[] if refused else [broken],
    )
    parser = structured._PydanticToolsParser(tools=[City], wanted="City")
    with pytest.raises(OutputParserException) as caught:
        parser.parse_result([ChatGeneration(message=message)])
    assert isinstance(caught.value, KiloRefusalError) == refused
    assert caught.value.llm_output == HOSTILE
    assert is_safe(str(caught.value))
    assert len(str(caught.value)) < LONGEST


def test_a_table_shows_any_model_safely() -> None:
    catalog = ModelCatalog.read([{"id": f"a\n{HOSTILE.replace(chr(0xD83D), '')}", "context_length": 10**4000}])
    output = StringIO()
    Console(file=output, width=200).print(catalog)
    for shown in (str(catalog), catalog._repr_html_(), output.getvalue()):
        assert is_safe(shown)
        assert len(shown) < LONGEST
    assert len(str(catalog).splitlines()) == 3
