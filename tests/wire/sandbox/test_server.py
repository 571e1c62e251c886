"""Test the sandbox's server: start, stop, record, and clients that leave."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time

import openai
import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.plain_client import CHAT, chat, request


def _open_stream(gateway: Sandbox, model: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    connection.request("POST", CHAT, json.dumps(body))
    answer = connection.getresponse()
    assert answer.readline() == b": KILO PROCESSING\n"
    return connection


def test_it_starts_and_answers() -> None:
    with Sandbox() as gateway:
        assert chat(gateway, "sandbox/echo").status == 200


@pytest.mark.parametrize("model", ["sandbox/stall", "sandbox/stall-keepalive", "sandbox/slow"])
def test_it_stops_at_once_although_a_stream_is_open(model: str) -> None:
    gateway = Sandbox().start()
    connection = _open_stream(gateway, model)
    begun = time.monotonic()
    gateway.stop()
    took = time.monotonic() - begun
    connection.close()
    assert took < 4  # stop() waits five seconds for a server that does not end
    assert not [thread for thread in threading.enumerate() if thread.name == "kilo-sandbox" and _is_of(thread, gateway)]
    with pytest.raises(ConnectionRefusedError):
        request(gateway, "GET", "/api/gateway/models")


def _is_of(thread: threading.Thread, gateway: Sandbox) -> bool:
    return gateway._thread is thread


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    with Sandbox() as gateway:
        assert set(threading.enumerate()) > before
        chat(gateway, "sandbox/echo")
    assert set(threading.enumerate()) <= before


def test_it_can_be_started_again_and_stopped_twice() -> None:
    gateway = Sandbox()
    for _ in range(2):
        with gateway:
            assert chat(gateway, "sandbox/echo").status == 200
    gateway.stop()


def test_it_refuses_to_start_twice(gw: Sandbox) -> None:
    with pytest.raises(RuntimeError, match="already running"):
        gw.start()


def test_a_taken_port_is_an_oserror(gw: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=gw.port).start()


def test_two_at_once_stay_apart(gw: Sandbox) -> None:
    with Sandbox(era="E1") as other:
        assert other.port != gw.port
        assert chat(gw, "kilo/auto").status == 404
        assert chat(other, "kilo/auto").status == 200
        assert len(gw.requests) == len(other.requests) == 1


async def test_it_is_an_async_context_manager() -> None:
    async with (
        Sandbox() as gateway,
        openai.AsyncOpenAI(base_url=gateway.base_url, api_key="anonymous") as client,
    ):
        answer = await client.chat.completions.create(
            model="kilo-auto/free", messages=[{"role": "user", "content": "Hi"}]
        )
    assert answer.choices[0].message.content == "Hello! How can I help you?"


# The record
def test_a_record_holds_the_request(gw: Sandbox) -> None:
    headers = {"X-KiloCode-Mode": " plan ", "X-Mine": "Grüße".encode("latin-1").decode("latin-1")}
    chat(gw, "kilo-auto/frontier", headers=headers, temperature=0.5)
    record = gw.last
    assert (record.method, record.path) == ("POST", CHAT)
    assert record.headers["x-kilocode-MODE"].strip() == "plan"
    assert "x-kilocode-taskid" not in record.headers
    assert record.json["temperature"] == 0.5
    assert json.loads(record.body) == record.json
    assert record.account == "rich"
    assert record.requested_model == "kilo-auto/frontier"
    assert record.served_model == "anthropic/claude-opus-4.7"
    assert record.mode == "plan"
    assert record.status == 200
    assert not record.disconnected


def test_a_body_that_is_not_json_is_recorded_too(gw: Sandbox) -> None:
    assert request(gw, "POST", CHAT, b"{nonsense").status == 400
    assert gw.last.json is None
    assert gw.last.body == b"{nonsense"
    assert gw.last.status == 400


def test_clear_empties_the_record(gw: Sandbox) -> None:
    chat(gw, "sandbox/echo")
    assert len(gw.requests) == 1
    gw.clear()
    assert not gw.requests
    with pytest.raises(LookupError, match="no request"):
        _ = gw.last


def test_requests_of_many_threads_are_all_recorded(gw: Sandbox) -> None:
    threads = [threading.Thread(target=chat, args=(gw, "sandbox/echo", f"n{i}")) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = sorted(record.json["messages"][0]["content"] for record in gw.requests)
    assert said == sorted(f"n{i}" for i in range(20))


def test_a_wait_without_result_is_a_timeout_that_lists_the_requests(gw: Sandbox) -> None:
    chat(gw, "sandbox/echo")
    with pytest.raises(TimeoutError, match="sandbox/echo"):
        gw.wait_for(lambda record: record.disconnected, timeout=0.01)


# Clients that leave
@pytest.mark.parametrize("model", ["sandbox/slow", "sandbox/stall", "sandbox/stall-keepalive"])
def test_a_client_that_leaves_a_stream_is_noticed(gw: Sandbox, model: str) -> None:
    _open_stream(gw, model).close()
    record = gw.wait_for(lambda record: record.disconnected)
    assert record.requested_model == model


@pytest.mark.parametrize("model", ["sandbox/slow", "sandbox/stall"])
def test_a_client_that_leaves_before_an_answer_is_noticed(gw: Sandbox, model: str) -> None:
    body = json.dumps({"model": model, "messages": []}).encode()
    with socket.create_connection(("127.0.0.1", gw.port)) as sock:
        sock.sendall(
            b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body)
        )
        gw.wait_for(lambda record: record.status == 200)
    assert gw.wait_for(lambda record: record.disconnected).requested_model == model


def test_a_client_that_reads_to_the_end_did_not_leave(gw: Sandbox) -> None:
    with openai.OpenAI(base_url=gw.base_url, api_key="anonymous") as client:
        for _ in range(20):
            stream = client.chat.completions.create(model="sandbox/echo", messages=[], stream=True)
            assert list(stream)
    gw.wait_for(lambda _: all(record.finished for record in gw.requests))
    assert not any(record.disconnected for record in gw.requests)


def test_faults_leave_nothing_in_the_log(gw: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="kilo_gateway"):
        for model in ("sandbox/drop-connection", "sandbox/cut-stream", "sandbox/error-500"):
            chat(gw, model, stream=True)
        _open_stream(gw, "sandbox/stall").close()
        gw.wait_for(lambda record: record.disconnected)
    assert [r for r in caplog.records if r.name.startswith(("uvicorn", "kilo_gateway.sandbox"))] == []


# Latency
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_begins_after_the_latency(stream: bool) -> None:
    with Sandbox(latency=0.05) as gateway:
        begun = time.monotonic()
        assert chat(gateway, "sandbox/echo", stream=stream).status == 200
        assert time.monotonic() - begun >= 0.05


def test_an_error_does_not_wait_for_the_latency_and_a_client_that_leaves_in_it_is_noticed() -> None:
    with Sandbox(latency=600) as gateway:
        assert chat(gateway, "sandbox/error-500").status == 500
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        connection.request("POST", CHAT, json.dumps({"model": "sandbox/echo", "messages": []}))
        gateway.wait_for(lambda record: record.status == 200)
        connection.close()
        gateway.wait_for(lambda record: record.disconnected)
