"""Test answers that never end, arrive in pieces, grow too large or contain a cookie."""

import asyncio
import gzip
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kilo_gateway import (
    KiloConnectionError,
    KiloError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
    KiloTimeoutError,
    list_models,
)
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloLLM
from tests.support.server import GOOD, HEAD, TEXT, USAGE, End, Say, chunked, server
from tests.support.ways import STREAMED, WAYS, both, every_stream, every_way

NOT_STREAMED = [way for way in WAYS if way not in STREAMED]
BODY = b'{"choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}'
GATEWAY = "/api/gateway"
SOON = 20.0
"""Seconds after which a test stops a call that hangs."""


def page(content: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    length = b"content-length: %d" % len(content)
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, length, b"connection: close", b"", content])


@contextmanager
def dripping(head: bytes, pieces: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """Serve `pieces`, one every 20 ms, until the client hangs up."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            try:
                self.wfile.write(head)
                for piece in pieces():
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    if stop.wait(0.02):
                        return
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}{GATEWAY}"
    finally:
        stop.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


PLAIN = HEAD.replace(b"text/event-stream", b"application/json")


@both
def test_a_cookie_of_one_account_is_not_sent_with_another(cls: Any) -> None:
    cookie = b"set-cookie: session=of-account-a; Path=/"
    answer = page(BODY, b"content-type: application/json", cookie)
    with server(answer) as (url, seen), server(answer) as (other_url, others):
        for key in ("key-a", "key-b", None):
            for base in (url, other_url):
                asyncio.run(_ask_both_ways(cls(api_key=key, base_url=base + GATEWAY)))
    assert len(seen) == len(others) == 6
    assert not [request for request in (*seen, *others) if b"cookie" in request.lower()]


async def _ask_both_ways(llm: Any) -> None:
    if isinstance(llm, ChatKilo):
        llm.invoke("hi")
        await llm.ainvoke("hi")
    else:
        llm.complete("hi")
        await llm.acomplete("hi")


@every_stream
async def test_spaces_instead_of_an_answer_end_at_the_idle_limit(way: str) -> None:
    cls, ask = WAYS[way]
    with dripping(PLAIN, lambda: itertools.repeat(b"  \n")) as url:
        llm = cls(base_url=url, stream_idle_timeout=0.3, max_retries=0)
        with pytest.raises(KiloTimeoutError, match=r"no data for 0\.3 seconds"):
            await asyncio.wait_for(ask(llm), SOON)


EMPTY_CALL = (
    b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1",'
    b'"function":{"name":"f","arguments":""}}]}}]}\n\n'
)
EMPTY_FRAMES = {
    "an empty object": b"data: {}\n\n",
    "an empty delta": b'data: {"choices":[{"delta":{}}]}\n\n',
    "an empty part": b'data: {"choices":[{"delta":{"content":[{"type":"text","text":""}]}}]}\n\n',
    "an empty usage": b'data: {"choices":[],"usage":{}}\n\n',
    "no choices": b'data: {"id":"x","choices":[]}\n\n',
    "the same usage": USAGE,
    "the same call": EMPTY_CALL,
    "a comment": b": hi\n\n",
}


@every_stream
@pytest.mark.parametrize(
    ("head", "frame"),
    [(HEAD, name) for name in EMPTY_FRAMES] + [(PLAIN, "a comment"), (PLAIN, "an empty object")],
    ids=[*EMPTY_FRAMES, "undeclared, a comment", "undeclared, an empty object"],
)
async def test_frames_without_news_end_at_the_idle_limit(way: str, head: bytes, frame: str) -> None:
    cls, ask = WAYS[way]
    with dripping(head, lambda: itertools.chain([TEXT], itertools.repeat(EMPTY_FRAMES[frame]))) as url:
        llm = cls(base_url=url, stream_idle_timeout=0.3, max_retries=0)
        with pytest.raises(KiloTimeoutError, match=r"no data for 0\.3 seconds") as caught:
            await asyncio.wait_for(ask(llm), SOON)
    assert caught.value.partial_text == "whole"


@every_way
async def test_the_total_time_has_a_limit(way: str) -> None:
    cls, ask = WAYS[way]
    pieces = itertools.repeat(TEXT if way in STREAMED else b'{"choices":')
    with dripping(HEAD if way in STREAMED else PLAIN, lambda: pieces) as url:
        llm = cls(base_url=url, total_timeout=0.4, max_retries=0)
        with pytest.raises(KiloTimeoutError, match=r"total_timeout=0\.4 seconds"):
            await asyncio.wait_for(ask(llm), SOON)
        with pytest.raises(KiloTimeoutError, match=r"total_timeout=0\.3 seconds"):
            await asyncio.wait_for(ask(llm.model_copy(update={"total_timeout": None}), total_timeout=0.3), SOON)


@every_way
async def test_the_limit_ends_a_read_that_waits(way: str) -> None:
    cls, ask = WAYS[way]
    said = Say(HEAD + chunked(TEXT) if way in STREAMED else page(BODY)[:-5], end="hold")
    with server(said) as (url, seen), pytest.raises(KiloTimeoutError, match=r"total_timeout=0\.4 seconds"):
        await asyncio.wait_for(ask(cls(base_url=url + GATEWAY, total_timeout=0.4)), SOON)
    assert len(seen) == 1


@every_way
async def test_the_limit_includes_retries_and_their_waits(way: str) -> None:
    cls, ask = WAYS[way]
    busy = page(b"{}", b"retry-after: 30", status=b"429 Too Many Requests")
    with server(busy) as (url, seen):
        began = time.monotonic()
        with pytest.raises(KiloTimeoutError, match="total_timeout=5 seconds"):
            await ask(cls(base_url=url + GATEWAY, total_timeout=5))
        assert time.monotonic() - began < 5
    assert len(seen) == 1


@every_way
async def test_an_answer_in_time_is_not_affected(way: str) -> None:
    cls, ask = WAYS[way]
    with server(GOOD) as (url, _):
        assert await ask(cls(base_url=url + GATEWAY, total_timeout=SOON)) == "whole"


@pytest.mark.parametrize("way", NOT_STREAMED)
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_truncated_body_is_not_requested_again(way: str, end: End) -> None:
    cls, ask = WAYS[way]
    whole = page(BODY, b"content-type: application/json")
    with (
        server(whole[: -len(BODY) // 20], end=end) as (url, seen),
        pytest.raises(KiloConnectionError, match="may have been billed, so the request was not sent again"),
    ):
        await ask(cls(base_url=url + GATEWAY))
    assert len(seen) == 1


@every_way
@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "idna", "undefined", "rot13", "zlib", "hex", "punycode", "x"])
async def test_an_error_page_in_an_odd_charset_is_read(way: str, charset: str) -> None:
    cls, ask = WAYS[way]
    content = b"\x81gateway down \xff\x00\xd8"
    answer = page(content, b"content-type: text/html; charset=" + charset.encode(), status=b"502 Bad Gateway")
    with server(answer) as (url, _), pytest.raises(KiloServerError):
        await ask(cls(base_url=url + GATEWAY, max_retries=0))


def test_an_error_page_in_latin_1_is_read_as_such() -> None:
    content = "Dépassé".encode("latin-1")
    answer = page(content, b"content-type: text/plain; charset=iso-8859-1", status=b"502 Bad Gateway")
    with server(answer) as (url, _), pytest.raises(KiloServerError, match="Dépassé"):
        ChatKilo(base_url=url + GATEWAY, max_retries=0).invoke("hi")


@both
def test_retry_after_may_be_a_date(cls: Any) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=3000), usegmt=True)
    with server(page(b"{}", b"retry-after: " + later.encode(), status=b"429 Too Many Requests")) as (url, _):
        llm: ChatKilo | KiloLLM = cls(base_url=url + GATEWAY, max_retries=0)
        with pytest.raises(KiloRateLimitError) as caught:
            asyncio.run(_ask_both_ways(llm))
    assert caught.value.retry_after == pytest.approx(3000, abs=60)


@pytest.mark.parametrize("later", ["yesterday", "Sun, 99 Nov 9999 99:99:99 GMT", "-5", "nan"])
def test_a_retry_after_that_is_neither_is_not_reported(later: str) -> None:
    with (
        server(page(b"{}", b"retry-after: " + later.encode(), status=b"429 Too Many Requests")) as (url, _),
        pytest.raises(KiloRateLimitError) as caught,
    ):
        ChatKilo(base_url=url + GATEWAY, max_retries=0).invoke("hi")
    assert caught.value.retry_after is None


@every_way
async def test_a_wait_that_is_too_long_raises_at_once(way: str) -> None:
    cls, ask = WAYS[way]
    with (
        server(page(b"{}", b"retry-after: 60", status=b"429 Too Many Requests")) as (url, seen),
        pytest.raises(KiloRateLimitError) as caught,
    ):
        await ask(cls(base_url=url + GATEWAY, max_retry_wait=10))
    assert caught.value.retry_after == 60
    assert len(seen) == 1


BOMB = gzip.compress(b" " * 5_000_000)


@pytest.mark.parametrize("way", NOT_STREAMED)
async def test_a_decompressed_body_ends_at_the_limit(way: str) -> None:
    cls, ask = WAYS[way]
    with (
        server(page(BOMB, b"content-encoding: gzip", b"content-type: application/json")) as (url, seen),
        pytest.raises(KiloResponseError, match="larger than max_response_bytes=1000000"),
    ):
        await ask(cls(base_url=url + GATEWAY, max_response_bytes=1_000_000))
    assert len(seen) == 1


def test_other_bodies_end_at_the_limit() -> None:
    with server(page(BOMB, b"content-encoding: gzip", b"content-type: application/json")) as (url, _):
        base_url = url + GATEWAY
        with pytest.raises(KiloResponseError, match="max_response_bytes"):
            KiloEmbeddings(base_url=base_url, max_response_bytes=1000).embed_query("hi")
        with pytest.raises(KiloResponseError, match="max_response_bytes"):
            list_models(base_url=base_url, refresh=True, max_response_bytes=1000)


@pytest.mark.parametrize("way", ["langchain invoke", "langchain astream"])
async def test_an_error_page_is_read_up_to_a_limit(way: str) -> None:
    cls, ask = WAYS[way]
    bomb = gzip.compress(b"<" * 300_000_000, compresslevel=9)
    with (
        server(page(bomb, b"content-encoding: gzip", status=b"502 Bad Gateway")) as (url, _),
        pytest.raises(KiloServerError) as caught,
    ):
        await ask(cls(base_url=url + GATEWAY, max_retries=0))
    assert len(caught.value.response.content) < 100_000_000
    assert len(str(caught.value)) < 5_000


@every_way
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "hello"])
async def test_an_unrequested_encoding_is_an_error(way: str, encoding: str) -> None:
    cls, ask = WAYS[way]
    cases: list[tuple[bytes, type[KiloError]]] = [(b"200 OK", KiloResponseError), (b"502 Bad Gateway", KiloServerError)]
    for status, expected in cases:
        answer = page(gzip.compress(BODY), b"content-encoding: " + encoding.encode(), status=status)
        with server(answer) as (url, seen), pytest.raises(expected):
            await ask(cls(base_url=url + GATEWAY, max_retries=0))
        assert b"accept-encoding: gzip, deflate\r\n" in seen[0].lower()
