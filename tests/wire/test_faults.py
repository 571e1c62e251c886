"""Test faults that no HTTP framework sends, from a plain socket, and resources that must not accumulate."""

import asyncio
import gc
import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kilo_gateway import (
    KiloConnectionError,
    KiloDataPolicyWarning,
    KiloInvalidRequestError,
    KiloServerError,
    KiloStreamInterruptedError,
)
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.transport import clients, event_loops
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.server import DONE, FINISH, HEAD, TEXT, USAGE, End, chunked, server
from tests.support.ways import both, collect, every_langchain_stream


@every_langchain_stream
@pytest.mark.parametrize(
    ("frames", "end"),
    [
        ((TEXT, FINISH, USAGE, DONE), "reset"),
        ((TEXT, FINISH, USAGE, DONE), "close"),
        ((TEXT, FINISH, DONE), "close"),
        ((TEXT, FINISH, USAGE), "close"),
        ((TEXT, FINISH, USAGE), "reset"),
        ((TEXT, FINISH, USAGE, DONE), "hold"),
    ],
)
def test_a_complete_answer_survives_a_broken_end(way: str, frames: tuple[bytes, ...], end: End) -> None:
    with server(HEAD + chunked(*frames), end=end) as (url, _):
        llm = ChatKilo(base_url=url, stream_idle_timeout=0.5, max_retries=0)
        chunks = collect(getattr(llm, way)("hi"))
    assert "".join(chunk.text for chunk in chunks) == "whole"
    assert chunks[-1].response_metadata["finish_reason"] == "stop"


@every_langchain_stream
@pytest.mark.parametrize("end", ["reset", "close"])
@pytest.mark.parametrize("frames", [(TEXT,), (TEXT, FINISH), (TEXT, DONE)])
def test_an_incomplete_answer_raises(way: str, frames: tuple[bytes, ...], end: End) -> None:
    with server(HEAD + chunked(*frames), end=end) as (url, _):
        llm = ChatKilo(base_url=url, max_retries=0)
        # A reset may overtake the first bytes; then no stream has started that could be interrupted.
        with pytest.raises(KiloStreamInterruptedError if end == "close" else KiloConnectionError) as caught:
            collect(getattr(llm, way)("hi"))
    assert caught.value.partial_text in ("whole", "")


@every_langchain_stream
def test_an_error_page_that_breaks_off_is_a_kilo_error(way: str) -> None:
    answer = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"
    with server(answer) as (url, _):
        llm = ChatKilo(base_url=url, max_retries=0)
        with pytest.raises(KiloConnectionError):
            collect(getattr(llm, way)("hi"))
        with pytest.raises(KiloConnectionError):
            llm.invoke("hi")


def test_a_deeply_nested_error_body_is_a_kilo_error() -> None:
    body = b"[" * 100_000
    answer = b"HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with server(answer + body) as (url, _), pytest.raises(KiloServerError) as caught:
        ChatKilo(base_url=url, max_retries=0).invoke("hi")
    assert len(str(caught.value)) < 2500


def test_a_bad_proxy_is_a_kilo_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://[bad")
    with pytest.raises(KiloConnectionError, match="proxy settings"):
        ChatKilo(base_url="http://example.invalid/api", max_retries=0).invoke("hi")


def test_half_a_character_in_a_prompt_is_named(kilo_sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match=r"half of a character.*text\.encode"):
        ChatKilo(base_url=kilo_sandbox.base_url).invoke("a\ud83d")


def test_event_loops_are_released(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(base_url=kilo_sandbox.base_url)
    before = event_loops.loops()
    for _ in range(3):
        asyncio.run(llm.ainvoke("hi"))
    gc.collect()
    assert event_loops.loops() == before


def test_threads_that_start_together_share_one_pool(kilo_sandbox: Sandbox) -> None:
    clients.forget()
    llm = ChatKilo(base_url=kilo_sandbox.base_url)
    barrier = threading.Barrier(16)

    def build(_: int) -> Any:
        barrier.wait()
        return clients.sync_client(llm)

    with ThreadPoolExecutor(16) as pool:
        built = list(pool.map(build, range(16)))
    assert len({id(client) for client in built}) == 1


@both
def test_assignment_is_checked(cls: Any) -> None:
    llm = cls(base_url="http://127.0.0.1:1/x", api_key="k", max_retries=0)
    llm.mode = "Plan"
    assert llm.mode == "plan"
    with pytest.raises(ValueError, match="temperature"):
        llm.temperature = "hot"
    with pytest.raises(ValueError, match="unknown tier 'gold'"):
        llm.tier = "gold"
    with pytest.raises(ValueError, match="exclude each other"):
        cls(tier="free").model = "a/b"
    extras = "additional_kwargs" if cls is KiloLLM else "model_kwargs"
    with pytest.raises(ValueError, match=extras):
        setattr(llm, extras, {"model": "z"})
    llm.api_key = "other"
    assert llm.bearer == "other"
    llm.base_url = "http://far.example/x"
    with pytest.raises(ValueError, match="travel in clear"):
        llm.complete("hi") if cls is KiloLLM else llm.invoke("hi")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")  # the test forks on purpose
def test_a_child_forked_while_a_client_is_built_can_call(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(base_url=kilo_sandbox.base_url)
    llm.invoke("before")
    with clients._LOCK, event_loops._LOCK:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            os._exit(0 if "after" in llm.invoke("after").text else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_traceback_with_locals_shows_no_key() -> None:
    account = clients.Account.of(ChatKilo(api_key="s3cr3t", default_headers={"x-a": "s3cr3t"}))
    assert "s3cr3t" not in repr(account)


def test_a_call_after_a_refused_one_is_warned(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(tier="free", base_url=kilo_sandbox.base_url)
    with pytest.raises(KiloInvalidRequestError):
        llm.invoke("hi", provider={"data_collection": "deny"})
    with pytest.warns(KiloDataPolicyWarning):
        llm.invoke("hi")


def test_warnings_at_construction_point_to_the_caller() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ChatKilo(model="kilo/auto", mode="architct")
    assert [w.filename for w in caught] == [__file__] * 2
