"""Answers that are slow in a way of their own: what must end ends, and what is whole is returned."""

import asyncio
import gzip
import itertools
from typing import Any

import httpx
import httpx2
import openai
import pytest

from kilo_gateway import KiloServerError, KiloStatusError, KiloTimeoutError
from tests.faults.server import DONE, FINISH, HEAD, TEXT, USAGE, Say, server
from tests.faults.ways import STREAMED, WAYS, every_stream, every_way
from tests.wire.test_limits import GATEWAY, PLAIN, SOON, dripping, page

EMPTY_CALL = b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":""}}]}}]}\n\n'
EMPTY_PART = b'data: {"choices":[{"delta":{"content":[{"type":"text","text":""}]}}]}\n\n'
NO_USAGE = b'data: {"choices":[],"usage":{}}\n\n'
BAD_GATEWAY = HEAD.replace(b"200 OK", b"502 Bad Gateway").replace(b"text/event-stream", b"text/html")


@every_stream
@pytest.mark.parametrize(
    "frame",
    [USAGE, NO_USAGE, EMPTY_CALL, EMPTY_PART],
    ids=["the same usage", "an empty usage", "the same call", "an empty part"],
)
async def test_a_frame_that_only_repeats_ends_at_the_idle_limit(way: str, frame: bytes) -> None:
    cls, ask = WAYS[way]
    with dripping(HEAD, lambda: itertools.chain([TEXT], itertools.repeat(frame))) as url:
        llm = cls(base_url=url, stream_idle_timeout=0.3, max_retries=0)
        with pytest.raises(KiloTimeoutError, match=r"no data for 0\.3 seconds") as caught:
            await asyncio.wait_for(ask(llm), SOON)
    assert caught.value.partial_text == "whole"


@every_stream
@pytest.mark.parametrize("frame", [b": keep-alive\n\n", b"data: {}\n\n"], ids=["a comment", "an empty object"])
async def test_a_stream_without_its_content_type_ends_at_the_idle_limit(way: str, frame: bytes) -> None:
    cls, ask = WAYS[way]
    with dripping(PLAIN, lambda: itertools.chain([TEXT], itertools.repeat(frame))) as url:
        llm = cls(base_url=url, stream_idle_timeout=0.3, max_retries=0)
        with pytest.raises(KiloTimeoutError, match=r"no data for 0\.3 seconds") as caught:
            await asyncio.wait_for(ask(llm), SOON)
    assert caught.value.partial_text == "whole"


@every_stream
@pytest.mark.parametrize("limit", [{"stream_idle_timeout": 0.3}, {"total_timeout": 0.5}], ids=["idle", "total"])
async def test_keep_alives_behind_a_whole_answer_take_nothing_away(way: str, limit: dict[str, float]) -> None:
    cls, ask = WAYS[way]
    with dripping(HEAD, lambda: itertools.chain([TEXT + FINISH + USAGE], itertools.repeat(b": bye\n\n"))) as url:
        assert await asyncio.wait_for(ask(cls(base_url=url, max_retries=0, **limit)), SOON) == "whole"


@every_stream
async def test_a_connection_that_stays_open_behind_the_end_is_not_waited_for(way: str) -> None:
    cls, ask = WAYS[way]
    pieces = [TEXT + FINISH + USAGE + DONE]
    with dripping(HEAD, lambda: itertools.chain(pieces, itertools.repeat(b": bye\n\n"))) as url:
        assert await asyncio.wait_for(ask(cls(base_url=url, max_retries=0)), SOON) == "whole"


@every_way
async def test_a_page_of_an_error_has_the_limits_of_an_answer(way: str) -> None:
    cls, ask = WAYS[way]
    with dripping(BAD_GATEWAY, lambda: itertools.repeat(b" ")) as url:
        with pytest.raises((KiloTimeoutError, KiloServerError)):
            await asyncio.wait_for(ask(cls(base_url=url, total_timeout=0.4, max_retries=0)), SOON)
        if way in STREAMED:
            with pytest.raises((KiloTimeoutError, KiloServerError)):
                await asyncio.wait_for(ask(cls(base_url=url, stream_idle_timeout=0.3, max_retries=0)), SOON)


@pytest.mark.parametrize("way", ["langchain invoke", "langchain astream"])
async def test_a_page_of_a_redirect_is_read_only_so_far(way: str) -> None:
    cls, ask = WAYS[way]
    bomb = gzip.compress(b"<" * 300_000_000, compresslevel=9)
    answer = page(bomb, b"content-encoding: gzip", b"location: /elsewhere", status=b"302 Found")
    with server(answer) as (url, _), pytest.raises(KiloStatusError) as caught:
        await ask(cls(base_url=url + GATEWAY, max_retries=0))
    assert len(caught.value.response.content) < 100_000_000


@every_way
async def test_a_limit_of_the_whole_lengthens_no_other_limit(way: str) -> None:
    cls, ask = WAYS[way]
    library: Any = httpx if openai.VERSION.startswith("2.") else httpx2
    with server(Say(end="hold")) as (url, _):
        with library.Client(timeout=0.2) as own:
            async with library.AsyncClient(timeout=0.2) as own_async:
                fields = {"http_client": own, "http_async_client": own_async, "total_timeout": 3600, "max_retries": 0}
                with pytest.raises(KiloTimeoutError):
                    await asyncio.wait_for(ask(cls(base_url=url + GATEWAY, **fields)), SOON)
