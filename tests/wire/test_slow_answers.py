"""Test slow answers: limits end those that must end, and complete answers are returned."""

import asyncio
import gzip
import itertools
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest

from kilo_gateway import KiloError, KiloTimeoutError
from langchain_kilo import ChatKilo
from tests.matrix.faults import self_signed
from tests.support.leftovers import open_to, stays_open
from tests.support.server import DONE, FINISH, GOOD, HEAD, TEXT, USAGE, Say, chunked, server
from tests.support.ways import STREAMED, WAYS, every_stream, every_way
from tests.wire.test_limits import GATEWAY, SOON, dripping, page

HTTP: Any = httpx if openai.VERSION.startswith("2.") else httpx2
BAD_GATEWAY = HEAD.replace(b"200 OK", b"502 Bad Gateway").replace(b"text/event-stream", b"text/html")


@every_stream
@pytest.mark.parametrize("limit", [{"stream_idle_timeout": 0.3}, {"total_timeout": 0.5}], ids=["idle", "total"])
async def test_keep_alives_after_a_complete_answer_do_no_harm(way: str, limit: dict[str, Any]) -> None:
    cls, ask = WAYS[way]
    with dripping(HEAD, lambda: itertools.chain([TEXT + FINISH + USAGE], itertools.repeat(b": bye\n\n"))) as url:
        assert await asyncio.wait_for(ask(cls(base_url=url, max_retries=0, **limit)), SOON) == "whole"


@every_stream
async def test_a_connection_that_stays_open_after_the_end_is_not_waited_for(way: str) -> None:
    cls, ask = WAYS[way]
    pieces = [TEXT + FINISH + USAGE + DONE]
    with dripping(HEAD, lambda: itertools.chain(pieces, itertools.repeat(b": bye\n\n"))) as url:
        assert await asyncio.wait_for(ask(cls(base_url=url, max_retries=0)), SOON) == "whole"


@every_way
async def test_an_error_page_has_the_limits_of_an_answer(way: str) -> None:
    cls, ask = WAYS[way]
    with dripping(BAD_GATEWAY, lambda: itertools.repeat(b" ")) as url:
        with pytest.raises(KiloTimeoutError):
            await asyncio.wait_for(ask(cls(base_url=url, total_timeout=0.4, max_retries=0)), SOON)
        if way in STREAMED:
            with pytest.raises(KiloTimeoutError):
                await asyncio.wait_for(ask(cls(base_url=url, stream_idle_timeout=0.3, max_retries=0)), SOON)


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
async def test_a_call_that_is_cancelled_during_an_error_page_closes_its_connection(transport: Any) -> None:
    begun = threading.Event()

    def pieces() -> Iterator[bytes]:
        for piece in itertools.repeat(b" ", 1_000):
            yield piece
            begun.set()

    with dripping(BAD_GATEWAY, pieces) as url:
        task = asyncio.ensure_future(ChatKilo(base_url=url, max_retries=0, transport=transport).ainvoke("hi"))
        assert await asyncio.to_thread(begun.wait, 10)
        assert open_to(url) == 1
        task.cancel()
        await asyncio.wait([task])
        assert not await stays_open(url, 0)


@every_way
async def test_a_truncated_error_page_is_retried(way: str) -> None:
    cls, ask = WAYS[way]
    busy = page(b"upstream is busy", b"retry-after-ms: 1", status=b"503 Service Unavailable")[:-5]
    with server(busy, GOOD) as (url, seen):
        assert await ask(cls(base_url=url + GATEWAY)) == "whole"
    assert len(seen) == 2


@pytest.mark.parametrize("status", [b"302 Found", b"502 Bad Gateway"])
@pytest.mark.parametrize("way", ["langchain invoke", "langchain astream"])
async def test_an_error_page_is_short_for_every_client(way: str, status: bytes) -> None:
    cls, ask = WAYS[way]
    bomb = gzip.compress(b"<" * 100_000_000, compresslevel=9)
    answer = page(bomb, b"content-encoding: gzip", b"location: /elsewhere", status=status)
    with server(answer) as (url, _), HTTP.Client() as own:
        async with HTTP.AsyncClient() as own_async:
            for fields in ({}, {"http_client": own, "http_async_client": own_async}):
                with pytest.raises(KiloError) as caught:
                    await ask(cls(base_url=url + GATEWAY, max_retries=0, **fields))
                assert caught.value.status_code == int(status[:3])
                assert len(caught.value.response.content) <= 64_000


@every_way
async def test_the_total_timeout_does_not_extend_other_limits(way: str) -> None:
    cls, ask = WAYS[way]
    with server(Say(end="hold")) as (url, _), HTTP.Client(timeout=0.2) as own:
        async with HTTP.AsyncClient(timeout=0.2) as own_async:
            fields = {"http_client": own, "http_async_client": own_async, "total_timeout": 3600, "max_retries": 0}
            with pytest.raises(KiloTimeoutError):
                await asyncio.wait_for(ask(cls(base_url=url + GATEWAY, **fields)), SOON)


@every_way
async def test_the_total_timeout_ends_a_read_over_tls(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls, ask = WAYS[way]
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    said = Say(HEAD + chunked(TEXT) if way in STREAMED else page(b"{}")[:-1], end="hold")
    with server(said, tls=context) as (url, seen), pytest.raises(KiloTimeoutError, match=r"total_timeout=1 seconds"):
        await asyncio.wait_for(ask(cls(base_url=url + GATEWAY, total_timeout=1)), SOON)
    assert len(seen) == 1
